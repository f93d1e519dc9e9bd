//! A server of a script: plain sockets, which answer what they are told to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code, reason = "each test file uses its own part of it")]

use event_client::reqwest::RequestBuilder;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

pub(crate) const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
pub(crate) const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";

/// Far more than anything here takes: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What must happen within the patience of a test.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let late = |_| panic!("{what} did not come to pass");
    timeout(PATIENCE, happens).await.unwrap_or_else(late)
}

/// A listener on a free port, and its URL.
pub(crate) async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    (listener, url)
}

/// The client at the other end of a connection.
pub(crate) struct Peer(BufReader<TcpStream>);

impl Peer {
    /// The next to connect, and the head of its request.
    pub(crate) async fn accept(listener: &TcpListener) -> (Self, String) {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = socket.read_line(&mut head);
            assert_ne!(soon("a head", read).await.unwrap(), 0, "{head}");
        }
        (Self(socket), head)
    }

    pub(crate) async fn write(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(text.as_bytes()).await
    }

    /// Waits until the client closes the connection, or resets it.
    pub(crate) async fn closes(&mut self) {
        let mut rest = Vec::new();
        let _ = soon("the end", self.0.read_to_end(&mut rest)).await;
    }
}

/// Answers one connection with each response, and closes it; after the last
/// it keeps the connection open. Returns the heads that came.
pub(crate) struct Script {
    pub(crate) url: String,
    heads: JoinSet<Vec<String>>,
}

impl Script {
    pub(crate) async fn new(
        responses: impl IntoIterator<Item = String>,
    ) -> Self {
        Self::with(responses, true).await
    }

    /// Closes the last connection, too.
    pub(crate) async fn closing(
        responses: impl IntoIterator<Item = String>,
    ) -> Self {
        Self::with(responses, false).await
    }

    async fn with(
        responses: impl IntoIterator<Item = String>,
        keeps_last: bool,
    ) -> Self {
        let (listener, url) = listen().await;
        let responses: Vec<_> = responses.into_iter().collect();
        let mut heads = JoinSet::new();
        heads.spawn(async move {
            let mut heads = Vec::new();
            let mut last = None;
            for response in responses {
                drop(last.take());
                let (mut peer, head) = Peer::accept(&listener).await;
                heads.push(head);
                peer.write(&response).await.unwrap();
                last = Some(peer);
            }
            if let Some(mut peer) = last.filter(|_| keeps_last) {
                peer.closes().await;
            }
            heads
        });
        Self { url, heads }
    }

    pub(crate) fn request(&self) -> RequestBuilder {
        event_client::http().build().unwrap().get(&self.url)
    }

    pub(crate) async fn heads(mut self) -> Vec<String> {
        soon("the end", self.heads.join_next()).await.unwrap().unwrap()
    }
}

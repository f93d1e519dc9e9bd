//! The other side of a server: readers that are plain sockets, and the lines
//! of its log. Chapter 5's tests have this file too.

use axum::{body::Body, http::Request};
use ch03_hyper::connections::Log;
use event_stream::{Decoder, Item, MessageEvent};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::mpsc::{self, UnboundedReceiver},
    time::timeout,
};

/// Far more than anything here takes: a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough never to come.
pub const NEVER: Duration = Duration::from_hours(1);

/// What must happen within the patience of a test.
pub async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let late = |_| panic!("{what} did not come to pass");
    timeout(PATIENCE, happens).await.unwrap_or_else(late)
}

/// A request with a host, header fields and a body.
pub fn request(
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    fields
        .iter()
        .fold(request.header("Host", "localhost"), |r, (k, v)| r.header(*k, *v))
        .body(body.into())
        .unwrap()
}

/// The lines of a server's log, in order.
pub struct Lines(UnboundedReceiver<String>);

impl Lines {
    pub fn new() -> (Log, Self) {
        let (tell, told) = mpsc::unbounded_channel();
        // A test that has seen enough reads no more.
        let log: Log = Arc::new(move |line| drop(tell.send(line.to_string())));
        (log, Self(told))
    }

    /// Reads on to a line that starts with `text`, and returns the rest of it.
    pub async fn after(&mut self, text: &str) -> String {
        self.after_unless(text, "\n").await
    }

    /// The same, if `never` does not come before.
    pub async fn after_unless(&mut self, text: &str, never: &str) -> String {
        let found = async {
            while let Some(line) = self.0.recv().await {
                assert!(!line.starts_with(never), "{line}");
                if let Some(rest) = line.strip_prefix(text) {
                    return rest.to_owned();
                }
            }
            panic!("the server has ended and never said {text:?}");
        };
        soon(text, found).await
    }
}

/// The other side of a connection.
pub struct Reader {
    pub socket: BufReader<TcpStream>,
    decoder: Decoder,
}

impl Reader {
    /// Sends a request, whatever it says.
    pub async fn send(addr: SocketAddr, request: &str) -> Self {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        Self { socket: BufReader::new(socket), decoder: Decoder::new() }
    }

    pub async fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.socket.read_line(&mut head);
            assert_ne!(soon("a head", read).await.unwrap(), 0, "{head}");
        }
        head
    }

    /// The next chunk of a chunked body; empty for the last.
    pub async fn chunk(&mut self) -> Vec<u8> {
        let mut line = String::new();
        let read = self.socket.read_line(&mut line);
        assert_ne!(soon("a chunk", read).await.unwrap(), 0, "cut");
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        let read = self.socket.read_exact(&mut chunk);
        soon("the rest of a chunk", read).await.unwrap();
        assert!(chunk.ends_with(b"\r\n"));
        chunk.truncate(size);
        chunk
    }

    /// The next item of the stream; `None` if the body ends, as it should.
    pub async fn item(&mut self) -> Option<Item> {
        loop {
            let chunk = self.chunk().await;
            if chunk.is_empty() {
                return None;
            }
            // Each chunk is one block here.
            if let Some(item) = self.decoder.next(&mut &*chunk).unwrap() {
                return Some(item.to_owned());
            }
        }
    }

    /// The next event; what is less is passed over.
    pub async fn event(&mut self) -> MessageEvent {
        loop {
            let item = self.item().await.expect("the stream ended");
            if let Item::Event(event) = item {
                return event;
            }
        }
    }

    /// What comes until the connection ends.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        let read = self.socket.read_to_end(&mut rest);
        soon("the end of a connection", read).await?;
        Ok(rest)
    }
}

//! A server in this process, requests without a socket, and readers that are
//! plain sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of it"
)]

use axum::{
    Extension,
    body::{Body, to_bytes},
    http::{Request, Response},
};
use ch03_hyper::connections::{Log, Peer};
use ch04_axum::server::{self, App, Options};
use event_stream::{Decoder, Item, MessageEvent};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Far more than anything here takes: a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough never to come.
pub const NEVER: Duration = Duration::from_hours(1);

/// No greeting and no heartbeat: what comes is what the test sends.
pub fn quiet() -> Options {
    Options { every: NEVER, heartbeat: NEVER, ..Options::default() }
}

/// What must happen within the patience of a test.
pub async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let late = |_| panic!("{what} did not come to pass");
    timeout(PATIENCE, happens).await.unwrap_or_else(late)
}

/// An app that says nothing.
pub fn silent(options: Options) -> App {
    App::new(options, CancellationToken::new(), Arc::new(|_| ()))
}

/// What the routes answer to this machine, without a socket: a router is a
/// service, and a service is a function.
pub async fn answer(app: &App, request: Request<Body>) -> Response<Body> {
    let peer = Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)));
    let routes = server::router(app.clone()).layer(Extension(peer));
    soon("an answer", routes.oneshot(request)).await.unwrap()
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

pub async fn text(response: Response<Body>) -> String {
    let bytes = soon("a body", to_bytes(response.into_body(), 1 << 20)).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
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

/// A server on a free port.
pub struct Running {
    pub addr: SocketAddr,
    pub app: App,
    pub lines: Lines,
    stop: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

impl Running {
    pub async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (log, lines) = Lines::new();
        let app = App::new(options, stop.clone(), log);
        let server = tokio::spawn(server::run(listener, app.clone()));
        Self { addr, app, lines, stop, server }
    }

    pub async fn send(&self, request: &str) -> Reader {
        let mut socket = TcpStream::connect(self.addr).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        Reader { socket: BufReader::new(socket), decoder: Decoder::new() }
    }

    /// A stream whose head and reconnection time have been read.
    pub async fn open(&self, fields: &str) -> Reader {
        let request =
            format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let mut reader = self.send(&request).await;
        let head = reader.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let first = reader.item().await;
        assert!(matches!(first, Some(Item::ReconnectionTime(_))), "{first:?}");
        reader
    }

    /// Publishes a post and returns its ID.
    pub async fn post(&self, author: &str, text: &str) -> String {
        let post = serde_json::json!({ "author": author, "text": text });
        let post = post.to_string();
        let mut response = self
            .send(&format!(
                "POST /messages HTTP/1.1\r\nHost: localhost\r\n\
                 Connection: close\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{post}",
                post.len()
            ))
            .await;
        let head = response.head().await;
        assert!(head.starts_with("HTTP/1.1 202 Accepted\r\n"), "{head}");
        let body = response.rest().await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        body["id"].as_str().unwrap().to_owned()
    }

    /// Stops the server and waits for its end.
    pub async fn stop(self) {
        self.stop.cancel();
        soon("the end", self.server).await.unwrap().unwrap();
    }
}

/// The other side of a connection.
pub struct Reader {
    pub socket: BufReader<TcpStream>,
    decoder: Decoder,
}

impl Reader {
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

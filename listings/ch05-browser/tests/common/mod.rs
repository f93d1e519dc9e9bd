//! A server in this process, requests without a socket, and readers that are
//! plain sockets: as in chapter 4.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of it"
)]

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    http::{Request, Response},
};
use ch03_hyper::connections::Peer;
use ch05_browser::server::{self, Options, Site};
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

/// The pages of the book.
pub const BOOK: &str = "http://127.0.0.1:3000";

/// What must happen within the patience of a test.
pub async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let late = |_| panic!("{what} did not come to pass");
    timeout(PATIENCE, happens).await.unwrap_or_else(late)
}

/// No heartbeat: what comes is what the test asks for.
pub fn quiet() -> Options {
    Options { heartbeat: NEVER, ..Options::default() }
}

/// The routes of a server that says nothing.
pub fn silent(options: &Options) -> Router {
    let stop = CancellationToken::new();
    let site = Site::new(options, stop, Arc::new(|_| ()));
    server::router(site.unwrap())
}

/// What the routes answer to this machine, without a socket.
pub async fn answer(routes: &Router, request: Request<Body>) -> Response<Body> {
    let peer = Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)));
    let routes = routes.clone().layer(Extension(peer));
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
        .fold(request.header("Host", "localhost:9005"), |r, (k, v)| {
            r.header(*k, *v)
        })
        .body(body.into())
        .unwrap()
}

pub async fn get(routes: &Router, path: &str) -> Response<Body> {
    answer(routes, request("GET", path, &[], "")).await
}

pub fn field<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

pub async fn bytes(response: Response<Body>) -> Vec<u8> {
    let all = to_bytes(response.into_body(), 1 << 20);
    soon("a body", all).await.unwrap().to_vec()
}

pub async fn text(response: Response<Body>) -> String {
    String::from_utf8(bytes(response).await).unwrap()
}

pub async fn json(response: Response<Body>) -> serde_json::Value {
    serde_json::from_slice(&bytes(response).await).unwrap()
}

/// The lines of a server's log, in order.
pub struct Lines(UnboundedReceiver<String>);

impl Lines {
    /// Reads on to a line that starts with `text`, and returns the rest of it.
    pub async fn after(&mut self, text: &str) -> String {
        let found = async {
            while let Some(line) = self.0.recv().await {
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
    pub lines: Lines,
    stop: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

impl Running {
    pub async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (tell, told) = mpsc::unbounded_channel();
        // A test that has seen enough reads no more.
        let log = Arc::new(move |line: std::fmt::Arguments<'_>| {
            drop(tell.send(line.to_string()));
        });
        let run = server::run(listener, options, stop.clone(), log);
        let server = tokio::spawn(run);
        Self { addr, lines: Lines(told), stop, server }
    }

    pub async fn send(&self, request: &str) -> Reader {
        let mut socket = TcpStream::connect(self.addr).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        Reader { socket: BufReader::new(socket), decoder: Decoder::new() }
    }

    /// A stream whose head and reconnection time have been read.
    pub async fn open(&self, path: &str, fields: &str) -> Reader {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let mut reader = self.send(&request).await;
        let head = reader.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let first = reader.item().await;
        assert!(matches!(first, Some(Item::ReconnectionTime(_))), "{first:?}");
        reader
    }

    /// Cuts the streams of that name, and returns the status.
    pub async fn cut(&self, name: &str) -> String {
        let request = format!(
            "DELETE /readers/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        let head = self.send(&request).await.head().await;
        head.lines().next().unwrap().to_owned()
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

//! A server in this process, requests without a socket, and readers that are
//! plain sockets: as in chapter 4.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of it"
)]

#[path = "../../../ch04-axum/tests/common/peer.rs"]
mod peer;

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    http::{Request, Response},
};
use ch03_hyper::connections::Peer;
use ch05_browser::server::{self, Options, Site};
use event_stream::Item;
pub use peer::*;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The pages of the book.
pub const BOOK: &str = "http://127.0.0.1:3000";

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
        let (log, lines) = Lines::new();
        let run = server::run(listener, options, stop.clone(), log);
        let server = tokio::spawn(run);
        Self { addr, lines, stop, server }
    }

    pub async fn send(&self, request: &str) -> Reader {
        Reader::send(self.addr, request).await
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

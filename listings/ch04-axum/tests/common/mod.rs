//! A server in this process, requests without a socket, and readers that are
//! plain sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of it"
)]

mod peer;

use axum::{
    Extension,
    body::{Body, to_bytes},
    http::{Request, Response},
};
use ch03_hyper::connections::Peer;
use ch04_axum::{
    routes,
    server::{App, Options},
};
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

/// No greeting and no heartbeat: what comes is what the test sends.
pub fn quiet() -> Options {
    Options { every: NEVER, heartbeat: NEVER, ..Options::default() }
}

/// An app that says nothing.
pub fn silent(options: Options) -> App {
    App::new(options, CancellationToken::new(), Arc::new(|_| ()))
}

/// What the routes answer to this machine, without a socket: a router is a
/// service, and a service is a function.
pub async fn answer(app: &App, request: Request<Body>) -> Response<Body> {
    let peer = Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)));
    let routes = routes::router(app.clone()).layer(Extension(peer));
    soon("an answer", routes.oneshot(request)).await.unwrap()
}

pub async fn text(response: Response<Body>) -> String {
    let bytes = soon("a body", to_bytes(response.into_body(), 1 << 20)).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
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
        let server = tokio::spawn(routes::run(listener, app.clone()));
        Self { addr, app, lines, stop, server }
    }

    pub async fn send(&self, request: &str) -> Reader {
        Reader::send(self.addr, request).await
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

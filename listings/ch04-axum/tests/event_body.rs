//! `EventBody` of the event stream as axum serves it: the shortest server that
//! encodes with the crate, and with nothing of this chapter.
#![allow(clippy::unwrap_used)]

use axum::{
    Router, body::Body, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use event_stream::{Event, EventBody, MIME_TYPE};
use futures::{StreamExt, channel::mpsc, stream};
use std::{
    future::ready,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

#[tokio::test]
async fn axum_sends_each_event_as_it_comes() {
    let (sender, texts) = mpsc::unbounded::<&str>();
    let texts = Arc::new(Mutex::new(Some(texts)));
    let app = Router::new().route(
        "/",
        get(move || {
            let texts = texts.lock().unwrap().take().unwrap();
            let events = texts.map(|text| Event::new(text).with_type("chat"));
            let body = Body::new(EventBody::new(events));
            ready(([(CONTENT_TYPE, MIME_TYPE)], body).into_response())
        }),
    );
    let mut socket = TcpStream::connect(serve(app).await).await.unwrap();
    // The body of a response to HTTP/1.0 has no framing.
    socket.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut lines = BufReader::new(socket).lines();
    let mut head = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    assert_eq!(head[0], "HTTP/1.0 200 OK");
    assert!(head.contains(&format!("content-type: {MIME_TYPE}")), "{head:?}");
    for text in ["one", "two"] {
        sender.unbounded_send(text).unwrap();
        let expected = ["event: chat", &format!("data: {text}"), ""];
        for line in expected {
            let received = lines.next_line().await.unwrap();
            assert_eq!(received.as_deref(), Some(line));
        }
    }
    drop(sender);
    assert_eq!(lines.next_line().await.unwrap(), None);
}

/// An error breaks the response off: no client takes it for complete.
#[tokio::test]
async fn a_response_with_an_error_has_no_last_chunk() {
    for (event_type, is_complete) in [("chat", true), ("no\ntype", false)] {
        let events = move || ready(Event::new("text").with_type(event_type));
        let app = Router::new().route(
            "/",
            get(move || {
                let body = EventBody::new(stream::once(events()));
                ready(Body::new(body))
            }),
        );
        let mut socket = TcpStream::connect(serve(app).await).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        socket.write_all(request).await.unwrap();
        let mut response = Vec::new();
        socket.read_to_end(&mut response).await.unwrap();
        assert_eq!(response.ends_with(b"0\r\n\r\n"), is_complete);
    }
}

//! What only this chapter's server can get wrong: who asks whom, what is let
//! go, and how it ends. What every server must do is in `contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use ch03_hyper::{connections::Limits, server::Options};
use common::{NEVER, REQUEST, Running};
use event_stream::HEARTBEAT;
use std::{io::ErrorKind, time::Duration};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// No event but the first, and no heartbeat.
fn quiet() -> Options {
    Options { every: NEVER, heartbeat: NEVER, ..Options::default() }
}

#[tokio::test]
async fn each_event_is_one_chunk() {
    let every = Duration::from_millis(1);
    let server = Running::start(Options { every, ..quiet() }).await;
    let mut reader = server.open().await;
    for number in 1..=3 {
        let chunk = reader.chunk().await;
        let event =
            format!("id: {number}\ndata: Hello! This is event {number}\n\n");
        assert_eq!(chunk, event.as_bytes());
    }
}

#[tokio::test]
async fn ids_end_where_u64_does() {
    let every = Duration::from_millis(1);
    let server = Running::start(Options { every, ..quiet() }).await;
    let mut reader = server
        .send(
            "GET /events HTTP/1.1\r\nHost: test\r\n\
             Last-Event-ID: 18446744073709551613\r\n\r\n",
        )
        .await;
    reader.head().await;
    for number in [u64::MAX - 1, u64::MAX] {
        let expected = format!("Hello! This is event {number}");
        assert_eq!(reader.event().await, Some(expected));
    }
    assert_eq!(reader.event().await, None);
}

#[tokio::test]
async fn past_the_limit_503_until_a_reader_leaves() {
    let mut server =
        Running::start(Options { max_readers: 2, ..quiet() }).await;
    let first = server.open().await;
    let _second = server.open().await;
    let mut third = server.send(REQUEST).await;
    let head = third.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nretry-after: 5\r\n"), "{head}");

    drop(first);
    server.lines.after("Client disconnected: ").await;
    server.open().await;
}

// ANCHOR: leaves
#[tokio::test]
async fn a_reader_that_leaves_is_noticed_without_a_write() {
    // The next event is an hour away, and so is the next heartbeat.
    let mut server = Running::start(quiet()).await;
    let mut reader = server.open().await;
    reader.event().await.unwrap();
    drop(reader);
    server.lines.after("Client disconnected: ").await;
}
// ANCHOR_END: leaves

#[tokio::test]
async fn a_reader_that_ends_its_own_half_is_taken_to_have_left() {
    let mut server = Running::start(quiet()).await;
    let mut reader = server.open().await;
    reader.event().await.unwrap();
    reader.socket.shutdown().await.unwrap();
    server.lines.after("Client disconnected: ").await;
}

#[tokio::test]
async fn a_heartbeat_finds_whom_hyper_does_not_notice() {
    let heartbeat = Duration::from_millis(10);
    let mut server = Running::start(Options { heartbeat, ..quiet() }).await;
    let owing = REQUEST.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n");
    for request in [format!("{REQUEST}{REQUEST}"), owing] {
        let mut reader = server.send(&request).await;
        reader.head().await;
        reader.event().await.unwrap();
        drop(reader);
        server.lines.after("Client disconnected: ").await;
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_off_and_delays_nobody() {
    let write_timeout = Duration::from_millis(200);
    let mut server = Running::start(Options {
        every: Duration::from_nanos(1),
        limits: Limits { write_timeout, ..Limits::default() },
        ..quiet()
    })
    .await;
    let mut stalled = server.open().await;
    let mut brisk = server.open().await;
    let cut_off = server.lines.after("Cut off ");
    tokio::pin!(cut_off);
    loop {
        tokio::select! {
            peer = &mut cut_off => {
                let addr = stalled.socket.get_ref().local_addr().unwrap();
                assert!(peer.starts_with(&addr.to_string()), "{peer}");
                break;
            }
            event = brisk.event() => assert!(event.is_some()),
        }
    }
    // What the buffers held may still arrive, but not the last chunk.
    match stalled.rest().await {
        Ok(rest) => assert!(!rest.ends_with(b"\r\n0\r\n\r\n")),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[tokio::test]
async fn requests_that_are_read_and_requests_that_are_refused() {
    let server = Running::start(quiet()).await;
    let host = "Host: a.b:80\r\n";
    for (request, status) in [
        (format!("GET /events?x=1 HTTP/1.1\r\n{host}"), 200),
        (format!("\r\nGET /events HTTP/1.1\r\n{host}"), 200),
        (format!("GET http://h/events HTTP/1.1\r\n{host}"), 200),
        ("GET /events HTTP/1.1\r\nHost:\r\n".to_owned(), 200),
        ("GET /events HTTP/1.0\r\n".to_owned(), 200),
        (format!("GET /events/ HTTP/1.1\r\n{host}"), 404),
        (format!("GET * HTTP/1.1\r\n{host}"), 404),
        (format!("POST /events HTTP/1.1\r\n{host}"), 405),
        ("GET /events HTTP/1.1\r\n".to_owned(), 400),
        (format!("GET /events HTTP/1.1\r\n{host}{host}"), 400),
        ("GET /events HTTP/1.1\r\nHost: a b\r\n".to_owned(), 400),
        ("GET /events HTTP/1.1\r\nHost: a/b\r\n".to_owned(), 400),
        (format!("GET /events HTTP/1.0\r\n{host}{host}"), 400),
        (format!("GET events HTTP/1.1\r\n{host}"), 404),
        (format!("GET  /events HTTP/1.1\r\n{host}"), 400),
        (format!("GET /events http/1.1\r\n{host}"), 400),
        (format!("GET /events HTTP/1.1\r\n{host}A : b\r\n"), 400),
        (format!("GET /events HTTP/1.1\r\n{host}A: \0\r\n"), 400),
        (format!("GET /events HTTP/1.1\r\n{host} folded: x\r\n"), 400),
        (
            format!("GET /events HTTP/1.1\r\n{host}{}", "A: b\r\n".repeat(99)),
            200,
        ),
        (
            format!("GET /events HTTP/1.1\r\n{host}{}", "A: b\r\n".repeat(100)),
            431,
        ),
        (format!("GET /{} HTTP/1.1\r\n{host}", "x".repeat(17_000)), 431),
        (
            format!(
                "GET /events HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n"
            ),
            400,
        ),
    ] {
        let mut reader = server.send(&format!("{request}\r\n")).await;
        let head = reader.head().await;
        assert_eq!(
            head.split(' ').nth(1),
            Some(&*status.to_string()),
            "{request:?} got {head}"
        );
    }
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_answered_408() {
    let head_timeout = Duration::from_millis(100);
    let limits = Limits { head_timeout, ..Limits::default() };
    let mut server = Running::start(Options { limits, ..quiet() }).await;
    let mut slow = server.send("GET /events HTTP/1.1\r\nHost: te").await;
    let response = String::from_utf8(slow.rest().await.unwrap()).unwrap();
    let status = "HTTP/1.1 408 Request Timeout\r\nDate: ";
    assert!(response.starts_with(status), "{response}");
    assert!(response.ends_with("\r\n\r\n"), "{response}");
    let refused = server.lines.after("Refused ").await;
    assert!(refused.ends_with(": 408 Request Timeout"), "{refused}");

    // But a connection that was of use is closed without a word.
    let mut idle =
        server.send("HEAD /events HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let head = idle.head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(idle.rest().await.unwrap(), b"");
}

#[tokio::test]
async fn a_stop_ends_every_connection_whatever_it_is_doing() {
    let server = Running::start(quiet()).await;
    let mut readers = Vec::new();
    for _ in 0..100 {
        let mut reader = server.open().await;
        reader.event().await.unwrap();
        readers.push(reader);
    }
    let mut half_asked = server.send("GET /events HTTP/1.1\r\n").await;
    let mut silent = server.send("").await;
    let addr = server.addr;
    let stopped = tokio::spawn(server.stop());
    for reader in &mut readers {
        // Ended, not cut: the last chunk comes, and nothing behind it.
        assert_eq!(reader.event().await, None);
        assert_eq!(reader.rest().await.unwrap(), b"");
    }
    // Answered or closed, but let go.
    let _ = (half_asked.rest().await, silent.rest().await);
    stopped.await.unwrap();
    // The listener went with the server.
    TcpStream::connect(addr).await.unwrap_err();
}

#[tokio::test]
async fn an_idle_stream_gets_heartbeats_and_keeps_its_rhythm() {
    let heartbeat = Duration::from_millis(10);
    let server = Running::start(Options { heartbeat, ..quiet() }).await;
    let mut reader = server.open().await;
    reader.event().await.unwrap();
    for _ in 0..5 {
        assert_eq!(reader.chunk().await, HEARTBEAT.as_bytes());
    }
}

//! Solutions to the exercises of chapter 3.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use bytes::Bytes;
use ch03_hyper::{
    connections::{self, Limits},
    server::Options,
};
use common::{Lines, NEVER, Reader, Running};
use event_stream::{Event, MIME_TYPE};
use futures::{Stream, StreamExt, stream};
use http_body_util::StreamBody;
use hyper::{
    Request, Response, StatusCode, Version,
    body::{Body, Frame, Incoming},
    header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    service::service_fn,
};
use reqwest::RequestBuilder;
use std::{
    convert::Infallible, error::Error, future::ready, net::SocketAddr,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Serves an async function on a free port until the token is dropped.
async fn serve<F, R, B, E>(answer: F) -> (SocketAddr, DropGuard)
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Response<B>, E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let (log, _) = Lines::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let service = service_fn(answer);
        connections::serve(listener, service, Limits::default(), token, log)
            .await;
    });
    (addr, stop.drop_guard())
}

// ANCHOR: interval
/// What stands behind `every=` in the query, in milliseconds: from 10 to a
/// minute.
fn every(query: &str) -> Option<Duration> {
    let value = query.split('&').find_map(|p| p.strip_prefix("every="))?;
    // `parse` alone would take "+250".
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let milliseconds = value.parse().ok()?;
    (is_number && (10..=60_000).contains(&milliseconds))
        .then(|| Duration::from_millis(milliseconds))
}

/// A tick each time, for as long as somebody asks. A reader that did not ask
/// for a while, or a process that was stopped, catches up on none.
fn ticks(every: Duration) -> impl Stream<Item = Bytes> {
    let mut clock = interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((clock, 1), async |(mut clock, number)| {
        clock.tick().await;
        let event = Event::new(format!("tick {number}")).to_string();
        Some((Bytes::from(event), (clock, number + 1)))
    })
}

/// The body keeps nothing of the request: `use<>` says so.
fn answer(
    request: &Request<Incoming>,
    stop: CancellationToken,
) -> Response<impl Body<Data = Bytes, Error = Infallible> + use<>> {
    let every = match request.uri().query() {
        _ if !connections::has_good_host(request) => None,
        None => Some(Duration::from_secs(2)),
        Some(query) => every(query),
    };
    // Nothing is made of a stream that is not asked, so a refusal can have
    // the same type of body, with nothing in it.
    let pieces = stream::iter(every).flat_map(ticks);
    let frames = pieces
        .take_until(stop.cancelled_owned())
        .map(|piece| Ok(Frame::data(piece)));
    let mut response = Response::new(StreamBody::new(frames));
    if every.is_none() {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    }
    let event_stream = HeaderValue::from_static(MIME_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, event_stream);
    response
}
// ANCHOR_END: interval

#[tokio::test]
async fn each_reader_has_its_interval() {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let (addr, _guard) = serve(move |request| {
        ready(Ok::<_, Infallible>(answer(&request, stopped.clone())))
    })
    .await;
    for (target, ticks) in
        [("/?every=10", 5), ("/", 1), ("/?x=y&every=60000", 1)]
    {
        let request = format!("GET {target} HTTP/1.1\r\nHost: me\r\n\r\n");
        let mut reader = Reader::send(addr, &request).await;
        reader.head().await;
        for number in 1..=ticks {
            let data = reader.event().await.unwrap();
            assert_eq!(data, format!("tick {number}"));
        }
    }
    let host = "Host: me\r\n";
    for (query, host) in [
        ("every=9", host),
        ("every=60001", host),
        ("every=", host),
        ("every=-1", host),
        ("every=+250", host),
        ("x", host),
        ("every=250", ""),
    ] {
        let request = format!("GET /?{query} HTTP/1.1\r\n{host}\r\n");
        let mut reader = Reader::send(addr, &request).await;
        let head = reader.head().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{query}: {head}");
    }
    let request = "GET /?every=60000 HTTP/1.1\r\nHost: me\r\n\r\n";
    let mut reader = Reader::send(addr, request).await;
    reader.head().await;
    assert_eq!(reader.event().await.unwrap(), "tick 1");
    stop.cancel();
    assert_eq!(reader.event().await, None);
}

// ANCHOR: relay
/// Passes a stream on, byte by byte, from a server behind this one.
async fn relay(
    upstream: RequestBuilder,
    request: Request<Incoming>,
) -> Result<Response<reqwest::Body>, Infallible> {
    let id = HeaderName::from_static("last-event-id");
    let upstream = match request.headers().get(&id) {
        Some(value) => upstream.header(id, value),
        None => upstream,
    };
    let Ok(response) = upstream.send().await else {
        let mut response = Response::new("No answer.\n".into());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        return Ok(response);
    };
    let mut response = Response::from(response);
    *response.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(response.headers_mut());
    Ok(response)
}

/// Fields that are about one connection, and there are two: those that
/// `Connection` names, and those known to be (RFC 9110 §7.6.1).
fn remove_hop_by_hop(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = fields
        .get_all(CONNECTION)
        .iter()
        .filter_map(|names| names.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        fields.remove(name);
    }
    for name in [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ] {
        fields.remove(name);
    }
}
// ANCHOR_END: relay

#[tokio::test]
async fn a_relay_holds_nothing_back_and_leaves_with_its_reader() {
    let options =
        Options { every: NEVER, heartbeat: NEVER, ..Options::default() };
    let mut server = Running::start(options).await;
    let url = format!("http://{}/events", server.addr);
    let http = event_client::http().build().unwrap();
    let (addr, _guard) =
        serve(move |request| relay(http.get(&url), request)).await;
    let request = "GET / HTTP/1.1\r\nHost: me\r\nLast-Event-ID: 41\r\n\r\n";
    let mut reader = Reader::send(addr, request).await;
    let head = reader.head().await;
    assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"));
    assert_eq!(reader.event().await.unwrap(), "Hello! This is event 42");

    drop(reader);
    server.lines.after("Client disconnected: ").await;

    server.stop().await;
    let mut late = Reader::send(addr, request).await;
    assert!(late.head().await.starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
}

/// A relay, and the listener that it takes its streams from.
async fn relay_before_a_listener() -> (SocketAddr, DropGuard, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let http = event_client::http().build().unwrap();
    let (addr, guard) =
        serve(move |request| relay(http.get(&url), request)).await;
    (addr, guard, listener)
}

#[tokio::test]
async fn a_relay_leaves_before_the_answer_if_its_reader_does() {
    let (addr, _guard, listener) = relay_before_a_listener().await;
    let request = "GET / HTTP/1.1\r\nHost: me\r\n\r\n";
    let reader = Reader::send(addr, request).await;
    let (socket, _) = listener.accept().await.unwrap();
    let mut upstream = Reader::new(socket);
    upstream.head().await;
    drop(reader);
    assert_eq!(upstream.rest().await.unwrap_or_default(), b"");
}

#[tokio::test]
async fn a_relay_keeps_the_fields_of_its_connections_apart() {
    let (addr, _guard, listener) = relay_before_a_listener().await;
    let request = "GET / HTTP/1.1\r\nHost: me\r\n\r\n";
    let mut reader = Reader::send(addr, request).await;
    let (socket, _) = listener.accept().await.unwrap();
    let mut upstream = Reader::new(socket);
    upstream.head().await;
    let response = "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\
         Connection: close, X-Hop\r\nConnection: x-other\r\nX-Hop: 1\r\n\
         X-Other: 2\r\nX-End: 3\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nProxy-Connection: close\r\n\
         Upgrade: h2c\r\nTE: trailers\r\n\r\ndata: x\n\n";
    upstream.socket.write_all(response.as_bytes()).await.unwrap();
    let head = reader.head().await;
    let mut lines: Vec<_> = head.trim_end().lines().collect();
    lines.retain(|line| !line.starts_with("date: "));
    lines[1..].sort_unstable();
    assert_eq!(
        lines,
        [
            "HTTP/1.1 200 OK",
            "content-type: text/event-stream",
            "transfer-encoding: chunked",
            "x-end: 3",
        ]
    );
    assert_eq!(reader.event().await.unwrap(), "x");
}

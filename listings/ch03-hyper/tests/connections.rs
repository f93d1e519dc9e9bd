//! Connections with other services than the chapter's: what the toolkit does
//! and what it leaves to them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use bytes::Bytes;
use ch03_hyper::connections::{self, Limits};
use common::{Lines, NEVER, PATIENCE, REQUEST, Reader, soon};
use futures::{Stream, StreamExt, stream};
use http_body_util::StreamBody;
use hyper::{
    Response,
    body::{Body, Frame},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

struct Serving {
    addr: SocketAddr,
    stop: CancellationToken,
    lines: Lines,
    server: JoinHandle<()>,
}

/// Answers every request with a body made of this stream of pieces.
async fn serve<S>(
    limits: Limits,
    body: impl Fn() -> S + Clone + Send + 'static,
) -> Serving
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let (log, lines) = Lines::new();
    let service = service_fn(move |_| {
        let frames =
            body().map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        ready(Ok::<_, Infallible>(Response::new(StreamBody::new(frames))))
    });
    let server =
        connections::serve(listener, service, limits, stop.clone(), log);
    Serving { addr, stop, lines, server: tokio::spawn(server) }
}

const PIECE: usize = 16 * 1024;

// ANCHOR: back_pressure
#[tokio::test]
async fn nothing_is_made_for_a_reader_that_does_not_read() {
    /// More than the buffers of two sockets and hyper's hold.
    const HELD: usize = 16 * 1024 * 1024;
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    // A source without end that is always ready.
    let endless = move || {
        let count = Arc::clone(&count);
        stream::repeat_with(move || {
            count.fetch_add(PIECE, Ordering::Relaxed);
            Bytes::from_static(&[b'.'; PIECE])
        })
    };
    let limits = Limits { write_timeout: NEVER, ..Limits::default() };
    let serving = serve(limits, endless).await;
    let mut reader = Reader::send(serving.addr, REQUEST).await;
    reader.head().await;
    let mut read = 0;
    // It reads as much again and again; what was made and not read stays
    // within the same bound.
    for _ in 0..4 {
        let made = settled(&made).await;
        assert!(made - read < HELD, "{made} made, {read} read");
        while read < made {
            read += reader.chunk().await.len();
        }
    }
}

/// The count, once it has not grown for a while.
async fn settled(count: &AtomicUsize) -> usize {
    let mut last = count.load(Ordering::Relaxed);
    let mut since = Instant::now();
    let deadline = since + PATIENCE;
    while since.elapsed() < Duration::from_millis(200) {
        sleep(Duration::from_millis(1)).await;
        let now = count.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        assert!(since < deadline, "the source never rests");
    }
    last
}
// ANCHOR_END: back_pressure

#[tokio::test]
async fn past_the_limit_a_connection_waits_its_turn() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let body = || stream::iter([Bytes::from("served")]);
    let mut serving = serve(limits, body).await;
    let first = Reader::send(serving.addr, "").await;
    let _second = Reader::send(serving.addr, "").await;
    serving.lines.after("Connected by ").await;
    serving.lines.after("Connected by ").await;
    let mut third = Reader::send(serving.addr, REQUEST).await;
    drop(first);
    assert!(third.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    // Nobody was let in before somebody had gone.
    let lines = serving.lines.to("Connected by ").await;
    let gone = lines.iter().any(|line| line.starts_with("Closed "));
    assert!(gone, "{lines:?}");
}

#[tokio::test]
async fn a_service_that_panics_takes_one_connection_with_it() {
    let body = || stream::repeat_with(|| panic!("as this test wants"));
    let mut serving = serve(Limits::default(), body).await;
    for _ in 0..2 {
        Reader::send(serving.addr, REQUEST).await;
        let peer = serving.lines.after("Connected by ").await;
        assert_eq!(serving.lines.after("Closed ").await, peer);
        let why = serving.lines.after("A connection failed: ").await;
        assert!(why.contains("as this test wants"), "{why}");
    }
}

#[tokio::test]
async fn a_stream_that_ignores_the_stop_is_cut_after_the_grace() {
    let grace = Duration::from_millis(50);
    let limits = Limits { grace, ..Limits::default() };
    let body =
        || stream::once(ready(Bytes::from("x"))).chain(stream::pending());
    let mut serving = serve(limits, body).await;
    let mut reader = Reader::send(serving.addr, REQUEST).await;
    reader.head().await;
    assert_eq!(reader.chunk().await, b"x");
    serving.stop.cancel();
    let why = serving.lines.after("Cut off ").await;
    assert!(why.ends_with(": not at its end 50ms after the stop"), "{why}");
    soon("the end", serving.server).await.unwrap();
    assert_eq!(reader.rest().await.unwrap(), b"");
}

/// One piece, and no end.
fn endless<T>(
    _: T,
) -> Ready<
    Result<Response<impl Body<Data = Bytes, Error = Infallible>>, Infallible>,
> {
    let first = ready(Ok(Frame::data(Bytes::from("x"))));
    let body = stream::once(first).chain(stream::pending());
    ready(Ok(Response::new(StreamBody::new(body))))
}

/// Runs a connection until that piece is out.
async fn open<T: Debug>(
    http: &mut (impl Future<Output = T> + Unpin),
    reader: &mut DuplexStream,
) {
    let opened = timeout(NEVER, async {
        let mut came = Vec::new();
        while !came.ends_with(b"1\r\nx\r\n") {
            reader.read_buf(&mut came).await.unwrap();
        }
    });
    tokio::select! {
        done = http => panic!("{done:?}"),
        opened = opened => opened.unwrap(),
    }
}

// ANCHOR: graceful
/// The clock of this test stands still and jumps to the next deadline when
/// there is nothing else to do: an hour passes at once.
#[tokio::test(start_paused = true)]
async fn hyper_alone_waits_for_an_open_stream_for_ever() {
    let (mut reader, socket) = tokio::io::duplex(1024);
    reader.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut http = http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service_fn(endless));
    open(&mut http, &mut reader).await;
    Pin::new(&mut http).graceful_shutdown();
    timeout(NEVER, http).await.expect_err("it waits still");
}
// ANCHOR_END: graceful

#[tokio::test(start_paused = true)]
async fn whom_hyper_does_not_notice() {
    let with = |more: &str| format!("{}{more}", REQUEST.trim_end());
    for (request, is_noticed) in [
        (REQUEST.to_owned(), true),
        (with("\r\nContent-Length: 2\r\n\r\nab"), true),
        // Something stands unread before the end.
        (format!("{REQUEST}{REQUEST}"), false),
        (format!("{REQUEST}\r\n"), false),
        // There should be more.
        (with("\r\nContent-Length: 2\r\n\r\n"), false),
        (with("\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), false),
        (with("\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"), false),
    ] {
        let (mut reader, socket) = tokio::io::duplex(1024);
        reader.write_all(request.as_bytes()).await.unwrap();
        let mut http = http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service_fn(endless));
        open(&mut http, &mut reader).await;
        drop(reader);
        let is_over = timeout(NEVER, http).await.is_ok();
        assert_eq!(is_over, is_noticed, "{request:?}");
    }
}

/// A source of a kilobyte each five milliseconds, and a reader whose window
/// is closed most of the time.
#[cfg(target_os = "linux")]
async fn serve_to_a_small_window(limits: Limits) -> (Serving, Reader) {
    let body = || {
        stream::repeat(Bytes::from_static(&[b'.'; 1024])).then(async |piece| {
            sleep(Duration::from_millis(5)).await;
            piece
        })
    };
    let serving = serve(limits, body).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(serving.addr).await.unwrap();
    socket.write_all(REQUEST.as_bytes()).await.unwrap();
    (serving, Reader::new(socket))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_reader_that_takes_a_little_now_and_then_stays() {
    let write_timeout = Duration::from_millis(200);
    let limits = Limits { write_timeout, ..Limits::default() };
    let (_serving, mut reader) = serve_to_a_small_window(limits).await;
    reader.head().await;
    // Not through a buffer, which would take all there is.
    let socket = reader.socket.get_mut();
    let mut little = [0; 20];
    let since = Instant::now();
    while since.elapsed() < 10 * write_timeout {
        sleep(write_timeout / 4).await;
        soon("a little", socket.read_exact(&mut little)).await.unwrap();
    }
    // The connection is there still.
    let mut more = vec![0; 128 * 1024];
    soon("more", socket.read_exact(&mut more)).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_window_that_stays_closed_is_given_up() {
    let user_timeout = Duration::from_millis(300);
    let limits =
        Limits { write_timeout: NEVER, user_timeout, ..Limits::default() };
    let (mut serving, _reader) = serve_to_a_small_window(limits).await;
    let why = serving.lines.after("Lost ").await;
    assert!(why.contains("timed out"), "{why}");
}

//! What touche 0.0.15 and reqwest 0.13 do by themselves, where this chapter
//! relies on it or works around it. A new version that does otherwise is
//! noticed here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use touche::{Body, HttpBody, Request, Response, Server};

type Answer = Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>>;

/// Serves one connection, in a thread of its own.
fn serve(
    mut answer: impl FnMut(Request<Body>) -> Answer + Send + 'static,
) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let server = Server::builder().from_connections([socket]);
        server.serve_single_thread(&mut answer)
    });
    let socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

fn response(request: &str, body: fn() -> Body) -> String {
    let mut socket = serve(move |_| Ok(Response::new(body())));
    socket.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    response
}

const GET: &str = "GET / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n";

#[test]
fn what_it_cannot_read_it_leaves_unanswered() {
    assert_eq!(response("hello\r\n\r\n", Body::empty), "");
    assert_eq!(response("GET / HTTP/7.3\r\n\r\n", Body::empty), "");
}

#[test]
fn a_head_of_four_mebibytes_is_read() {
    let long = "x".repeat(4 * 1024 * 1024);
    let request = GET.replace("me", &long);
    let response = response(&request, Body::empty);
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
}

#[test]
fn a_head_of_more_than_64_fields_is_left_unanswered() {
    let fields = |count| format!("\r\n{}\r\n", "A: b\r\n".repeat(count));
    let answer = response(&GET.replace("\r\n\r\n", &fields(62)), Body::empty);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let answer = response(&GET.replace("\r\n\r\n", &fields(63)), Body::empty);
    assert_eq!(answer, "");
}

/// CRLF LF and LF CRLF end a line, and another that is empty.
#[test]
fn a_head_that_ends_in_lf_crlf_is_read_on() {
    let (told, tells) = mpsc::channel();
    let mut socket = serve(move |_| {
        told.send(()).unwrap();
        Ok(Response::new(Body::empty()))
    });
    let head = GET.replace("\r\n\r\n", "\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let soon = Duration::from_millis(100);
    assert!(tells.recv_timeout(soon).is_err(), "it saw the end");
    socket.write_all(b"\r\n").unwrap();
    tells.recv_timeout(Duration::from_secs(20)).unwrap();
}

#[test]
fn a_body_of_less_than_a_kilobyte_is_read_before_the_answer_is_asked_for() {
    for (length, is_awaited) in [(1023, true), (1024, false)] {
        let (told, tells) = mpsc::channel();
        let mut socket = serve(move |request| {
            told.send(()).unwrap();
            drop(request.into_body().into_chunks());
            Ok(Response::new(Body::empty()))
        });
        let length = format!("\r\nContent-Length: {length}\r\n\r\n");
        let head = GET.replace("\r\n\r\n", &length);
        socket.write_all(head.as_bytes()).unwrap();
        if is_awaited {
            let soon = Duration::from_millis(100);
            assert!(tells.recv_timeout(soon).is_err(), "it did not wait");
            socket.write_all(&[b'x'; 1023]).unwrap();
        }
        tells.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}

/// What the buffer still holds when a write has failed is written again when
/// the buffer is dropped, and takes the timeout again.
#[test]
fn what_could_not_be_written_is_tried_once_more() {
    struct Events(mpsc::Sender<Instant>);
    impl Iterator for Events {
        type Item = Vec<u8>;
        fn next(&mut self) -> Option<Vec<u8>> {
            Some(vec![b'x'; 1024])
        }
    }
    impl Drop for Events {
        fn drop(&mut self) {
            self.0.send(Instant::now()).unwrap();
        }
    }
    let timeout = Duration::from_millis(200);
    let (sender, dropped) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_write_timeout(Some(timeout)).unwrap();
        let server = Server::builder().from_connections([socket]);
        let answer = |_| -> Answer {
            let events = Events(sender.clone());
            Ok(Response::new(Body::from_iter(events)))
        };
        server.serve_single_thread(answer).unwrap();
        Instant::now()
    });
    let mut stalled = TcpStream::connect(addr).unwrap();
    stalled.write_all(GET.as_bytes()).unwrap();
    let took = thread.join().unwrap() - dropped.recv().unwrap();
    assert!(took > timeout / 2, "{took:?}");
}

#[test]
fn an_empty_chunk_ends_the_body_for_the_reader() {
    let body = || Body::from_iter(["one", "", "two"]);
    let response = response(GET, body);
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "3\r\none\r\n0\r\n\r\n3\r\ntwo\r\n0\r\n\r\n");
}

#[test]
fn connection_close_alone_takes_the_chunks_away() {
    let mut socket = serve(|_| {
        let body = Body::from_iter(["one"]);
        Ok(Response::builder().header("connection", "close").body(body)?)
    });
    socket.write_all(GET.as_bytes()).unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("\r\n\r\none"), "{response}");
}

/// `serve` returns when one `accept` fails, and what it returns is `Ok`.
#[test]
fn one_failed_accept_ends_its_own_loop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let served = Server::from(listener)
        .serve_single_thread(|_| Ok::<_, &str>(Response::new(())));
    served.unwrap();
}

#[test]
fn a_body_that_is_dropped_is_read_to_its_end() {
    let (told, tells) = mpsc::channel();
    let mut socket = serve(move |request| {
        drop(request);
        told.send(()).unwrap();
        Ok(Response::new(Body::empty()))
    });
    let head = GET.replace("\r\n\r\n", "\r\nContent-Length: 2000\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(&[b'x'; 1999]).unwrap();
    let soon = Duration::from_millis(100);
    assert!(tells.recv_timeout(soon).is_err(), "it did not wait for the body");
    socket.write_all(b"x").unwrap();
    tells.recv_timeout(Duration::from_secs(20)).unwrap();
}

/// Sends a line every tenth of a second, for three seconds.
fn slow_stream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        assert!(socket.read(&mut [0; 1024]).unwrap() > 0);
        let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        let mut sent = socket.write_all(head);
        for _ in 0..30 {
            if sent.is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
            sent = socket.write_all(b"data: x\n\n");
        }
    });
    url
}

/// The one is an idle timeout, the other a deadline.
#[test]
fn a_timeout_of_the_client_is_not_a_timeout_of_the_request() {
    // reqwest is built to be given TLS, as this chapter's client does.
    #[cfg(feature = "tls")]
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let url = slow_stream();
    let idle = Duration::from_secs(2);
    let http = reqwest::blocking::Client::builder().no_proxy().timeout(idle);
    let mut stream = Vec::new();
    let mut response = http.build().unwrap().get(url).send().unwrap();
    response.read_to_end(&mut stream).unwrap();
    assert_eq!(stream.len(), 30 * 9);

    let url = slow_stream();
    let http = reqwest::blocking::Client::builder().no_proxy().timeout(idle);
    let request = http.build().unwrap().get(url);
    let mut response = request.timeout(idle).send().unwrap();
    response.read_to_end(&mut stream).unwrap_err();
}

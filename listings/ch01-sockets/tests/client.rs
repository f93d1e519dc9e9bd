//! URLs, heads and framings, and what only this chapter's client tells its
//! caller. What every client must do is in `contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch01_sockets::{
    client::{self, Notice, Timeouts},
    request::{self, Request},
    response::{Body, Head, Malformed},
    url::Url,
};
use event_stream::Item;
use std::{
    io::{Read, Write},
    net::TcpListener,
    ops::ControlFlow,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

#[test]
fn urls() {
    for (text, authority, target) in [
        ("http://localhost", "localhost", "/"),
        ("http://localhost:9001/events", "localhost:9001", "/events"),
        ("HTTP://a.b/c?d=e#f", "a.b", "/c?d=e"),
        ("http://[::1]:80?q", "[::1]:80", "/?q"),
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!((&*url.authority, &*url.target), (authority, target));
    }
    for (text, said) in [
        ("https://localhost/", "\"https\" is not http://"),
        ("localhost:9001", "\"localhost:9001\" is not http://"),
        ("", "\"\" is not http://"),
        ("http:///events", "\"\" is not a host"),
        ("http://me@host/", "\"me@host\" is not a host"),
        ("http://host:99999/", "\"host:99999\" is not a host"),
        ("http://host:+80/", "\"host:+80\" is not a host"),
        ("http://host:/", "\"host:\" is not a host"),
        ("http://host/a b", "' ' must be percent-encoded"),
        ("http://host/\r\nX: y", "'\\r' must be percent-encoded"),
        ("http://höst/", "'ö' must be percent-encoded"),
    ] {
        let error = Url::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(said), "{text:?}: {error}");
    }
}

#[test]
fn locations() {
    let base = Url::parse("http://h:1/a/b?q").unwrap();
    for (location, expected) in [
        ("/x", "http://h:1/x"),
        ("x", "http://h:1/a/x"),
        ("?z", "http://h:1/a/b?z"),
        ("//other/x", "http://other/x"),
        ("http://other:2/x?y", "http://other:2/x?y"),
        ("/x?to=http://other/", "http://h:1/x?to=http://other/"),
        ("", "http://h:1/a/b?q"),
        ("#part", "http://h:1/a/b?q"),
        ("/x#part", "http://h:1/x"),
        ("../x", "http://h:1/x"),
        ("./x/./y/..", "http://h:1/a/x/"),
        ("../../../x", "http://h:1/x"),
    ] {
        let joined = base.join(location).unwrap().to_string();
        assert_eq!(joined, expected, "{location}");
    }
    for elsewhere in ["https://h/x", "mailto:me", "javascript:1"] {
        base.join(elsewhere).expect_err(elsewhere);
    }
}

/// The body of `response`, whose bytes come in two pieces, and whether it
/// ended.
fn body_of(response: &[u8], cut: usize) -> Result<(Vec<u8>, bool), Malformed> {
    let (head, length) = Head::parse(response, 0)?.unwrap();
    let mut body: Body = head.body();
    let mut received = Vec::new();
    let rest = &response[length..];
    let (first, second) = rest.split_at(cut.min(rest.len()));
    for mut bytes in [first, second] {
        while let Some(piece) = body.next(&mut bytes)? {
            received.extend_from_slice(piece);
        }
    }
    Ok((received, body.has_ended()))
}

#[test]
fn framings_cut_anywhere() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    for (fields, expected, ended) in [
        ("\r\ndata: x\n\n".to_owned(), "data: x\n\n", false),
        ("Content-Length: 3\r\n\r\nabc".into(), "abc", true),
        ("Content-Length: 3\r\n\r\nabcdef".into(), "abc", true),
        ("Content-Length: 3\r\n\r\nab".into(), "ab", false),
        ("content-length: 0\r\n\r\n".into(), "", true),
        (format!("{chunked}3\r\nabc\r\n0\r\n\r\n"), "abc", true),
        (format!("{chunked}1\r\na\r\n02;x=y\r\nbc\r\n0\r\n\r\n"), "abc", true),
        (format!("{chunked}A \r\n0123456789\r\n"), "0123456789", false),
        (format!("{chunked}1\na\n0\nTrailer: x\n\n"), "a", true),
        (format!("Content-Length: 9\r\n{chunked}1\r\na\r\n"), "a", false),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{fields}");
        for cut in 0..response.len() {
            let (body, has_ended) = body_of(response.as_bytes(), cut).unwrap();
            assert_eq!(str::from_utf8(&body), Ok(expected), "{response:?}");
            assert_eq!(has_ended, ended, "{response:?} cut at {cut}");
        }
    }
}

#[test]
fn broken_framings_are_errors() {
    let long = format!("1;{}\r\n", "x".repeat(5000));
    let trailers = format!("0\r\n{}", "a: b\r\n".repeat(20_000));
    for chunks in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "1\r\nab",
        "FFFFFFFFFFFFFFFFF\r\n",
        &long,
        &trailers,
    ] {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        body_of(format!("{head}{chunks}").as_bytes(), 0).unwrap_err();
    }
}

#[test]
fn heads() {
    let parse = |text: &str| Head::parse(text.as_bytes(), 0);
    let status = |text: &str| parse(text).unwrap().map(|(head, _)| head.status);
    assert_eq!(status("HTTP/1.1 200 OK\r\n\r\n"), Some(200));
    assert_eq!(status("HTTP/1.0 404\n\n"), Some(404));
    assert_eq!(status("HTTP/1.1 200 OK\r\nA: b\r\n"), None);
    assert_eq!(status("HTTP/1.1 101 Upgrade\r\n\r\n"), Some(101));
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    assert_eq!(status(early), None);
    assert_eq!(status(&format!("{early}HTTP/1.1 204 \r\n\r\n")), Some(204));
    for bad in [
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 99 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        &"x".repeat(20_000),
    ] {
        parse(bad).expect_err(bad);
    }
}

/// Serves each response to one connection, and returns the requests.
fn serve(responses: &[&str]) -> (String, JoinHandle<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let responses: Vec<_> = responses.iter().map(|r| (*r).to_owned()).collect();
    let server = thread::spawn(move || {
        let serve = |response: &String| {
            let (mut socket, _) = listener.accept().unwrap();
            let request = request::read(&socket, Duration::from_secs(20));
            socket.write_all(response.as_bytes()).unwrap();
            request.unwrap()
        };
        responses.iter().map(serve).collect()
    });
    (url, server)
}

#[test]
fn a_cut_is_told_from_an_end() {
    let soon = "Content-Type: text/event-stream\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let (url, server) = serve(&[
        &format!("HTTP/1.1 200 OK\r\n{soon}\r\nretry: 1\ndata: x\n\n"),
        &format!("HTTP/1.1 200 OK\r\n{soon}{chunked}9\r\ndata: x\n\n\r\n"),
        &format!(
            "HTTP/1.1 200 OK\r\n{soon}{chunked}\
             9\r\ndata: x\n\n\r\n0\r\n\r\n"
        ),
        &format!("HTTP/1.1 200 OK\r\n{soon}Content-Length: 99\r\n\r\ndata"),
        "HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n",
    ]);
    let mut ends = Vec::new();
    client::read(&url, |notice| {
        if let Notice::Lost { why, .. } = notice {
            ends.push(why.to_string());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let (ended, cut) = ("the server ended the stream", "the stream was cut");
    assert_eq!(ends, [ended, cut, ended, cut]);
    assert_eq!(server.join().unwrap().len(), 5);
}

#[test]
fn a_compressed_stream_is_given_up() {
    let (url, server) = serve(&["HTTP/1.1 200 OK\r\n\
        Content-Type: text/event-stream\r\nContent-Encoding: br\r\n\r\nx"]);
    let error = client::read(&url, |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.to_string(), "the response is compressed, unasked");
    server.join().unwrap();
}

#[test]
fn a_quiet_stream_and_a_wait_can_be_left() {
    let (url, server) = serve(&["HTTP/1.1 200 OK\r\n\
        Content-Type: text/event-stream\r\n\r\n: alive\n\n"]);
    let mut comments = 0;
    client::read(&url, |notice| match notice {
        Notice::Item(Item::Comment(_)) => {
            comments += 1;
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })
    .unwrap();
    assert_eq!(comments, 1);
    server.join().unwrap();

    // Nobody listens there any more: a wait of three seconds begins.
    let mut lost = 0;
    client::read(&url, |notice| match notice {
        Notice::Waiting => ControlFlow::Break(()),
        Notice::Lost { .. } => {
            lost += 1;
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Continue(()),
    })
    .unwrap();
    assert_eq!(lost, 1);
}

#[test]
fn a_client_that_is_told_an_id_goes_on_from_it_at_once() {
    let (url, server) = serve(&[
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
         retry: 1\ndata: no ID of its own\n\nid: 8\ndata\n\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ]);
    let mut ids = Vec::new();
    client::read_within(&url, "7\u{e4}", Timeouts::default(), |notice| {
        if let Notice::Item(Item::Event(event)) = notice {
            ids.push(event.last_event_id.to_owned());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(ids, ["7\u{e4}", "8"]);
    let requests = server.join().unwrap();
    let sent = requests.iter().map(|it| it.last_event_id.as_deref().unwrap());
    assert_eq!(sent.collect::<Vec<_>>(), ["7\u{e4}", "8"]);
}

#[test]
fn a_silent_server_is_left_after_the_time_that_was_given() {
    let short = Duration::from_millis(100);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    for (said, timeouts) in [
        ("", Timeouts { head: short, ..Timeouts::default() }),
        (head, Timeouts { idle: short, ..Timeouts::default() }),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            request::read(&socket, Duration::from_secs(20)).unwrap();
            socket.write_all(said.as_bytes()).unwrap();
            // Until the client has left.
            socket.read(&mut [0]).unwrap()
        });
        let started = Instant::now();
        let mut lost = Vec::new();
        client::read_within(&url, "", timeouts, |notice| match notice {
            Notice::Lost { why, .. } => {
                lost.push(why.to_string());
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .unwrap();
        assert_eq!(lost, ["nothing came in time"]);
        // The other of the two times is longer.
        assert!(started.elapsed() < Timeouts::default().head);
        assert_eq!(server.join().unwrap(), 0);
    }
}

//! URLs, heads and framings, and what only this chapter's client tells its
//! caller. What every client must do is in `contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch01_sockets::{
    client::{self, Notice, Timeouts},
    request::{self, Request},
    response::{Body, Head, Malformed},
    url::Url,
};
use event_stream::{Item, Reconnection};
use std::{
    io::{Read, Write},
    net::TcpListener,
    ops::ControlFlow,
    thread::{self, JoinHandle},
    time::Duration,
};

#[test]
fn urls() {
    for (text, authority, target) in [
        ("http://localhost", "localhost", "/"),
        ("http://localhost:9001/events", "localhost:9001", "/events"),
        ("HTTP://a.b/c?d=e#f", "a.b", "/c?d=e"),
        ("http://[::1]:80?q", "[::1]:80", "/?q"),
        ("http://host:/a", "host", "/a"),
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!((&*url.authority, &*url.target), (authority, target));
    }
    for (text, said) in [
        ("https://localhost/", "\"https\" is not http://"),
        ("localhost:9001", "the URL does not start with http://"),
        ("", "the URL does not start with http://"),
        ("http:///events", "\"\" is not a host"),
        ("http://host:99999/", "\"host:99999\" is not a host"),
        ("http://host:+80/", "\"host:+80\" is not a host"),
        ("http://host/a b", "' ' must be percent-encoded"),
        ("http://host/\r\nX: y", "'\\r' must be percent-encoded"),
        ("http://höst/", "'ö' must be percent-encoded"),
    ] {
        let error = Url::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(said), "{text:?}: {error}");
    }
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    for text in [
        "http://me:secret@host/",
        "http://secret@host/",
        "http://me:secret@",
        "HTTP://me:secret@host:99999/",
        "me:secret@host",
        "//me:secret@host/",
    ] {
        let error = Url::parse(text).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{text}: {error}");
        let base = Url::parse("http://h/").unwrap();
        if let Err(error) = base.join(text.as_bytes()) {
            assert!(!error.to_string().contains("secret"), "{text}");
        }
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
        ("/a b?c d", "http://h:1/a%20b?c%20d"),
        ("/gr\u{fc}\u{df}e", "http://h:1/gr%C3%BC%C3%9Fe"),
    ] {
        let joined = base.join(location.as_bytes()).unwrap().to_string();
        assert_eq!(joined, expected, "{location}");
    }
    for elsewhere in ["https://h/x", "mailto:me", "javascript:1"] {
        base.join(elsewhere.as_bytes()).expect_err(elsewhere);
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
        // Twice the same is once (RFC 9110 §8.6).
        ("Content-Length: 2\r\nContent-Length: 2\r\n\r\nab".into(), "ab", true),
        ("Content-Length: 2, 2\r\n\r\nab".into(), "ab", true),
        (
            "TRANSFER-ENCODING: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n".into(),
            "a",
            true,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\
             \r\n1\r\na\r\n0\r\n\r\n"
                .into(),
            "a",
            true,
        ),
        // `chunked` is not the last: it ends with the connection.
        ("Transfer-Encoding: identity\r\n\r\nab".into(), "ab", false),
        ("Transfer-Encoding: gzip\r\n\r\nab".into(), "ab", false),
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
        "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n \x07\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1,\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        &"x".repeat(20_000),
    ] {
        parse(bad).expect_err(bad);
    }
    let folded = "HTTP/1.1 200 OK\r\nA: b;\r\n\t c: d\n e\r\nF: g\r\n\r\n";
    let (head, _) = parse(folded).unwrap().unwrap();
    assert_eq!(head.field("a"), Some(&b"b; c: d e"[..]));
    assert_eq!(head.field("f"), Some(&b"g"[..]));
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

/// What the client says when it gives up on this response.
fn gives_up(response: &str) -> String {
    let (url, server) = serve(&[response]);
    let error = client::read(&url, |_| ControlFlow::Continue(())).unwrap_err();
    server.join().unwrap();
    error.to_string()
}

#[test]
fn what_time_does_not_mend_is_given_up() {
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
    for (fields, why) in [
        (
            "Content-Encoding: br\r\n\r\nx",
            "the body has the content coding \"br\", which was not asked for",
        ),
        (
            "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n\r\nx",
            "the body has the content coding \"gzip\", which was not asked for",
        ),
        (
            "Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            "the Transfer-Encoding is \"gzip, chunked\"; only \"chunked\" can \
             be read",
        ),
        (
            "Content-Length: x\r\n\r\n",
            "the response is malformed: its Content-Length is unclear",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            "the response is malformed: a chunk has no size",
        ),
    ] {
        assert_eq!(gives_up(&format!("{stream}{fields}")), why);
    }
    assert_eq!(
        gives_up("SSH-2.0-OpenSSH\r\n\r\n"),
        "the response is malformed: its first line is no HTTP/1 status line"
    );
    let to = "HTTP/1.1 302 Found\r\nLocation: http://me:secret@h/\r\n\r\n";
    assert_eq!(
        gives_up(to),
        "the URL has a user name, which this client does not send"
    );
}

#[test]
fn what_a_refusal_says_is_told() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n";
    let refused =
        "the server answered with status 429, not 200, and Retry-After: 7s";
    for (body, said) in [
        ("Content-Length: 14\r\n\r\n{\"error\":\"12\"}", "{\"error\":\"12\"}"),
        ("\r\nuntil it closes\n", "until it closes"),
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\nin\r\n2\r\nto\r\n0\r\n\r\n",
            "into",
        ),
        // What came of a body that breaks is told all the same.
        ("Content-Length: 99\r\n\r\ncut", "cut"),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nin\r\nzz", "in"),
        ("\r\n\x1b[2J", "\\u{1b}[2J"),
    ] {
        let told = gives_up(&format!("{busy}{body}"));
        assert_eq!(told, format!("{refused}; it says: {said}"));
    }
    let none = gives_up(&format!("{busy}Content-Length: 0\r\n\r\n"));
    assert_eq!(none, refused);
    let long = gives_up(&format!("{busy}\r\n{}", "x".repeat(100_000)));
    assert_eq!(long, format!("{refused}; it says: {}", "x".repeat(1024)));
}

#[test]
fn a_status_of_the_callers_choice_is_come_back_from() {
    let (url, server) = serve(&[
        "HTTP/1.1 503 Down\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nsoon",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
         data: up\n\n",
    ]);
    let rules = Reconnection::new(1)
        .with_bounds(Duration::ZERO..=Duration::from_millis(1))
        .with_retried_statuses(Reconnection::UNAVAILABLE);
    let mut told = Vec::new();
    client::read_with(
        &url,
        rules,
        Timeouts::default(),
        |notice| match notice {
            Notice::Lost { why, .. } => {
                told.push(why.to_string());
                ControlFlow::Continue(())
            }
            Notice::Item(Item::Event(event)) => {
                told.push(event.data.to_owned());
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        },
    )
    .unwrap();
    let refused = "the server answered with status 503, not 200, and \
                   Retry-After: 0ns; it says: soon";
    assert_eq!(told, [refused, "up"]);
    assert_eq!(server.join().unwrap().len(), 2);
}

#[test]
fn an_unfinished_event_is_told_from_a_whole_end() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let within =
        "the server ended the stream within an event, which is dropped";
    for (body, why) in [
        ("\r\ndata: a\n\ndata: b\n".to_owned(), within),
        ("\r\ndata: a\n\ndata: b\n\n".into(), "the server ended the stream"),
        (format!("{chunked}7\r\ndata: a\r\n0\r\n\r\n"), within),
        ("Content-Length: 4\r\n\r\nid: 9".into(), within),
        (format!("{chunked}7\r\ndata: a\r\n"), "the stream was cut"),
    ] {
        let (url, server) = serve(&[&format!("{head}{body}")]);
        let mut told = Vec::new();
        client::read(&url, |notice| match notice {
            Notice::Lost { why, .. } => {
                told.push(why.to_string());
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .unwrap();
        assert_eq!(told, [why], "{body:?}");
        server.join().unwrap();
    }
}

#[test]
fn what_lets_others_in_is_not_shown() {
    let (url, server) =
        serve(&["HTTP/1.1 302 Found\r\nset-cookie: sid=secret; Path=/\r\n\
         Location: http://127.0.0.1:1/?a=b\r\nX: y\r\n\r\n"]);
    let mut heads = String::new();
    client::read(&url, |notice| match notice {
        Notice::Head(head) => {
            heads.push_str(head);
            ControlFlow::Continue(())
        }
        Notice::Lost { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .unwrap();
    server.join().unwrap();
    assert!(!heads.contains("secret"), "{heads}");
    assert!(
        heads.contains(
            "set-cookie: (not shown)\r\n\
             Location: http://127.0.0.1:1/?a=b\r\nX: y\r\n"
        ),
        "{heads}"
    );
    let (url, server) =
        serve(&["HTTP/1.1 302 Found\r\nLOCATION: //me:secret@h/?a@b\r\n\r\n"]);
    let mut heads = String::new();
    let error = client::read(&url, |notice| {
        if let Notice::Head(head) = notice {
            heads.push_str(head);
        }
        ControlFlow::Continue(())
    });
    error.unwrap_err();
    server.join().unwrap();
    assert!(heads.contains("LOCATION: //h/?a@b\r\n"), "{heads}");
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
    let rules = Reconnection::new(1).with_last_event_id("7\u{e4}");
    client::read_with(&url, rules, Timeouts::default(), |notice| {
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
    let short = Some(Duration::from_millis(100));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    for (said, timeouts, why) in [
        ("", Timeouts { head: short, idle: None }, "no response came in time"),
        (head, Timeouts { head: None, idle: short }, "nothing came in time"),
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
        let mut lost = Vec::new();
        let rules = Reconnection::new(1);
        client::read_with(&url, rules, timeouts, |notice| match notice {
            Notice::Lost { why, .. } => {
                lost.push(why.to_string());
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .unwrap();
        assert_eq!(lost, [why]);
        assert_eq!(server.join().unwrap(), 0);
    }
}

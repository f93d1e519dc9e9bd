//! The peer that the checks are made of, against scripted servers.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use contract::http::{Connection, MAX_INTERIM, Response, Url};
use contract::{Failure, Program};

const LIMIT: Duration = Duration::from_secs(10);

/// What a client makes of these bytes, the last of the connection.
fn response(bytes: &str) -> Result<Response, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let client = Connection::new(stream, LIMIT)?;
    let mut server = Connection::accept(&listener, LIMIT)?;
    server.send(bytes)?;
    server.end();
    client.response()
}

#[test]
fn a_url_knows_its_port_and_repeats_no_password() {
    for (text, port, shown) in [
        ("http://a", 80, "http://a/"),
        ("https://a?b#c", 443, "https://a/?b"),
        ("https://[::1]/b", 443, "https://[::1]/b"),
        ("http://[::1]:8080", 8080, "http://[::1]:8080/"),
    ] {
        let url: Url = text.parse().unwrap();
        assert_eq!((url.port(), &*url.to_string()), (port, shown));
    }
    for text in ["http://a:secret@b/", "https://a:secret@b", "a:secret@b"] {
        let why = text.parse::<Url>().unwrap_err();
        assert!(!why.contains("secret"), "{why}");
    }
}

const EARLY: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

#[test]
fn interim_responses_are_skipped_within_a_limit() {
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    let came = response(&(EARLY.repeat(2) + last)).unwrap();
    assert_eq!((came.status, came.interim), (200, 2));
    assert_eq!(came.finish(10).unwrap(), b"x");
    let failure = response(&EARLY.repeat(MAX_INTERIM + 1)).unwrap_err();
    assert_eq!(failure.why, "the interim responses do not end");
    let switched = response("HTTP/1.1 101 Other\r\n\r\n").unwrap();
    assert_eq!(switched.status, 101);
}

#[test]
fn a_body_ends_as_its_head_says_or_not_at_all() {
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let length = body.len();
    for (fields, expected) in [
        ("", Ok(body)),
        (&*format!("Content-Length: {length}\r\n"), Ok(body)),
        (&format!("content-length:{length}, {length}\r\n"), Ok(body)),
        (&format!("Content-Length: {length}\r\n").repeat(2), Ok(body)),
        ("Transfer-Encoding: Chunked\r\n", Ok("hello")),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", Ok("hello")),
        ("Transfer-Encoding: gzip, chunked\r\n", Err("gzip, chunked")),
        (&"Transfer-Encoding: chunked\r\n".repeat(2), Err("chunked, chunked")),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", Err("two values")),
        ("Content-Length: +5\r\n", Err("no number")),
        ("Content-Length:\r\n", Err("no number")),
        ("Content-Length: 99999999999999999999\r\n", Err("no number")),
    ] {
        let came = response(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}"))
            .and_then(|response| response.finish(100));
        match (came, expected) {
            (Ok(came), Ok(body)) => assert_eq!(came, body.as_bytes()),
            (Err(failure), Err(why)) => {
                assert!(failure.why.contains(why), "{fields}: {failure:?}");
            }
            (came, _) => panic!("{fields}: {came:?}"),
        }
    }
}

#[test]
fn only_a_line_or_a_block_with_fields_is_unfinished() {
    for (body, ended) in [
        ("", true),
        ("data: a\n\n", true),
        ("data: a\n\r", true),
        ("data: a\r\r\n", true),
        ("data: a\r\n\r\n", true),
        ("data: a\n\n:\n", true),
        (":\r", true),
        ("data: a\r\n", false),
        ("data: a\n:\n", false),
        ("data: a\n\n:", false),
        ("retry: 1\n", false),
    ] {
        let head = "HTTP/1.1 200 OK\r\n\r\n";
        let mut events = response(&format!("{head}{body}")).unwrap().events();
        while events.next().unwrap().is_some() {}
        assert_eq!(events.ended_between_events(), ended, "{body:?}");
    }
}

// ANCHOR: conversation
fn first_data(url: &Url) -> Result<String, Failure> {
    let mut connection = url.connect(Duration::from_secs(10))?;
    let Url { authority, target, .. } = url;
    connection
        .send(format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n"))?;
    let mut events = connection.response()?.events();
    Ok(events.event()?.data)
}
// ANCHOR_END: conversation

#[test]
fn a_conversation_in_three_calls() {
    let server = Program::new(env!("CARGO_BIN_EXE_contract-peer"))
        .spawn(&["server", "--addr", "127.0.0.1:0", "--every", "1h"])
        .unwrap();
    let url = server.url(Instant::now() + LIMIT).unwrap();
    assert_eq!(first_data(&url).unwrap(), "Hello! This is event 1");
}

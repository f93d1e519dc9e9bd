//! What only this chapter's client tells its caller. What every client must
//! do is in `contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch02_blocking::client::{self, Notice};
use event_stream::{Item, Reconnection};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    ops::ControlFlow,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

fn read_head(socket: &TcpStream) -> String {
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    head
}

/// Serves each response to one connection, and returns the requests.
fn serve(responses: &[&str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let responses: Vec<_> = responses.iter().map(|r| (*r).to_owned()).collect();
    let server = thread::spawn(move || {
        let serve = |response: &String| {
            let (mut socket, _) = listener.accept().unwrap();
            let head = read_head(&socket);
            socket.write_all(response.as_bytes()).unwrap();
            head
        };
        responses.iter().map(serve).collect()
    });
    (url, server)
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

fn given_up(url: &str) -> String {
    let error = client::read(url, |_| ControlFlow::Continue(()));
    error.unwrap_err().to_string()
}

#[test]
fn what_cannot_be_read_is_said_before_anything_is_sent() {
    for (url, said) in [
        (
            "ftp://localhost/",
            "\"ftp\" is not http:// and https://, which is all that this \
             client reads",
        ),
        ("localhost", "the URL: relative URL without a base"),
        ("http://", "the URL: empty host"),
        ("http://me:secret@host:99999/", "the URL: invalid port number"),
    ] {
        assert_eq!(given_up(url), said);
    }
}

#[test]
fn a_redirect_to_where_it_cannot_go_is_given_up() {
    let redirect = |to: &str| {
        format!(
            "HTTP/1.1 307 Elsewhere\r\nLocation: {to}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
    };
    let (url, server) = serve(&[&redirect("ftp://me:secret@localhost/")]);
    let said = given_up(&url);
    assert!(said.starts_with("\"ftp\" is not http://"), "{said}");
    server.join().unwrap();

    let again = redirect("/");
    let (url, server) = serve(&[&*again; 21]);
    assert_eq!(given_up(&url), "redirected without end or without a Location");
    server.join().unwrap();
}

/// What it says of each response, until 204 ends it.
fn endings(responses: &[&str]) -> Vec<String> {
    let over = "HTTP/1.1 204 No Content\r\n\r\n";
    let (url, server) = serve(&[responses, &[over]].concat());
    let mut endings = Vec::new();
    client::read(&url, |notice| {
        if let Notice::Lost { why, .. } = notice {
            endings.push(why.to_string());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    server.join().unwrap();
    endings
}

#[test]
fn a_cut_is_told_from_an_end() {
    let event = "retry: 1\ndata: x\n\n";
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let (ended, cut) = ("the server ended the stream", "the stream was cut");
    assert_eq!(
        endings(&[
            &format!("{STREAM}\r\n{event}"),
            &format!("{STREAM}{chunked}{chunk}"),
            &format!("{STREAM}{chunked}{chunk}0\r\n\r\n"),
            &format!("{STREAM}Content-Length: 99\r\n\r\n{event}"),
        ]),
        [ended, cut, ended, cut]
    );
}

#[test]
fn why_a_connection_is_lost_is_said_in_the_words_of_whoever_saw_it() {
    let event = format!("{STREAM}\r\nretry: 1\ndata: x\n\n");
    let chunked = format!("{STREAM}Transfer-Encoding: chunked\r\n\r\n");
    let within =
        "the server ended the stream within an event, which is dropped";
    let said = endings(&[
        &event,
        "",
        // Framing that was good, and breaks.
        &format!("{chunked}9\r\ndata: a\n\n\r\nzz\r\n"),
        &format!("{STREAM}\r\ndata: a\n\ndata: b\n"),
    ]);
    assert_eq!(
        said[1..],
        [
            "connection closed before message completed",
            "the response is malformed: Invalid chunk size line: missing size \
             digit",
            within,
        ]
    );
}

#[test]
fn what_time_does_not_mend_is_given_up() {
    for (response, said) in [
        (
            format!("{STREAM}Content-Encoding: br\r\n\r\nx"),
            "the body has the content coding \"br\", which was not asked for",
        ),
        (
            format!(
                "{STREAM}Content-Encoding: identity\r\n\
                 Content-Encoding: gzip\r\n\r\nx"
            ),
            "the body has the content coding \"gzip\", which was not asked for",
        ),
        (
            format!(
                "{STREAM}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
            ),
            "the Transfer-Encoding is \"gzip, chunked\"; only \"chunked\" can \
             be read",
        ),
        (
            format!("{STREAM}Content-Length: x\r\n\r\n"),
            "the response is malformed: invalid content-length parsed",
        ),
        (
            format!("{STREAM}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "the response is malformed: Invalid chunk size line: missing size \
             digit",
        ),
        (
            "nonsense\r\n\r\n".to_owned(),
            "the response is malformed: invalid HTTP version parsed",
        ),
        (
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\
             Content-Length: 14\r\n\r\n{\"error\":\"12\"}"
                .to_owned(),
            "the server answered with status 429, not 200, and Retry-After: \
             7s; it says: {\"error\":\"12\"}",
        ),
        (
            format!(
                "HTTP/1.1 500 Broken\r\nContent-Length: 99999\r\n\r\n{}",
                "x".repeat(2000)
            ),
            &format!(
                "the server answered with status 500, not 200; it says: {}",
                "x".repeat(1024)
            ),
        ),
    ] {
        let (url, server) = serve(&[&response]);
        assert_eq!(given_up(&url), said);
        let requests = server.join().unwrap();
        assert!(requests[0].contains("accept-encoding: identity\r\n"));
    }
}

#[test]
fn a_coding_that_codes_nothing_is_read() {
    for coding in ["none", "", "Identity", "identity, none"] {
        let response = format!(
            "{STREAM}Content-Encoding: {coding}\r\n\r\n\
             retry: 1\ndata: x\n\n"
        );
        let ended = endings(&[&response]);
        assert_eq!(ended, ["the server ended the stream"], "{coding:?}");
    }
}

/// Proxies and old servers fold a long value into several lines.
#[test]
fn a_folded_value_is_read() {
    let stream = STREAM
        .replace("text/event-stream", "text/event-stream;\r\n\tcharset=utf-8");
    assert_ne!(stream, STREAM);
    let response = format!("{stream}\r\nretry: 1\ndata: x\n\n");
    assert_eq!(endings(&[&response]), ["the server ended the stream"]);
}

#[test]
fn a_status_of_the_callers_choice_is_come_back_from() {
    let (url, server) = serve(&[
        "HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\nsoon",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ]);
    let rules = Reconnection::new(1)
        .with_bounds(Duration::ZERO..=Duration::from_millis(1))
        .with_retried_statuses(Reconnection::UNAVAILABLE);
    let mut told = Vec::new();
    client::read_with(&url, rules, Some(client::IDLE_TIMEOUT), |notice| {
        if let Notice::Lost { why, .. } = notice {
            told.push(why.to_string());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let refused = "the server answered with status 503, not 200; it says: soon";
    assert_eq!(told, [refused]);
    server.join().unwrap();
}

/// The user of a URL goes to its own origin, and nobody sees it.
#[test]
fn a_password_is_sent_and_not_shown() {
    let stream = format!("{STREAM}Set-Cookie: sid=secret\r\n\r\nretry: 1\n\n");
    let (there, elsewhere) =
        serve(&[&stream, "HTTP/1.1 204 No Content\r\n\r\n"]);
    let to = there.replace("http://", "http://other:secret@");
    let away = format!(
        "HTTP/1.1 307 There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
    );
    let near = "HTTP/1.1 307 Here\r\nLocation: /other\r\n\
                Content-Length: 0\r\n\r\n";
    let (url, server) = serve(&[near, &away, &away]);
    let url = url.replace("http://", "http://me:secret@");
    let mut shown = String::new();
    client::read(&url, |notice| {
        match notice {
            Notice::Connecting(url) => shown.push_str(url.as_str()),
            Notice::Head(head) => shown.push_str(head),
            _ => {}
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    for head in server.join().unwrap() {
        let basic = "authorization: Basic bWU6c2VjcmV0\r\n";
        assert!(head.contains(basic), "{head}");
    }
    for head in elsewhere.join().unwrap() {
        assert!(!head.contains("authorization"), "{head}");
    }
    for secret in ["secret", "bWU6"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("\nauthorization: (not shown)\n"), "{shown}");
    assert!(shown.contains("\nset-cookie: (not shown)\n"), "{shown}");
    assert!(shown.contains(&format!("\nlocation: {there}\n")), "{shown}");
}

#[test]
fn a_quiet_stream_and_a_wait_can_be_left() {
    let (url, server) = serve(&[&format!("{STREAM}\r\n: alive\n\n")]);
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
    let mut lost = Vec::new();
    client::read(&url, |notice| match notice {
        Notice::Waiting => ControlFlow::Break(()),
        Notice::Lost { why, .. } => {
            lost.push(why.to_string());
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Continue(()),
    })
    .unwrap();
    assert_eq!(lost.len(), 1);
    #[cfg(unix)]
    assert!(lost[0].starts_with("Connection refused"), "{lost:?}");
}

#[test]
fn a_client_that_is_told_an_id_goes_on_from_it_at_once() {
    let event = "retry: 1\ndata: no ID of its own\n\nid: 8\ndata\n\n";
    let (url, server) = serve(&[
        &format!("{STREAM}\r\n{event}"),
        "HTTP/1.1 204 No Content\r\n\r\n",
    ]);
    let mut ids = Vec::new();
    let rules = Reconnection::new(1).with_last_event_id("7\u{e4}");
    client::read_with(&url, rules, Some(client::IDLE_TIMEOUT), |notice| {
        if let Notice::Item(Item::Event(event)) = notice {
            ids.push(event.last_event_id.to_owned());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(ids, ["7\u{e4}", "8"]);
    let requests = server.join().unwrap();
    assert!(requests[0].contains("last-event-id: 7\u{e4}\r\n"));
    assert!(requests[1].contains("last-event-id: 8\r\n"));
}

#[test]
fn a_silent_server_is_left_after_the_time_that_was_given() {
    for said in [String::new(), format!("{STREAM}\r\n")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            read_head(&socket);
            socket.write_all(said.as_bytes()).unwrap();
            // Until the client has left.
            socket.read(&mut [0]).unwrap()
        });
        let started = Instant::now();
        let mut lost = Vec::new();
        let (rules, timeout) = (Reconnection::new(1), Duration::from_secs(1));
        client::read_with(&url, rules, Some(timeout), |notice| match notice {
            Notice::Lost { why, .. } => {
                lost.push(why.to_string());
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .unwrap();
        assert_eq!(lost, ["nothing came in time"]);
        assert!(started.elapsed() < client::IDLE_TIMEOUT / 2);
        assert_eq!(server.join().unwrap(), 0);
    }
}

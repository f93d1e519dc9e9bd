//! What only this chapter's client tells its caller. What every client must
//! do is in `contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch02_blocking::client::{self, Notice};
use event_stream::Item;
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
            "https://localhost/events",
            "https://localhost/events needs TLS, which this client is built \
             without: it takes reqwest's feature `rustls` or `native-tls`",
        ),
        ("ftp://localhost/", "ftp://localhost/ is not an http:// URL"),
        ("localhost", "\"localhost\": relative URL without a base"),
        ("http://", "\"http://\": empty host"),
        ("http://host:99999/", "\"http://host:99999/\": invalid port number"),
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
    let (url, server) = serve(&[&redirect("https://localhost/")]);
    let said = given_up(&url);
    assert!(said.starts_with("https://localhost/ needs TLS"), "{said}");
    server.join().unwrap();

    let again = redirect("/");
    let (url, server) = serve(&[&*again; 21]);
    assert_eq!(given_up(&url), "redirected without end");
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
    let said =
        endings(&[&event, "nonsense\r\n\r\n", "", &format!("{chunked}zz")]);
    assert_eq!(
        said[1..],
        [
            "invalid HTTP version parsed",
            "connection closed before message completed",
            "Invalid chunk size line: missing size digit"
        ]
    );
}

#[test]
fn a_compressed_stream_is_given_up() {
    let response = format!("{STREAM}Content-Encoding: br\r\n\r\nx");
    let (url, server) = serve(&[&response]);
    assert_eq!(given_up(&url), "the response is compressed, unasked");
    let requests = server.join().unwrap();
    assert!(requests[0].contains("accept-encoding: identity\r\n"));
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
    client::read_within(&url, "7\u{e4}", client::IDLE_TIMEOUT, |notice| {
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
        let timeout = Duration::from_secs(1);
        client::read_within(&url, "", timeout, |notice| match notice {
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

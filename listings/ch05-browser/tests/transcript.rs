//! What the chapter shows of its programs' output, as they print it.
//! `UPDATE_TRANSCRIPTS=1` writes the files anew; CI refuses that.
#![cfg(unix)] // The texts of errors differ on other systems.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch05_browser::clock::{Clock, Moment};
use contract::Program;
use harness::{
    chapter::{Chapter, Running},
    transcript,
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

const CHAPTER: Chapter = harness::this_chapter!(9005);

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// As many ticks as the server keeps.
const KEPT: u64 = 1_000;

/// A time from `least` on between ticks, in milliseconds, with which the
/// newest tick is now the third after a multiple of five, and not older than
/// a tenth of that time. Returns it with that tick.
fn aligned(least: u64) -> (String, u64) {
    let choose = |millis: u64| {
        let every = Duration::from_millis(millis);
        let now = Moment::now();
        let clock = Clock::new(every, KEPT, now);
        let newest = clock.newest(now);
        let is_new = clock.until(newest + 1, now) > every * 9 / 10;
        (is_new && newest % 5 == 3).then(|| (format!("{millis}ms"), newest))
    };
    (least..).find_map(choose).unwrap()
}

/// The text with a number less by `less` for each that may be a tick: from
/// `less` to a few thousand more.
fn renumber(text: &str, less: u64) -> String {
    assert_eq!(less % 5, 0, "a fifth must stay one");
    let mut renumbered = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(start);
        let end = digits.find(|c: char| !c.is_ascii_digit());
        let (digits, after) = digits.split_at(end.unwrap_or(digits.len()));
        renumbered += before;
        match digits.parse::<u64>() {
            Ok(number) if (less..less + 5_000).contains(&number) => {
                renumbered += &(number - less).to_string();
            }
            _ => renumbered += digits,
        }
        rest = after;
    }
    renumbered + rest
}

/// The reconnection time is drawn; one is as good as another.
fn with_retry(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("retry: ") {
        Some(millis) => {
            let millis: u64 = millis.parse().unwrap();
            assert!((2_000..5_000).contains(&millis), "{millis}");
            "retry: 3700\n".to_owned()
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn server_and_client() {
    // A machine may be so busy that the client starts a tick late.
    let (server, client, first) = (0..5)
        .find_map(|_| {
            let (every, newest) = aligned(2_000);
            let (server, client) = transcript::run(
                &Program::new(CHAPTER.exe),
                &["--every", &every],
                &["--client", "rust", "--events", "3"],
                9005,
            )
            .unwrap();
            let first = format!("Received event {newest}: ");
            client.contains(&first).then_some((server, client, newest))
        })
        .expect("a client that starts in time");
    let stable = |text: &str| renumber(text, first - 3);
    CHAPTER.prints("server", "-- server", &stable(&server), 9005);
    let args = "-- client --client rust --events 3";
    CHAPTER.prints("client", args, &stable(&client), 9005);
}

/// A server with hours from one event to the next, its port, and its newest
/// event.
fn hourly() -> (Running, u16, u64) {
    let (every, newest) = aligned(3_600_000);
    let mut server = CHAPTER.server_with("127.0.0.1:0", &["--every", &every]);
    let (_, port) = server.started();
    (server, port, newest)
}

/// A response, read as curl does. The tests need no curl.
struct Response {
    socket: BufReader<TcpStream>,
    head: String,
    /// What came of the body.
    body: Vec<u8>,
}

impl Response {
    fn to(port: u16, request: &str, body: &[u8]) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (line, fields) = request.split_once('\n').unwrap_or((request, ""));
        let fields = fields.replace('\n', "\r\n");
        let length = body.len();
        write!(
            &socket,
            "{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Content-Length: {length}\r\n{fields}\r\n"
        )
        .unwrap();
        (&socket).write_all(body).unwrap();
        let mut socket = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(socket.read_line(&mut head).unwrap(), 0, "{head}");
        }
        Self { socket, head, body: Vec::new() }
    }

    /// Reads a chunk; `false` if it was the last.
    fn chunk(&mut self) -> bool {
        let mut size = String::new();
        self.socket.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.socket.read_exact(&mut chunk).unwrap();
        self.body.extend(&chunk[..size]);
        size > 0
    }

    /// Reads on until the body holds that.
    fn body_to(mut self, text: &str) -> String {
        loop {
            let body = self.text();
            if body.contains(text) {
                return with_retry(&body);
            }
            assert!(self.chunk(), "no {text:?} in {body}");
        }
    }

    /// Head and body, of a response that says how long it is.
    fn whole(mut self) -> String {
        let length = self.head.lines().find_map(|line| {
            line.strip_prefix("content-length: ")?.parse().ok()
        });
        self.body.resize(length.unwrap_or(0), 0);
        self.socket.read_exact(&mut self.body).unwrap();
        self.head.replace("\r\n", "\n") + &self.text()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

fn shows(name: &str, command: &str, output: &str, port: u16) {
    CHAPTER.shows(name, command, &transcript::normalize(output, port, 9005));
}

#[test]
fn a_reader_that_comes_back() {
    let (_server, port, newest) = hourly();
    let last = newest - 5;
    let ask = format!("GET /events\nLast-Event-ID: {last}\n");
    let after = format!("event {newest}\n\n");
    let body = Response::to(port, &ask, b"").body_to(&after);
    let command = "curl -sN -H 'Last-Event-ID: 3' \
                   http://127.0.0.1:9005/events";
    shows("resumed", command, &renumber(&body, last - 3), port);

    let last = newest - KEPT - 17;
    let ask = format!("GET /events\nLast-Event-ID: {last}\n");
    let after = format!("event {newest}\n\n");
    let body = Response::to(port, &ask, b"").body_to(&after);
    let command = "curl -sN -H 'Last-Event-ID: 1' \
                   http://127.0.0.1:9005/events | head -n 9";
    let body: Vec<_> = body.lines().take(9).collect();
    let body = renumber(&body.join("\n"), last - 1);
    shows("missed", command, &body, port);
}

#[test]
fn a_stream_that_is_cut() {
    let (mut server, port, newest) = hourly();
    let mut stream = Response::to(port, "GET /events?reader=me", b"");
    // The reconnection time, and the newest event.
    assert!(stream.chunk() && stream.chunk());
    let cut = Response::to(port, "DELETE /readers/me", b"");
    assert!(cut.head.starts_with("HTTP/1.1 204 "), "{}", cut.head);
    while stream.chunk() {}
    let body = stream.text();
    assert!(!body.ends_with('\n'), "{body}");
    let body = renumber(&with_retry(&body), newest - 3);
    let command = "curl -sN 'http://127.0.0.1:9005/events?reader=me'";
    shows("cut", command, &body, port);
    assert_eq!(server.read_to("Cut "), "Cut me: 1 open");
}

#[test]
fn a_post_to_the_lab() {
    let (_server, port, _) = hourly();
    let ask = "POST /lab\nContent-Type: application/octet-stream\n";
    let body = b"id: 7\ndata: Hi\n\n:";
    let posted = Response::to(port, ask, body).whole();
    let (_, posted) = posted.split_once("\n\n").unwrap();
    let (_, id) = posted.split_once("/lab/").unwrap();
    let (id, _) = id.split_once('"').unwrap();
    let url = format!("http://127.0.0.1:{port}/lab/{id}");
    let ask = format!("GET /lab/{id}");
    let again = format!("{ask}\nLast-Event-ID: 7\n");
    let first = Response::to(port, &ask, b"").whole();
    let second = Response::to(port, &again, b"").whole();
    let (_, second) = second.split_once("\n\n").unwrap();
    let third = Response::to(port, &again, b"").whole();
    let status = third.split(' ').nth(1).unwrap();
    let again = "curl -s -H 'Last-Event-ID: 7'";
    let output = format!(
        "{posted}\n$ curl -i {url}\n{first}\n$ {again} {url}\n{second}\
         $ {again} -w '%{{http_code}}\\n' {url}\n{status}\n"
    );
    let stable = "5eed5eed5eed5eed5eed5eed5eed5eed";
    let command = "printf 'id: 7\\ndata: Hi\\n\\n:' | curl -s \
                   --data-binary @- \\\n    \
                   -H 'Content-Type: application/octet-stream' \
                   http://127.0.0.1:9005/lab";
    shows("lab", command, &output.replace(id, stable), port);
}

#[test]
fn bad_requests() {
    let host = "Host: localhost:9005\r\n";
    let octets = "Content-Type: application/octet-stream\r\n";
    let evil = "Origin: http://evil.example\r\n";
    let long = "x".repeat(17_000);
    CHAPTER.shows_refusals(&[
        format!("GET /events?reader=a%20b HTTP/1.1\r\n{host}\r\n"),
        format!("DELETE /readers/nobody HTTP/1.1\r\n{host}\r\n"),
        format!("DELETE /readers/me HTTP/1.1\r\n{host}{evil}\r\n"),
        format!("POST /lab HTTP/1.1\r\n{host}{evil}{octets}\r\n"),
        format!(
            "POST /lab HTTP/1.1\r\n{host}Content-Type: text/plain\r\n\
             Content-Length: 2\r\n\r\nHi"
        ),
        format!(
            "POST /lab HTTP/1.1\r\n{host}{octets}\
             Content-Length: 17000\r\n\r\n{long}"
        ),
        "GET /lab HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
    ]);
}

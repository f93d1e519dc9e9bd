//! What the chapter shows of its programs' output, as they print it.
//! `UPDATE_TRANSCRIPTS=1` writes the files anew; CI refuses that.
#![cfg(unix)] // The texts of errors differ on other systems.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use contract::{Process, Program, transcript};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

const EXE: &str = env!("CARGO_BIN_EXE_ch03-hyper");

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// A running program, and all that it printed so far.
struct Running {
    process: Process,
    printed: String,
}

impl Running {
    fn start(program: &str, args: &[&str]) -> Self {
        let process = Program::new(program).spawn(args).unwrap();
        Self { process, printed: String::new() }
    }

    fn server(addr: &str) -> Self {
        Self::start(EXE, &["server", "--addr", addr, "--every", "500ms"])
    }

    fn client(url: &str, events: &str) -> Self {
        Self::start(EXE, &["client", url, "--events", events])
    }

    /// Reads on to the line that holds `text`, and returns that line.
    fn read_to(&mut self, text: &str) -> String {
        loop {
            let line = self.process.line(soon()).unwrap_or_else(|| {
                let errors = self.process.errors();
                panic!("no {text:?} in: {}\n{errors}", self.printed)
            });
            self.printed += &line;
            self.printed += "\n";
            if line.contains(text) {
                return line;
            }
        }
    }

    fn read_to_end(&mut self) -> &str {
        while let Some(line) = self.process.line(soon()) {
            self.printed += &line;
            self.printed += "\n";
        }
        &self.printed
    }

    fn stop(&mut self) {
        self.process.stop().unwrap();
        let status = self.process.exit(soon()).unwrap();
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}

/// The URL and the port that the server says it runs at.
fn started(server: &mut Running) -> (String, u16) {
    let line = server.read_to("running at ");
    let (_, url) = line.split_once("running at ").unwrap();
    let (_, port) = url.trim_end_matches("/events").rsplit_once(':').unwrap();
    (url.to_owned(), port.parse().unwrap())
}

fn check(name: &str, args: &str, output: &str, port: u16) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(name)
        .with_extension("txt");
    let command = format!("cargo run -p ch03-hyper {args}");
    let output = transcript::normalize(output, port, 9003);
    if let Err(error) = transcript::check(&path, &command, &output) {
        panic!("{error}");
    }
}

#[test]
fn server_and_client() {
    let mut server = Running::server("127.0.0.1:0");
    let (url, port) = started(&mut server);
    let mut client = Running::client(&url, "3");
    check("client", "-- client --events 3", client.read_to_end(), port);
    server.read_to("Closed");
    check("server", "-- server", &server.printed, port);
}

#[test]
fn the_bytes() {
    let mut server = Running::server("127.0.0.1:0");
    let (_, port) = started(&mut server);
    let example = Path::new(EXE).with_file_name("examples").join("raw");
    let addr = format!("127.0.0.1:{port}");
    let mut raw = Running::start(example.to_str().unwrap(), &[&addr]);
    raw.read_to("event 2");
    server.stop();
    check("wire", "--example raw", raw.read_to_end(), port);
}

#[test]
fn bad_requests() {
    let mut server = Running::server("127.0.0.1:0");
    let (_, port) = started(&mut server);
    let long = format!("GET /events HTTP/1.1\r\nX: {}", "x".repeat(17_000));
    for request in [
        "Is anybody there?\r\n\r\n",
        "GET /events HTTP/1.1\r\n\r\n",
        "GET /elsewhere HTTP/1.1\r\nHost: me\r\n\r\n",
        "POST /events HTTP/1.1\r\nHost: me\r\n\r\n",
        "GET /events HTTP/2.0\r\nHost: me\r\n\r\n",
        "GET /events HTTP/1.1\r\nHost: me\r\nA : b\r\n\r\n",
        &long,
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        socket.read_to_string(&mut response).unwrap();
        drop(socket);
        server.read_to("Refused");
        server.read_to("Closed");
    }
    server.stop();
    check("refused", "-- server", server.read_to_end(), port);
}

#[test]
fn a_server_that_comes_back() {
    let mut server = Running::server("127.0.0.1:0");
    let (url, port) = started(&mut server);
    let mut client = Running::client(&url, "4");
    client.read_to("Received event 2");
    server.stop();
    client.read_to("reconnecting");
    let mut server = Running::server(&format!("127.0.0.1:{port}"));
    started(&mut server);
    check("restart", "-- client --events 4", client.read_to_end(), port);
}

//! What the chapter shows of its programs' output, as they print it.
//! `UPDATE_TRANSCRIPTS=1` writes the files anew; CI refuses that.
#![cfg(unix)] // The texts of errors differ on other systems.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use contract::{Process, Program, transcript};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const EXE: &str = env!("CARGO_BIN_EXE_ch04-axum");

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// A running program, and all that it printed so far.
struct Running {
    process: Process,
    printed: String,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let process = Program::new(EXE).spawn(args).unwrap();
        Self { process, printed: String::new() }
    }

    fn server(addr: &str, every: &str) -> Self {
        Self::start(&["server", "--addr", addr, "--every", every])
    }

    fn client(url: &str, events: &str) -> Self {
        Self::start(&["client", url, "--events", events])
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
    check_text(name, args, &transcript::normalize(output, port, 9004));
}

fn check_text(name: &str, args: &str, output: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(name)
        .with_extension("txt");
    let command = format!("cargo run -p ch04-axum {args}");
    if let Err(error) = transcript::check(&path, &command, output) {
        panic!("{error}");
    }
}

/// The run in the first event's ID, and its number.
fn first_id(client: &str) -> (String, u64) {
    let (_, id) = client.split_once("Received event ").unwrap();
    let id = id.split([':', ' ']).next().unwrap();
    let (run, number) = id.split_once('-').unwrap();
    (run.to_owned(), number.parse().unwrap())
}

/// `text` with another run, and with the numbers that stand behind `marker`
/// less by `less`.
fn renumber(text: &str, run: &str, stable: &str, less: u64) -> String {
    let mut text = text.replace(&format!("{run}-"), &format!("{stable}-"));
    for marker in [&format!("{stable}-"), "event "] {
        let mut parts = text.split(marker);
        let mut renumbered = parts.next().unwrap().to_owned();
        for part in parts {
            renumbered += marker;
            let end = part.find(|c: char| !c.is_ascii_digit());
            let (digits, rest) = part.split_at(end.unwrap_or(part.len()));
            match digits.parse::<u64>() {
                Ok(number) if !rest.starts_with(char::is_alphanumeric) => {
                    renumbered += &(number - less).to_string();
                }
                _ => renumbered += digits,
            }
            renumbered += rest;
        }
        text = renumbered;
    }
    text
}

/// The source goes on whether or not anybody reads, so the first event that a
/// client gets is any.
#[test]
fn server_and_client() {
    let (every, events) = (["--every", "500ms"], ["--events", "3"]);
    let (server, client) =
        transcript::run(&Program::new(EXE), &every, &events, 9004).unwrap();
    let (run, first) = first_id(&client);
    let stable = |text| renumber(text, &run, "5eed", first - 1);
    check_text("server", "-- server", &stable(&server));
    check_text("client", "-- client --events 3", &stable(&client));
}

#[test]
fn what_is_posted() {
    let mut server = Running::server("127.0.0.1:0", "1h");
    let (url, port) = started(&mut server);
    let mut client = Running::client(&url, "2");
    server.read_to("vary: origin");
    let messages = format!("http://127.0.0.1:{port}/messages");
    let example = Path::new(EXE).with_file_name("examples").join("post");
    let mut printed = Vec::new();
    for [author, text] in [
        ["Ada", "Is anybody there?"],
        ["", "Can you hear me?"],
        ["Grace", "I can.\nTwo lines, even."],
    ] {
        let args = [author, text, &messages];
        let output = Command::new(&example).args(args).output().unwrap();
        printed.push(String::from_utf8(output.stdout).unwrap());
    }
    let output = client.read_to_end();
    let (run, _) = first_id(output);
    let stable = |text| renumber(text, &run, "5eed", 0);
    check("posted", "-- client --events 2", &stable(output), port);
    let taken = "--example post -- Ada \"Is anybody there?\"";
    check("post", taken, &stable(&printed[0]), port);
    let refused = "--example post -- \"\" \"Can you hear me?\"";
    check("post-refused", refused, &printed[1], port);
}

#[test]
fn bad_requests() {
    let mut server = Running::server("127.0.0.1:0", "1h");
    let (_, port) = started(&mut server);
    let json = "Host: me\r\nContent-Type: application/json\r\n";
    let long = "x".repeat(10_000);
    for request in [
        "GET /elsewhere HTTP/1.1\r\nHost: me\r\n\r\n",
        "DELETE /events HTTP/1.1\r\nHost: me\r\n\r\n",
        &format!(
            "POST /messages HTTP/1.1\r\n{json}Content-Length: 2\r\n\r\nHi"
        ),
        &format!(
            "POST /messages HTTP/1.1\r\n{json}Content-Length: 2\r\n\r\n{{}}"
        ),
        "POST /messages HTTP/1.1\r\nHost: me\r\nContent-Length: 2\r\n\r\n{}",
        &format!(
            "POST /messages HTTP/1.1\r\n{json}Content-Length: 10000\r\n\r\n{long}"
        ),
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
    let mut server = Running::server("127.0.0.1:0", "500ms");
    let (url, port) = started(&mut server);
    let mut client = Running::client(&url, "5");
    client.read_to("Received event");
    client.read_to("Received event");
    server.stop();
    client.read_to("reconnecting");
    let mut server = Running::server(&format!("127.0.0.1:{port}"), "500ms");
    started(&mut server);
    let (before, after) = {
        let output = client.read_to_end();
        output.split_at(output.find("(missed)").unwrap())
    };
    let before_missed = before.rfind("Received event ").unwrap();
    let (run, first) = first_id(before);
    let (new, _) = first_id(&before[before_missed..]);
    let output = format!("{before}{after}");
    let at = output.find("Error: ").unwrap();
    let old = renumber(&output[..at], &run, "5eed", first - 1);
    let rest = output[at..].replace(&format!("{new}-"), "cafe-");
    let last = format!("{run}-{}", first + 1);
    let rest = rest.replace(&last, "5eed-2");
    check("restart", "-- client --events 5", &format!("{old}{rest}"), port);
}

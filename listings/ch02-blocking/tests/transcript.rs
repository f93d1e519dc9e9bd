//! What the chapter shows of its programs' output, as they print it.
//! `UPDATE_TRANSCRIPTS=1` writes the files anew; CI refuses that.
#![cfg(unix)] // The texts of errors differ on other systems.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use contract::{Process, Program, servers, transcript};
use std::{
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

const EXE: &str = env!("CARGO_BIN_EXE_ch02-blocking");

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
    check_text(name, args, &transcript::normalize(output, port, 9002));
}

fn check_text(name: &str, args: &str, output: &str) {
    check_command(name, &format!("cargo run -p ch02-blocking {args}"), output);
}

fn check_command(name: &str, command: &str, output: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(name)
        .with_extension("txt");
    if let Err(error) = transcript::check(&path, command, output) {
        panic!("{error}");
    }
}

#[test]
fn server_and_client() {
    let (every, events) = (["--every", "500ms"], ["--events", "3"]);
    let (server, client) =
        transcript::run(&Program::new(EXE), &every, &events, 9002).unwrap();
    check_text("server", "-- server", &server);
    check_text("client", "-- client --events 3", &client);
}

/// What curl prints, read by hand: the test needs no curl.
#[test]
fn the_bytes() {
    let mut server = Running::server("127.0.0.1:0");
    let (_, port) = started(&mut server);
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    server.read_to("Sent event 2");
    server.stop();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    let url = format!("http://127.0.0.1:{port}/events");
    let command = format!("curl -iN --raw {url}");
    let wire = transcript::normalize(&response.replace('\r', ""), port, 9002);
    let command = transcript::normalize(&command, port, 9002);
    check_command("wire", command.trim_end(), &wire);
}

#[test]
fn a_server_that_is_killed() {
    let mut server = Running::server("127.0.0.1:0");
    let (url, port) = started(&mut server);
    let mut client = Running::client(&url, "3");
    client.read_to("Received event 2");
    // Dropping it kills it: no last chunk is sent.
    drop(server);
    client.read_to("reconnecting");
    let mut server = Running::server(&format!("127.0.0.1:{port}"));
    started(&mut server);
    check("killed", "-- client --events 3", client.read_to_end(), port);
}

#[test]
fn a_reader_past_the_limit() {
    let addr = ["server", "--addr", "127.0.0.1:0", "--max-readers", "1"];
    let mut server = Running::start(EXE, &addr);
    let (url, port) = started(&mut server);
    let mut first = Running::client(&url, "1000");
    first.read_to("Received event 1");
    let mut second = Running::client(&url, "1");
    second.read_to_end();
    let status = second.process.exit(soon()).unwrap();
    assert_eq!(status.and_then(|status| status.code()), Some(1));
    let deadline = soon();
    while second.process.errors().is_empty() {
        assert!(Instant::now() < deadline, "it does not say why");
        thread::yield_now();
    }
    let said = second.printed + &second.process.errors() + "\n";
    check("limit", "-- client --events 1", &said, port);
    server.read_to("Refused");
}

fn example(name: &str) -> PathBuf {
    Path::new(EXE).with_file_name("examples").join(name)
}

/// What the framework does by itself, by the contract's own table.
#[test]
fn the_shortest_server_under_the_contract() {
    let report = servers::check_program(
        &Program::new(example("shortest").as_os_str()),
        |_| true,
    );
    // The reasons hold ports and dates; each begins with a blank.
    let mut table = report.to_string() + "\n";
    table = table
        .split_inclusive('\n')
        .filter(|line| !line.starts_with(' '))
        .collect();
    let command = "cargo run -p contract -- server \
                   target/debug/examples/shortest | grep -v '^ '";
    check_command("contract-shortest", command, &table);
}

/// Holds what does not depend on the time, nor on what else is built here: the
/// answers, and the crates of all that share none with this workspace.
#[test]
fn the_rivals() {
    let output = Command::new(example("rivals")).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let table = String::from_utf8(output.stdout).unwrap();
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/rivals.txt");
    let committed = fs::read_to_string(path).unwrap_or_default();
    let held = |table: &str| -> Vec<String> {
        let rows = table.lines().filter(|line| !line.starts_with('$'));
        rows.map(|row| {
            let row = row.split(" event ").next().unwrap();
            let is_shared = row.starts_with("astra");
            row.chars().filter(|c| !is_shared || !c.is_numeric()).collect()
        })
        .collect()
    };
    let update = env::var_os(transcript::UPDATE).is_some();
    if update || held(&committed) != held(&table) {
        let args = "--example rivals";
        check_text("rivals", args, &table);
    }
}

//! What the chapter shows of its programs' output, as they print it.
//! `UPDATE_TRANSCRIPTS=1` writes the files anew; CI refuses that.
#![cfg(unix)] // The texts of errors differ on other systems.
#![allow(clippy::unwrap_used, clippy::panic)]

use contract::Program;
use harness::{
    chapter::{Chapter, Running},
    transcript,
};
use std::{
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

const CHAPTER: Chapter = harness::this_chapter!(9002);

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[test]
fn server_and_client() {
    CHAPTER.shows_both_sides();
}

/// What curl prints, read by hand: the test needs no curl.
#[test]
fn the_bytes() {
    let mut server = CHAPTER.server("127.0.0.1:0");
    let (url, port) = server.started();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    server.read_to("Sent event 2");
    server.stop();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    let stable = |text: &str| transcript::normalize(text, port, CHAPTER.port);
    let command = stable(&format!("curl -iN --raw {url}"));
    let wire = stable(&response.replace('\r', ""));
    CHAPTER.shows("wire", command.trim_end(), &wire);
}

#[test]
fn a_server_that_is_killed() {
    let mut server = CHAPTER.server("127.0.0.1:0");
    let (url, port) = server.started();
    let mut client = CHAPTER.client(&url, 3);
    client.read_to("Received event 2");
    // Dropping it kills it: no last chunk is sent.
    drop(server);
    client.read_to("reconnecting");
    let mut server = CHAPTER.server(&format!("127.0.0.1:{port}"));
    server.started();
    let args = "-- client --events 3";
    CHAPTER.prints("killed", args, client.read_to_end(), port);
}

#[test]
fn a_reader_past_the_limit() {
    let one = ["--max-readers", "1"];
    let mut server = CHAPTER.server_with("127.0.0.1:0", &one);
    let (url, port) = server.started();
    let mut first = CHAPTER.client(&url, 1000);
    first.read_to("Received event 1");
    let mut second = CHAPTER.client(&url, 1);
    second.read_to_end();
    let status = second.process.exit(soon()).unwrap();
    assert_eq!(status.and_then(|status| status.code()), Some(1));
    let deadline = soon();
    while second.process.errors().is_empty() {
        assert!(Instant::now() < deadline, "it does not say why");
        thread::yield_now();
    }
    let said = second.printed + &second.process.errors() + "\n";
    CHAPTER.prints("limit", "-- client --events 1", &said, port);
    server.read_to("Refused");
}

/// What the framework does by itself, by the contract's own table.
#[test]
fn the_shortest_server_under_the_contract() {
    CHAPTER.example_under_the_contract("shortest");
}

/// Another client's body is `Read` as well.
#[test]
fn ureq_reads_the_stream() {
    let mut server = CHAPTER.server("127.0.0.1:0");
    let (url, _) = server.started();
    let program = Program::new(CHAPTER.example("ureq"));
    let mut client = Running::start(&program, &[&url]);
    client.read_to("2: Hello! This is event 2");
    // Its end says that the response was whole.
    server.stop();
    client.read_to_end();
    let status = client.process.exit(soon()).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    assert!(client.printed.starts_with("1: Hello! This is event 1\n"));
}

/// Holds what does not depend on the time, nor on what else is built here: the
/// answers, and the crates of all that share none with this workspace.
#[test]
fn the_rivals() {
    let output = Command::new(CHAPTER.example("rivals")).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let table = String::from_utf8(output.stdout).unwrap();
    let path = Path::new(CHAPTER.folder).join("transcripts/rivals.txt");
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
        let command = "cargo run -p ch02-blocking --example rivals";
        CHAPTER.shows("rivals", command, &table);
    }
}

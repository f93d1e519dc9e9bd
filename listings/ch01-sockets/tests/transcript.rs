//! What the chapter shows of its programs' output, as they print it.
//! `UPDATE_TRANSCRIPTS=1` writes the files anew; CI refuses that.
#![cfg(unix)] // The texts of errors differ on other systems.
#![allow(clippy::unwrap_used)]

use contract::Program;
use harness::{
    chapter::{self, Chapter, Running},
    transcript,
};
use std::{net::TcpListener, process::Command};

const CHAPTER: Chapter = harness::this_chapter!(9001);

#[test]
fn server_and_client() {
    CHAPTER.shows_both_sides();
}

#[test]
fn the_bytes_in_between() {
    let mut server = CHAPTER.server("127.0.0.1:0");
    let (_, port) = server.started();
    let to = format!("127.0.0.1:{port}");
    let relay = Program::new(CHAPTER.example("relay"));
    let mut relay = Running::start(&relay, &["127.0.0.1:0", &to]);
    let line = relay.read_to("From ");
    let from = line.split(' ').nth(1).unwrap();
    CHAPTER.client(&format!("http://{from}/events"), 2).read_to_end();
    relay.read_to("event 2");
    relay.read_to(r"server: \n");
    // The relay's own port is the first that is not the server's.
    let output = transcript::normalize(&relay.printed, port, 9001);
    let output = output.replace(":50000", ":9100");
    let command = "cargo run -p ch01-sockets \
        --example relay -- 127.0.0.1:9100 127.0.0.1:9001";
    CHAPTER.shows("wire", command, &output);
}

#[test]
fn bad_requests() {
    CHAPTER.shows_refusals(&chapter::bad_requests());
}

#[test]
fn a_port_in_use() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let output = Command::new(CHAPTER.exe)
        .args(["server", "--addr", &addr.to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    CHAPTER.prints("taken", "-- server", &errors, addr.port());
}

#[test]
fn a_server_that_comes_back() {
    CHAPTER.shows_a_restart();
}

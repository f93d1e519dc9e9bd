//! What the chapter shows of its programs' output, as they print it.
//! `UPDATE_TRANSCRIPTS=1` writes the files anew; CI refuses that.
#![cfg(unix)] // The texts of errors differ on other systems.

use contract::Program;
use harness::chapter::{self, Chapter, Running};

const CHAPTER: Chapter = harness::this_chapter!(9003);

#[test]
fn server_and_client() {
    let mut server = CHAPTER.server("127.0.0.1:0");
    let (url, port) = server.started();
    let mut client = CHAPTER.client(&url, 3);
    let args = "-- client --events 3";
    CHAPTER.prints("client", args, client.read_to_end(), port);
    server.read_to("Closed");
    CHAPTER.prints("server", "-- server", &server.printed, port);
}

#[test]
fn the_bytes() {
    let mut server = CHAPTER.server("127.0.0.1:0");
    let (_, port) = server.started();
    let raw = Program::new(CHAPTER.example("raw"));
    let mut raw = Running::start(&raw, &[&format!("127.0.0.1:{port}")]);
    raw.read_to("event 2");
    server.stop();
    CHAPTER.prints("wire", "--example raw", raw.read_to_end(), port);
}

#[test]
fn bad_requests() {
    CHAPTER.shows_refusals(&chapter::bad_requests());
}

#[test]
fn a_server_that_comes_back() {
    CHAPTER.shows_a_restart();
}

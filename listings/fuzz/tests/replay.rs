//! What the fuzzer found, on any Rust: every input as it is, cut short, and
//! with a bit flipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch01_sockets::request::{self, BAD_REQUEST, Refusal, Request, Status};
use fuzz::{TARGETS, Target, corpus, input};
use std::{
    io::Write,
    net::{Shutdown, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

fn inputs(target: &Target) -> Vec<Vec<u8>> {
    let mut inputs = (target.seeds)().unwrap();
    inputs.extend(corpus::read(target.name).unwrap());
    inputs
}

#[track_caller]
fn check(target: &Target, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    assert!(outcome.is_ok(), "{}: {}", target.name, corpus::print(input));
}

#[test]
fn every_input_holds() {
    for target in &TARGETS {
        for input in inputs(target) {
            check(target, &input);
        }
    }
}

/// At most so many places of an input, evenly spread.
fn places(input: &[u8]) -> impl Iterator<Item = usize> + use<> {
    (0..input.len()).step_by(input.len() / 128 + 1)
}

#[test]
fn every_input_holds_when_cut_short() {
    for target in &TARGETS {
        for input in inputs(target) {
            for end in places(&input) {
                check(target, &input[..end]);
            }
        }
    }
}

#[test]
fn every_input_holds_with_a_bit_flipped() {
    for target in &TARGETS {
        for mut input in inputs(target) {
            for at in places(&input) {
                let bit = 1 << (at % 8);
                input[at] ^= bit;
                check(target, &input);
                input[at] ^= bit;
            }
        }
    }
}

/// The target calls the parser as the server does. Here the server's own
/// function does, on a socket.
#[test]
fn a_socket_adds_nothing() {
    let target = TARGETS.iter().find(|it| it.name == "request").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    for input in inputs(target) {
        let mut input = &input[input.len().min(3)..];
        let bytes = input::stretch(&mut input);
        let expected = match fuzz::request::parse(&[&bytes]) {
            Ok(Some(request)) => Ok(request),
            Ok(None) if bytes.is_empty() => Err(None),
            Ok(None) => Err(Some(BAD_REQUEST)),
            Err(status) => Err(Some(status)),
        };
        let sent = bytes.clone();
        let peer = thread::spawn(move || {
            let mut socket = TcpStream::connect(addr).unwrap();
            socket.write_all(&sent).unwrap();
            socket.shutdown(Shutdown::Write).unwrap();
            socket
        });
        let (socket, _) = listener.accept().unwrap();
        let read = request::read(&socket, Duration::from_secs(20));
        let outcome: Result<Request, Option<Status>> =
            read.map_err(|refusal| match refusal {
                Refusal::Status(status) => Some(status),
                Refusal::Gone(_) => None,
            });
        assert_eq!(outcome, expected, "{}", corpus::print(&bytes));
        peer.join().unwrap();
    }
}

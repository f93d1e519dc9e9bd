//! The check can fail: whatever goes wrong between a server and a ledger is
//! found there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use contract::Process;
use soak::{
    keep::{Phase, Reader, ReaderState, Reading},
    ledger::Counts,
    random::Random,
    roles::{self, Chapter},
};
use std::{
    io::{self, BufRead, BufReader, ErrorKind, Write},
    mem,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

const EXE: &str = env!("CARGO_BIN_EXE_soak");
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

// ANCHOR: relay
#[derive(Clone, Copy, Debug)]
enum Mistake {
    None,
    Drop,
    Double,
    Swap,
}

/// Passes on connections to that server, whose body has no framing, one after
/// another, and makes a mistake at event 3.
fn relay(server: SocketAddr, mistake: Mistake) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for reader in listener.incoming() {
            // It ends when one of the two sides does.
            let _ = pass_on(&reader.unwrap(), server, mistake);
        }
    });
    addr
}

fn pass_on(
    mut reader: &TcpStream,
    server: SocketAddr,
    mistake: Mistake,
) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    server.write_all(&block(&mut BufReader::new(reader))?)?;
    let mut from = BufReader::new(server);
    reader.write_all(&block(&mut from)?)?;
    let mut held = Vec::new();
    loop {
        let block = block(&mut from)?;
        match (mistake, block.starts_with(b"id: 3\n")) {
            (Mistake::Drop, true) => {}
            (Mistake::Double, true) => reader.write_all(&block.repeat(2))?,
            (Mistake::Swap, true) => held = block,
            _ => {
                reader.write_all(&block)?;
                // A heartbeat takes no event's place.
                if block.starts_with(b"id:") {
                    reader.write_all(&mem::take(&mut held))?;
                }
            }
        }
    }
}

/// A head, or an event, or a comment: up to a blank line.
fn block(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    while !block.ends_with(b"\n\n") && !block.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut block)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(block)
}
// ANCHOR_END: relay

fn server() -> (Process, SocketAddr) {
    let program = roles::server(Path::new(EXE), Chapter::Ch01);
    let process = program.spawn(&[]).unwrap();
    let url = process.url(Instant::now() + PATIENCE).unwrap();
    let addr = url.authority.parse().unwrap();
    (process, addr)
}

/// What a client's ledger says behind event 8.
fn read(chapter: Chapter, addr: SocketAddr) -> ReaderState {
    let phase = Phase::default();
    let reading = Reading {
        program: roles::reader(Path::new(EXE), chapter),
        url: format!("http://{addr}/events"),
        may_be_told: false,
        is_clock: false,
        lives: None,
    };
    let reader = Reader::keep(reading, Random::new(1, 1), phase.clone());
    let deadline = Instant::now() + PATIENCE;
    while reader.state().newest().is_none_or(|newest| newest.number < 8) {
        assert!(Instant::now() < deadline, "{:?}", reader.state());
        thread::sleep(Duration::from_millis(20));
    }
    phase.end();
    reader.join()
}

#[test]
fn whatever_goes_wrong_is_found() {
    let (_server, addr) = server();
    let none = Counts::default();
    let cases = [
        (Mistake::None, none, &[][..]),
        (Mistake::Drop, Counts { gaps: 1, ..none }, &["1 events did not come"]),
        (Mistake::Double, Counts { doubles: 1, ..none }, &["came twice"]),
        (Mistake::Swap, Counts { late: 1, ..none }, &["not come", "came late"]),
    ];
    let mut all = Vec::new();
    for (mistake, expected, words) in cases {
        for client in &Chapter::ALL[..4] {
            let addr = relay(addr, mistake);
            let read = thread::spawn(move || read(*client, addr));
            all.push((mistake, expected, words, read));
        }
    }
    for (mistake, expected, words, read) in all {
        let read = read.join().unwrap();
        let counts = Counts { events: 0, ..read.counts() };
        assert_eq!(counts, expected, "{mistake:?}: {read:?}");
        assert_eq!(read.mistakes.len(), words.len(), "{read:?}");
        for (said, word) in read.mistakes.iter().zip(words) {
            assert!(said.contains(word), "{said}");
        }
    }
}

#[test]
fn a_client_that_gives_up_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let reading = Reading {
        program: roles::reader(Path::new(EXE), Chapter::Ch01),
        url: format!("http://{addr}/events"),
        may_be_told: false,
        is_clock: false,
        lives: None,
    };
    let phase = Phase::default();
    let reader = Reader::keep(reading, Random::new(1, 1), phase.clone());
    let (mut socket, _) = listener.accept().unwrap();
    socket.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
    let deadline = Instant::now() + PATIENCE;
    while reader.state().mistakes.len() < 2 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(20));
    }
    phase.end();
    let mistakes = reader.join().mistakes;
    assert!(mistakes[0].starts_with("gave up: the server answered"));
    assert!(mistakes[1].starts_with("ended by itself"), "{mistakes:?}");
}

//! A process that has run out of descriptors serves those who are there.
#![cfg(unix)] // The shell's `ulimit` sets the limit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{REQUEST, Reader};
use contract::Program;
use std::time::{Duration, Instant};

#[tokio::test]
async fn out_of_descriptors_it_goes_on() {
    let limited = "ulimit -n 40 && exec \"$0\" \"$@\"";
    let exe = env!("CARGO_BIN_EXE_ch03-hyper");
    let server = Program::new("sh")
        .arg("-c")
        .arg(limited)
        .arg(exe)
        .spawn(&["server", "--addr", "127.0.0.1:0", "--every", "10ms"])
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let line = server.line(deadline).unwrap();
    let (_, addr) = line.split_once("http://").unwrap();
    let addr = addr.trim_end_matches("/events").parse().unwrap();
    let mut readers = Vec::new();
    for _ in 0..40 {
        readers.push(Reader::send(addr, REQUEST).await);
    }
    // The first have their stream; the last wait in the backlog.
    readers[0].head().await;
    let why = server.wait_for(deadline, |line| {
        line.strip_prefix("Cannot accept: ").map(str::to_owned)
    });
    assert!(why.unwrap().contains("Too many open files"));
    for _ in 0..3 {
        readers[0].event().await.unwrap();
    }
    // When some have left, the next are served.
    readers.drain(1..30);
    for reader in &mut readers[1..] {
        let head = reader.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    }
}

//! A process that has run out of descriptors serves those who are there.
#![cfg(unix)] // The shell's `ulimit` sets the limit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{REQUEST, Reader};
use contract::{Process, Program};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// A server behind this `ulimit`, and where it runs.
fn start(ulimit: &str) -> (Process, SocketAddr) {
    let server = Program::new("sh")
        .arg("-c")
        .arg(format!("ulimit {ulimit} && exec \"$0\" \"$@\""))
        .arg(env!("CARGO_BIN_EXE_ch03-hyper"))
        .spawn(&["server", "--addr", "127.0.0.1:0", "--every", "10ms"])
        .unwrap();
    let line = server.line(soon()).unwrap();
    let (_, addr) = line.split_once("http://").unwrap();
    let addr = addr.trim_end_matches("/events").parse().unwrap();
    (server, addr)
}

#[tokio::test]
async fn out_of_descriptors_it_goes_on() {
    let (server, addr) = start("-n 40");
    let said = server.line(soon()).unwrap();
    assert_eq!(
        said,
        "Only 40 descriptors for 10064 connections: raise the limit \
         (ulimit -Hn), or allow fewer (--max-readers)"
    );
    let mut readers = Vec::new();
    for _ in 0..40 {
        readers.push(Reader::send(addr, REQUEST).await);
    }
    // The first have their stream; the last wait in the backlog.
    readers[0].head().await;
    let why = server.wait_for(soon(), |line| {
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

#[tokio::test]
async fn a_soft_limit_is_raised() {
    let (_server, addr) = start("-Sn 40");
    let mut readers = Vec::new();
    for _ in 0..80 {
        let mut reader = Reader::send(addr, REQUEST).await;
        reader.head().await;
        readers.push(reader);
    }
}

//! The contract of every server, kept by this chapter's. The clients' is in
//! `node.rs`.
#![allow(clippy::unwrap_used)]

use harness::chapter::Chapter;
#[cfg(unix)]
use serde_json::Value;
#[cfg(unix)]
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const CHAPTER: Chapter = harness::this_chapter!(9005);

#[test]
fn the_server_keeps_the_contract() {
    CHAPTER.keeps_the_contract("server", &[]);
}

#[test]
fn what_the_server_announces_can_be_opened() {
    CHAPTER.opens_where_it_listens(&["--client", "rust"]);
}

/// As by SIGSTOP, or by the machine's sleep: the clock is the time of day
/// when it wakes, and what is over is told, and not sent all at once.
#[cfg(unix)]
#[test]
fn a_server_that_was_stopped_is_the_time_of_day_again() {
    const STOPPED: Duration = Duration::from_secs(3);
    const PATIENCE: Duration = Duration::from_secs(30);
    let ticks = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(now.as_millis() / 100).unwrap()
    };
    let mut server = CHAPTER.server_with("127.0.0.1:0", &["--every", "100ms"]);
    let (_, port) = server.started();
    let mut reader = TcpStream::connect(("127.0.0.1", port)).unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    reader.write_all(request).unwrap();
    let mut lines = BufReader::new(reader).lines();
    let mut next = |begin: &str| {
        let mut lines = lines.by_ref().map(Result::unwrap);
        let found =
            lines.find_map(|line| line.strip_prefix(begin).map(str::to_owned));
        found.unwrap()
    };
    next("data: Hello!");
    server.process.signal("STOP").unwrap();
    thread::sleep(STOPPED);
    let woken = ticks();
    server.process.signal("CONT").unwrap();
    // What it had sent before, then the gap, then at most a second of it.
    next("event: missed");
    let missed: Value = serde_json::from_str(&next("data: ")).unwrap();
    assert!(missed["events"].as_u64().unwrap() >= 15, "{missed}");
    let lost: u64 = next("id: ").parse().unwrap();
    assert!(lost + 10 >= woken, "{lost} {woken}");
    for id in lost + 1..lost + 20 {
        assert_eq!(next("id: "), id.to_string());
    }
    server.stop();
}

//! What somebody writes whose server runs in his own test.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use contract::{Process, Program};

/// Stands for a server of one's own: here it is the peer, at a free port.
struct Running {
    _process: Process,
    url: String,
}

fn start_my_server() -> Running {
    let process = Program::new(env!("CARGO_BIN_EXE_contract-peer"))
        .spawn(&["server", "--addr", "127.0.0.1:0", "--every", "100ms"])
        .unwrap();
    let url = process.url(Instant::now() + Duration::from_secs(10)).unwrap();
    Running { _process: process, url: url.to_string() }
}

// ANCHOR: yours
use contract::servers::{self, Target};

#[test]
fn my_server_keeps_the_contract() {
    let server = start_my_server();
    let target = Target::new(server.url.parse().unwrap());
    let exempt = &[
        ("heartbeat", "ten events a second leave no silence"),
        ("stalled-reader", "ten events a second fill no buffer"),
        ("departed-reader", "is seen in the server's own process"),
        ("stop", "the server ends with this test"),
    ];
    servers::check(&target, |_| true).hold(exempt).unwrap();
}
// ANCHOR_END: yours

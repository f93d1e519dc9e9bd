//! Alone in its process, so that it can count what is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use ch03_hyper::server::Options;
use common::{PATIENCE, Reader, Running};
use std::time::{Duration, Instant};
use tokio::{runtime::Handle, task::yield_now};

#[tokio::test]
async fn a_hundred_abrupt_departures_leave_nothing_behind() {
    let every = Duration::from_millis(5);
    let server = Running::start(Options { every, ..Options::default() }).await;
    let before = Held::now();
    let mut readers = Vec::new();
    for _ in 0..100 {
        readers.push(server.open().await);
    }
    assert_eq!(Held::now().tasks, before.tasks + 100);
    // A linger of zero turns the close into a reset.
    for Reader { socket, .. } in readers {
        let socket = socket.into_inner();
        socket2::SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while Held::now() != before {
        assert!(Instant::now() < deadline, "{:?}", Held::now());
        yield_now().await;
    }
    server.stop().await;
}

/// What a reader could leave behind.
#[derive(Debug, PartialEq)]
struct Held {
    tasks: usize,
    /// Open descriptors, where `/proc` shows them.
    files: usize,
}

impl Held {
    fn now() -> Self {
        let files = std::fs::read_dir("/proc/self/fd");
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            files: files.map_or(0, Iterator::count),
        }
    }
}

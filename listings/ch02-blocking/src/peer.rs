//! A connection's other end, and what it may take.

use ch01_sockets::connections::Connection;
use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// The times and the limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// From one event to the next.
    pub every: Duration,
    /// A comment is sent when nothing else was sent for this long.
    pub heartbeat: Duration,
    /// The most readers at once; the next one is answered 503. Each takes
    /// three descriptors, and many systems give a process 1,024.
    pub max_readers: usize,
    /// A request head, and a body of less than a kilobyte with it, must be
    /// complete within this time, or 408.
    pub head_timeout: Duration,
    /// A reader that makes no room at all for this long is cut off.
    pub write_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            heartbeat: Duration::from_secs(15),
            max_readers: 250,
            head_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// Whoever is at the other end of a connection. The framework keeps a stream
/// for as long as it likes, so what a stream needs is counted, not borrowed.
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    pub(crate) options: Options,
    /// A write failed: there is nobody to close with.
    lost: AtomicBool,
}

impl Peer {
    pub(crate) const fn new(connection: Connection, options: Options) -> Self {
        Self { connection, options, lost: AtomicBool::new(false) }
    }

    pub(crate) fn say(&self, line: fmt::Arguments<'_>) {
        self.connection.say(line);
    }

    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

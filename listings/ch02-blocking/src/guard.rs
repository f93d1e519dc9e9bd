//! What the framework leaves open: how long a request head may take, how
//! large it may be, and what a peer is told that sent something else.
//!
//! A head is only looked at here (`peek`). The framework then reads the same
//! bytes, and finds them all there.

use crate::server::Peer;
use ch01_sockets::{date::http_date, request::MAX_HEAD};
use std::{
    io::{self, ErrorKind, Write},
    time::{Duration, Instant, SystemTime},
};
use touche::StatusCode;

/// Between two looks at a head of which a part has come.
const PAUSE: Duration = Duration::from_millis(10);

// ANCHOR: guard
/// Why a connection is not handed to the framework.
pub(crate) enum Refusal {
    /// Answer with this status.
    Status(StatusCode),
    /// The peer left, or the server is stopping: there is nobody to answer.
    Gone,
}

impl Peer {
    /// Waits until a whole request head is there, without taking it.
    pub(crate) fn await_head(&self) -> Result<(), Refusal> {
        let socket = self.connection.socket();
        let deadline = Instant::now() + self.options.head_timeout;
        // Most heads fit; what a thread has touched, it keeps.
        let mut head = vec![0; 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refusal::Status(StatusCode::REQUEST_TIMEOUT));
            }
            let set = socket.set_read_timeout(Some(left));
            let length = match set.and_then(|()| socket.peek(&mut head)) {
                Ok(0) => return Err(Refusal::Gone),
                Ok(length) => length,
                Err(error) if is_passing(&error) => continue,
                Err(_) => return Err(Refusal::Gone),
            };
            let has = |end: &[u8]| {
                head[..length].windows(end.len()).any(|w| w == end)
            };
            if has(b"\r\n\r\n") || has(b"\n\n") {
                return Ok(());
            }
            if length > MAX_HEAD {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                return Err(Refusal::Status(status));
            }
            if length == head.len() {
                head.resize((2 * length).min(MAX_HEAD + 1), 0);
                continue;
            }
            // What was looked at is still there, so `peek` no longer waits.
            if self.connection.stops_within(PAUSE) {
                return Err(Refusal::Gone);
            }
        }
    }
}
// ANCHOR_END: guard

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

impl Peer {
    /// Answers where the framework has no request to answer.
    pub(crate) fn refuse(&self, status: StatusCode) -> io::Result<()> {
        let peer = self.connection.peer();
        self.say(format_args!("Refused {peer}: {status}"));
        let body = format!("{status}\n");
        let response = format!(
            "HTTP/1.1 {status}\r\n\
             date: {}\r\n\
             content-type: text/plain; charset=utf-8\r\n\
             content-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            http_date(SystemTime::now()),
            body.len(),
        );
        self.connection.socket().write_all(response.as_bytes())
    }
}

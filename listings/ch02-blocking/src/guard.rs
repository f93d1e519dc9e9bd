//! What the framework leaves open: how long a request may take, how large its
//! head may be, and what a peer is told that sent something else.
//!
//! A request is only looked at here (`peek`). The framework then reads the
//! same bytes, and finds them all there.

use crate::peer::Peer;
use ch01_sockets::{
    date::http_date,
    request::{MAX_HEAD, end_of_head, header_field},
};
use std::{
    io::{self, ErrorKind, Write},
    time::{Duration, Instant, SystemTime},
};
use touche::StatusCode;

/// Why a connection is not handed to the framework.
pub(crate) enum Refusal {
    /// Answer with this status.
    Status(StatusCode),
    /// The peer left, or the server is stopping: there is nobody to answer.
    Gone,
}

/// A body shorter than this the framework reads before it asks us.
const SMALL_BODY: usize = 1024;
/// At least so long between two looks at a request of which a part has come.
const PAUSE: Duration = Duration::from_millis(1);

impl Peer {
    /// Waits until all is there that the framework reads before it asks us,
    /// without taking it.
    pub(crate) fn await_request(&self) -> Result<(), Refusal> {
        let socket = self.connection.socket();
        let (started, time) = (Instant::now(), self.options.head_timeout);
        // Most requests fit.
        let mut bytes = vec![0; 1024];
        let (mut searched, mut whole, mut begun) = (0, None, None);
        loop {
            let left = time.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Refusal::Status(StatusCode::REQUEST_TIMEOUT));
            }
            let set = socket.set_read_timeout(Some(left));
            let length = match set.and_then(|()| socket.peek(&mut bytes)) {
                Ok(0) => return Err(Refusal::Gone),
                Ok(length) => length,
                Err(error) if is_passing(&error) => continue,
                Err(_) => return Err(Refusal::Gone),
            };
            if whole.is_none() {
                let end = end_of_head(&bytes[..length], searched);
                if end.unwrap_or(length) > MAX_HEAD {
                    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                    return Err(Refusal::Status(status));
                }
                whole = end.map(|end| end + small_body(&bytes[..end]));
                searched = length;
            }
            if whole.is_some_and(|whole| whole <= length) {
                return Ok(());
            }
            if length == bytes.len() {
                bytes.resize((2 * length).min(MAX_HEAD + SMALL_BODY), 0);
                continue;
            }
            // What was looked at is still there, so `peek` no longer waits.
            // The longer it takes, the longer the pauses: a peer that sends a
            // byte now and then does not make this turn in circles.
            let so_far = begun.get_or_insert_with(Instant::now).elapsed();
            let pause = (so_far / 8).max(PAUSE).min(left);
            if self.connection.stops_within(pause) {
                return Err(Refusal::Gone);
            }
        }
    }
}

/// The length of the body if it is small, as its head says.
fn small_body(head: &[u8]) -> usize {
    head.split(|byte| *byte == b'\n')
        .filter_map(|line| header_field(line.trim_ascii_end()))
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, value)| str::from_utf8(value).ok()?.parse().ok())
        .filter(|length| *length < SMALL_BODY)
        .unwrap_or(0)
}

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

//! What an event costs with many readers, one event after the other: the next
//! is posted when every reader has the one before. So none waits for another,
//! whatever the server can do.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{
    LEAST, Measured, Rows, crowd, median, percent, share, three, times,
};
use crate::cores::Cores;
use crate::crowd::{Crowd, Heard};
use crate::program::{Given, Program};
use crate::reader::{Stream, other};
use crate::table::grouped;

/// How many readers, for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Readers.
    pub readers: usize,
    /// For how long events are posted and counted.
    pub watched: Duration,
    /// Where it all runs.
    pub cores: Option<Cores>,
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// Events that were posted, and that every reader has.
    pub events: u32,
    /// How long that took.
    pub passed: Duration,
    /// The server's processor time.
    pub server: Duration,
    /// That time for each event and reader.
    pub delivery: Duration,
}

/// Characters of the text of a post. The data of its event has 29 more.
const TEXT: usize = 35;
/// The longest that an event may take to reach every reader.
const PATIENCE: Duration = Duration::from_secs(15);
/// Events that are not counted.
const WARM_UP: u32 = 3;
/// Over so long a time a thousand readers come.
const OPENING: Duration = Duration::from_secs(1);
/// The most bytes of an answer to a post.
const ANSWER: usize = 16 * 1024;

/// Starts the server, opens the readers, posts one event after the other, and
/// counts the server's time.
///
/// # Errors
/// If a reader is refused, cut off, or given wrong events, or an event does
/// not reach all of them; if a post is refused; and where the system does not
/// tell what a process takes.
pub fn round(program: &Program, plan: &Plan) -> io::Result<Closed> {
    let cores = plan.cores;
    let given = Given { cores, ..Given::busy(plan.readers) };
    let mut server = program.start_with(&given)?;
    let mut crowd = crowd(&server, cores)?;
    let mut measure = || {
        let thousands = plan.readers.div_ceil(1000);
        let opening = OPENING * u32::try_from(thousands).unwrap_or(u32::MAX);
        crowd.grow_to(plan.readers, opening)?;
        let mut poster = Poster::to(server.stream())?;
        for _ in 0..WARM_UP {
            reach(&mut crowd, &mut poster)?;
        }
        let (start, before) = (Instant::now(), server.processor()?);
        let mut events = 0;
        while events == 0 || start.elapsed() < plan.watched {
            reach(&mut crowd, &mut poster)?;
            events += 1;
        }
        let passed = start.elapsed();
        let server = server.processor()?.saturating_sub(before);
        let readers = u32::try_from(plan.readers).unwrap_or(u32::MAX);
        let delivery = server / events / readers.max(1);
        Ok(Closed { events, passed, server, delivery })
    };
    measure().map_err(|error: io::Error| server.explain(&error))
}

// ANCHOR: reach
/// Posts an event, and reads until everybody has it.
fn reach(crowd: &mut Crowd, poster: &mut Poster) -> io::Result<()> {
    poster.post()?;
    let (start, missing) = (Instant::now(), Cell::new(crowd.len()));
    crowd.listen(
        || missing.get() == 0 || start.elapsed() > PATIENCE,
        |one| {
            let is_event = matches!(one.heard, Heard::Event(_));
            missing.set(missing.get() - usize::from(is_event));
        },
    )?;
    match missing.get() {
        0 => Ok(()),
        missing => Err(other(format_args!(
            "{} readers lack an event after {PATIENCE:?}",
            grouped(missing as u64)
        ))),
    }
}
// ANCHOR_END: reach

/// Posts over one connection.
struct Poster {
    socket: TcpStream,
    host: String,
    number: u64,
}

impl Poster {
    fn to(stream: &Stream) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&stream.addr, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, host: stream.addr.to_string(), number: 0 })
    }

    /// Posts what chapter 4 takes; the others publish it as it is. It ends
    /// with its number.
    fn post(&mut self) -> io::Result<()> {
        self.number += 1;
        let number = self.number;
        let text = format!("{number:.>TEXT$}");
        let body = format!(r#"{{"author":"bench","text":"{text}"}}"#);
        let request = format!(
            "POST /messages HTTP/1.1\r\nHost: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n\
             {body}",
            self.host,
            body.len(),
        );
        self.socket.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut piece = [0; 1024];
        while !is_whole(&answer)? {
            let count = self.socket.read(&mut piece)?;
            if count == 0 || answer.len() > ANSWER {
                return Err(other("a post without a whole answer"));
            }
            answer.extend_from_slice(&piece[..count]);
        }
        Ok(())
    }
}

/// Whether an answer is there, with its body. An error if it refuses.
fn is_whole(answer: &[u8]) -> io::Result<bool> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else { return Ok(false) };
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split_once(' '));
    let status = status.map_or("nothing", |(_, status)| status);
    if !status.starts_with('2') {
        return Err(other(format_args!("a post was answered {status}")));
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    // What has no length has no body, or one that would never be whole.
    Ok(answer.len() >= end + 4 + length.unwrap_or(0))
}

/// A table of what came of one plan.
#[must_use]
pub fn table(measured: &[Measured<Closed>], plan: &Plan) -> String {
    let title = format!("{} readers", grouped(plan.readers as u64));
    let names =
        [&*title, "events", "µs a delivery", "least to most", "times", "CPU"];
    let mut rows = Rows::new(&names, 1);
    let nanos = |one: &Closed| {
        u64::try_from(one.delivery.as_nanos()).unwrap_or(u64::MAX)
    };
    let least = measured.iter().find(|one| one.name == LEAST);
    let least = least.map_or(0, |least| {
        let fine: Vec<_> = least.rounds.iter().flatten().copied().collect();
        median(&fine, nanos)
    });
    for one in measured {
        let front = [one.name.clone()];
        rows.add(&front, one.missing.as_ref(), &one.rounds, |fine| {
            let [middle, both] = three(fine, 1, nanos);
            vec![
                grouped(median(fine, |one| u64::from(one.events))),
                middle,
                both,
                times(median(fine, nanos), least),
                percent(median(fine, |one| share(one.server, one.passed))),
            ]
        });
    }
    rows.text()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::is_whole;

    #[test]
    fn an_answer_is_whole_with_its_body() {
        let answer = b"HTTP/1.1 202 Accepted\r\nA: b\r\ncontent-LENGTH: 3\r\n\
                       \r\nabc";
        for length in 0..answer.len() {
            assert!(!is_whole(&answer[..length]).unwrap(), "{length}");
        }
        assert!(is_whole(answer).unwrap());
        assert!(is_whole(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap());
        let refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
        let refused = is_whole(refused).unwrap_err().to_string();
        assert_eq!(refused, "a post was answered 403 Forbidden");
    }
}

//! The crowd: many readers in one thread, which check what they are given.
//!
//! Every event of every reader is decoded and must carry the number after the
//! one before. A reader that misses one, or gets it twice, ends the
//! measurement of that server: figures of a server that loses events would be
//! no figures.
//!
//! A reader that waits in line for this thread hears late, and that is not
//! the server's fault. So each arrival says how long it can have waited at
//! most: since the poll before was asked, which did not find it.
//!
//! A thread that sleeps has to be woken, and on one machine that is work of
//! who sends: it would be measured as the server's. So the crowd can stay
//! awake while it listens, on a processor of its own.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use event_stream::{Decoder, Item};
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::body::Body;
use crate::reader::{Stream, TOGETHER, other, which};

/// How long the crowd waits for the next reader of those that it has asked
/// for: for its response, and then for its comment.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long for all of them. A server that is busy with the readers it has may
/// take no more than a few a second.
const ALL: Duration = Duration::from_mins(1);
/// Readers that one poll tells of.
const AT_ONCE: usize = 1024;
/// Bytes that one read takes.
const READ: usize = 16 * 1024;
/// The most bytes of an event.
const EVENT: usize = 16 * 1024;

/// What a reader was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The event of that number.
    Event(u64),
    /// A comment.
    Comment,
}

/// When, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Which reader, from 0.
    pub reader: usize,
    /// What it was given.
    pub heard: Heard,
    /// When it was read.
    pub at: Instant,
    /// How long it can have waited to be read, at most.
    pub in_line: Duration,
    /// When the event was due, in nanoseconds since 1970, if its data begins
    /// with that: `due 1795391234567890123, event 7`.
    pub due: Option<u64>,
}

/// Readers of one stream, open until this is dropped.
pub struct Crowd {
    stream: Stream,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    readers: Vec<Reader>,
    /// It does not sleep while it listens.
    is_awake: bool,
    /// When a poll was asked that told of all readers which had something
    /// then: the last such.
    asked: Instant,
    /// When it began to listen.
    listening: Instant,
    /// How long it has been reading what polls told of.
    reading: Duration,
}

struct Reader {
    socket: TcpStream,
    body: Body,
    decoder: Decoder,
    /// The number of the event that came last.
    last: Option<u64>,
    /// Something came since it was asked for.
    is_served: bool,
    comments: u64,
}

impl Crowd {
    /// Nobody, yet.
    ///
    /// # Errors
    /// If the system has no poll to give.
    pub fn of(stream: Stream) -> io::Result<Self> {
        Ok(Self {
            stream,
            poll: Poll::new()?,
            events: Events::with_capacity(AT_ONCE),
            buffer: vec![0; READ],
            readers: Vec::new(),
            is_awake: false,
            asked: Instant::now(),
            listening: Instant::now(),
            reading: Duration::ZERO,
        })
    }

    /// From now on it asks without end while it [listens](Self::listen), so
    /// that no server has to wake it. To be called where it has a processor
    /// of its own.
    pub fn stay_awake(&mut self) {
        self.is_awake = true;
    }

    /// How long it has been busy so far with reading and checking. The rest
    /// of the time it waited for something to read.
    #[must_use]
    pub fn reading(&self) -> Duration {
        self.reading
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.readers.len()
    }

    /// Whether nobody is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// Opens more, until there are `count`, evenly spread over a time; each
    /// then has the head of its response.
    ///
    /// # Errors
    /// If one is refused, cut off, given wrong events, or waits too long; the
    /// error says which.
    pub fn grow_to(&mut self, count: usize, over: Duration) -> io::Result<()> {
        let first = self.readers.len();
        let start = Instant::now();
        let mut patience = Patience::new("no response");
        let mut begun = first;
        while begun < count {
            let part = start.elapsed().as_secs_f64() / over.as_secs_f64();
            let is_due = self.readers.len() < count
                && self.readers.len() < begun + TOGETHER
                && part >= share(self.readers.len() - first, count - first);
            if is_due {
                self.open().map_err(which(self.readers.len()))?;
            }
            let wait = u64::from(!is_due);
            self.turn(Duration::from_millis(wait), &mut |_| ())?;
            // What is not asked for yet is not waited for.
            if begun == self.readers.len() {
                patience.is_served();
            }
            while self.readers.get(begun).is_some_and(|r| r.body.has_begun()) {
                begun += 1;
                patience.is_served();
            }
            patience.wait_for(begun)?;
        }
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let mut socket =
            std::net::TcpStream::connect_timeout(&self.stream.addr, PATIENCE)?;
        socket.write_all(self.stream.request.as_bytes())?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        let token = Token(self.readers.len());
        socket.register(self.poll.registry(), token, Interest::READABLE)?;
        self.readers.push(Reader {
            socket,
            body: Body::default(),
            decoder: Decoder::with_limit(EVENT),
            last: None,
            is_served: false,
            comments: 0,
        });
        Ok(())
    }

    /// Reads until everybody has been given a comment at least.
    ///
    /// # Errors
    /// As [`grow_to`](Self::grow_to).
    pub fn hear_comments(&mut self) -> io::Result<()> {
        let mut patience = Patience::new("no comment");
        let mut heard = 0;
        loop {
            while self.readers.get(heard).is_some_and(|r| r.comments > 0) {
                heard += 1;
                patience.is_served();
            }
            if heard == self.readers.len() {
                return Ok(());
            }
            patience.wait_for(heard)?;
            self.turn(Duration::from_millis(100), &mut |_| ())?;
        }
    }

    /// Reads for a while, and hands nothing out.
    ///
    /// # Errors
    /// As [`grow_to`](Self::grow_to).
    pub fn warm_up(&mut self, time: Duration) -> io::Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.turn(Duration::from_millis(10), &mut |_| ())?;
        }
        Ok(())
    }

    /// Reads until `is_over` says so, which is asked after every poll, and
    /// hands out what arrives.
    ///
    /// # Errors
    /// As [`grow_to`](Self::grow_to).
    pub fn listen(
        &mut self,
        mut is_over: impl FnMut() -> bool,
        mut heard: impl FnMut(Arrival),
    ) -> io::Result<()> {
        self.listening = Instant::now();
        for reader in &mut self.readers {
            reader.is_served = false;
        }
        let wait = Duration::from_millis(if self.is_awake { 0 } else { 10 });
        while !is_over() {
            self.turn(wait, &mut heard)?;
        }
        Ok(())
    }

    /// Nobody may have been left without anything since it began to
    /// [listen](Self::listen). Who was is given so much more time.
    ///
    /// # Errors
    /// As [`grow_to`](Self::grow_to).
    pub fn all_are_served(&mut self, within: Duration) -> io::Result<()> {
        let start = Instant::now();
        let mut served = 0;
        loop {
            while self.readers.get(served).is_some_and(|r| r.is_served) {
                served += 1;
            }
            if served == self.readers.len() {
                return Ok(());
            }
            if start.elapsed() >= within {
                let passed = self.listening.elapsed();
                let what = format_args!("nothing in {passed:.1?}");
                return Err(which(served)(other(what)));
            }
            self.turn(Duration::from_millis(10), &mut |_| ())?;
        }
    }

    // ANCHOR: turn
    /// Asks which readers have something, and reads it.
    fn turn(
        &mut self,
        wait: Duration,
        heard: &mut impl FnMut(Arrival),
    ) -> io::Result<()> {
        let asked = Instant::now();
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                return Ok(());
            }
            polled => polled?,
        }
        if self.events.is_empty() {
            self.asked = asked;
            return Ok(());
        }
        let found = Instant::now();
        // What is found now was not there when the poll before was asked.
        let since = self.asked;
        if self.events.iter().count() < AT_ONCE {
            self.asked = asked;
        }
        for event in &self.events {
            let Token(index) = event.token();
            let Some(reader) = self.readers.get_mut(index) else { continue };
            reader
                .read(
                    &mut self.buffer,
                    event.is_read_closed(),
                    |it, due, at| {
                        let in_line = at.saturating_duration_since(since);
                        let reader = index;
                        heard(Arrival { reader, heard: it, at, in_line, due });
                    },
                )
                .map_err(which(index))?;
        }
        self.reading += found.elapsed();
        Ok(())
    }
    // ANCHOR_END: turn
}

/// Waits no longer than it should.
struct Patience {
    what: &'static str,
    start: Instant,
    last: Instant,
}

impl Patience {
    fn new(what: &'static str) -> Self {
        let now = Instant::now();
        Self { what, start: now, last: now }
    }

    /// Somebody has got what he waits for.
    fn is_served(&mut self) {
        self.last = Instant::now();
    }

    /// An error if that reader's turn has been for too long, or all others'.
    fn wait_for(&self, reader: usize) -> io::Result<()> {
        let what = self.what;
        let error = if self.last.elapsed() > PATIENCE {
            other(format_args!("{what} in {PATIENCE:?}"))
        } else if self.start.elapsed() > ALL {
            other(format_args!("{what} yet after {ALL:?} with the others"))
        } else {
            return Ok(());
        };
        Err(which(reader)(error))
    }
}

fn share(part: usize, of: usize) -> f64 {
    let part = u32::try_from(part).map_or(f64::MAX, f64::from);
    let of = u32::try_from(of).map_or(f64::MAX, f64::from);
    part / of
}

impl Reader {
    // ANCHOR: check
    /// Reads what is there. A read that does not fill the buffer has taken
    /// all of it, and another poll tells when there is more; but of an end
    /// that was there already no poll tells again.
    fn read(
        &mut self,
        buffer: &mut [u8],
        has_ended: bool,
        mut heard: impl FnMut(Heard, Option<u64>, Instant),
    ) -> io::Result<()> {
        loop {
            let count = match self.socket.read(buffer) {
                Ok(0) => return Err(other("the server ended the connection")),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(()),
                    ErrorKind::Interrupted => continue,
                    _ => return Err(error),
                },
            };
            let at = Instant::now();
            let mut bytes = &buffer[..count];
            while let Some(mut run) =
                self.body.next(&mut bytes).map_err(other)?
            {
                while let Some(item) =
                    self.decoder.next(&mut run).map_err(other)?
                {
                    let (kind, due) = match item {
                        Item::Event(event) => {
                            let number = next(&mut self.last, event.data)?;
                            (Heard::Event(number), due(event.data))
                        }
                        Item::Comment(_) => {
                            self.comments += 1;
                            (Heard::Comment, None)
                        }
                        _ => continue,
                    };
                    self.is_served = true;
                    heard(kind, due, at);
                }
            }
            if count < buffer.len() && !has_ended {
                return Ok(());
            }
        }
    }
}

/// The number that an event's data ends with, or a text at the end of its JSON;
/// it must be the one after `last`.
fn next(last: &mut Option<u64>, data: &str) -> io::Result<u64> {
    let text = data.strip_suffix("\"}").unwrap_or(data);
    let start = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[start..]
        .parse()
        .map_err(|_| other(format_args!("no number in the event {data:?}")))?;
    let wrong = |why: fmt::Arguments<'_>| Err(other(why));
    match *last {
        Some(last) if number == last => {
            wrong(format_args!("event {number} came twice"))
        }
        Some(last) if number < last => {
            wrong(format_args!("event {number} came after event {last}"))
        }
        Some(last) if number > last + 1 => wrong(format_args!(
            "event {number} came after event {last}: {} missing",
            number - last - 1
        )),
        _ => {
            *last = Some(number);
            Ok(number)
        }
    }
}
// ANCHOR_END: check

/// The time that an event's data begins with, if it does.
fn due(data: &str) -> Option<u64> {
    data.strip_prefix("due ")?.split(',').next()?.parse().ok()
}

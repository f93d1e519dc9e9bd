//! The server: a request, an answer, and a stream of events for those who
//! asked for one.

use crate::{
    connections::{self, Connection, Log, Places},
    date::http_date,
    request::{self, Refusal, Status},
};
use event_stream::{Event, HEARTBEAT, MIME_TYPE};
use std::{
    fmt,
    io::{self, ErrorKind, Write},
    net::TcpListener,
    sync::mpsc::Receiver,
    time::{Duration, Instant, SystemTime},
};

// ANCHOR: options
/// The times and the limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// From one event to the next.
    pub every: Duration,
    /// A comment is sent when nothing else was sent for this long.
    pub heartbeat: Duration,
    /// The most readers at once; the next one is answered 503.
    pub max_readers: usize,
    /// A request head must be complete within this time, or 408.
    pub head_timeout: Duration,
    /// A reader that does not make room for an event within this time is cut
    /// off.
    pub write_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            heartbeat: Duration::from_secs(15),
            max_readers: 500,
            head_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// Connections beyond the readers: those that are still sending a request or
/// are being refused. When all are taken, the next connection waits in the
/// listener's backlog.
const SPARE_CONNECTIONS: usize = 64;
// ANCHOR_END: options

// ANCHOR: run
/// Serves until `stop` yields a message or its other end is gone; then ends
/// every stream and returns, all threads and sockets gone, within a second.
///
/// # Errors
/// If the listener's address cannot be read.
pub fn run(
    listener: &TcpListener,
    options: &Options,
    stop: &Receiver<()>,
    log: Log,
) -> io::Result<()> {
    connections::announce(listener.local_addr()?, &log);
    let places = Places::new(options.max_readers);
    let most = options.max_readers.saturating_add(SPARE_CONNECTIONS);
    connections::serve(listener, most, stop, log, |connection| {
        Peer { connection, options, places: &places }.serve();
    })
}
// ANCHOR_END: run

/// Whoever is at the other end of a connection.
struct Peer<'a> {
    connection: Connection,
    options: &'a Options,
    places: &'a Places,
}

impl Peer<'_> {
    fn say(&self, line: fmt::Arguments<'_>) {
        self.connection.say(line);
    }

    // ANCHOR: serve
    fn serve(&self) {
        let peer = self.connection.peer();
        self.say(format_args!("Connected by {peer}"));
        match self.answer() {
            Ok(()) => self.connection.close(),
            Err(error) if is_timeout(&error) => self.say(format_args!(
                "Cut off {peer}: no room for an event in {:?}",
                self.options.write_timeout
            )),
            Err(error) if has_left(&error) => {
                self.say(format_args!("Client disconnected: {peer}"));
            }
            Err(error) => self.say(format_args!("Lost {peer}: {error}")),
        }
    }

    fn answer(&self) -> io::Result<()> {
        let (options, socket) = (self.options, self.connection.socket());
        // Nagle's algorithm would hold back the second of two writes until
        // the first is acknowledged.
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(options.write_timeout))?;

        let request = match request::read(socket, options.head_timeout) {
            Ok(request) => request,
            Err(Refusal::Status(status)) => {
                return self.refuse(status, "", "", false);
            }
            Err(Refusal::Gone(error)) => return Err(error),
        };
        let is_head = request.method == "HEAD";
        match (&*request.path, &*request.method) {
            ("/events", "GET" | "HEAD") => {}
            ("/events", _) => {
                let status = (405, "Method Not Allowed");
                let allow = "Allow: GET, HEAD\r\n";
                return self.refuse(status, allow, "", is_head);
            }
            _ => {
                let status = (404, "Not Found");
                let hint = "The stream is at /events.\n";
                return self.refuse(status, "", hint, is_head);
            }
        }
        if is_head {
            return self.send(stream_head().as_bytes());
        }
        let Some(_place) = self.places.take() else {
            let status = (503, "Service Unavailable");
            let later = "Retry-After: 5\r\n";
            let why = "All places are taken: come back later.\n";
            return self.refuse(status, later, why, is_head);
        };
        self.stream(first_event(request.last_event_id.as_deref()))
    }
    // ANCHOR_END: serve

    // ANCHOR: stream
    fn stream(&self, first: u64) -> io::Result<()> {
        let Options { every, heartbeat, .. } = *self.options;
        let head = stream_head();
        self.send(head.as_bytes())?;
        head.trim_end()
            .lines()
            .for_each(|line| self.say(format_args!("{line}")));
        let mut out = Vec::new();
        for number in first..=u64::MAX {
            if self.connection.stops_within(Duration::ZERO) {
                break;
            }
            let greeting = format!("Hello! This is event {number}");
            let event = Event::new(&*greeting)
                .with_id(number.to_string())
                .map_err(io::Error::other)?;
            out.clear();
            event.encode(&mut out);
            self.send(&out)?;
            let peer = self.connection.peer();
            self.say(format_args!("Sent event {number} to {peer}: {greeting}"));

            let event_sent = Instant::now();
            let mut last_sent = event_sent;
            while event_sent.elapsed() < every {
                let until_event = every.saturating_sub(event_sent.elapsed());
                let until_idle = heartbeat.saturating_sub(last_sent.elapsed());
                if self.connection.stops_within(until_event.min(until_idle)) {
                    return Ok(());
                }
                if until_idle < until_event {
                    self.send(HEARTBEAT.as_bytes())?;
                    last_sent = Instant::now();
                }
            }
        }
        Ok(())
    }
    // ANCHOR_END: stream

    // ANCHOR: send
    /// Waits while the reader's window is full, no longer than the write
    /// timeout. Only this reader's thread waits.
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let timeout = self.options.write_timeout;
        let deadline = Instant::now() + timeout;
        let mut rest = self.send_some(bytes)?;
        if rest.is_empty() {
            return Ok(());
        }
        // A write that times out having written something is a success;
        // `write_all` would then wait all over again.
        let socket = self.connection.socket();
        while !rest.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            socket.set_write_timeout(Some(left))?;
            rest = self.send_some(rest)?;
        }
        socket.set_write_timeout(Some(timeout))
    }

    /// Sends some of `bytes`, of which there must be any; what is left.
    fn send_some<'a>(&self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        match self.connection.socket().write(bytes) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(written) => Ok(&bytes[written..]),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(bytes),
            Err(error) => Err(error),
        }
    }
    // ANCHOR_END: send

    fn refuse(
        &self,
        (code, phrase): Status,
        fields: &str,
        hint: &str,
        is_head: bool,
    ) -> io::Result<()> {
        self.say(format_args!(
            "Refused {}: {code} {phrase}",
            self.connection.peer()
        ));
        let body = format!("{code} {phrase}\n{hint}");
        let head = format!(
            "HTTP/1.1 {code} {phrase}\r\n\
             Date: {}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\n\
             {fields}\
             Connection: close\r\n\r\n",
            http_date(SystemTime::now()),
            body.len(),
        );
        self.send(head.as_bytes())?;
        if is_head { Ok(()) } else { self.send(body.as_bytes()) }
    }
}

// ANCHOR: head
/// The head of the stream's response. There is no `Content-Length` and no
/// transfer coding: the body ends where the connection does (RFC 9112 §6.3).
fn stream_head() -> String {
    format!(
        "HTTP/1.1 200 OK\r\n\
         Date: {}\r\n\
         Content-Type: {MIME_TYPE}\r\n\
         Cache-Control: no-cache, no-transform\r\n\
         X-Accel-Buffering: no\r\n\
         Access-Control-Allow-Origin: *\r\n\
         Connection: close\r\n\r\n",
        http_date(SystemTime::now()),
    )
}

/// The event after the one that the reader had last, or the first if it had
/// none or names one that this server cannot have sent.
#[must_use]
pub fn first_event(last_event_id: Option<&str>) -> u64 {
    last_event_id
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|id| id.parse::<u64>().ok())
        .and_then(|number| number.checked_add(1))
        .unwrap_or(1)
}
// ANCHOR_END: head

fn has_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::UnexpectedEof
    )
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

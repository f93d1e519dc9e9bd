//! The client: connects, reads events, and connects again as the standard
//! says.

use crate::{
    response::{Head, Malformed},
    url::{Url, UrlError},
};
use event_stream::{
    Decoder, Failure, Item, LimitExceeded, Reconnection, Verdict,
};
use std::{
    error::Error,
    fmt,
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

/// The most redirects in a row, as a browser's fetch has it.
const MAX_REDIRECTS: usize = 20;
/// What connecting to one address may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long [`read_within`] waits for a server.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the request to the head of its response, interim responses
    /// included. Connecting has a time of its own: 10 seconds an address.
    pub head: Duration,
    /// From one piece of the body to the next.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// 30 seconds for a head, and a minute of silence: a server that sends a
    /// heartbeat every 15 seconds has missed four.
    fn default() -> Self {
        Self { head: Duration::from_secs(30), idle: Duration::from_mins(1) }
    }
}

// ANCHOR: notice
/// What happens while a stream is read, in the order it happens.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A connection is about to be made.
    Connecting(&'a Url),
    /// A head went out or came in: the request's, or the response's.
    Head(&'a str),
    /// The response is an event stream.
    Open,
    /// An event arrived, or something less: see [`Item`].
    Item(Item<&'a str>),
    /// The connection is gone; there will be another after `wait`.
    Lost {
        /// What happened.
        why: Lost,
        /// How long until the next connection.
        wait: Duration,
    },
    /// Nothing happens: asked once a second while waiting to connect, so that
    /// the caller can break off.
    Waiting,
}

/// Why a connection is over. The client reconnects.
#[derive(Debug)]
pub enum Lost {
    /// The server ended the stream.
    Ended,
    /// The connection was closed before the body was complete.
    Cut,
    /// The connection broke, or could not be made, or fell silent.
    Io(io::Error),
    /// What came is not HTTP/1.
    Malformed(Malformed),
}
// ANCHOR_END: notice

/// Why the client gave up.
#[derive(Debug)]
pub enum GivenUp {
    /// The URL, or one that it was redirected to, cannot be read.
    Url(UrlError),
    /// The response is not an event stream.
    Failure(Failure),
    /// An event is too large; it would be the next time, too.
    Limit(LimitExceeded),
    /// More than 20 redirects, or one without a `Location`.
    Redirects,
    /// The body has a content coding, though `identity` was asked for.
    Encoded,
}

/// As [`read_within`], from the beginning, with the usual [`Timeouts`].
///
/// # Errors
/// If it gave up.
pub fn read(
    url: &str,
    on: impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<(), GivenUp> {
    read_within(url, "", Timeouts::default(), on)
}

// ANCHOR: read
/// Reads the stream at `url` until `on` breaks off, the server says to stop
/// (204), or there is no point in going on. Sleeps between connections. It
/// begins behind the event with the last event ID, if that is not empty.
///
/// # Errors
/// If it gave up.
pub fn read_within(
    url: &str,
    last_event_id: &str,
    timeouts: Timeouts,
    mut on: impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<(), GivenUp> {
    let url = Url::parse(url)?;
    let started = Instant::now();
    let mut rules = Reconnection::new(RandomState::new().hash_one(()));
    rules.item(&Item::LastEventId(last_event_id));
    loop {
        let end = connect(&url, &mut rules, timeouts, started, &mut on)?;
        let End::Lost(why) = end else { return Ok(()) };
        let wait = rules.lost(started.elapsed());
        if on(Notice::Lost { why, wait }).is_break() {
            return Ok(());
        }
        if pause(wait, || on(Notice::Waiting)).is_break() {
            return Ok(());
        }
    }
}

/// Sleeps for `wait`, and asks once a second whether to go on.
pub fn pause(
    mut wait: Duration,
    mut ask: impl FnMut() -> ControlFlow<()>,
) -> ControlFlow<()> {
    while !wait.is_zero() {
        let step = wait.min(Duration::from_secs(1));
        thread::sleep(step);
        wait -= step;
        ask()?;
    }
    ControlFlow::Continue(())
}

enum End {
    Lost(Lost),
    Stopped,
}
// ANCHOR_END: read

// ANCHOR: connect
/// One connection, redirects and all, from the request to its end.
fn connect(
    url: &Url,
    rules: &mut Reconnection,
    timeouts: Timeouts,
    started: Instant,
    on: &mut impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<End, GivenUp> {
    let mut url = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        if on(Notice::Connecting(&url)).is_break() {
            return Ok(End::Stopped);
        }
        let response = match exchange(&url, rules, timeouts.head, on) {
            Ok(Some(response)) => response,
            Ok(None) => return Ok(End::Stopped),
            Err(lost) => return Ok(End::Lost(lost)),
        };
        let head = &response.head;
        if matches!(head.status, 301 | 302 | 303 | 307 | 308) {
            let location = head.location.as_deref();
            url = url.join(location.ok_or(GivenUp::Redirects)?)?;
            continue;
        }
        let content_type = head.content_type.as_deref();
        return match rules.response(
            head.status,
            content_type,
            started.elapsed(),
        ) {
            Verdict::Read if head.is_encoded => Err(GivenUp::Encoded),
            Verdict::Read => stream(response, rules, timeouts.idle, on),
            Verdict::Stop => Ok(End::Stopped),
            Verdict::Fail(failure) => Err(GivenUp::Failure(failure)),
        };
    }
    Err(GivenUp::Redirects)
}
// ANCHOR_END: connect

struct Response {
    socket: TcpStream,
    head: Head,
    /// What came behind the head with the same read.
    rest: Vec<u8>,
}

/// Sends the request and reads the response head; `None` if `on` broke off.
fn exchange(
    url: &Url,
    rules: &Reconnection,
    timeout: Duration,
    on: &mut impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<Option<Response>, Lost> {
    let mut socket = dial(url)?;

    let started = Instant::now();
    socket.set_write_timeout(Some(timeout))?;
    let mut request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Accept-Encoding: identity\r\n",
        url.target, url.authority
    );
    for (name, value) in rules.headers() {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    socket.write_all(request.as_bytes())?;
    if on(Notice::Head(&request)).is_break() {
        return Ok(None);
    }

    let mut bytes = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(io::Error::from(ErrorKind::TimedOut).into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = read_some(&mut socket, &mut piece)?;
        if length == 0 {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        let searched = bytes.len();
        bytes.extend_from_slice(&piece[..length]);
        if let Some((head, end)) = Head::parse(&bytes, searched)? {
            let rest = bytes.split_off(end);
            let text = String::from_utf8_lossy(&bytes);
            if on(Notice::Head(&text)).is_break() {
                return Ok(None);
            }
            return Ok(Some(Response { socket, head, rest }));
        }
    }
}

/// Tries each address of the host in turn.
fn dial(url: &Url) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the host name has no address");
    for addr in url.host_and_port().to_socket_addrs()? {
        match TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

// ANCHOR: stream
/// Reads the body to its end: out of its framing, then into events.
fn stream(
    response: Response,
    rules: &mut Reconnection,
    timeout: Duration,
    on: &mut impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<End, GivenUp> {
    if on(Notice::Open).is_break() {
        return Ok(End::Stopped);
    }
    let Response { mut socket, head, rest } = response;
    if let Err(error) = socket.set_read_timeout(Some(timeout)) {
        return Ok(End::Lost(error.into()));
    }
    let mut body = head.body();
    let id = rules.last_event_id();
    let mut decoder = Decoder::new().with_last_event_id(id);
    let mut buffer = [0; 16 * 1024];
    let mut bytes = &*rest;
    loop {
        loop {
            let mut chunk = match body.next(&mut bytes) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Ok(End::Lost(error.into())),
            };
            while let Some(item) = decoder.next(&mut chunk)? {
                rules.item(&item);
                if on(Notice::Item(item)).is_break() {
                    return Ok(End::Stopped);
                }
            }
        }
        if body.has_ended() {
            return Ok(End::Lost(Lost::Ended));
        }
        bytes = match read_some(&mut socket, &mut buffer) {
            Ok(0) if body.ends_with_connection() => {
                return Ok(End::Lost(Lost::Ended));
            }
            Ok(0) => return Ok(End::Lost(Lost::Cut)),
            Ok(length) => &buffer[..length],
            Err(error) => return Ok(End::Lost(error.into())),
        };
    }
}
// ANCHOR_END: stream

fn read_some(socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // What a read timeout is called differs between systems.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(ErrorKind::TimedOut.into());
            }
            read => return read,
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => write!(f, "the server ended the stream"),
            Self::Cut => write!(f, "the stream was cut"),
            Self::Io(error) => match error.kind() {
                ErrorKind::TimedOut => {
                    write!(f, "nothing came in time")
                }
                ErrorKind::UnexpectedEof => {
                    write!(f, "the server closed before it answered")
                }
                _ => write!(f, "{error}"),
            },
            Self::Malformed(error) => write!(f, "{error}"),
        }
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => write!(f, "{error}"),
            Self::Failure(failure) => write!(f, "{failure}"),
            Self::Limit(error) => write!(f, "{error}"),
            Self::Encoded => {
                write!(f, "the response is compressed, unasked")
            }
            Self::Redirects => {
                write!(f, "redirected without end or without a Location")
            }
        }
    }
}

impl Error for GivenUp {}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for Lost {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

impl From<UrlError> for GivenUp {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

impl From<LimitExceeded> for GivenUp {
    fn from(error: LimitExceeded) -> Self {
        Self::Limit(error)
    }
}

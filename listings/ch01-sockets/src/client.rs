//! The client: connects, reads events, and connects again as the standard
//! says.

use crate::{
    response::{Head, Malformed},
    url::{Url, UrlError},
};
use event_stream::{
    Decoder, Failure, Item, LimitExceeded, Reconnection, Refusal, Verdict,
};
use std::{
    borrow::Cow,
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
/// What reading the body of a refusal may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long [`read_with`] waits for a server.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the request to the head of its response, interim responses
    /// included; `None` for any time. Connecting has a time of its own: 10
    /// seconds an address. Looking up the host's name takes what the system's
    /// resolver takes.
    pub head: Option<Duration>,
    /// From one piece of the body to the next; `None` for any time.
    pub idle: Option<Duration>,
}

impl Default for Timeouts {
    /// 30 seconds for a head, and a minute of silence: a server that sends a
    /// heartbeat every 15 seconds has missed four.
    fn default() -> Self {
        Self {
            head: Some(Duration::from_secs(30)),
            idle: Some(Duration::from_mins(1)),
        }
    }
}

// ANCHOR: notice
/// What happens while a stream is read, in the order it happens.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A connection is about to be made.
    Connecting(&'a Url),
    /// A head went out or came in: the request's, or the response's. What may
    /// be a secret is not in it.
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
    /// The server ended the stream within an event, which is dropped.
    Unfinished,
    /// The connection was closed before the body was complete.
    Cut,
    /// No response head came in time: see [`Timeouts`].
    NoHead,
    /// The stream was silent for too long: see [`Timeouts`].
    Silent,
    /// The connection broke, or could not be made.
    Io(io::Error),
    /// The framing of the body broke.
    Malformed(Malformed),
    /// The response is not an event stream, and its status is one to come back
    /// from: [`Reconnection::with_retried_statuses`].
    Refused(Refusal),
}
// ANCHOR_END: notice

/// Why the client gave up.
#[derive(Debug)]
pub enum GivenUp {
    /// The URL, or one that it was redirected to, cannot be read.
    Url(UrlError),
    /// The response is not an event stream.
    Refused(Refusal),
    /// The response is not HTTP/1, or its framing cannot be read; nor would
    /// that of the next.
    Malformed(Malformed),
    /// An event is too large; it would be the next time, too.
    Limit(LimitExceeded),
    /// More than 20 redirects, or one without a `Location`.
    Redirects,
}

/// A seed for [`Reconnection::new`], another for each call.
#[must_use]
pub fn seed() -> u64 {
    RandomState::new().hash_one(())
}

/// As [`read_with`], from the beginning, with the usual rules and
/// [`Timeouts`].
///
/// # Errors
/// If it gave up.
pub fn read(
    url: &str,
    on: impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<(), GivenUp> {
    read_with(url, Reconnection::new(seed()), Timeouts::default(), on)
}

// ANCHOR: read
/// Reads the stream at `url` until `on` breaks off, the server says to stop
/// (204), or there is no point in going on. Sleeps between connections. The
/// rules may begin with a last event ID.
///
/// # Errors
/// If it gave up.
pub fn read_with(
    url: &str,
    mut rules: Reconnection,
    timeouts: Timeouts,
    mut on: impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<(), GivenUp> {
    let url = Url::parse(url)?;
    let started = Instant::now();
    loop {
        let end = connect(&url, &mut rules, timeouts, started, &mut on)?;
        let now = started.elapsed();
        let (why, wait) = match end {
            End::Stopped => return Ok(()),
            End::Refused(refusal, wait) => (Lost::Refused(refusal), wait),
            End::Lost(why @ (Lost::Ended | Lost::Unfinished)) => {
                (why, rules.ended(now))
            }
            End::Lost(why) => (why, rules.lost(now)),
        };
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
    Refused(Refusal, Duration),
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
            Ok(Ok(Some(response))) => response,
            Ok(Ok(None)) => return Ok(End::Stopped),
            Ok(Err(malformed)) => return Err(GivenUp::Malformed(malformed)),
            Err(lost) => return Ok(End::Lost(lost)),
        };
        let head = &response.head;
        if matches!(head.status, 301 | 302 | 303 | 307 | 308) {
            let location = head.field("Location");
            url = url.join(location.ok_or(GivenUp::Redirects)?)?;
            continue;
        }
        let fields = head.fields.iter().map(|(name, value)| (name, value));
        let now = started.elapsed();
        return match rules.response(head.status, fields, now) {
            Verdict::Read => stream(response, rules, timeouts.idle, on),
            Verdict::Stop => Ok(End::Stopped),
            Verdict::Fail(failure) => {
                Err(GivenUp::Refused(refusal(failure, response)))
            }
            Verdict::Retry { failure, wait } => {
                Ok(End::Refused(refusal(failure, response), wait))
            }
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
    timeout: Option<Duration>,
    on: &mut impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<Result<Option<Response>, Malformed>, Lost> {
    let mut socket = dial(url)?;

    let started = Instant::now();
    socket.set_write_timeout(timeout)?;
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
        return Ok(Ok(None));
    }

    let mut bytes = Vec::new();
    let mut piece = [0; 2048];
    loop {
        if let Some(timeout) = timeout {
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Lost::NoHead);
            }
            socket.set_read_timeout(Some(left))?;
        }
        let length = match read_some(&mut socket, &mut piece) {
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                return Err(Lost::NoHead);
            }
            read => read?,
        };
        if length == 0 {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        let searched = bytes.len();
        bytes.extend_from_slice(&piece[..length]);
        let (head, end) = match Head::parse(&bytes, searched) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => continue,
            Err(malformed) => return Ok(Err(malformed)),
        };
        let rest = bytes.split_off(end);
        let text = without_secrets(&String::from_utf8_lossy(&bytes));
        let is_wanted = on(Notice::Head(&text)).is_continue();
        return Ok(Ok(is_wanted.then_some(Response { socket, head, rest })));
    }
}

/// A head without the values that let whoever reads them in: what is printed
/// is often kept.
fn without_secrets(head: &str) -> String {
    let mut shown = String::with_capacity(head.len());
    for line in head.split_inclusive('\n') {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name.eq_ignore_ascii_case("Set-Cookie") {
            shown.extend([name, ": (not shown)\r\n"]);
        } else if name.eq_ignore_ascii_case("Location") {
            shown.extend([name, ":", &without_user(value)]);
        } else {
            shown.push_str(line);
        }
    }
    shown
}

/// A URL without the user and the password that it may have.
fn without_user(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("//") else {
        return Cow::Borrowed(url);
    };
    let authority =
        rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}//{}", &rest[at + 1..])),
        None => Cow::Borrowed(url),
    }
}

// ANCHOR: refusal
/// The failure with the first of the body that explains it: as much as a
/// [`Refusal`] keeps, and what comes in time.
fn refusal(failure: Failure, response: Response) -> Refusal {
    let Response { mut socket, head, rest } = response;
    let mut body = head.body();
    let started = Instant::now();
    let mut kept = Vec::new();
    let mut buffer = [0; Refusal::MAX_BODY];
    let mut bytes = &*rest;
    while failure.is_explained() {
        while let Ok(Some(chunk)) = body.next(&mut bytes) {
            kept.extend_from_slice(chunk);
        }
        let left = REFUSAL_TIMEOUT.saturating_sub(started.elapsed());
        let is_enough = body.has_ended() || kept.len() > Refusal::MAX_BODY;
        // A body that breaks is worth what came of it.
        if is_enough
            || left.is_zero()
            || socket.set_read_timeout(Some(left)).is_err()
        {
            break;
        }
        bytes = match read_some(&mut socket, &mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => &buffer[..length],
        };
    }
    Refusal::new(failure, &kept)
}
// ANCHOR_END: refusal

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
    timeout: Option<Duration>,
    on: &mut impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<End, GivenUp> {
    if on(Notice::Open).is_break() {
        return Ok(End::Stopped);
    }
    let Response { mut socket, head, rest } = response;
    if let Err(error) = socket.set_read_timeout(timeout) {
        return Ok(End::Lost(error.into()));
    }
    let mut body = head.body();
    let id = rules.last_event_id();
    let mut decoder = Decoder::new().with_last_event_id(id);
    let mut is_good = false;
    let mut buffer = [0; 16 * 1024];
    let mut bytes = &*rest;
    loop {
        loop {
            let mut chunk = match body.next(&mut bytes) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // A framing that was good and broke may be good again.
                Err(error) if is_good => {
                    return Ok(End::Lost(Lost::Malformed(error)));
                }
                Err(error) => return Err(GivenUp::Malformed(error)),
            };
            while let Some(item) = decoder.next(&mut chunk)? {
                is_good = true;
                rules.item(&item);
                if on(Notice::Item(item)).is_break() {
                    return Ok(End::Stopped);
                }
            }
        }
        let length = if body.has_ended() {
            0
        } else {
            match read_some(&mut socket, &mut buffer) {
                Ok(0) if !body.ends_with_connection() => {
                    return Ok(End::Lost(Lost::Cut));
                }
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Ok(End::Lost(Lost::Silent));
                }
                Err(error) => return Ok(End::Lost(error.into())),
            }
        };
        if length == 0 {
            let unfinished = decoder.is_unfinished();
            let why = if unfinished { Lost::Unfinished } else { Lost::Ended };
            return Ok(End::Lost(why));
        }
        bytes = &buffer[..length];
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
            Self::Unfinished => write!(
                f,
                "the server ended the stream within an event, which is dropped"
            ),
            Self::Cut => write!(f, "the stream was cut"),
            Self::NoHead => write!(f, "no response came in time"),
            Self::Silent => write!(f, "nothing came in time"),
            Self::Io(error) => match error.kind() {
                ErrorKind::TimedOut => write!(f, "could not connect in time"),
                ErrorKind::UnexpectedEof => {
                    write!(f, "the server closed before it answered")
                }
                _ => write!(f, "{error}"),
            },
            Self::Malformed(error) => write!(f, "{error}"),
            Self::Refused(refusal) => write!(f, "{refusal}"),
        }
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => write!(f, "{error}"),
            Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::Malformed(error) => write!(f, "{error}"),
            Self::Limit(error) => write!(f, "{error}"),
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

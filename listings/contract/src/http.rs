//! A plain HTTP/1.1 peer over TCP, either side of it. It says what it is
//! told, right or wrong, and keeps the first bytes of both directions to show
//! them.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use event_stream::{Decoder, Item, MessageEvent};

use crate::Failure;
use crate::tls::{Stream, Trust};

/// What stands in place of a value that may be a secret.
pub(crate) const HIDDEN: &str = "(not shown)";

/// How many bytes of each direction a failure shows.
pub(crate) const SHOWN: usize = 400;

/// The longest head taken unless a connection says otherwise, and the longest
/// line of a chunked body.
pub const MAX_HEAD: usize = 16 * 1024;

/// The most interim responses taken before a final one.
pub const MAX_INTERIM: usize = 20;

/// `http://HOST[:PORT][/PATH]`, or `https://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether it is `https`.
    pub secure: bool,
    /// Host and port: what `Host` carries.
    pub authority: String,
    /// Path and query: the request target.
    pub target: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("http://")
            .map(|rest| (false, rest))
            .or_else(|| Some((true, text.strip_prefix("https://")?)));
        let Some((secure, rest)) = rest else {
            // There may be a password in it.
            let shown = if text.contains('@') { "…" } else { text };
            return Err(format!(
                "not a URL of the form http://host:port/path: {shown:?}"
            ));
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(split);
        if authority.contains('@') {
            return Err("no user and password are taken from a URL; send \
                        the field `Authorization` instead"
                .into());
        }
        let bad = |c: char| c.is_whitespace() || c.is_control();
        if authority.is_empty()
            || authority.starts_with(':')
            || authority.contains(bad)
        {
            return Err(format!("no host in {text:?}"));
        }
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        if let Some(port) = port.filter(|port| !port.ends_with(']'))
            && port.parse::<u16>().is_err()
        {
            return Err(format!("not a port: {port:?}"));
        }
        if target.contains(|c: char| c == ' ' || c.is_control()) {
            return Err(format!("a blank or control character in {text:?}"));
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            secure,
            authority: authority.to_owned(),
            target: format!("{slash}{target}"),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.secure { "s" } else { "" };
        write!(f, "http{s}://{}{}", self.authority, self.target)
    }
}

impl Url {
    /// The host, and the port if there is one. An IPv6 address, which has
    /// colons too, stands in brackets.
    fn parts(&self) -> (&str, Option<&str>) {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (&self.authority, None),
        }
    }

    /// The port; 80 or, for `https`, 443 if none is given.
    #[must_use]
    pub fn port(&self) -> u16 {
        let default = if self.secure { 443 } else { 80 };
        let port = self.parts().1.and_then(|port| port.parse().ok());
        port.unwrap_or(default)
    }

    /// Connects, and gives the whole conversation `limit` to end. For `https`
    /// the certificates of the system are trusted.
    ///
    /// # Errors
    /// If there is no such host, or nobody listens, or TLS fails.
    pub fn connect(&self, limit: Duration) -> Result<Connection, Failure> {
        self.connect_with(limit, None)
    }

    /// As [`connect`](Self::connect), with what is trusted.
    ///
    /// # Errors
    /// As there.
    pub fn connect_with(
        &self,
        limit: Duration,
        trust: Option<&Trust>,
    ) -> Result<Connection, Failure> {
        let system;
        let trust = match trust {
            _ if !self.secure => None,
            Some(trust) => Some(trust),
            None => {
                system = Trust::system().map_err(Failure::new)?;
                Some(&system)
            }
        };
        let (host, _) = self.parts();
        let address = format!("{host}:{}", self.port());
        let cannot = |error: io::Error| {
            Failure::new(format!("cannot connect to {address}: {error}"))
        };
        let mut tried = Failure::new(format!("no address for {address}"));
        for address in address.to_socket_addrs().map_err(cannot)? {
            let tcp = match TcpStream::connect_timeout(&address, limit) {
                Ok(tcp) => tcp,
                Err(error) => {
                    tried = cannot(error);
                    continue;
                }
            };
            let Some(trust) = trust else {
                return Connection::new(tcp, limit);
            };
            let stream = trust.over(tcp, host).map_err(cannot)?;
            return Connection::over(stream, limit)?.shake_hands();
        }
        Err(tried)
    }
}

/// A header field of the caller's own. Its value may be a secret: `Debug`
/// does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What the checks say themselves.
const RESERVED: [&str; 5] = [
    "Connection",
    "Content-Length",
    "Host",
    "Last-Event-ID",
    "Transfer-Encoding",
];

impl FromStr for Field {
    type Err = String;

    /// From `Name: value`. The error does not show the value.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once(':').ok_or("a field has the form `Name: value`")?;
        let in_name = |byte: u8| {
            byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
        };
        if name.is_empty() || !name.bytes().all(in_name) {
            return Err("the name of a field is a token".into());
        }
        if RESERVED.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(format!("the checks themselves send {name}"));
        }
        let value = value.trim_matches([' ', '\t']);
        if value.contains(|c: char| c.is_control() && c != '\t') {
            return Err(format!("a control character in the value of {name}"));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {HIDDEN}", self.name)
    }
}

// ANCHOR: connection
/// A connection with a deadline for all of it. A failure shows the first
/// bytes that went each way.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    deadline: Instant,
    limit: Duration,
    /// However it ends is an end.
    any_end: bool,
    /// The longest head taken, in bytes.
    pub max_head: usize,
    /// How many times something came.
    pub reads: usize,
    /// Came, and not used yet.
    input: Vec<u8>,
    sent: Vec<u8>,
    came: Vec<u8>,
}
// ANCHOR_END: connection

impl Connection {
    /// Over a stream that was connected or accepted.
    ///
    /// # Errors
    /// If the system refuses the stream's settings.
    pub fn new(stream: TcpStream, limit: Duration) -> Result<Self, Failure> {
        Self::over(Stream::Plain(stream), limit)
    }

    fn over(stream: Stream, limit: Duration) -> Result<Self, Failure> {
        let tcp = stream.tcp();
        let ready = tcp.set_nonblocking(false).and(tcp.set_nodelay(true));
        ready.map_err(|error| Failure::new(error.to_string()))?;
        Ok(Self {
            stream,
            deadline: Instant::now() + limit,
            limit,
            any_end: false,
            max_head: MAX_HEAD,
            reads: 0,
            input: Vec::new(),
            sent: Vec::new(),
            came: Vec::new(),
        })
    }

    fn shake_hands(mut self) -> Result<Self, Failure> {
        loop {
            let left = self.left()?;
            match self.timed(left, Stream::shake_hands) {
                Ok(true) => return Ok(self),
                Ok(false) => {}
                Err(error) if waits(&error) => {}
                Err(error) => return Err(self.fail(format!("TLS: {error}"))),
            }
        }
    }

    /// Whether TLS stands between it and TCP. Then how the connection below
    /// ends is not looked at.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.stream.is_secure()
    }

    /// Does this with the stream, and waits for no read and no write in it
    /// longer than `time`.
    fn timed<T>(
        &mut self,
        time: Duration,
        run: impl FnOnce(&mut Stream) -> io::Result<T>,
    ) -> io::Result<T> {
        let tcp = self.stream.tcp();
        let time = Some(time.max(Duration::from_millis(1)));
        tcp.set_read_timeout(time)?;
        tcp.set_write_timeout(time)?;
        run(&mut self.stream)
    }

    /// Over the next connection to `listener`, if one comes within `limit`.
    ///
    /// # Errors
    /// If none comes.
    pub fn accept(
        listener: &TcpListener,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let deadline = Instant::now() + limit;
        let failed = |error: io::Error| Failure::new(error.to_string());
        listener.set_nonblocking(true).map_err(failed)?;
        loop {
            match listener.accept() {
                Ok((stream, _)) => return Self::new(stream, limit),
                Err(error) if !waits(&error) => return Err(failed(error)),
                Err(_) if Instant::now() > deadline => {
                    let why = format!("nobody connected within {limit:?}");
                    return Err(Failure::new(why));
                }
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Gives what follows the whole limit anew.
    pub fn extend(&mut self) {
        self.deadline = Instant::now() + self.limit;
    }

    /// Gives what follows so much time, and no more.
    pub fn limit_to(&mut self, limit: Duration) {
        self.limit = limit;
        self.extend();
    }

    /// A failure that shows what went over this connection.
    pub fn fail(&self, why: impl Into<String>) -> Failure {
        Failure {
            why: why.into(),
            sent: self.sent.clone(),
            came: self.came.clone(),
        }
    }

    /// Sends bytes as they are, in one write where the system takes them.
    ///
    /// # Errors
    /// If the other side has closed or does not read until the deadline.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
        let mut bytes = bytes.as_ref();
        remember(&mut self.sent, bytes);
        while !bytes.is_empty() {
            let left = self.left()?;
            match self.timed(left, |stream| stream.write(bytes)) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if waits(&error) => {}
                Err(error) => {
                    return Err(self.fail(format!("cannot send: {error}")));
                }
            }
        }
        loop {
            let left = self.left()?;
            match self.timed(left, Stream::flush) {
                Ok(()) => return Ok(()),
                Err(error) if waits(&error) => {}
                Err(error) => {
                    return Err(self.fail(format!("cannot send: {error}")));
                }
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn end(&mut self) {
        // Fails if the other side is gone, which reading will tell.
        let _ = self.stream.end();
    }

    /// Leaves as a process that is killed does: waits until something has come
    /// and closes without reading it, which resets the connection.
    ///
    /// # Errors
    /// If nothing comes until the deadline.
    pub fn reset(self) -> Result<(), Failure> {
        loop {
            let left = self.left()?;
            let tcp = self.stream.tcp();
            let came = tcp
                .set_read_timeout(Some(left))
                .and_then(|()| tcp.peek(&mut [0]));
            match came {
                Ok(_) => return Ok(()),
                Err(error) if waits(&error) => {}
                Err(error) => return Err(self.fail(error.to_string())),
            }
        }
    }

    /// Reads once; 0 is the end of the stream.
    ///
    /// # Errors
    /// At the deadline, and if the connection is reset.
    pub fn read(&mut self) -> Result<usize, Failure> {
        loop {
            let left = self.left()?;
            if let Some(count) = self.read_within(left)? {
                return Ok(count);
            }
        }
    }

    /// Reads once, but waits no longer than `time`; `None` if nothing came.
    ///
    /// # Errors
    /// If the connection is reset.
    pub fn read_within(
        &mut self,
        time: Duration,
    ) -> Result<Option<usize>, Failure> {
        let mut piece = [0; 16 * 1024];
        match self.timed(time, |stream| stream.read(&mut piece)) {
            Ok(count) => {
                self.reads += 1;
                remember(&mut self.came, &piece[..count]);
                self.input.extend_from_slice(&piece[..count]);
                Ok(Some(count))
            }
            Err(error) if waits(&error) => Ok(None),
            Err(_) if self.any_end => Ok(Some(0)),
            Err(error) => Err(self.fail(format!(
                "the connection was broken off, not ended: {error}"
            ))),
        }
    }

    fn left(&self) -> Result<Duration, Failure> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let limit = self.limit;
            return Err(self.fail(format!("waited {limit:?} in vain")));
        }
        Ok(left)
    }

    /// Takes a head off the input: a request's or a response's.
    ///
    /// # Errors
    /// If it is not one, is longer than `max_head`, or does not come.
    pub fn head(&mut self) -> Result<Head, Failure> {
        let end = loop {
            let found = self.input.windows(4).position(|w| w == b"\r\n\r\n");
            if let Some(end) = found {
                break end;
            }
            if self.input.len() > self.max_head {
                let limit = self.max_head;
                let why = format!("the head is longer than {limit} bytes");
                return Err(self.fail(why));
            }
            if self.read()? == 0 {
                return Err(self.fail("it ended before its head did"));
            }
        };
        let rest = self.input.split_off(end + 4);
        let head = std::mem::replace(&mut self.input, rest);
        Head::parse(&head[..end]).map_err(|why| self.fail(why))
    }

    /// Takes a response's head, and readies its body for reading. Interim
    /// responses before it are skipped (RFC 9110 §15.2), but not a 101, which
    /// nothing of HTTP follows.
    ///
    /// # Errors
    /// As [`head`](Self::head), if it is no response, and if more than
    /// [`MAX_INTERIM`] interim ones come.
    pub fn response(mut self) -> Result<Response, Failure> {
        let mut interim = 0;
        let (status, head) = loop {
            let head = self.head()?;
            let status = head
                .start
                .strip_prefix("HTTP/1.")
                .and_then(|rest| rest.get(2..5))
                .and_then(|status| status.parse().ok());
            let Some(status) = status else {
                let why = format!("not a status line: {:?}", head.start);
                return Err(self.fail(why));
            };
            if status == 101 || !(100..200).contains(&status) {
                break (status, head);
            }
            interim += 1;
            if interim > MAX_INTERIM {
                return Err(self.fail("the interim responses do not end"));
            }
        };
        let framing = head.framing(status).map_err(|why| self.fail(why))?;
        Ok(Response {
            connection: self,
            status,
            head,
            interim,
            framing,
            started: false,
        })
    }

    /// How many bytes came and were not used yet.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.input.len()
    }

    /// Sends nothing more, reads to the end, and counts what comes. Below TLS
    /// any end will do: whoever ends the TLS need not be the server.
    ///
    /// # Errors
    /// If that is no proper end, or too late.
    pub fn rest(&mut self) -> Result<usize, Failure> {
        self.end();
        self.any_end = self.is_secure();
        let mut count = self.input.len();
        loop {
            match self.read()? {
                0 => return Ok(count),
                more => count += more,
            }
            self.input.clear();
        }
    }

    /// Takes a line that CRLF ends, as chunked bodies have them.
    fn line(&mut self) -> Result<String, Failure> {
        loop {
            if let Some(end) = self.input.windows(2).position(|w| w == b"\r\n")
            {
                let rest = self.input.split_off(end + 2);
                let line = std::mem::replace(&mut self.input, rest);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.input.len() > MAX_HEAD {
                return Err(self.fail("a chunk's first line has no end"));
            }
            if self.read()? == 0 {
                return Err(self.fail("it ended before its last chunk"));
            }
        }
    }
}

/// A read that waited long enough: the error differs by platform.
fn waits(error: &io::Error) -> bool {
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// Keeps one byte more than is shown, so that showing knows of the cut.
fn remember(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = (SHOWN + 1).saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// The start line and the fields of a request or response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The request line or status line.
    pub start: String,
    /// Names and values, white space trimmed off the values. Bytes that are
    /// not UTF-8 are replaced.
    pub fields: Vec<(String, String)>,
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line
                .split_once(':')
                .filter(|(name, _)| {
                    !name.is_empty() && !name.contains([' ', '\t'])
                })
                .ok_or_else(|| format!("not a field line: {line:?}"))?;
            let value = value.trim_matches([' ', '\t']);
            fields.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self { start, fields })
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// What all fields of this name list, without the blanks around it.
    fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .map(|item| item.trim_matches([' ', '\t']))
    }

    /// Whether a field of this name lists `token`, whatever its parameters.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.list(name)
            .map(|item| item.split([';', '=']).next().unwrap_or_default())
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    /// How the body of a response with this head ends, RFC 9112 §6.3.
    fn framing(&self, status: u16) -> Result<Framing, String> {
        if matches!(status, 101 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        let codings: Vec<_> = self.list("Transfer-Encoding").collect();
        match *codings {
            [] => {}
            [one] if one.eq_ignore_ascii_case("chunked") => {
                return Ok(Framing::Chunked(0));
            }
            _ => {
                let codings = codings.join(", ");
                return Err(format!("the Transfer-Encoding is {codings:?}"));
            }
        }
        let mut lengths = self.list("Content-Length");
        let Some(length) = lengths.next() else {
            return Ok(Framing::UntilClose);
        };
        let digits = length.bytes().all(|byte| byte.is_ascii_digit());
        if !lengths.all(|other| other == length) {
            return Err("two values of Content-Length".into());
        }
        match length.parse() {
            Ok(length) if digits => Ok(Framing::Length(length)),
            _ => Err(format!("Content-Length is no number: {length:?}")),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    /// So much of the current chunk is to come.
    Chunked(u64),
    Length(u64),
    UntilClose,
}

/// A response whose head has come.
#[derive(Debug)]
pub struct Response {
    /// The connection it comes over.
    pub connection: Connection,
    /// The status code.
    pub status: u16,
    /// Its head.
    pub head: Head,
    /// How many interim responses were skipped before it.
    pub interim: usize,
    framing: Framing,
    /// A chunk was read, so a CRLF stands before the next.
    started: bool,
}

impl Response {
    /// A failure that shows what went over its connection.
    pub fn fail(&self, why: impl Into<String>) -> Failure {
        self.connection.fail(why)
    }

    /// The next bytes of the body as they come; `None` at its proper end.
    ///
    /// # Errors
    /// If the framing is broken or ends too soon, or nothing comes in time.
    pub fn piece(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        if let Framing::Chunked(0) = self.framing {
            self.framing = Framing::Chunked(self.chunk()?);
        }
        let left = match self.framing {
            Framing::Chunked(0) | Framing::Length(0) => return Ok(None),
            Framing::Chunked(left) | Framing::Length(left) => left,
            Framing::UntilClose => u64::MAX,
        };
        if self.connection.input.is_empty() && self.connection.read()? == 0 {
            return match self.framing {
                Framing::UntilClose => Ok(None),
                _ => Err(self.fail(format!("{left} bytes short of its end"))),
            };
        }
        let input = &mut self.connection.input;
        let count =
            input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let rest = input.split_off(count);
        let piece = std::mem::replace(input, rest);
        if let Framing::Chunked(left) | Framing::Length(left) =
            &mut self.framing
        {
            *left -= count as u64;
        }
        Ok(Some(piece))
    }

    /// The size of the next chunk; the trailers are gone by at the last.
    fn chunk(&mut self) -> Result<u64, Failure> {
        if self.started && !self.connection.line()?.is_empty() {
            return Err(self.fail("no CRLF behind a chunk"));
        }
        self.started = true;
        let line = self.connection.line()?;
        let digits = line.split(';').next().unwrap_or_default().trim_end();
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let size = u64::from_str_radix(digits, 16);
        let size = size.ok().filter(|_| is_hex).ok_or_else(|| {
            self.fail(format!("not the size of a chunk: {line:?}"))
        })?;
        if size == 0 {
            while !self.connection.line()?.is_empty() {}
        }
        Ok(size)
    }

    /// Reads the rest of the body, to `limit` bytes, and then the end of the
    /// connection: a reset behind the response would lose it on many systems.
    /// Below TLS that end is not looked at.
    ///
    /// # Errors
    /// If it is longer, broken or late, or if the connection is reset.
    pub fn finish(mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece()? {
            body.extend(piece);
            if body.len() > limit {
                return Err(self.fail("the body does not end"));
            }
        }
        let behind = if self.connection.is_secure() {
            self.connection.buffered()
        } else {
            self.connection.rest()?
        };
        match behind {
            0 => Ok(body),
            _ => Err(self.fail("there is more behind the response")),
        }
    }

    /// Its body as an event stream.
    #[must_use]
    pub fn events(self) -> Events {
        Events {
            response: self,
            decoder: Decoder::new(),
            seen: VecDeque::new(),
            bytes: 0,
            not_utf8: None,
            partial: Vec::new(),
            place: Place::default(),
            began: None,
            took: Duration::ZERO,
        }
    }
}

/// Where in a stream a byte stands, by the rules of WHATWG HTML §9.2.6.
#[derive(Debug, Default)]
struct Place {
    /// The first byte of an unfinished line.
    line: Option<u8>,
    /// The block has a line that is no comment.
    fields: bool,
    after_cr: bool,
}

impl Place {
    fn pass(&mut self, byte: u8) {
        let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' if after_cr => {}
            b'\r' | b'\n' => match self.line.take() {
                None => self.fields = false,
                Some(b':') => {}
                Some(_) => self.fields = true,
            },
            _ => {
                self.line.get_or_insert(byte);
            }
        }
    }

    /// A stream that ended here would lose something.
    fn is_unfinished(&self) -> bool {
        self.fields || self.line.is_some()
    }
}

/// What a stream said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An event.
    Event(MessageEvent),
    /// A comment.
    Comment(String),
    /// A reconnection time.
    ReconnectionTime(Duration),
    /// A last event ID on its own.
    LastEventId(String),
}

/// A response's body, decoded.
#[derive(Debug)]
pub struct Events {
    /// The response.
    pub response: Response,
    decoder: Decoder,
    seen: VecDeque<Seen>,
    /// Bytes of the body so far.
    pub bytes: u64,
    /// What is not UTF-8, if anything.
    pub not_utf8: Option<Vec<u8>>,
    /// A UTF-8 sequence that the next piece goes on with.
    partial: Vec<u8>,
    place: Place,
    /// When the unfinished line or block began to come.
    began: Option<Instant>,
    /// How long a line or block that the last piece finished had been
    /// unfinished: the longest, zero if it came whole.
    pub took: Duration,
}

impl Events {
    /// The next thing the stream says; `None` at its proper end.
    ///
    /// # Errors
    /// As [`Response::piece`], and if an event is larger than 16 MiB.
    #[expect(clippy::should_implement_trait, reason = "it can fail")]
    pub fn next(&mut self) -> Result<Option<Seen>, Failure> {
        loop {
            if let Some(seen) = self.seen.pop_front() {
                return Ok(Some(seen));
            }
            let Some(piece) = self.response.piece()? else {
                return Ok(None);
            };
            self.bytes += piece.len() as u64;
            self.check_utf8(&piece);
            self.follow(&piece);
            let mut chunk = &*piece;
            loop {
                let seen = match self.decoder.next(&mut chunk) {
                    Ok(None) => break,
                    Ok(Some(Item::Event(e))) => Seen::Event(e.to_owned()),
                    Ok(Some(Item::Comment(c))) => Seen::Comment(c.into()),
                    Ok(Some(Item::ReconnectionTime(time))) => {
                        Seen::ReconnectionTime(time)
                    }
                    Ok(Some(Item::LastEventId(id))) => {
                        Seen::LastEventId(id.into())
                    }
                    Err(limit) => {
                        return Err(self.response.fail(limit.to_string()));
                    }
                };
                self.seen.push_back(seen);
            }
        }
    }

    /// The next event, whatever stands before it.
    ///
    /// # Errors
    /// As [`next`](Self::next), and if the stream ends.
    pub fn event(&mut self) -> Result<MessageEvent, Failure> {
        loop {
            match self.next()? {
                Some(Seen::Event(event)) => return Ok(event),
                Some(_) => {}
                None => {
                    let why = "the stream ended where an event was due";
                    return Err(self.response.fail(why));
                }
            }
        }
    }

    /// Whether what came so far leaves nothing unfinished: no line without
    /// its end, and no block with fields without its blank line.
    #[must_use]
    pub fn ended_between_events(&self) -> bool {
        !self.place.is_unfinished()
    }

    fn follow(&mut self, piece: &[u8]) {
        let now = Instant::now();
        self.took = Duration::ZERO;
        for byte in piece {
            self.place.pass(*byte);
            if self.place.is_unfinished() {
                self.began.get_or_insert(now);
            } else if let Some(began) = self.began.take() {
                self.took = self.took.max(now - began);
            }
        }
    }

    fn check_utf8(&mut self, piece: &[u8]) {
        self.partial.extend_from_slice(piece);
        let kept = match str::from_utf8(&self.partial) {
            Ok(_) => self.partial.len(),
            Err(error) => {
                if let Some(length) = error.error_len() {
                    let at = error.valid_up_to();
                    let bytes = self.partial[at..at + length].to_vec();
                    self.not_utf8.get_or_insert(bytes);
                    self.partial.len()
                } else {
                    error.valid_up_to()
                }
            }
        };
        self.partial.drain(..kept);
    }
}

//! Reads the head of one request, within a limit of size and of time, and
//! refuses what is none.

use std::{
    io::{self, ErrorKind, Read},
    net::TcpStream,
    time::{Duration, Instant},
};

/// The most bytes that a request head may have.
pub const MAX_HEAD: usize = 16 * 1024;

/// What a server of one stream needs to know of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, as it was sent: methods are case-sensitive.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The value of `Last-Event-ID`, if there was one that is UTF-8.
    pub last_event_id: Option<String>,
}

/// Why there is no request to answer.
#[derive(Debug)]
pub enum Refusal {
    /// Answer with this status.
    Status(Status),
    /// The peer said nothing, or left: there is nobody to answer.
    Gone(io::Error),
}

/// A status code and its phrase, RFC 9110 §15.
pub type Status = (u16, &'static str);

/// What is not a request.
pub const BAD_REQUEST: Status = (400, "Bad Request");
/// The head took too long.
pub const REQUEST_TIMEOUT: Status = (408, "Request Timeout");
/// The head is larger than [`MAX_HEAD`].
pub const HEAD_TOO_LARGE: Status = (431, "Request Header Fields Too Large");
/// The body has a transfer coding that nobody here can take off.
pub const NOT_IMPLEMENTED: Status = (501, "Not Implemented");
/// A version that is not HTTP/1.
pub const VERSION: Status = (505, "HTTP Version Not Supported");

// ANCHOR: read
/// Reads one request head from the socket.
///
/// The time is for the whole head: a limit for each read would let a peer
/// that sends a byte now and then hold the thread for hours.
///
/// # Errors
/// If no head arrives in time and in size, or it is not one.
pub fn read(
    mut socket: &TcpStream,
    time: Duration,
) -> Result<Request, Refusal> {
    let deadline = Instant::now() + time;
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Refusal::Status(REQUEST_TIMEOUT));
        }
        socket.set_read_timeout(Some(left)).map_err(Refusal::Gone)?;
        let length = match socket.read(&mut piece) {
            Ok(0) if head.is_empty() => {
                return Err(Refusal::Gone(ErrorKind::UnexpectedEof.into()));
            }
            // The peer finished sending, and it was not a request.
            Ok(0) => return Err(Refusal::Status(BAD_REQUEST)),
            Ok(length) => length,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock
                | ErrorKind::TimedOut
                | ErrorKind::Interrupted => continue,
                _ => return Err(Refusal::Gone(error)),
            },
        };
        let searched = head.len();
        head.extend_from_slice(&piece[..length]);
        let request = parse(&head, searched).map_err(Refusal::Status)?;
        if let Some(request) = request {
            return Ok(request);
        }
    }
}
// ANCHOR_END: read

/// Where the blank line that ends the head ends, if it is there; what was
/// searched before is not searched again. A bare LF ends a line too, as RFC
/// 9112 §2.2 allows.
#[must_use]
pub fn end_of_head(head: &[u8], searched: usize) -> Option<usize> {
    (searched.saturating_sub(2)..head.len()).find_map(|at| match &head[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// The request whose head `bytes` begin with; `None` if the head is not
/// complete yet. What was searched before is not searched again.
///
/// # Errors
/// The status to answer with, if it is no HTTP/1 request head, or larger than
/// [`MAX_HEAD`].
pub fn parse(bytes: &[u8], searched: usize) -> Result<Option<Request>, Status> {
    match end_of_head(bytes, searched) {
        Some(end) if end <= MAX_HEAD => parse_head(&bytes[..end]).map(Some),
        _ if bytes.len() > MAX_HEAD => Err(HEAD_TOO_LARGE),
        _ => Ok(None),
    }
}

fn parse_head(head: &[u8]) -> Result<Request, Status> {
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        // A blank line before the request is to be ignored: RFC 9112 §2.2.
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty());

    let request_line = lines.next().and_then(visible_ascii);
    let mut parts = request_line.ok_or(BAD_REQUEST)?.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(BAD_REQUEST);
    };
    let needs_host = match version.as_bytes() {
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => true,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(VERSION);
        }
        _ => return Err(BAD_REQUEST),
    };
    if !is_token(method.as_bytes()) {
        return Err(BAD_REQUEST);
    }

    let (mut host, mut length, mut last_event_id) = (None, None, None);
    let mut is_chunked = false;
    for line in lines {
        let (name, value) = header_field(line).ok_or(BAD_REQUEST)?;
        match &*name.to_ascii_lowercase() {
            "host" if host.is_none() && is_host(value) => host = Some(value),
            // No body is read, since the connection is closed behind the
            // response. But one of unclear length is refused: RFC 9112 §6.3.
            "content-length"
                if is_length(value) && length.is_none_or(|l| l == value) =>
            {
                length = Some(value);
            }
            "host" | "content-length" => return Err(BAD_REQUEST),
            "transfer-encoding"
                if value.eq_ignore_ascii_case(b"chunked") && !is_chunked =>
            {
                is_chunked = true;
            }
            "transfer-encoding" => return Err(NOT_IMPLEMENTED),
            "last-event-id" => {
                last_event_id = String::from_utf8(value.to_vec()).ok();
            }
            _ => {}
        }
    }
    if needs_host && host.is_none() {
        return Err(BAD_REQUEST);
    }
    let path = path(target).ok_or(BAD_REQUEST)?;
    Ok(Request { method: method.into(), path: path.into(), last_event_id })
}

/// The path of a target in origin form, `/events?x=1`, or in absolute form,
/// `http://host/events`, which a server must accept too (RFC 9112 §3.2).
fn path(target: &str) -> Option<&str> {
    let before_query = target.split('?').next().unwrap_or_default();
    if before_query.starts_with('/') || target == "*" {
        return Some(before_query);
    }
    let (scheme, rest) = before_query.split_once("://")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_http = ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    let is_ours = is_http && !host.is_empty() && is_host(host.as_bytes());
    is_ours.then_some(if path.is_empty() { "/" } else { path })
}

/// Whether these are the characters of a host and a port, RFC 3986 §3.2. Which
/// host it is does not matter to a server that has one stream for all.
#[must_use]
pub fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| {
        byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte)
    })
}

fn is_length(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

fn visible_ascii(line: &[u8]) -> Option<&str> {
    let text = str::from_utf8(line).ok()?;
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')).then_some(text)
}

/// The name and the value of a header field line without its end, RFC 9112
/// §5; `None` if it is none. There may be no space before the colon, and no
/// line may go on in the next: both have been used to make two servers read
/// two different requests.
#[must_use]
pub fn header_field(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, mut value) = (&line[..colon], &line[colon + 1..]);
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    if !is_token(name) || !is_text(value) {
        return None;
    }
    Some((str::from_utf8(name).ok()?, value))
}

/// Whether this may stand in a line: it holds no control character but tabs.
/// A CR that ends no line is one.
#[must_use]
pub fn is_text(text: &[u8]) -> bool {
    let is_text = |byte: &u8| !byte.is_ascii_control() || *byte == b'\t';
    text.iter().all(is_text)
}

/// RFC 9110 §5.6.2.
fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
        })
}

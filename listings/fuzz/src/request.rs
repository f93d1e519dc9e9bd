//! Chapter 1's server reads any bytes as a request, or refuses them, or waits
//! for more; and httparse, which many servers use, agrees.
//!
//! An input is three lengths of pieces, the length of a run (so many KiB less
//! so many bytes), and then the bytes, in which FE stands for that run.

use crate::input::{Cuts, stretch};
use ch01_sockets::request::{
    self, BAD_REQUEST, HEAD_TOO_LARGE, MAX_HEAD, Request, Status,
};

/// A request, or the status of a refusal, or a head that is not complete.
pub type Outcome = Result<Option<Request>, Status>;

/// What comes of the bytes does not depend on how they are cut; a request is
/// a request to httparse, too; and one that is written again is read again.
///
/// # Panics
/// If that is not so.
pub fn check(input: &[u8]) {
    check_with(input, parse);
}

/// The same of anything else that calls itself a parser.
///
/// # Panics
/// If it does something else.
pub fn check_with(mut input: &[u8], parse: impl Fn(&[&[u8]]) -> Outcome) {
    let cuts = Cuts::take(&mut input);
    let bytes = &*stretch(&mut input);
    let outcome = parse(&[bytes]);
    for pieces in &cuts.ways(bytes)[1..] {
        assert_eq!(parse(pieces), outcome, "another cut, another outcome");
    }
    match (&outcome, judge(bytes)) {
        (Ok(Some(request)), Ok(Some(expected))) => {
            assert_eq!(*request, expected);
            // With the `Host` that HTTP/1.0 does not need, it may be too long.
            let again = write(request);
            if again.len() <= MAX_HEAD {
                assert_eq!(parse(&[&again]), outcome, "read again");
            }
        }
        (Ok(None), Ok(None)) => assert!(bytes.len() <= MAX_HEAD),
        // Which refusal it is depends on which fault is seen first.
        (Err(status), Err(expected)) => assert_eq!(
            *status == HEAD_TOO_LARGE,
            expected == HEAD_TOO_LARGE,
            "{status:?}"
        ),
        (_, expected) => assert_eq!(outcome, expected),
    }
}

/// The parser under test, called as chapter 1's server calls it.
///
/// # Errors
/// If the bytes are refused.
pub fn parse(pieces: &[&[u8]]) -> Outcome {
    let mut head = Vec::new();
    for piece in pieces {
        let searched = head.len();
        head.extend_from_slice(piece);
        if let Some(request) = request::parse(&head, searched)? {
            return Ok(Some(request));
        }
    }
    Ok(None)
}

fn write(request: &Request) -> Vec<u8> {
    let Request { method, path, last_event_id } = request;
    let id = last_event_id.as_deref();
    let id =
        id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
    let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{id}\r\n");
    head.into_bytes()
}

// ANCHOR: judge
/// What is to come of the bytes: a request, a refusal (431, or another), or
/// nothing yet. The blank line is found line by line, httparse reads the head,
/// and then comes one rule after the other.
fn judge(bytes: &[u8]) -> Outcome {
    let Some(end) = end_of_head(bytes) else {
        let is_too_large = bytes.len() > MAX_HEAD;
        return if is_too_large { Err(HEAD_TOO_LARGE) } else { Ok(None) };
    };
    if end > MAX_HEAD {
        return Err(HEAD_TOO_LARGE);
    }
    let mut head = bytes[..end].to_vec();
    let minor_version = lower_minor_version(&mut head);
    let lines = head.split(|byte| *byte == b'\n').count();
    let mut fields = vec![httparse::EMPTY_HEADER; lines];
    let mut parsed = httparse::Request::new(&mut fields);
    if parsed.parse(&head) != Ok(httparse::Status::Complete(end)) {
        return Err(BAD_REQUEST);
    }
    let values = |name: &str| -> Vec<&[u8]> {
        let fields = parsed.headers.iter();
        let named =
            fields.filter(|field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value).collect()
    };
    let hosts = values("Host");
    let lengths = values("Content-Length");
    let codings = values("Transfer-Encoding");
    let is_right = hosts.iter().all(|host| is_host(host))
        // RFC 9112 §3.2: one `Host`, or 400; before HTTP/1.1 there was none.
        && hosts.len() <= 1
        && (hosts.len() == 1 || minor_version == 0)
        // §6.3: a length that is none, or that there are two of.
        && lengths.iter().all(|length| is_number(length))
        && lengths.windows(2).all(|two| two[0] == two[1])
        // §6.1: a coding that this server does not know, or two.
        && codings.len() <= 1
        && codings.iter().all(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    let target = parsed.path.unwrap_or_default();
    match path(target) {
        Some(path) if is_right => Ok(Some(Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            last_event_id: values("Last-Event-ID")
                .last()
                .and_then(|id| String::from_utf8(id.to_vec()).ok()),
        })),
        _ => Err(BAD_REQUEST),
    }
}
// ANCHOR_END: judge

/// Where the first blank line ends, but for one in front of the request.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        end += line.len();
        if index > 0 && matches!(line, b"\n" | b"\r\n") {
            return Some(end);
        }
    }
    None
}

/// httparse knows HTTP/1.0 and HTTP/1.1. A higher minor version counts as the
/// highest that is known: RFC 9110 §6.2. The one that the line had.
fn lower_minor_version(head: &mut [u8]) -> u8 {
    let mut lines = head.split_mut(|byte| matches!(byte, b'\r' | b'\n'));
    match lines.find(|line| !line.is_empty()) {
        Some([.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor]) => {
            let was = *minor;
            if matches!(was, b'2'..=b'9') {
                *minor = b'1';
            }
            was.wrapping_sub(b'0')
        }
        _ => 1,
    }
}

/// The path of a request target: RFC 9112 §3.2.
fn path(target: &str) -> Option<&str> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (before_query, _) = target.split_once('?').unwrap_or((target, ""));
    if target == "*" || target.starts_with('/') {
        return Some(before_query);
    }
    let (scheme, rest) = before_query.split_once("://")?;
    if !matches!(&*scheme.to_ascii_lowercase(), "http" | "https") {
        return None;
    }
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    (!host.is_empty() && is_host(host.as_bytes())).then_some(path)
}

/// The characters of RFC 3986 §3.2: unreserved, percent, sub-delims, and what
/// an IP literal and a port need.
fn is_host(host: &[u8]) -> bool {
    const SIGNS: &str = "-._~%!$&'()*+,;=:[]";
    let is_sign = |byte: u8| SIGNS.contains(char::from(byte));
    host.iter().all(|byte| byte.is_ascii_alphanumeric() || is_sign(*byte))
}

pub(crate) fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

//! Chapter 1's client reads any bytes as a response and its body, or calls
//! them malformed, or waits for more; and httparse agrees on the head, a slow
//! and plain reader on the body.
//!
//! An input is as the request's.

use crate::{
    input::{Cuts, stretch},
    request::{end_of_head, is_number},
};
use ch01_sockets::{
    response::{Body, Head, MAX_HEAD, Malformed},
    url::Url,
};

/// What was read of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The head, once it is complete.
    pub head: Option<Parts>,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// What came behind the end of the body.
    pub behind: Vec<u8>,
    /// Whether the body ended as its framing says.
    pub has_ended: bool,
    /// Whether it may end where the connection does.
    pub ends_with_connection: bool,
    /// Whether it broke HTTP's rules; then there is no more to say.
    pub is_malformed: bool,
}

/// What a client looks at in a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The status code.
    pub status: u16,
    /// The header fields in their order.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Parts {
    /// The values of the fields with this name.
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields
            .iter()
            .filter(move |field| field.0.eq_ignore_ascii_case(name))
            .map(|field| &*field.1)
    }

    /// What the lists in these values hold.
    fn elements(&self, name: &str) -> impl Iterator<Item = Vec<u8>> {
        let list = self.values(name).collect::<Vec<_>>().join(&b","[..]);
        let is_given = self.values(name).next().is_some();
        let parts: Vec<_> = list
            .split(|byte| *byte == b',')
            .map(|element| element.trim_ascii().to_ascii_lowercase())
            .collect();
        parts.into_iter().filter(move |_| is_given)
    }
}

// ANCHOR: check
/// What is read does not depend on cuts, the head is a head to httparse, too,
/// and the body is what the framing says.
///
/// # Panics
/// If that is not so.
pub fn check(input: &[u8]) {
    check_with(input, read);
}

/// The same of anything else that calls itself a parser.
///
/// # Panics
/// If it reads something else.
pub fn check_with(mut input: &[u8], read: impl Fn(&[&[u8]]) -> Reading) {
    let cuts = Cuts::take(&mut input);
    let bytes = &*stretch(&mut input);
    let expected = judge(bytes);
    for pieces in cuts.ways(bytes) {
        assert_eq!(read(&pieces), expected);
    }
    if let Some(head) = &expected.head
        && let Some(location) = head.values("Location").next()
    {
        follow(location);
    }
}

/// Wherever a response points, what comes of it is a URL that can be written
/// into a request: nothing in it ends a line or a word.
fn follow(location: &[u8]) {
    for base in ["http://a", "http://a:80/b/c?d/e"] {
        let Ok(url) = Url::parse(base).and_then(|url| url.join(location))
        else {
            continue;
        };
        let text = url.to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        assert_eq!(Url::parse(&text).as_ref(), Ok(&url));
        assert_eq!(url.join(text.as_bytes()), Ok(url), "{text}");
    }
}
// ANCHOR_END: check

/// The parser under test, called as chapter 1's client calls it.
#[must_use]
pub fn read(pieces: &[&[u8]]) -> Reading {
    let mut reading = Reading::default();
    let mut head = Vec::new();
    let mut body = None;
    for piece in pieces {
        let outcome = match &mut body {
            Some(body) => read_body(body, piece, &mut reading),
            None => read_head(&mut head, piece, &mut body, &mut reading),
        };
        if let Err(Malformed { .. }) = outcome {
            reading.is_malformed = true;
            return reading;
        }
    }
    if let Some(body) = body {
        reading.has_ended = body.has_ended();
        reading.ends_with_connection = body.ends_with_connection();
    }
    reading
}

fn read_head(
    bytes: &mut Vec<u8>,
    piece: &[u8],
    body: &mut Option<Body>,
    reading: &mut Reading,
) -> Result<(), Malformed> {
    let searched = bytes.len();
    bytes.extend_from_slice(piece);
    let Some((head, end)) = Head::parse(bytes, searched)? else {
        return Ok(());
    };
    let body = body.insert(head.body());
    reading.head = Some(Parts { status: head.status, fields: head.fields });
    read_body(body, &bytes[end..], reading)
}

fn read_body(
    body: &mut Body,
    mut bytes: &[u8],
    reading: &mut Reading,
) -> Result<(), Malformed> {
    while let Some(piece) = body.next(&mut bytes)? {
        assert!(!piece.is_empty(), "a piece of nothing");
        reading.body.extend_from_slice(piece);
    }
    assert!(bytes.is_empty() || body.has_ended(), "None, and bytes were left");
    reading.behind.extend_from_slice(bytes);
    Ok(())
}

/// The same, of all bytes at once.
fn judge(bytes: &[u8]) -> Reading {
    let malformed = Reading { is_malformed: true, ..Reading::default() };
    let mut start = 0;
    loop {
        let Some(length) = end_of_head(&bytes[start..]) else {
            let is_malformed = bytes.len() > MAX_HEAD;
            return Reading { is_malformed, ..Reading::default() };
        };
        let (head, rest) = bytes[start..].split_at(length);
        start += length;
        if start > MAX_HEAD {
            return malformed;
        }
        match judge_head(head) {
            // Interim responses come before the one that counts.
            Some((Parts { status: 100 | 102..=199, .. }, _)) => {}
            Some((head, framing)) => {
                let mut reading = judge_body(framing, rest);
                reading.head = Some(head);
                return reading;
            }
            None => return malformed,
        }
    }
}

/// How the body ends: RFC 9112 §6.3.
#[derive(Clone, Copy)]
enum Framing {
    Chunked,
    Length(u64),
    Close,
}

fn judge_head(head: &[u8]) -> Option<(Parts, Framing)> {
    let mut head = head.to_vec();
    // As in a request, a higher minor version counts as 1.
    if let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, ..] = &mut *head
        && matches!(minor, b'2'..=b'9')
    {
        *minor = b'1';
    }
    // httparse passes over blank lines, for servers that send them.
    if !head.starts_with(b"HTTP/") {
        return None;
    }
    let lines = head.split(|byte| *byte == b'\n').count();
    let mut fields = vec![httparse::EMPTY_HEADER; lines];
    let mut parsed = httparse::Response::new(&mut fields);
    let parsing = parsed.parse(&head);
    if parsing != Ok(httparse::Status::Complete(head.len())) {
        return None;
    }
    let status = parsed.code.filter(|code| (100..600).contains(code))?;
    let fields = parsed
        .headers
        .iter()
        .map(|field| (field.name.to_owned(), field.value.to_vec()))
        .collect();
    let parts = Parts { status, fields };
    let mut lengths = Vec::new();
    for length in parts.elements("Content-Length") {
        let is_number = is_number(&length);
        let length = str::from_utf8(&length).ok()?.parse::<u64>().ok();
        lengths.push(length.filter(|_| is_number)?);
    }
    if lengths.iter().any(|length| *length != lengths[0]) {
        return None;
    }
    let mut codings: Vec<_> = parts.elements("Transfer-Encoding").collect();
    codings.retain(|coding| !coding.is_empty());
    let framing = match (codings.last(), lengths.first()) {
        (Some(last), _) if last == b"chunked" => Framing::Chunked,
        (None, Some(length)) => Framing::Length(*length),
        (Some(_), _) | (None, None) => Framing::Close,
    };
    Some((parts, framing))
}

fn judge_body(framing: Framing, bytes: &[u8]) -> Reading {
    let mut reading = Reading::default();
    match framing {
        Framing::Close => {
            reading.body = bytes.to_vec();
            reading.ends_with_connection = true;
        }
        Framing::Length(length) => {
            let (body, behind) = split(bytes, length);
            reading.body = body.to_vec();
            reading.behind = behind.to_vec();
            reading.has_ended = body.len() as u64 == length;
        }
        Framing::Chunked => match judge_chunks(bytes, &mut reading.body) {
            Ok(Some(behind)) => {
                reading.behind = behind.to_vec();
                reading.has_ended = true;
            }
            Ok(None) => {}
            Err(Broken) => reading.is_malformed = true,
        },
    }
    reading
}

/// What cannot be chunks, whatever follows.
struct Broken;

/// What the chunks hold goes to `body`. What stands behind them, or nothing
/// as long as their end has not come.
fn judge_chunks<'b>(
    mut bytes: &'b [u8],
    body: &mut Vec<u8>,
) -> Result<Option<&'b [u8]>, Broken> {
    loop {
        // chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
        let Some((line, rest)) = line(bytes)? else { return Ok(None) };
        let size = chunk_size(line).ok_or(Broken)?;
        if size == 0 {
            return trailers(rest);
        }
        let (data, rest) = split(rest, size);
        body.extend_from_slice(data);
        if (data.len() as u64) < size {
            return Ok(None);
        }
        bytes = match rest {
            b"" | b"\r" => return Ok(None),
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
            _ => return Err(Broken),
        };
    }
}

/// A line, and what follows it.
type Line<'b> = (&'b [u8], &'b [u8]);

/// The first line, or nothing as long as its end has not come. It ends with
/// CRLF or LF, and no line is longer than 4 KiB.
fn line(bytes: &[u8]) -> Result<Option<Line<'_>>, Broken> {
    const MAX_LINE: usize = 4 * 1024;
    let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else {
        let may_go_on = bytes.len() <= MAX_LINE;
        return if may_go_on { Ok(None) } else { Err(Broken) };
    };
    let (line, rest) = (&bytes[..at], &bytes[at + 1..]);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    if at < MAX_LINE && line.iter().all(is_text) {
        Ok(Some((line, rest)))
    } else {
        Err(Broken)
    }
}

/// chunk-size = 1*HEXDIG, then spaces (which some servers send), then a
/// semicolon and anything.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = String::from_utf8_lossy(line);
    let digits = line.split(';').next()?.trim_end_matches([' ', '\t']);
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    match digits.trim_start_matches('0') {
        "" => Some(0),
        digits if digits.len() > 16 => None,
        digits => u64::from_str_radix(digits, 16).ok(),
    }
}

/// What stands behind the trailers' blank line, if that has come. httparse
/// reads the fields.
fn trailers(mut bytes: &[u8]) -> Result<Option<&[u8]>, Broken> {
    let mut section = 0;
    loop {
        let Some((line, rest)) = line(bytes)? else { return Ok(None) };
        if line.is_empty() {
            return Ok(Some(rest));
        }
        section += line.len();
        let field = [line, b"\r\n\r\n"].concat();
        let mut fields = [httparse::EMPTY_HEADER];
        let is_field = httparse::parse_headers(&field, &mut fields).is_ok();
        if !is_field || section > MAX_HEAD {
            return Err(Broken);
        }
        bytes = rest;
    }
}

fn split(bytes: &[u8], at: u64) -> (&[u8], &[u8]) {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    bytes.split_at(at.min(bytes.len()))
}

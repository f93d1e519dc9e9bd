//! Reads the head of a response, and takes the body out of its framing.
//! No sockets: bytes come in, and what they mean comes out.

use crate::request::{end_of_head, header_field, is_text};
use std::{error::Error, fmt, str};

/// The most bytes that a response head may have, together with the interim
/// (1xx) responses before it. Trailers of a chunked body have as much.
pub const MAX_HEAD: usize = 16 * 1024;

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The header fields in their order, each with its value.
    pub fields: Vec<(String, Vec<u8>)>,
    framing: Framing,
}

/// How the body ends, RFC 9112 §6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Chunked,
    Length(u64),
    Close,
}

/// A response that breaks HTTP's rules, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the response is malformed: {}", self.0)
    }
}

impl Error for Malformed {}

impl Head {
    /// The head at the front of `bytes` and its length; `None` if it is not
    /// complete yet. What was searched before is not searched again. Interim
    /// responses (1xx) are skipped.
    ///
    /// # Errors
    /// If it is no HTTP/1 response head, or larger than [`MAX_HEAD`].
    pub fn parse(
        bytes: &[u8],
        searched: usize,
    ) -> Result<Option<(Self, usize)>, Malformed> {
        let mut start = 0;
        // What ends here may be the last head of several.
        let mut end =
            end_of_head(bytes, searched).and_then(|_| end_of_head(bytes, 0));
        while let Some(head_end) = end.filter(|end| *end <= MAX_HEAD) {
            let head = Self::parse_one(&bytes[start..head_end])?;
            // 101 is final, too: what follows it is not HTTP.
            if head.status >= 200 || head.status == 101 {
                return Ok(Some((head, head_end)));
            }
            start = head_end;
            end = end_of_head(&bytes[start..], 0).map(|end| start + end);
        }
        if bytes.len() > MAX_HEAD {
            return Err(Malformed("its head is larger than 16 KiB"));
        }
        Ok(None)
    }

    fn parse_one(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut lines = bytes
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .take_while(|line| !line.is_empty());
        let status = status(lines.next().unwrap_or_default())
            .ok_or(Malformed("its first line is no HTTP/1 status line"))?;
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        let malformed = Malformed("a line of its head is no header field");
        for line in lines {
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                // It goes on with the value before it. A server must refuse
                // that, and a client must read it (RFC 9112 §5.2).
                let (_, value) = fields.last_mut().ok_or(malformed)?;
                let more = line.trim_ascii();
                if !is_text(more) {
                    return Err(malformed);
                }
                value.push(b' ');
                value.extend_from_slice(more);
                continue;
            }
            let (name, value) = header_field(line).ok_or(malformed)?;
            fields.push((name.to_owned(), value.to_owned()));
        }
        let framing = Framing::of(&fields)?;
        Ok(Self { status, fields, framing })
    }

    /// The first value of the field with this name, in any case.
    #[must_use]
    pub fn field<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        values(&self.fields, name).next()
    }

    /// The body, to be taken out of the bytes that follow the head.
    #[must_use]
    pub fn body(&self) -> Body {
        let state = match self.framing {
            Framing::Chunked => State::Size,
            Framing::Length(0) => State::End,
            Framing::Length(left) => State::Length { left },
            Framing::Close => State::UntilClose,
        };
        Body { state, line: Vec::new() }
    }
}

fn values<'a>(
    fields: &'a [(String, Vec<u8>)],
    wanted: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| &**value)
}

impl Framing {
    // ANCHOR: framing
    /// How a body ends. A field may come more than once, and hold a list.
    fn of(fields: &[(String, Vec<u8>)]) -> Result<Self, Malformed> {
        let elements = |name| {
            values(fields, name)
                .flat_map(|value| value.split(|byte| *byte == b','))
                .map(<[u8]>::trim_ascii)
        };
        let mut lengths = elements("Content-Length").map(decimal);
        let length = lengths.next();
        if length == Some(None) || lengths.any(|other| Some(other) != length) {
            return Err(Malformed("its Content-Length is unclear"));
        }
        // A transfer coding wins over a length. Without `chunked` behind all
        // others, the body ends with the connection.
        let codings = elements("Transfer-Encoding").filter(|it| !it.is_empty());
        Ok(match (codings.last(), length.flatten()) {
            (Some(last), _) if last.eq_ignore_ascii_case(b"chunked") => {
                Self::Chunked
            }
            (None, Some(length)) => Self::Length(length),
            _ => Self::Close,
        })
    }
    // ANCHOR_END: framing
}

fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [b'0'..=b'9', b' ', code @ ..] = rest else { return None };
    let (code, phrase) = code.split_at_checked(3)?;
    let code = decimal(code)?;
    let is_status = (100..600).contains(&code)
        && (phrase.is_empty() || phrase.starts_with(b" "))
        && is_text(phrase);
    u16::try_from(code).ok().filter(|_| is_status)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok()?.parse().ok().filter(|_| is_number)
}

/// The body of a response, taken out of its framing piece by piece.
#[derive(Clone, Debug)]
pub struct Body {
    state: State,
    /// As much as came of a line between chunks.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    UntilClose,
    Length {
        left: u64,
    },
    /// A line with the size of a chunk is due.
    Size,
    Chunk {
        left: u64,
    },
    /// The end of the line that is the chunk's data.
    ChunkEnd,
    /// Behind the last chunk: so many bytes of trailers so far.
    Trailers {
        section: usize,
    },
    End,
}

impl Body {
    /// Takes the next piece of the body from the front of `bytes`; `None`
    /// once they are used up or the body has ended.
    ///
    /// # Errors
    /// If the chunked framing is broken.
    pub fn next<'b>(
        &mut self,
        bytes: &mut &'b [u8],
    ) -> Result<Option<&'b [u8]>, Malformed> {
        while !bytes.is_empty() {
            let piece = match &mut self.state {
                State::End => return Ok(None),
                State::UntilClose => take(bytes, u64::MAX),
                State::Length { left } | State::Chunk { left } => {
                    let piece = take(bytes, *left);
                    *left -= piece.len() as u64;
                    piece
                }
                _ => {
                    self.between_chunks(bytes)?;
                    continue;
                }
            };
            self.state = match self.state {
                State::Length { left: 0 } => State::End,
                State::Chunk { left: 0 } => State::ChunkEnd,
                state => state,
            };
            return Ok(Some(piece));
        }
        Ok(None)
    }

    /// Whether the body ended as its framing says. One that ends with the
    /// connection never says so.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Whether the body may end where the connection does. If not, and it has
    /// not ended, a connection that closes has cut it: RFC 9112 §8.
    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    // ANCHOR: chunked
    /// Takes a line from the front of `bytes`, or as much as there is of it.
    fn between_chunks(&mut self, bytes: &mut &[u8]) -> Result<(), Malformed> {
        /// No size needs more digits, and no extension this much room.
        const MAX_LINE: usize = 4 * 1024;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |at| at + 1);
        self.line.extend_from_slice(take(bytes, length as u64));
        let is_broken = match self.state {
            State::ChunkEnd => !matches!(&*self.line, b"\r" | b"\r\n" | b"\n"),
            _ => self.line.len() > MAX_LINE,
        };
        if is_broken {
            return Err(Malformed("its chunks are broken"));
        }
        if let Some(line) = self.line.strip_suffix(b"\n") {
            // As in a head, LF alone ends a line, too.
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.state = self.state.behind(line)?;
            self.line.clear();
        }
        Ok(())
    }
}

impl State {
    /// The state after a line between chunks, RFC 9112 §7.1.
    fn behind(self, line: &[u8]) -> Result<Self, Malformed> {
        match self {
            Self::Size => match chunk_size(line) {
                Some(0) => Ok(Self::Trailers { section: 0 }),
                Some(left) => Ok(Self::Chunk { left }),
                None => Err(Malformed("a chunk has no size")),
            },
            Self::Trailers { section } if !line.is_empty() => {
                let section = section + line.len();
                if section > MAX_HEAD || header_field(line).is_none() {
                    return Err(Malformed("its trailers are broken"));
                }
                Ok(Self::Trailers { section })
            }
            Self::Trailers { .. } => Ok(Self::End),
            // The line that a chunk's data ended.
            _ => Ok(Self::Size),
        }
    }
}

/// The size in the line that begins a chunk. Some servers put spaces behind
/// it; an extension is ignored.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let is_size = is_text(line) && size.iter().all(u8::is_ascii_hexdigit);
    let size = str::from_utf8(size).ok().filter(|_| is_size)?;
    u64::from_str_radix(size, 16).ok()
}
// ANCHOR_END: chunked

fn take<'b>(bytes: &mut &'b [u8], most: u64) -> &'b [u8] {
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    let (piece, rest) = bytes.split_at(length);
    *bytes = rest;
    piece
}

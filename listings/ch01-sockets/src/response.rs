//! Reads the head of a response, and takes the body out of its framing.
//! No sockets: bytes come in, and what they mean comes out.

use crate::request::{end_of_head, header_field};
use std::{error::Error, fmt, str};

/// The most bytes that a response head may have, together with the interim
/// (1xx) responses before it. Trailers of a chunked body have as much.
pub const MAX_HEAD: usize = 16 * 1024;

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// `Content-Type`, if there is one.
    pub content_type: Option<String>,
    /// `Location`, if there is one.
    pub location: Option<String>,
    /// Whether the body has a content coding, such as gzip.
    pub is_encoded: bool,
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
    /// complete yet. Interim responses (1xx) are skipped.
    ///
    /// # Errors
    /// If it is no HTTP/1 response head, or larger than [`MAX_HEAD`].
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let mut start = 0;
        while let Some(length) = end_of_head(&bytes[start..], 0) {
            let end = start + length;
            if end > MAX_HEAD {
                break;
            }
            let head = Self::parse_one(&bytes[start..end])?;
            // 101 is final, too: what follows it is not HTTP.
            if head.status >= 200 || head.status == 101 {
                return Ok(Some((head, end)));
            }
            start = end;
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
        let mut head = Self {
            status,
            content_type: None,
            location: None,
            is_encoded: false,
            framing: Framing::Close,
        };
        let mut length = None;
        for line in lines {
            let (name, value) = header_field(line)
                .ok_or(Malformed("a line of its head is no header field"))?;
            let value = String::from_utf8_lossy(value);
            match &*name.to_ascii_lowercase() {
                "content-type" => head.content_type = Some(value.into()),
                "location" => head.location = Some(value.into()),
                "transfer-encoding"
                    if value.eq_ignore_ascii_case("chunked") =>
                {
                    head.framing = Framing::Chunked;
                }
                "transfer-encoding" => {
                    return Err(Malformed("its Transfer-Encoding is unknown"));
                }
                "content-encoding" => {
                    head.is_encoded = !value.eq_ignore_ascii_case("identity");
                }
                "content-length" => {
                    let number = decimal(&value)
                        .filter(|number| length.is_none_or(|l| l == *number))
                        .ok_or(Malformed("its Content-Length is unclear"))?;
                    length = Some(number);
                }
                _ => {}
            }
        }
        // A transfer coding wins over a length: RFC 9112 §6.3.
        if let (Framing::Close, Some(length)) = (head.framing, length) {
            head.framing = Framing::Length(length);
        }
        Ok(head)
    }

    /// The body, to be taken out of the bytes that follow the head.
    #[must_use]
    pub fn body(&self) -> Body {
        Body {
            state: match self.framing {
                Framing::Chunked => State::Size { size: 0, line: 0 },
                Framing::Length(0) => State::End,
                Framing::Length(left) => State::Length { left },
                Framing::Close => State::UntilClose,
            },
        }
    }
}

fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [b'0'..=b'9', b' ', code @ ..] = rest else { return None };
    let (code, phrase) = code.split_at_checked(3)?;
    let code = decimal(str::from_utf8(code).ok()?)?;
    let is_status = (100..600).contains(&code)
        && (phrase.is_empty() || phrase.starts_with(b" "));
    u16::try_from(code).ok().filter(|_| is_status)
}

fn decimal(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The body of a response, taken out of its framing piece by piece.
#[derive(Clone, Debug)]
pub struct Body {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    UntilClose,
    Length {
        left: u64,
    },
    /// In the line that begins a chunk, `line` bytes into it.
    Size {
        size: u64,
        line: usize,
    },
    /// In that line, past the size.
    Extension {
        size: u64,
        line: usize,
    },
    Chunk {
        left: u64,
    },
    /// Behind a chunk, `CRLF` is due.
    ChunkEnd,
    /// Behind the last chunk: `section` bytes of trailers so far, the current
    /// line empty or not.
    Trailers {
        section: usize,
        is_empty: bool,
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
                    self.state = self.state.framing_byte(bytes[0])?;
                    *bytes = &bytes[1..];
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
}

fn take<'b>(bytes: &mut &'b [u8], most: u64) -> &'b [u8] {
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    let (piece, rest) = bytes.split_at(length);
    *bytes = rest;
    piece
}

// ANCHOR: chunked
impl State {
    /// The state after one byte of the chunked framing, RFC 9112 §7.1.
    fn framing_byte(self, byte: u8) -> Result<Self, Malformed> {
        /// No size needs more digits, and no extension this much room.
        const MAX_LINE: usize = 4 * 1024;
        Ok(match (self, byte) {
            (Self::Size { size, line }, _)
                if line < MAX_LINE
                    && let Some(digit) = char::from(byte).to_digit(16) =>
            {
                let size = size
                    .checked_mul(16)
                    .ok_or(Malformed("a chunk is too large"))?
                    + u64::from(digit);
                Self::Size { size, line: line + 1 }
            }
            (Self::Size { line: 0, .. }, _) => {
                return Err(Malformed("a chunk has no size"));
            }
            (Self::Size { size, .. } | Self::Extension { size, .. }, b'\n') => {
                match size {
                    0 => Self::Trailers { section: 0, is_empty: true },
                    left => Self::Chunk { left },
                }
            }
            (Self::Size { size, line }, b'\r' | b';' | b' ' | b'\t') => {
                Self::Extension { size, line }
            }
            (Self::Extension { size, line }, _) if line < MAX_LINE => {
                Self::Extension { size, line: line + 1 }
            }
            (Self::ChunkEnd, b'\r') => self,
            (Self::ChunkEnd, b'\n') => Self::Size { size: 0, line: 0 },
            (Self::Trailers { is_empty: true, .. }, b'\n') => Self::End,
            (Self::Trailers { section, is_empty }, _) if section < MAX_HEAD => {
                Self::Trailers {
                    section: section + 1,
                    is_empty: match byte {
                        b'\n' => true,
                        b'\r' => is_empty,
                        _ => false,
                    },
                }
            }
            _ => return Err(Malformed("its chunks are broken")),
        })
    }
}
// ANCHOR_END: chunked

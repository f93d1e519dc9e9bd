//! An HTTP response that arrives in pieces: what is in it that is the body.

/// The most bytes of a response head.
const HEAD: usize = 16 * 1024;

/// Takes a response's head and framing off, and checks both.
#[derive(Debug)]
pub struct Body(State);

#[derive(Debug)]
enum State {
    Head(Vec<u8>),
    /// The body ends where the connection does (RFC 9112 §6.3).
    Plain,
    /// The line before a chunk: its size so far, and whether that is behind
    /// us (RFC 9112 §7.1).
    Size(Option<u64>, bool),
    /// So many bytes of a chunk are to come.
    Data(u64),
    /// The line end behind a chunk.
    DataEnd,
}

impl Default for Body {
    fn default() -> Self {
        Self(State::Head(Vec::new()))
    }
}

impl Body {
    /// Whether the head has been read.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !matches!(self.0, State::Head(_))
    }

    /// The next run of the body in `bytes`, which loses it, and what stands
    /// before it; `None` when `bytes` is used up.
    ///
    /// # Errors
    /// If the status is not 200, or the framing is none; in a word or two.
    pub fn next<'a>(
        &mut self,
        bytes: &mut &'a [u8],
    ) -> Result<Option<&'a [u8]>, String> {
        while let Some((&byte, rest)) = bytes.split_first() {
            match &mut self.0 {
                State::Plain => return Ok(Some(std::mem::take(bytes))),
                State::Data(left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX);
                    let (run, rest) = bytes.split_at(length.min(bytes.len()));
                    *bytes = rest;
                    *left -= run.len() as u64;
                    if *left == 0 {
                        self.0 = State::DataEnd;
                    }
                    return Ok(Some(run));
                }
                State::Head(head) => {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        self.0 = begin(head)?;
                    } else if head.len() > HEAD {
                        return Err("a head without end".to_owned());
                    }
                }
                State::Size(size, is_over) => match (byte, *size) {
                    (b'\n', Some(0)) => return Err("the last chunk".into()),
                    (b'\n', Some(size)) => self.0 = State::Data(size),
                    (b'\r' | b';' | b' ' | b'\t', Some(_)) => *is_over = true,
                    (_, Some(_)) if *is_over => {}
                    _ => {
                        let digit = char::from(byte).to_digit(16);
                        let more = digit.and_then(|digit| {
                            let size = size.unwrap_or(0).checked_mul(16)?;
                            size.checked_add(digit.into())
                        });
                        *size = more.map(Some).ok_or("a chunk without size")?;
                    }
                },
                State::DataEnd => match byte {
                    b'\r' => {}
                    b'\n' => self.0 = State::Size(None, false),
                    _ => return Err("a chunk longer than its size".into()),
                },
            }
            *bytes = rest;
        }
        Ok(None)
    }
}

/// What follows a head.
fn begin(head: &[u8]) -> Result<State, String> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default();
    let status = line.split_once(' ').map_or(line, |(_, status)| status);
    if !status.starts_with("200") {
        return Err(status.to_owned());
    }
    let is_chunked = lines.any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("transfer-encoding")
                && value.trim().eq_ignore_ascii_case("chunked")
        })
    });
    let chunks = State::Size(None, false);
    Ok(if is_chunked { chunks } else { State::Plain })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Body;

    /// The body of a response, in pieces of so many bytes.
    fn read(response: &str, size: usize) -> Result<String, String> {
        let mut body = Body::default();
        let mut read = Vec::new();
        for mut piece in response.as_bytes().chunks(size) {
            while let Some(run) = body.next(&mut piece)? {
                read.extend_from_slice(run);
            }
        }
        assert!(body.has_begun());
        Ok(String::from_utf8(read).unwrap())
    }

    #[test]
    fn a_body_is_what_it_is_however_it_is_cut() {
        let plain = "HTTP/1.1 200 OK\r\nA: b\r\n\r\nHello";
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n\
                       3;a=\"1\"\r\nHel\r\n02 \r\nlo\r\n";
        for response in [plain, chunked] {
            for size in 1..=response.len() {
                assert_eq!(read(response, size).unwrap(), "Hello", "{size}");
            }
        }
    }

    #[test]
    fn what_is_no_stream_says_so() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (tail, says) in [
            ("0\r\n\r\n", "the last chunk"),
            ("\r\n", "a chunk without size"),
            ("g\r\n", "a chunk without size"),
            ("11111111111111111\r\n", "a chunk without size"),
            ("1\r\nab", "a chunk longer than its size"),
        ] {
            let response = format!("{chunked}{tail}");
            assert_eq!(read(&response, 7).unwrap_err(), says);
        }
        let response = "HTTP/1.1 503 Service Unavailable\r\n\r\n";
        assert_eq!(read(response, 3).unwrap_err(), "503 Service Unavailable");
        let endless = format!("HTTP/1.1 200 OK\r\n{}", "a".repeat(20_000));
        assert_eq!(read(&endless, 999).unwrap_err(), "a head without end");
    }
}

//! A chunk's lines: where they end, and the text in them.

use core::ops::Range;
use memchr::memchr2;
use simdutf8::compat::from_utf8;

/// A chunk, from whose front lines are taken.
#[derive(Debug)]
pub(crate) struct Lines<'c> {
    chunk: &'c [u8],
    /// Where the next line starts.
    start: usize,
    /// Where it ends, once that was searched for: past the chunk, if it does
    /// not end in it.
    end: Option<usize>,
    /// What is known to be UTF-8, and where it starts.
    text: &'c str,
    text_start: usize,
    check: Check,
}

/// How much to check, when text is asked for that was not checked yet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// That text: no other will be asked for.
    Text,
    /// All that follows in the chunk: one long check is faster than many
    /// short ones.
    Rest,
}

/// A line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'c> {
    /// Where in the chunk it starts.
    pub(crate) start: usize,
    /// What stands before its end.
    pub(crate) bytes: &'c [u8],
    /// Its end: CR or LF.
    pub(crate) end: u8,
}

/// What a block of a single line says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Short<'c> {
    Data(&'c str),
    Comment(&'c str),
}

impl<'c> Lines<'c> {
    #[inline]
    pub(crate) const fn new(chunk: &'c [u8], check: Check) -> Self {
        Self { chunk, start: 0, end: None, text: "", text_start: 0, check }
    }

    /// What has not been taken.
    #[inline]
    pub(crate) fn rest(&self) -> &'c [u8] {
        self.chunk.get(self.start..).unwrap_or_default()
    }

    /// How many bytes there are from `start` to the chunk's end.
    pub(crate) fn len_from(&self, start: usize) -> usize {
        self.chunk.len() - start
    }

    /// Takes the next `count` bytes, which are part of no line.
    #[inline]
    pub(crate) fn skip(&mut self, count: usize) {
        self.start += count;
        self.end = None;
    }

    /// Takes the next line, if it ends in this chunk.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Line<'c>> {
        let (start, at) = (self.start, self.next_end()?);
        let (bytes, end) = (self.chunk.get(start..at)?, *self.chunk.get(at)?);
        self.skip(bytes.len() + 1);
        Some(Line { start, bytes, end })
    }

    /// Whether the next line ends in this chunk.
    #[inline]
    pub(crate) fn have_end(&mut self) -> bool {
        self.next_end().is_some()
    }

    /// Where the next line ends.
    #[expect(clippy::inline_always, reason = "every item begins with it")]
    #[inline(always)]
    fn next_end(&mut self) -> Option<usize> {
        let rest = self.rest();
        let end = if let Some(end) = self.end {
            end
        } else {
            let near = if self.chunk.len() <= 64 { 64 } else { 16 };
            self.start + line_end(rest, near).unwrap_or(rest.len())
        };
        self.end = Some(end);
        (end < self.chunk.len()).then_some(end)
    }

    // ANCHOR: short
    /// Takes the next block, if it is one line of data or one comment, of at
    /// most `limit` bytes, and whole: with the blank line, in this chunk, and
    /// in UTF-8. Blank lines before it are taken in any case.
    #[expect(clippy::inline_always, reason = "what it finds is not stored")]
    #[inline(always)]
    pub(crate) fn next_short(&mut self, limit: usize) -> Option<Short<'c>> {
        loop {
            let end = self.next_end()?;
            let line = self.chunk.get(self.start..=end)?;
            let is_before_blank = self.chunk.get(end + 1) == Some(&b'\n');
            let short = match line {
                [b'\n'] => {
                    self.skip(1);
                    continue;
                }
                _ if !is_before_blank || line.len() > limit => return None,
                [b':', b' ', value @ .., b'\n'] => {
                    Short::Comment(self.text(end - value.len()..end)?)
                }
                [b'd', b'a', b't', b'a', b':', b' ', value @ .., b'\n'] => {
                    Short::Data(self.text(end - value.len()..end)?)
                }
                _ => return None,
            };
            self.skip(line.len() + 1);
            return Some(short);
        }
    }
    // ANCHOR_END: short

    // ANCHOR: skip
    /// Takes the comments and blank lines that come next, if LF ends them.
    pub(crate) fn skip_comments(&mut self) {
        loop {
            match self.rest() {
                [b'\n', ..] => self.skip(1),
                [b':', ..] => match self.next_end() {
                    Some(end) if self.chunk[end] == b'\n' => {
                        self.skip(end + 1 - self.start);
                    }
                    _ => return,
                },
                _ => return,
            }
        }
    }
    // ANCHOR_END: skip

    // ANCHOR: text
    /// The value with which the line ends, if it is UTF-8.
    #[inline]
    pub(crate) fn text_of(
        &mut self,
        line: Line<'c>,
        value: &[u8],
    ) -> Option<&'c str> {
        let end = line.start + line.bytes.len();
        self.text(end - value.len()..end)
    }

    /// The text at `range`, if it is UTF-8. No range may start before one
    /// that was asked for.
    #[inline]
    fn text(&mut self, range: Range<usize>) -> Option<&'c str> {
        let start = range.start - self.text_start;
        match self.text.get(start..start + range.len()) {
            Some(text) => Some(text),
            None => self.check(range),
        }
    }

    #[inline(never)]
    fn check(&mut self, range: Range<usize>) -> Option<&'c str> {
        let bytes = match self.check {
            Check::Text => self.chunk.get(range.clone())?,
            Check::Rest => whole_characters(self.chunk.get(range.start..)?),
        };
        self.text_start = range.start;
        self.text = from_utf8(bytes).unwrap_or_else(|error| {
            from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        });
        self.text.get(..range.len())
    }
    // ANCHOR_END: text
}

/// The bytes without a character that the end of the chunk cuts. No line has
/// it that ends in this chunk, and it is not UTF-8 without its rest.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    let is_first = |byte: &u8| *byte >= 0xC0;
    let mut last = bytes.iter().rev().take(3).take_while(|it| !it.is_ascii());
    match last.position(is_first) {
        Some(behind) => &bytes[..bytes.len() - 1 - behind],
        None => bytes,
    }
}

// ANCHOR: line_end
/// Where the first CR or LF stands. A call to `memchr2` costs more than a
/// short line does, and many lines are short: so the first bytes, up to
/// `near`, are searched eight at a time.
#[inline(always)]
fn line_end(bytes: &[u8], near: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let (words, _) = bytes.as_chunks();
    let mut at = 0;
    for word in words.iter().take(near / 8) {
        let word = u64::from_le_bytes(*word);
        // The high bit of each byte up to CR; bytes above the first such byte
        // may be marked in error.
        let marks = word.wrapping_sub(ONES * 0x0E) & !word & (ONES * 0x80);
        if marks != 0 {
            at += marks.trailing_zeros() as usize / 8;
            if is_end(&bytes[at]) {
                return Some(at);
            }
            break;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    let found = match rest.len() {
        0..8 => rest.iter().position(is_end),
        _ => memchr2(b'\n', b'\r', rest),
    };
    found.map(|found| at + found)
}
// ANCHOR_END: line_end

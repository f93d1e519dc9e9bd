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
    /// Of a chunk of 32 to 64 bytes: a bit for each byte that ends a line.
    ends: Option<u64>,
}

/// How much to check, when text is asked for that was not checked yet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// That text alone: few others will be asked for.
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
    /// Whether the chunk ends with its CR, so that the next may start with
    /// the LF that belongs to it.
    pub(crate) is_cut_after_cr: bool,
}

/// What a block of a single line says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Short<'c> {
    Data(&'c str),
    Comment(&'c str),
}

impl<'c> Lines<'c> {
    #[inline]
    pub(crate) fn new(chunk: &'c [u8], check: Check) -> Self {
        Self {
            chunk,
            start: 0,
            end: None,
            text: "",
            text_start: 0,
            check,
            ends: line_ends(chunk),
        }
    }

    /// What has not been taken.
    #[inline]
    pub(crate) fn rest(&self) -> &'c [u8] {
        self.chunk.get(self.start..).unwrap_or_default()
    }

    /// How many bytes were taken.
    pub(crate) fn len_taken(&self) -> usize {
        self.start
    }

    /// How many bytes there are from `start` to the chunk's end.
    pub(crate) fn len_from(&self, start: usize) -> usize {
        self.chunk.len() - start
    }

    /// Takes the next `count` bytes, and forgets where the line ended that
    /// they start with.
    #[inline]
    pub(crate) fn skip(&mut self, count: usize) {
        self.start += count;
        self.end = None;
    }

    /// Whether the next line ends in this chunk.
    #[inline]
    pub(crate) fn has_end(&mut self) -> bool {
        self.next_end().is_some()
    }

    /// Takes the next line, if it ends in this chunk.
    #[expect(clippy::inline_always, reason = "the loop's line in registers")]
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Line<'c>> {
        let start = self.start;
        if self.skip_lf() {
            return Some(Line { start, bytes: &[], is_cut_after_cr: false });
        }
        let at = self.next_end()?;
        let bytes = self.chunk.get(start..at)?;
        let (ends, is_cut_after_cr) = match self.chunk.get(at..)? {
            [b'\r'] => (1, true),
            [b'\r', b'\n', ..] => (2, false),
            _ => (1, false),
        };
        self.skip(bytes.len() + ends);
        Some(Line { start, bytes, is_cut_after_cr })
    }

    /// Takes an LF, if it comes next.
    #[inline]
    pub(crate) fn skip_lf(&mut self) -> bool {
        let is_lf = self.rest().first() == Some(&b'\n');
        if is_lf {
            self.skip(1);
        }
        is_lf
    }

    /// Where the next line ends.
    #[expect(clippy::inline_always, reason = "every item begins with it")]
    #[inline(always)]
    fn next_end(&mut self) -> Option<usize> {
        let end = if let Some(end) = self.end {
            end
        } else {
            let rest = self.rest();
            let found = match self.ends {
                Some(ends) => first_bit(ends, self.start),
                None => line_end(rest),
            };
            self.start + found.unwrap_or(rest.len())
        };
        self.end = Some(end);
        (end < self.chunk.len()).then_some(end)
    }

    /// How many bytes end the line that ends at `end`, and its block: the
    /// line end and a blank line.
    #[inline]
    fn block_end(&self, end: usize) -> Option<usize> {
        match self.chunk.get(end..)? {
            [b'\n', b'\n', ..] => Some(2),
            [b'\r', b'\n', b'\r', b'\n', ..] => Some(4),
            _ => None,
        }
    }

    // ANCHOR: short
    /// Takes the next block, if it is one line of data or one comment, of at
    /// most `limit` bytes, and whole: with the blank line, in this chunk, and
    /// in UTF-8; a space behind the colon, and each line ended by LF, or each
    /// by CRLF. Blank lines before it are taken in any case.
    #[expect(clippy::inline_always, reason = "what it finds is not stored")]
    #[inline(always)]
    pub(crate) fn next_short(&mut self, limit: usize) -> Option<Short<'c>> {
        loop {
            let end = self.next_end()?;
            let line = self.chunk.get(self.start..end)?;
            if line.is_empty() && self.chunk.get(end) == Some(&b'\n') {
                self.skip(1);
                continue;
            }
            let ends = self.block_end(end)?;
            let short = match line {
                _ if line.len() > limit => return None,
                [b':', b' ', value @ ..] => {
                    Short::Comment(self.text(end - value.len()..end)?)
                }
                [b'd', b'a', b't', b'a', b':', b' ', value @ ..] => {
                    Short::Data(self.text(end - value.len()..end)?)
                }
                _ => return None,
            };
            self.skip(line.len() + ends);
            return Some(short);
        }
    }
    // ANCHOR_END: short

    // ANCHOR: skip
    /// Takes the comments and blank lines that come next, if LF or CRLF ends
    /// them.
    pub(crate) fn skip_comments(&mut self) {
        loop {
            let end = match self.rest() {
                [b'\n', ..] => Some(self.start),
                [b'\r' | b':', ..] => self.next_end(),
                _ => return,
            };
            let Some(end) = end else { return };
            match self.chunk.get(end..) {
                Some([b'\n', ..]) => self.skip(end + 1 - self.start),
                Some([b'\r', b'\n', ..]) => self.skip(end + 2 - self.start),
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

    /// The same, if that is known without a check.
    #[inline]
    pub(crate) fn known_text_of(
        &self,
        line: Line<'c>,
        value: &[u8],
    ) -> Option<&'c str> {
        let end = line.start + line.bytes.len();
        self.known(&(end - value.len()..end))
    }

    /// The same for a short value: not much of what follows is checked, since
    /// it may not be asked for.
    #[inline]
    pub(crate) fn short_text_of(
        &mut self,
        line: Line<'c>,
        value: &[u8],
    ) -> Option<&'c str> {
        const NEAR: usize = 128;
        let end = line.start + line.bytes.len();
        let range = end - value.len()..end;
        self.known(&range).or_else(|| self.check(range, NEAR))
    }

    /// The text at `range`, if it is UTF-8.
    #[inline]
    fn text(&mut self, range: Range<usize>) -> Option<&'c str> {
        let least = match self.check {
            Check::Text => 0,
            Check::Rest => usize::MAX,
        };
        self.known(&range).or_else(|| self.check(range, least))
    }

    #[inline]
    fn known(&self, range: &Range<usize>) -> Option<&'c str> {
        let start = range.start.checked_sub(self.text_start)?;
        self.text.get(start..start + range.len())
    }

    /// Checks the text at `range`, and with it what follows, up to so many
    /// bytes.
    #[inline(never)]
    fn check(&mut self, range: Range<usize>, least: usize) -> Option<&'c str> {
        let bytes = if range.len() < least {
            let from = self.chunk.get(range.start..)?;
            whole_characters(from.get(..least).unwrap_or(from))
        } else {
            self.chunk.get(range.clone())?
        };
        self.text_start = range.start;
        self.text = from_utf8(bytes).unwrap_or_else(|error| {
            from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        });
        self.text.get(..range.len())
    }
    // ANCHOR_END: text
}

/// The bytes without the last character, if it is not ASCII: the end of the
/// chunk may cut it. No line has it that ends in this chunk.
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
/// short line does, and many lines are short: so the first sixteen bytes are
/// searched eight at a time.
#[inline(always)]
fn line_end(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let (words, _) = bytes.as_chunks();
    let mut at = 0;
    for word in words.iter().take(2) {
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

/// The most bytes of a chunk that is called short.
const SHORT: usize = 64;

// ANCHOR: line_ends
/// Where lines end in a chunk of 32 to 64 bytes: a bit for each byte, the
/// first the lowest. In such a chunk a line ends anywhere or nowhere, and a
/// search that stops at the end would stop each time elsewhere.
#[inline]
fn line_ends(chunk: &[u8]) -> Option<u64> {
    let (first, last) = (chunk.first_chunk()?, chunk.last_chunk()?);
    let before_last = chunk.len() - HALF;
    let is_short = chunk.len() <= SHORT;
    is_short.then(|| bits(first) | bits(last) << before_last)
}

const HALF: usize = SHORT / 2;

/// Bits from bytes.
#[inline]
fn bits(bytes: &[u8; HALF]) -> u64 {
    let marks = marks(bytes);
    let (words, _) = marks.as_chunks();
    // Eight bytes of 0 or 1 become eight bits.
    let bits = |word: &[u8; 8]| {
        u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56
    };
    words.iter().rev().fold(0, |all, word| all << 8 | bits(word))
}

/// 1 for each byte that ends a line. On its own, the compiler makes vector
/// instructions of it; together with what is done with it, it may not.
#[inline(never)]
fn marks(bytes: &[u8; HALF]) -> [u8; HALF] {
    bytes.map(|byte| u8::from(matches!(byte, b'\n' | b'\r')))
}

/// How many bits from `start` on the first is that is set.
#[inline]
fn first_bit(bits: u64, start: usize) -> Option<usize> {
    let bits = bits.unbounded_shr(u32::try_from(start).ok()?);
    (bits != 0).then(|| bits.trailing_zeros() as usize)
}
// ANCHOR_END: line_ends

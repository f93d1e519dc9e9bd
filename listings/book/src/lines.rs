//! What a program prints, line by line, in bounded memory.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// The lines of a pipe. One that is longer than so many bytes comes in
/// pieces, cut between two characters.
#[derive(Debug)]
pub struct Lines<R> {
    pipe: BufReader<R>,
    longest: usize,
    /// What was read and not yet given out.
    line: Vec<u8>,
    /// The last piece was not the end of its line.
    inside: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The lines of `pipe`, in pieces of at most `longest` bytes. A piece has
    /// room for one character of any length: four bytes, if less is given.
    pub fn new(pipe: R, longest: usize) -> Self {
        let (pipe, longest) = (BufReader::new(pipe), longest.max(4));
        Self { pipe, longest, line: Vec::new(), inside: false }
    }

    /// The next line or piece of one, without its end; `None` when the pipe
    /// is at its end, or broken. What is not UTF-8 is replaced. A call that
    /// is dropped loses nothing.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let room = self.longest - self.line.len();
            let mut limited = (&mut self.pipe).take(room as u64);
            let read = limited.read_until(b'\n', &mut self.line).await;
            let is_line = self.line.ends_with(b"\n");
            // The line went exactly into the pieces before.
            if self.inside && matches!(&*self.line, b"\n" | b"\r\n") {
                self.inside = false;
                self.line.clear();
                continue;
            }
            if read.is_err() || self.line.is_empty() {
                return None;
            }
            self.inside = !is_line && self.line.len() == self.longest;
            let kept = if self.inside { unfinished(&self.line) } else { 0 };
            let next = self.line.split_off(self.line.len() - kept);
            let text = String::from_utf8_lossy(&self.line);
            let text = text.trim_end_matches(['\n', '\r']).to_owned();
            self.line = next;
            return Some(text);
        }
    }
}

/// How many bytes at the end begin a character and do not complete it.
fn unfinished(bytes: &[u8]) -> usize {
    let from = |count: usize| &bytes[bytes.len().saturating_sub(count)..];
    (1..=3)
        .find(|&count| {
            let cut = std::str::from_utf8(from(count)).err();
            cut.is_some_and(|cut| {
                cut.valid_up_to() == 0 && cut.error_len().is_none()
            })
        })
        .unwrap_or(0)
}

/// A longer line is cut into pieces of this many bytes.
pub(crate) const LONGEST_LINE: usize = 2_000;

/// The address that a server tells in its first line.
pub(crate) fn url(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Lines;

    async fn pieces(bytes: &[u8], longest: usize) -> Vec<String> {
        let mut lines = Lines::new(bytes, longest);
        let mut pieces = Vec::new();
        while let Some(piece) = lines.next().await {
            pieces.push(piece);
        }
        pieces
    }

    #[tokio::test]
    async fn lines_come_without_their_ends() {
        let bytes = b"one\ntwo\r\n\n\xffthree";
        assert_eq!(
            pieces(bytes, 99).await,
            ["one", "two", "", "\u{fffd}three"]
        );
        assert!(pieces(b"", 99).await.is_empty());
    }

    #[tokio::test]
    async fn a_long_line_is_cut_between_characters() {
        // One to four bytes each, so that every cut meets every place.
        let text = "a\u{e9}\u{20ac}\u{1f600}".repeat(40);
        for longest in 4..60 {
            let lines = format!("{text}\nend\n");
            let pieces = pieces(lines.as_bytes(), longest).await;
            let (last, line) = pieces.split_last().unwrap();
            assert_eq!(last, "end", "{longest}");
            assert_eq!(line.concat(), text, "{longest}");
            for piece in line {
                assert!((1..=longest).contains(&piece.len()), "{longest}");
            }
        }
    }

    #[tokio::test]
    async fn a_line_that_just_fits_has_no_empty_one_behind_it() {
        assert_eq!(pieces(b"12345678\n9\n", 4).await, ["1234", "5678", "9"]);
        assert_eq!(pieces(b"1234\n\n9\n", 4).await, ["1234", "", "9"]);
    }

    #[tokio::test]
    async fn what_is_no_character_is_told_and_nothing_is_lost() {
        for (bytes, expected) in [
            // The end of the pipe, in a character.
            (b"abc\xe2\x82".as_slice(), vec!["abc", "\u{fffd}"]),
            // A lone lead, and bytes that belong to none.
            (b"abc\xe2abcd", vec!["abc", "\u{fffd}abc", "d"]),
            (
                b"\x82\x82\x82\x82\x82",
                vec!["\u{fffd}\u{fffd}\u{fffd}\u{fffd}", "\u{fffd}"],
            ),
        ] {
            assert_eq!(pieces(bytes, 4).await, expected, "{bytes:?}");
        }
    }
}

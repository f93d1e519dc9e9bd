//! How an input says what to do with its bytes: the first few are numbers.

/// The number in front of an input; 0 if there is none. A digit stands for
/// itself, so that a corpus can be read and written by people; any other byte
/// is its value.
pub fn number(input: &mut &[u8]) -> usize {
    let Some((&byte, rest)) = input.split_first() else { return 0 };
    *input = rest;
    match byte {
        b'0'..=b'9' => usize::from(byte - b'0'),
        _ => byte.into(),
    }
}

// ANCHOR: cuts
/// How bytes are cut: the lengths of the pieces, taken in turn. A piece may
/// be empty.
#[derive(Clone, Copy, Debug)]
pub struct Cuts([usize; 3]);

impl Cuts {
    /// The cuts that an input begins with.
    pub fn take(input: &mut &[u8]) -> Self {
        Self([(); 3].map(|()| number(input)))
    }

    /// The same bytes in one piece, cut as the input says, and byte by byte.
    #[must_use]
    pub fn ways<'b>(&self, bytes: &'b [u8]) -> Vec<Vec<&'b [u8]>> {
        /// Longer ones are not cut into bytes: it would take too long.
        const SHORT: usize = 256;
        let mut ways = vec![vec![bytes]];
        if self.0 != [0, 0, 0] {
            ways.push(self.pieces(bytes));
        }
        if bytes.len() <= SHORT {
            ways.push(bytes.chunks(1).collect());
        }
        ways
    }

    fn pieces<'b>(&self, mut bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        for length in self.0.into_iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let (piece, rest) = bytes.split_at(length.min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}
// ANCHOR_END: cuts

/// Bytes for a parser with a limit that no input reaches by itself: the first
/// byte FE becomes a run of the letter a, of 4 or 16 KiB less so many bytes.
pub fn stretch(input: &mut &[u8]) -> Vec<u8> {
    let (run, less) = (number(input), number(input));
    let length = match run {
        4 | 16 => run * 1024 - less,
        _ => 0,
    };
    match input.iter().position(|byte| *byte == 0xFE) {
        Some(at) if length > 0 => {
            let run = vec![b'a'; length];
            [&input[..at], &run, &input[at + 1..]].concat()
        }
        _ => input.to_vec(),
    }
}

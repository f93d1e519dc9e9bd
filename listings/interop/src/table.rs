//! What is printed: a table as wide as a page, and notes below it.

pub use harness::table::{columns, note};

use std::io;
use std::path::Path;

use harness::transcript;

/// How many bytes of each direction a note shows.
const SHOWN: usize = 240;

/// How many of the same byte in a row it shows.
const RUN: usize = 16;

/// Bytes as text: controls and all that is not ASCII escaped, cut, and the
/// same wherever and whenever they came.
#[must_use]
pub fn bytes(bytes: &[u8]) -> String {
    let mut shorter: Vec<u8> = Vec::new();
    let mut run = 0;
    let mut cut = false;
    for byte in bytes {
        run = if shorter.last() == Some(byte) { run + 1 } else { 1 };
        if run > RUN || shorter.len() == SHOWN {
            cut = true;
        } else {
            shorter.push(*byte);
        }
    }
    let mut text = String::new();
    for byte in &shorter {
        match byte {
            b'"' | b'\'' | b'\\' => text.push(char::from(*byte)),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    if cut {
        text.push('…');
    }
    stable(&text)
}

/// A line without the ports and the date of one run.
#[must_use]
pub fn stable(line: &str) -> String {
    transcript::normalize(line, 9000, 9000).trim_end().to_owned()
}

/// Writes `text` where the book includes it from: `transcripts/NAME.txt` of
/// this crate.
///
/// # Errors
/// If it cannot be written.
pub fn write(name: &str, text: &str) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    harness::table::write(&folder, &format!("{name}.txt"), text)
}

//! What is printed: a table as wide as a page, and notes below it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use harness::transcript;

/// How many columns a page has.
const WIDTH: usize = 78;
/// How many bytes of each direction a note shows.
const SHOWN: usize = 240;

/// How many of the same byte in a row it shows.
const RUN: usize = 16;

/// A table: what is in the first row names the columns.
#[must_use]
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<_> =
            cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// Adds `text` behind `label`, in lines of a page's width, the first indented
/// by `indent`, the others by the label too.
pub fn note(page: &mut String, indent: usize, label: &str, text: &str) {
    let width = WIDTH - indent - label.len();
    let mut label = label.to_owned();
    let mut line = String::new();
    let mut end = |line: &mut String| {
        // A `String` takes whatever is written to it.
        let _ = writeln!(page, "{:indent$}{label}{line}", "");
        label = " ".repeat(label.len());
        line.clear();
    };
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if line.chars().count() + 1 + word.len() > width && !line.is_empty() {
            end(&mut line);
        } else if !line.is_empty() {
            line.push(' ');
        }
        while line.chars().count() + word.len() > width {
            let rest = word.split_off(width - line.chars().count());
            line.extend(word);
            end(&mut line);
            word = rest;
        }
        line.extend(word);
    }
    end(&mut line);
}

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
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name).with_extension("txt"), text)
}

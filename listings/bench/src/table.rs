//! Columns for people: what is text stands left, what is a number right.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::machine::wrap;

/// Rows under a line of names, in columns as wide as they need to be.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    left: usize,
}

impl Table {
    /// A table with these names of columns, the first `left` of them for text.
    #[must_use]
    pub fn new(names: &[&str], left: usize) -> Self {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Self { rows: vec![names], left }
    }

    /// Adds a row. One that is shorter than the others ends with a text,
    /// which takes the room that is left, over several lines if need be.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text, each line ended.
    #[must_use]
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let full = || self.rows.iter().filter(|row| row.len() == columns);
        let width = |column: usize| {
            full().map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let rest = row.len() < columns && column + 1 == row.len();
                // A `String` takes whatever is written to it.
                let _ = if rest || column < self.left {
                    write!(line, "{cell:width$}  ")
                } else {
                    write!(line, "{cell:>width$}  ")
                };
            }
            if row.len() < columns {
                wrap(&mut text, line.trim_end());
            } else {
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        text
    }
}

/// A number with a comma before each three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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

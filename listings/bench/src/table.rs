//! Columns for people: what is text stands left, what is a number right.

pub use harness::grouped;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

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

/// The cells of each row below the line that begins with `first`, the name of
/// the first column: what [`Table::text`] printed, read back.
#[must_use]
pub fn rows<'a>(text: &'a str, first: &str) -> Vec<Vec<Cow<'a, str>>> {
    let is_head = |line: &&str| {
        let rest = line.strip_prefix(first);
        rest.is_some_and(|rest| rest.starts_with("  "))
    };
    let below = text.lines().skip_while(|line| !is_head(line)).skip(1);
    let mut rows: Vec<Vec<Cow<'a, str>>> = Vec::new();
    for line in below.take_while(|line| !line.is_empty()) {
        match (line.strip_prefix("    "), rows.last_mut()) {
            // A text that takes several lines.
            (Some(more), Some(row)) => {
                if let Some(cell) = row.last_mut() {
                    *cell = format!("{cell} {more}").into();
                }
            }
            _ => rows.push(
                line.split("  ")
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .map(Cow::Borrowed)
                    .collect(),
            ),
        }
    }
    rows
}

/// The number in a cell: digits with commas between them and a point, perhaps
/// with a `k` for thousands, and a unit behind a space.
#[must_use]
pub fn number(cell: &str) -> Option<f64> {
    let digits = cell.split(' ').next()?.replace(',', "");
    match digits.strip_suffix('k') {
        Some(thousands) => Some(thousands.parse::<f64>().ok()? * 1e3),
        None => digits.parse().ok(),
    }
}

/// Writes `text` where the book includes it from: `transcripts/NAME.txt` of
/// this crate.
///
/// # Errors
/// If it cannot be written.
pub fn write(name: &str, text: &str) -> io::Result<()> {
    put("transcripts", &format!("{name}.txt"), text)
}

/// Writes `svg` where the book includes it from: `plots/NAME.svg` of this
/// crate.
///
/// # Errors
/// If it cannot be written.
pub fn write_plot(name: &str, svg: &str) -> io::Result<()> {
    put("plots", &format!("{name}.svg"), svg)
}

fn put(folder: &str, name: &str, text: &str) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), text)
}

/// Adds `line`, broken at spaces to 78 columns, the rest indented.
pub(crate) fn wrap(text: &mut String, line: &str) {
    let mut width = 0;
    for word in line.split(' ') {
        let length = word.chars().count() + 1;
        if width == 0 {
            text.push_str(word);
            width = length;
        } else if width + length > 78 {
            text.push_str("\n    ");
            text.push_str(word);
            width = 4 + length;
        } else {
            text.push(' ');
            text.push_str(word);
            width += length;
        }
    }
    text.push('\n');
}

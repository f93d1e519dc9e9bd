//! Columns and lines for people, as wide as a page: what is text stands left,
//! what is a number right.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm, fill};

/// How many columns a page has.
const WIDTH: usize = 78;

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

/// A table of texts: what is in the first row names the columns.
#[must_use]
pub fn columns(rows: &[Vec<String>]) -> String {
    Table { rows: rows.to_vec(), left: usize::MAX }.text()
}

/// Adds `line`, broken at spaces, the rest indented. A word that is longer
/// than a line has one to itself.
pub fn wrap(page: &mut String, line: &str) {
    let options = lines().subsequent_indent("    ").break_words(false);
    page.push_str(&fill(line, options));
    page.push('\n');
}

/// Adds `text` behind `label`, the first line indented by `indent`, the others
/// by the label, too. A word that is longer than a line is cut.
pub fn note(page: &mut String, indent: usize, label: &str, text: &str) {
    let first = format!("{:indent$}{label}", "");
    let rest = " ".repeat(indent + label.len());
    let options = lines().initial_indent(&first).subsequent_indent(&rest);
    page.push_str(&fill(text, options));
    page.push('\n');
}

/// Broken at spaces, each line as full as it gets.
fn lines() -> Options<'static> {
    Options::new(WIDTH)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
}

/// Writes what the book includes: `NAME` in `folder`, which is made where
/// there is none.
///
/// # Errors
/// If it cannot be written.
pub fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(name), text)
}

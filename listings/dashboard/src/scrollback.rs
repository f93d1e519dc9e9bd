//! The lines of one pane: bounded, wrapped when drawn, scrolled by rows.
//!
//! A position is (line, row in that line), and lines are counted from the
//! first that ever came. So a view that is scrolled up stands still while new
//! lines arrive, old ones are dropped, and the width changes.

use std::collections::VecDeque;

use ratatui::style::Style;
use ratatui::text::Span;

use crate::report::visible;

/// Lines kept; the oldest go first.
pub const MAX_LINES: usize = 10_000;

/// Lines that fill any screen.
const SCREENFUL: usize = 500;

/// A row of the wrapped text: number of the line, row within it.
type Position = (usize, usize);

/// What a process has printed, and which part of it is looked at.
#[derive(Debug, Clone, Default)]
pub struct Scrollback {
    lines: VecDeque<String>,
    /// Lines that were dropped: the number of the first one kept.
    first: usize,
    /// The topmost row shown; `None` follows the newest line.
    top: Option<Position>,
    /// Frozen: lines from this number on are not shown yet.
    frozen: Option<usize>,
}

impl Scrollback {
    /// Appends a line and drops the oldest beyond [`MAX_LINES`].
    pub fn push(&mut self, line: &str) {
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
            self.first += 1;
        }
        self.lines.push_back(visible(line).into_owned());
    }

    /// All lines kept, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Whether the newest line stays in view.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.top.is_none()
    }

    /// Holds the view still while lines are still collected, or lets it go.
    pub fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen.then_some(self.first + self.lines.len());
    }

    /// Lines that arrived since the view was frozen.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.first + self.lines.len() - self.end()
    }

    /// Scrolls by `rows`, up if negative. At the last row it follows again.
    pub fn scroll(&mut self, rows: isize, width: u16, height: u16) {
        let bottom = self.bottom(width, height);
        let top = self.start(width, height);
        let top = if rows < 0 {
            self.up(top, rows.unsigned_abs(), width)
        } else {
            self.down(top, rows.unsigned_abs(), width)
        };
        self.top = (top < bottom).then_some(top);
    }

    /// Scrolls to the oldest line.
    pub fn to_oldest(&mut self, width: u16, height: u16) {
        let top = (self.first, 0);
        self.top = (top < self.bottom(width, height)).then_some(top);
    }

    /// Follows the newest line.
    pub fn follow(&mut self) {
        self.top = None;
    }

    /// The rows in view, at most `height`.
    #[must_use]
    pub fn rows(&self, width: u16, height: u16) -> Vec<&str> {
        let (line, row) = self.start(width, height);
        (line..self.end())
            .flat_map(|number| {
                let mut rows = self.wrapped(number, width);
                if number == line {
                    // Wider than when it was scrolled to: fewer rows now.
                    rows.drain(..row.min(rows.len().saturating_sub(1)));
                }
                rows
            })
            .take(height.into())
            .collect()
    }

    /// One past the last line shown. A frozen view whose lines are dropped
    /// moves on with the oldest that are kept.
    fn end(&self) -> usize {
        let end = self.first + self.lines.len();
        self.frozen
            .map_or(end, |at| at.max(self.first + at.min(SCREENFUL)).min(end))
    }

    fn start(&self, width: u16, height: u16) -> Position {
        let bottom = self.bottom(width, height);
        self.top.map_or(bottom, |top| top.max((self.first, 0)).min(bottom))
    }

    fn bottom(&self, width: u16, height: u16) -> Position {
        self.up((self.end(), 0), height.into(), width)
    }

    fn up(&self, from: Position, rows: usize, width: u16) -> Position {
        let (mut line, mut row) = from;
        let mut rows = rows;
        while rows > row {
            if line == self.first {
                return (line, 0);
            }
            rows -= row + 1;
            line -= 1;
            row = self.wrapped(line, width).len() - 1;
        }
        (line, row - rows)
    }

    fn down(&self, from: Position, rows: usize, width: u16) -> Position {
        let (mut line, row) = from;
        let mut row = row + rows;
        while line < self.end() {
            let rows = self.wrapped(line, width).len();
            if row < rows {
                break;
            }
            row -= rows;
            line += 1;
        }
        (line, row)
    }

    fn wrapped(&self, line: usize, width: u16) -> Vec<&str> {
        match self.lines.get(line - self.first) {
            Some(text) => wrap(text, width.into()),
            None => vec![""],
        }
    }
}

/// Cuts a line into rows of at most `width` columns, after a space where
/// there is one. Never empty.
fn wrap(line: &str, width: usize) -> Vec<&str> {
    let mut rows = Vec::new();
    let (mut start, mut used, mut at) = (0, 0, 0);
    let mut after_space = 0;
    let line_span = Span::raw(line);
    for grapheme in line_span.styled_graphemes(Style::new()) {
        let columns = Span::raw(grapheme.symbol).width();
        let is_space = grapheme.symbol == " ";
        // A space may hang over the edge, where nobody sees it.
        if used + columns > width && at > start && !is_space {
            let cut = if after_space > start { after_space } else { at };
            rows.push(&line[start..cut]);
            start = cut;
            used = Span::raw(&line[start..at]).width();
        }
        used += columns;
        at += grapheme.symbol.len();
        if is_space {
            after_space = at;
        }
    }
    rows.push(&line[start..]);
    rows
}

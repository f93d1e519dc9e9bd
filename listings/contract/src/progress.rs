//! What the command shows, and when: a row as soon as all before it are known.
//! On a terminal a line below them says how far it is.

use std::env;
use std::io::{self, IsTerminal, Write};

use contract::{Check, Outcome, Report};

/// The table as it grows.
pub(crate) struct Progress {
    checks: Vec<&'static Check>,
    /// What each of them found, as far as it is known.
    outcomes: Vec<Option<Outcome>>,
    /// How many of these were shown.
    shown: usize,
    json: bool,
    /// How many columns the line below has; `None` where nobody looks.
    line: Option<usize>,
}

impl Progress {
    /// Of these checks, which are to be made. `json` is an object a check
    /// instead of a row.
    pub(crate) fn new(checks: Vec<&'static Check>, json: bool) -> Self {
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let line = io::stderr().is_terminal() && !is_dumb;
        let mut new = Self {
            outcomes: vec![None; checks.len()],
            checks,
            shown: 0,
            json,
            line: line.then_some(0),
        };
        new.draw();
        new
    }

    /// Takes a result, and shows each row that no other stands before.
    pub(crate) fn told(&mut self, check: &Check, outcome: &Outcome) {
        let is_it = |other: &&Check| other.name == check.name;
        if let Some(index) = self.checks.iter().position(is_it) {
            self.outcomes[index] = Some(outcome.clone());
        }
        let known = self.outcomes[self.shown..].iter();
        let known = known.take_while(|outcome| outcome.is_some()).count();
        self.show(self.shown + known);
        self.draw();
    }

    /// Shows what is known of the checks before this one.
    fn show(&mut self, until: usize) {
        let names = self.checks.iter().map(|check| check.name.len());
        let width = names.max().unwrap_or_default();
        let mut text = String::new();
        let rows = self.checks.iter().zip(&self.outcomes);
        for (check, outcome) in rows.take(until).skip(self.shown) {
            match outcome {
                Some(outcome) if self.json => {
                    text += &check.to_json_line(outcome);
                }
                Some(outcome) => text += &check.row(outcome, width),
                None => {}
            }
        }
        self.shown = until;
        self.print(&text);
    }

    /// The last line: the counts; or why there are none.
    pub(crate) fn end(&mut self, report: &Report) {
        self.erase();
        match &report.obstacle {
            Some(obstacle) => {
                let _ = writeln!(io::stderr(), "error: {obstacle}");
            }
            None if !self.json => self.print(&(report.counts() + "\n")),
            None => {}
        }
        self.line = None;
    }

    /// What is known so far, and that it is not all.
    pub(crate) fn interrupted(&mut self) {
        self.show(self.checks.len());
        let results = self.checks.iter().zip(&self.outcomes);
        let results = results
            .filter_map(|(check, outcome)| Some((**check, outcome.clone()?)));
        let report = Report { results: results.collect(), ..Report::default() };
        let made = report.results.len();
        self.end(&report);
        let all = self.checks.len();
        let _ = writeln!(io::stderr(), "interrupted after {made} of {all}");
    }

    /// Prints to stdout, above the line. Whoever closed it has seen enough;
    /// the status still tells.
    fn print(&mut self, text: &str) {
        if !text.is_empty() {
            self.erase();
            let mut out = io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }

    fn draw(&mut self) {
        self.erase();
        let made = self.outcomes.iter().flatten().count();
        let next = self.outcomes.iter().position(Option::is_none);
        if let (Some(columns), Some(next)) = (&mut self.line, next) {
            let (all, name) = (self.checks.len(), self.checks[next].name);
            let line = format!("{made} of {all}, {name} …");
            *columns = line.chars().count();
            let _ = write!(io::stderr(), "{line}");
        }
    }

    /// By blanks, which every terminal knows.
    fn erase(&mut self) {
        if let Some(columns) = &mut self.line
            && *columns > 0
        {
            let blanks = " ".repeat(std::mem::take(columns));
            let _ = write!(io::stderr(), "\r{blanks}\r");
        }
    }
}

//! What was tried so far: a table that each run adds to.

use crate::{TARGETS, corpus};
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    fs,
    io::{self, ErrorKind},
    path::PathBuf,
    str::FromStr,
};

/// The command that prints the log.
const COMMAND: &str = "$ cargo run -p fuzz -- log";

/// The runs of a day with one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The day, as 2026-11-22.
    pub date: String,
    /// The target.
    pub target: String,
    /// How long it ran, in tenths of a minute.
    pub tenths: u64,
    /// How often the target was called.
    pub executions: u64,
    /// The edges of the program that were reached (libFuzzer's `cov`).
    pub edges: u64,
    /// Edges with how often they were taken (libFuzzer's `ft`).
    pub features: u64,
    /// The inputs in the corpus and the seeds.
    pub inputs: u64,
    /// The inputs for which the property did not hold.
    pub found: u64,
}

/// All runs, in their order; each group with the machine and the versions
/// that it ran with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log(pub Vec<(String, Vec<Row>)>);

/// Where the log is kept.
#[must_use]
pub fn path() -> PathBuf {
    corpus::home().join("transcripts/fuzz.txt")
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} minutes, {} executions, {} inputs kept, {} found",
            self.target,
            minutes(self.tenths),
            grouped(self.executions),
            self.inputs,
            self.found,
        )
    }
}

impl Log {
    /// The log so far; empty where there is none.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read() -> io::Result<Self> {
        match fs::read_to_string(path()) {
            Ok(text) => text.parse().map_err(io::Error::other),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Writes it where [`read`](Self::read) finds it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self) -> io::Result<()> {
        fs::write(path(), self.to_string())
    }

    /// Adds a run: to the row of the same day, target, machine and versions,
    /// if there is one.
    pub fn add(&mut self, with: &str, run: Row) {
        if self.0.last().is_none_or(|(last, _)| last != with) {
            self.0.push((with.to_owned(), Vec::new()));
        }
        let Some((_, rows)) = self.0.last_mut() else { return };
        let same = rows
            .iter_mut()
            .find(|row| row.date == run.date && row.target == run.target);
        match same {
            Some(row) => {
                *row = Row {
                    tenths: row.tenths + run.tenths,
                    executions: row.executions + run.executions,
                    found: row.found + run.found,
                    ..run
                }
            }
            None => rows.push(run),
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{COMMAND}")?;
        writeln!(f, "in all      minutes      executions  found")?;
        let mut sums = BTreeMap::new();
        for row in self.0.iter().flat_map(|(_, rows)| rows) {
            let sum: &mut (u64, u64, u64) =
                sums.entry(&*row.target).or_default();
            sum.0 += row.tenths;
            sum.1 += row.executions;
            sum.2 += row.found;
        }
        for target in TARGETS {
            let Some((tenths, executions, found)) = sums.get(target.name)
            else {
                continue;
            };
            writeln!(
                f,
                "{:<10} {:>8} {:>15} {found:>6}",
                target.name,
                minutes(*tenths),
                grouped(*executions)
            )?;
        }
        for (with, rows) in &self.0 {
            writeln!(f, "\n{with}")?;
            writeln!(
                f,
                "date       target      minutes      executions  a second  \
                 edges features inputs"
            )?;
            for row in rows {
                let seconds = (row.tenths * 6).max(1);
                writeln!(
                    f,
                    "{} {:<10} {:>8} {:>15} {:>9} {:>6} {:>8} {:>6}{}",
                    row.date,
                    row.target,
                    minutes(row.tenths),
                    grouped(row.executions),
                    grouped(row.executions / seconds),
                    grouped(row.edges),
                    grouped(row.features),
                    grouped(row.inputs),
                    match row.found {
                        0 => String::new(),
                        found => format!("\n    found: {found}"),
                    }
                )?;
            }
        }
        Ok(())
    }
}

impl FromStr for Log {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut groups: Vec<(String, Vec<Row>)> = Vec::new();
        // The sums come first; they are made anew.
        for group in text.split("\n\n").skip(1) {
            let mut lines = group.lines();
            let with = lines.next().unwrap_or_default().to_owned();
            let mut rows: Vec<Row> = Vec::new();
            for line in lines.skip(1) {
                let bad = || format!("not a row of the log: {line:?}");
                if let Some(found) = line.strip_prefix("    found: ") {
                    let row = rows.last_mut().ok_or_else(bad)?;
                    row.found = number(found).ok_or_else(bad)?;
                } else {
                    rows.push(row(line).ok_or_else(bad)?);
                }
            }
            groups.push((with, rows));
        }
        Ok(Self(groups))
    }
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<_> = line.split_whitespace().collect();
    let [date, target, minutes, executions, _, edges, features, inputs] =
        cells[..]
    else {
        return None;
    };
    let (whole, tenth) = minutes.split_once('.')?;
    Some(Row {
        date: date.to_owned(),
        target: target.to_owned(),
        tenths: number(whole)? * 10 + number(tenth)?,
        executions: number(executions)?,
        edges: number(edges)?,
        features: number(features)?,
        inputs: number(inputs)?,
        found: 0,
    })
}

fn number(text: &str) -> Option<u64> {
    text.replace(',', "").parse().ok()
}

fn minutes(tenths: u64) -> String {
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        // A `String` takes whatever is written to it.
        let _ = text.write_char(digit);
    }
    text
}

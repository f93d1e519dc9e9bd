//! The book's servers beside other people's: what readers cost, what events
//! cost, and how late they come.
//!
//! Each server has one processor, and the crowd that reads has another. The
//! servers take turns, round by round. A server that loses an event, refuses
//! a reader or leaves one waiting has no figure in that round, and the table
//! says why.

pub mod delay;
pub mod idle;
pub mod load;
pub mod profile;
pub mod shown;

use std::io;

use crate::cores::Cores;
use crate::idle::spread;
use crate::others::{self, Contestant};
use crate::program::Program;
use crate::table::{Table, grouped};

/// What a server does at least, measured along: the ratios are to it.
pub const LEAST: &str = "least";

/// Who is measured if nobody is named: the chapters, the others, the least.
pub fn contestants() -> impl Iterator<Item = &'static str> {
    let ours = crate::CHAPTERS.into_iter().chain(["ch05-browser"]);
    ours.chain(others::keys()).chain(["bench/least"])
}

/// What came of a server, round by round: figures, or why there are none.
#[derive(Clone, Debug)]
pub struct Measured<T> {
    /// What the server is called.
    pub name: String,
    /// Its rounds; none if it could not be started at all, which `missing`
    /// explains.
    pub rounds: Vec<Result<T, String>>,
    /// Why it was not measured.
    pub missing: Option<String>,
}

/// Measures each in turn, and all of them again, so many times.
pub fn rounds<T>(
    contestants: &[Contestant],
    count: usize,
    mut progress: impl FnMut(usize, &str),
    mut measure: impl FnMut(&Program) -> io::Result<T>,
) -> Vec<Measured<T>> {
    let none = |one: &Contestant| Measured {
        name: one.name.clone(),
        rounds: Vec::new(),
        missing: one.program.as_ref().err().cloned(),
    };
    let mut measured: Vec<_> = contestants.iter().map(none).collect();
    for round in 1..=count {
        for (one, measured) in contestants.iter().zip(&mut measured) {
            if let Ok(program) = &one.program {
                progress(round, &one.name);
                let figures = measure(program);
                measured.rounds.push(figures.map_err(|e| e.to_string()));
            }
        }
    }
    measured
}

/// Where servers and crowd run, for the header of a table.
#[must_use]
pub fn placed(cores: Option<Cores>) -> &'static str {
    match cores {
        Some(_) => "one processor for the server, another for its readers",
        None => "server and readers share what processors there are",
    }
}

/// Rows of a table, of which some say only why there is no figure.
struct Rows(Table);

impl Rows {
    fn new(names: &[&str], left: usize) -> Self {
        Self(Table::new(names, left))
    }

    /// A row of figures from the rounds that have one; what kept the others
    /// from it, in a row below. `front` begins both.
    fn add<T: Clone>(
        &mut self,
        front: &[String],
        missing: Option<&String>,
        rounds: &[Result<T, String>],
        row: impl Fn(&[T]) -> Vec<String>,
    ) {
        let mut say = |text: String| {
            self.0.row(front.iter().cloned().chain([text]));
        };
        if let Some(why) = missing {
            return say(format!("not measured: {why}"));
        }
        let fine: Vec<T> =
            rounds.iter().filter_map(|one| one.clone().ok()).collect();
        let failed: Vec<&String> =
            rounds.iter().filter_map(|one| one.as_ref().err()).collect();
        if let Some(why) = failed.first() {
            let (some, of) = (failed.len(), rounds.len());
            let when = if some == of {
                String::new()
            } else {
                format!("in {some} of {of} rounds: ")
            };
            say(format!("{when}{why}"));
        }
        if !fine.is_empty() {
            self.0.row(front.iter().cloned().chain(row(&fine)));
        }
    }

    fn text(&self) -> String {
        self.0.text()
    }
}

/// The median, and `least to most`, of what `figure` takes from each round,
/// in hundredths, printed with so many `digits` behind the point.
fn three<T>(
    rounds: &[T],
    digits: u32,
    figure: impl Fn(&T) -> u64,
) -> [String; 2] {
    let figures = rounds.iter().map(figure).collect();
    spread(figures).map_or_else(Default::default, |three| {
        let [least, median, most] = three.map(|one| fixed(one, digits));
        [median, format!("{least} to {most}")]
    })
}

fn median<T>(rounds: &[T], figure: impl Fn(&T) -> u64) -> u64 {
    let figures = rounds.iter().map(figure).collect();
    spread(figures).map_or(0, |[_, median, _]| median)
}

/// Thousandths, rounded to so many digits behind the point: at most three.
fn fixed(thousandths: u64, digits: u32) -> String {
    let unit = 10_u64.pow(3 - digits.min(3));
    let rounded = (thousandths + unit / 2) / unit;
    let whole = 10_u64.pow(digits.min(3));
    let point = rounded % whole;
    let rest = match digits {
        0 => String::new(),
        _ => format!(".{point:0width$}", width = digits as usize),
    };
    format!("{}{rest}", grouped(rounded / whole))
}

/// How many times as much, to two digits: `1.0`, `17`.
fn times(much: u64, of: u64) -> String {
    let tenths = (u128::from(much) * 10 + u128::from(of) / 2)
        .checked_div(u128::from(of));
    match tenths.and_then(|tenths| u64::try_from(tenths).ok()) {
        None => "-".to_owned(),
        Some(tenths) if tenths < 100 => {
            format!("{}.{}", tenths / 10, tenths % 10)
        }
        Some(tenths) => grouped((tenths + 5) / 10),
    }
}

//! The book's servers beside other people's: what readers cost, what events
//! cost, and how late they come.
//!
//! Each server has one processor, and the crowd that reads has another. The
//! servers take turns, round by round. A server that loses an event, refuses
//! a reader or leaves one waiting has no figure in that round, and the table
//! says why.

pub mod closed;
pub mod delay;
pub mod idle;
pub mod load;
pub mod profile;
pub mod shown;

use std::io;
use std::time::Duration;

use crate::cores::Cores;
use crate::crowd::Crowd;
use crate::idle::spread;
use crate::others::{self, Contestant};
use crate::program::{Program, Running};
use crate::table::{Table, grouped};

/// What a server does at least, measured along: the ratios are to it.
pub const LEAST: &str = "least";

/// What people would take in place of chapter 4, and what does the least:
/// examples of this crate.
const EXAMPLES: [&str; 3] = ["plain-axum", "nchan", LEAST];

/// Who is measured if nobody is named: the chapters, which then print nothing
/// either, the others, the least.
pub fn contestants() -> impl Iterator<Item = String> {
    let ours = ours().map(|name| format!("{name} -q"));
    let others = others::keys().map(ToOwned::to_owned);
    let examples = EXAMPLES.map(|name| format!("bench/{name}"));
    ours.chain(others).chain(examples)
}

/// The chapters as they are: they print a line for each event of each reader.
pub fn ours() -> impl Iterator<Item = &'static str> {
    crate::CHAPTERS.into_iter().chain(["ch05-browser"])
}

/// Those that publish what is posted to `/messages`.
pub fn that_take_posts() -> impl Iterator<Item = String> {
    let examples = EXAMPLES.map(|name| format!("bench/{name}"));
    ["ch04-axum -q".to_owned()].into_iter().chain(examples)
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
    mut measure: impl FnMut(usize, &Program) -> io::Result<T>,
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
                let figures = measure(round, program);
                measured.rounds.push(figures.map_err(|e| e.to_string()));
            }
        }
    }
    measured
}

/// The readers of a server. They stay awake if they have a processor for
/// themselves.
fn crowd(of: &Running, cores: Option<Cores>) -> io::Result<Crowd> {
    let mut crowd = Crowd::of(of.stream().clone())?;
    if cores.is_some() {
        crowd.stay_awake();
    }
    Ok(crowd)
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

    /// A row of figures from the rounds that have one. If some have none, the
    /// name says how many have, and a row above tells what kept the others
    /// from it. `front` begins both.
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
            let mut front = front.to_vec();
            if let Some(name) = front.first_mut()
                && !failed.is_empty()
            {
                *name = format!("{name} ({} of {})", fine.len(), rounds.len());
            }
            self.0.row(front.into_iter().chain(row(&fine)));
        }
    }

    fn text(&self) -> String {
        self.0.text()
    }
}

/// The median, and `least to most`, of what `figure` takes from each round,
/// in thousandths, printed with so many `digits` behind the point.
fn three<T>(
    rounds: &[T],
    digits: u32,
    figure: impl Fn(&T) -> u64,
) -> [String; 2] {
    let figures = rounds.iter().map(figure).collect();
    spread(figures).map_or_else(Default::default, |three| {
        let [least, median, most] = three.map(|one| fixed(one, digits));
        [median, both_ends(rounds.len(), &least, &most)]
    })
}

/// What stands under `least to most`.
fn both_ends(rounds: usize, least: &str, most: &str) -> String {
    match rounds {
        1 => "once".to_owned(),
        _ => format!("{least} to {most}"),
    }
}

/// A share of a time, in thousandths of a percent.
fn share(part: Duration, of: Duration) -> u64 {
    let share = (part.as_nanos() * 100_000).checked_div(of.as_nanos());
    share.and_then(|share| u64::try_from(share).ok()).unwrap_or(0)
}

fn percent(share: u64) -> String {
    format!("{}%", fixed(share, 0))
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

/// How many times as much, to two digits: `1.0`, `17`; `-` if there is nothing
/// to compare with.
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

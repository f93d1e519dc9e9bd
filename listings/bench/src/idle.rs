//! What readers cost while nothing is sent. The servers take turns, round by
//! round, so that whatever else the machine does falls on all of them.

use std::io;

use crate::program::{Program, Usage};
use crate::reader::Readers;
use crate::table::{Table, grouped};

/// How many readers, how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The counts of readers: more than one, each more than the one before.
    pub counts: Vec<usize>,
    /// How often each server is started and filled.
    pub rounds: usize,
}

/// What one server held, in one round, with each count of readers.
#[derive(Clone, Debug)]
pub struct Round {
    /// With one reader. What it costs beyond the next ones is code that runs
    /// for the first time, and threads that start late.
    pub first: Usage,
    /// With each count of the plan, or what happened instead.
    pub filled: Vec<Result<Usage, String>>,
}

/// What one server held in every round.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The server.
    pub program: Program,
    /// Its rounds.
    pub rounds: Vec<Round>,
}

// ANCHOR: measure
/// Starts each server in turn, fills it with readers, and looks at what it
/// holds; and all of that again, `plan.rounds` times.
///
/// # Errors
/// If a server does not start, or does not serve even one reader; and where
/// the system does not tell what a process holds. A server that refuses more
/// readers is no error but a result.
pub fn measure(
    programs: &[Program],
    plan: &Plan,
    mut progress: impl FnMut(usize, &Program),
) -> io::Result<Vec<Measured>> {
    let mut measured: Vec<_> = programs
        .iter()
        .map(|program| Measured { program: program.clone(), rounds: vec![] })
        .collect();
    for number in 1..=plan.rounds {
        for Measured { program, rounds } in &mut measured {
            progress(number, program);
            rounds.push(round(program, &plan.counts)?);
        }
    }
    Ok(measured)
}

fn round(program: &Program, counts: &[usize]) -> io::Result<Round> {
    let most = counts.iter().copied().max().unwrap_or_default();
    let mut server = program.start(most)?;
    let mut readers = Readers::of(server.stream().clone());
    readers.grow_to(1).map_err(|error| server.explain(&error))?;
    let first = server.usage()?;
    let mut filled: Vec<Result<Usage, String>> = Vec::new();
    for &count in counts {
        let usage = match filled.last() {
            Some(Err(_)) => Err("not tried: fewer were too many".to_owned()),
            _ => readers
                .grow_to(count)
                .and_then(|()| server.usage())
                .and_then(|usage| all_are_there(usage, count))
                .map_err(|error| server.explain(&error).to_string()),
        };
        filled.push(usage);
    }
    Ok(Round { first, filled })
}
// ANCHOR_END: measure

/// A server in several processes would show little, and a server that has
/// let go of its readers too.
fn all_are_there(usage: Usage, readers: usize) -> io::Result<Usage> {
    if usage.descriptors > readers {
        return Ok(usage);
    }
    let descriptors = usage.descriptors;
    Err(io::Error::other(format!(
        "{readers} readers, and its process has {descriptors} descriptors"
    )))
}

/// Least, median and most; `None` if there is none.
#[must_use]
pub fn spread(mut of: Vec<u64>) -> Option<[u64; 3]> {
    of.sort_unstable();
    let (least, most) = (*of.first()?, *of.last()?);
    let half = of.len() / 2;
    let median = if of.len().is_multiple_of(2) {
        of[half - 1].midpoint(of[half])
    } else {
        of[half]
    };
    Some([least, median, most])
}

/// With fewer readers, what the kernel had at hand already is too much of it.
const KERNEL_SHOWS: usize = 1000;

/// The figures as a table: a row for each server and each count, medians of
/// the rounds, memory in KiB.
///
/// - resident: what the process holds
/// - a reader: how much more that is than with the first reader, divided by
///   the others, in each round for itself; then its least and its most
/// - kernel: the same for what the kernel holds
/// - files: open descriptors
#[must_use]
pub fn table(measured: &[Measured], plan: &Plan) -> String {
    let names = ["server", "readers", "resident", "a reader", "least to most"];
    let more = ["kernel", "threads", "files"];
    let mut table = Table::new(&[&names[..], &more].concat(), 1);
    for Measured { program, rounds } in measured {
        let name = &program.name;
        let first: Vec<_> =
            rounds.iter().map(|round| (round.first, round.first)).collect();
        table.row(row(name, 1, &first));
        for (index, &count) in plan.counts.iter().enumerate() {
            let outcomes = rounds.iter().map(|round| {
                let filled = round.filled[index].clone();
                filled.map(|usage| (round.first, usage))
            });
            let (filled, failed): (Vec<_>, Vec<_>) =
                outcomes.partition(Result::is_ok);
            let filled: Vec<_> = filled.into_iter().flatten().collect();
            if !filled.is_empty() {
                table.row(row(name, count, &filled));
            }
            if let Some(Err(why)) = failed.first() {
                let (some, of) = (failed.len(), rounds.len());
                let when = match some {
                    some if some == of => String::new(),
                    some => format!("in {some} of {of} rounds: "),
                };
                let readers = grouped(count as u64);
                table.row([name.clone(), readers, format!("{when}{why}")]);
            }
        }
    }
    table.text()
}

/// A row from what a process held with its first reader, and with `count`.
fn row(name: &str, count: usize, held: &[(Usage, Usage)]) -> Vec<String> {
    let median = |of: fn(&Usage) -> u64| {
        let all = held.iter().map(|(_, usage)| of(usage)).collect();
        spread(all).map_or_else(String::new, |[_, median, _]| grouped(median))
    };
    let a_reader = |of: fn(&Usage) -> u64| {
        let others = count as u64 - 1;
        let bytes = held.iter().filter_map(|(first, usage)| {
            let more = of(usage).saturating_sub(of(first));
            (more * 1024).checked_div(others)
        });
        spread(bytes.collect()).map(|three| three.map(kib))
    };
    let none = || "-".to_owned();
    let (each, both_ends) = a_reader(|usage| usage.resident).map_or_else(
        || (none(), none()),
        |[least, median, most]| (median, format!("{least} to {most}")),
    );
    let kernel = a_reader(|usage| usage.kernel)
        .filter(|_| count >= KERNEL_SHOWS)
        .map_or_else(none, |[_, median, _]| median);
    vec![
        name.to_owned(),
        grouped(count as u64),
        median(|usage| usage.resident),
        each,
        both_ends,
        kernel,
        median(|usage| usage.threads as u64),
        median(|usage| usage.descriptors as u64),
    ]
}

/// Bytes as KiB, to a tenth.
fn kib(bytes: u64) -> String {
    let tenths = (bytes * 10 + 512) / 1024;
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

//! What readers cost while nothing but heartbeats is sent.

use std::io;
use std::time::{Duration, Instant};

use super::{LEAST, Measured, Rows, crowd, median, three, times};
use crate::cores::Cores;
use crate::crowd::{Crowd, Heard};
use crate::program::{Given, Program, Running};
use crate::table::grouped;

/// How many readers, and for how long they are watched.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The counts of readers: two at least, each more than the one before.
    pub counts: Vec<usize>,
    /// More than so many readers are opened in the first round only: filling
    /// a server with ten thousand takes most of a round.
    pub once_above: usize,
    /// How long the processor is watched: a multiple of [`heartbeat`], so that
    /// each reader is given as many as every other.
    pub watched: Duration,
    /// Where it all runs.
    pub cores: Option<Cores>,
}

/// From one heartbeat to the next.
#[must_use]
pub fn heartbeat() -> Duration {
    Given::idle(0).heartbeat
}

/// With so many readers.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// Memory that each reader after the first adds: bytes.
    pub memory: u64,
    /// Processor time that a heartbeat takes, with all that happens between
    /// two: nanoseconds.
    pub heartbeat: u64,
}

/// For each count, in order, until one is not tried: in a later round, or
/// behind one that could not be held.
pub type Round = Vec<Result<Filled, String>>;

/// Starts the server and fills it with readers, step by step.
///
/// # Errors
/// If it does not serve even one reader.
pub fn round(
    number: usize,
    program: &Program,
    plan: &Plan,
) -> io::Result<Round> {
    let most = plan.counts.iter().copied().max().unwrap_or_default();
    let given = Given { cores: plan.cores, ..Given::idle(most) };
    let mut server = program.start_with(&given)?;
    let mut crowd = crowd(&server, plan.cores)?;
    let first = fill(&mut crowd, 1, &server, Duration::ZERO);
    let (first, _) = first.map_err(|error| server.explain(&error))?;
    let mut filled = Vec::new();
    let is_first = number == 1;
    let counts = plan.counts.iter().copied();
    for count in counts.filter(|&n| is_first || n <= plan.once_above) {
        match fill(&mut crowd, count, &server, plan.watched) {
            Ok((memory, heartbeat)) => {
                let more = memory.saturating_sub(first) * 1024;
                let memory = more / (count as u64 - 1);
                filled.push(Ok(Filled { memory, heartbeat }));
            }
            Err(error) => {
                filled.push(Err(server.explain(&error).to_string()));
                break;
            }
        }
    }
    Ok(filled)
}

/// The memory that it then takes, in KiB, and the processor time that a
/// heartbeat takes, in nanoseconds.
fn fill(
    crowd: &mut Crowd,
    count: usize,
    server: &Running,
    watched: Duration,
) -> io::Result<(u64, u64)> {
    crowd.grow_to(count, OPENING)?;
    crowd.hear_comments()?;
    if !watched.is_zero() {
        // Somebody's heartbeat came just now. The watch must not end where
        // the next is due, or chance decides how many are in it.
        crowd.warm_up(heartbeat() / 4)?;
    }
    let (start, before) = (Instant::now(), server.processor()?);
    let mut comments = 0_u32;
    crowd.listen(
        || start.elapsed() >= watched,
        |one| comments += u32::from(one.heard == Heard::Comment),
    )?;
    let processor = server.processor()?.saturating_sub(before);
    if !watched.is_zero() {
        // Timers that end late may have missed the end.
        crowd.all_are_served(heartbeat() * 5)?;
    }
    let heartbeat = processor / comments.max(1);
    let heartbeat = u64::try_from(heartbeat.as_nanos()).unwrap_or(u64::MAX);
    Ok((server.memory()?, heartbeat))
}

/// Readers come over so long a time, and their heartbeats are as far apart.
const OPENING: Duration = Duration::from_secs(1);

/// Two tables: what memory and what processor time a reader costs. The floor
/// keeps a number for each reader, so memory is compared with the best of the
/// others.
#[must_use]
pub fn tables(measured: &[Measured<Round>], plan: &Plan) -> String {
    let memory = ["memory", "readers", "KiB a reader", "least to most"];
    let memory = table(
        measured,
        plan,
        &[&memory[..], &["times best"]].concat(),
        |one| one.memory * 1000 / 1024,
    );
    let processor = ["processor", "readers", "µs a heartbeat", "least to most"];
    let processor = table(
        measured,
        plan,
        &[&processor[..], &["times least"]].concat(),
        |one| one.heartbeat,
    );
    format!("{memory}\n{processor}")
}

fn table(
    measured: &[Measured<Round>],
    plan: &Plan,
    names: &[&str],
    figure: fn(&Filled) -> u64,
) -> String {
    let to_best = names.last() == Some(&"times best");
    let mut rows = Rows::new(names, 1);
    for (index, &count) in plan.counts.iter().enumerate() {
        let of_count = |one: &Measured<Round>| -> Vec<_> {
            let once = count > plan.once_above;
            let rounds =
                one.rounds.iter().take(if once { 1 } else { usize::MAX });
            let filled = rounds.map(|round| match round {
                Ok(filled) => filled.get(index).cloned().unwrap_or_else(|| {
                    Err("not tried: fewer were too many".to_owned())
                }),
                Err(why) => Err(why.clone()),
            });
            filled.collect()
        };
        let compared = measured
            .iter()
            .filter(|one| (one.name == LEAST) != to_best)
            .filter_map(|one| {
                let fine: Vec<_> =
                    of_count(one).into_iter().flatten().collect();
                (!fine.is_empty()).then(|| median(&fine, figure))
            })
            .min()
            .unwrap_or(0);
        for one in measured {
            let rounds = of_count(one);
            let front = [one.name.clone(), grouped(count as u64)];
            rows.add(&front, one.missing.as_ref(), &rounds, |fine| {
                let [middle, both] = three(fine, 1, figure);
                vec![middle, both, times(median(fine, figure), compared)]
            });
        }
    }
    rows.text()
}

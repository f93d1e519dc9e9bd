//! How late events come, with many readers and a steady rate.

use std::io;
use std::time::{Duration, Instant};

use super::{Measured, Rows, fixed, median, three};
use crate::cores::Cores;
use crate::crowd::{Crowd, Heard};
use crate::delay::{Arrived, Clock, Delays};
use crate::program::{Given, Program};

/// How many readers are watched for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Readers.
    pub readers: usize,
    /// From one event to the next, for each reader.
    pub every: Duration,
    /// How long arrivals are noted.
    pub watched: Duration,
    /// Where it all runs.
    pub cores: Option<Cores>,
}

/// What came of it, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Delayed {
    /// What an event's place in the row depends on.
    pub clock: Clock,
    /// From one event to the next.
    pub period: u64,
    /// Half of the events came no later.
    pub half: u64,
    /// 99 of 100.
    pub most: u64,
    /// The latest.
    pub longest: u64,
    /// How long an arrival can have waited for the crowd to read it: 99 of
    /// 100 no longer.
    pub in_line: u64,
}

/// Readers come over so long a time: as much as their rows lie apart, if each
/// has its own.
const OPENING: Duration = Duration::from_secs(1);
/// What happens at first is not counted.
const WARM_UP: Duration = Duration::from_secs(2);

/// Starts the server, opens the readers, and notes when which event arrives.
///
/// # Errors
/// If a reader is refused, cut off, or given wrong events; or if too few
/// events come to say anything.
pub fn round(program: &Program, plan: &Plan) -> io::Result<Delayed> {
    let mut server = program.start_with(&Given {
        readers: plan.readers,
        every: plan.every,
        heartbeat: Duration::from_secs(15),
        cores: plan.cores,
    })?;
    let mut crowd = Crowd::of(server.stream().clone())?;
    let mut rows: Vec<Vec<Arrived>> = vec![Vec::new(); plan.readers];
    let mut in_line = Vec::new();
    let mut measure = || {
        crowd.grow_to(plan.readers, OPENING)?;
        crowd.warm_up(WARM_UP)?;
        let start = Instant::now();
        crowd.listen(
            || start.elapsed() >= plan.watched,
            |one| {
                let Heard::Event(number) = one.heard else { return };
                let passed = one.at.saturating_duration_since(start);
                let at = i64::try_from(passed.as_nanos());
                rows[one.reader].push((number, at.unwrap_or(i64::MAX)));
                in_line.push(one.in_line);
            },
        )
    };
    measure().map_err(|error| server.explain(&error))?;
    let delays = Delays::of(&rows, plan.every, OPENING);
    let delays = delays.ok_or_else(|| {
        io::Error::other("too few events to say how late they come")
    })?;
    in_line.sort_unstable();
    let nanos = |nanos: i64| u64::try_from(nanos).unwrap_or(0);
    let in_line = in_line.get(in_line.len() * 99 / 100);
    let in_line = in_line.copied().unwrap_or_default().as_nanos();
    Ok(Delayed {
        clock: delays.clock,
        period: u64::try_from(delays.period.as_nanos()).unwrap_or(u64::MAX),
        half: nanos(delays.per_mille(500)),
        most: nanos(delays.per_mille(990)),
        longest: nanos(delays.per_mille(1000)),
        in_line: u64::try_from(in_line).unwrap_or(u64::MAX),
    })
}

/// A table, in milliseconds.
#[must_use]
pub fn table(measured: &[Measured<Delayed>]) -> String {
    let names = [
        "delay in ms",
        "row",
        "interval",
        "50%",
        "99%",
        "least to most",
        "100%",
        "in line",
    ];
    let mut rows = Rows::new(&names, 2);
    for one in measured {
        let front = [one.name.clone()];
        rows.add(&front, one.missing.as_ref(), &one.rounds, |fine| {
            let ms = |figure: fn(&Delayed) -> u64, digits| {
                fixed(median(fine, figure) / 1000, digits)
            };
            let [most, both] = three(fine, 2, |one| one.most / 1000);
            let mut clocks: Vec<_> =
                fine.iter().map(|one| one.clock.name()).collect();
            clocks.dedup();
            vec![
                clocks.join("/"),
                ms(|one| one.period, 2),
                ms(|one| one.half, 2),
                most,
                both,
                ms(|one| one.longest, 1),
                ms(|one| one.in_line, 2),
            ]
        });
    }
    rows.text()
}

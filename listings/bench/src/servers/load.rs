//! What an event costs: how many reach readers for a second of processor time.

use std::io;
use std::time::{Duration, Instant};

use super::{
    LEAST, Measured, Rows, crowd, median, percent, share, three, times,
};
use crate::cores::Cores;
use crate::crowd::Heard;
use crate::program::{Given, Program};
use crate::table::grouped;

/// How many readers are sent how much.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Readers.
    pub readers: usize,
    /// From one event to the next, for each reader.
    pub every: Duration,
    /// For how long what they are given is counted.
    pub watched: Duration,
    /// Where it all runs.
    pub cores: Option<Cores>,
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Events that were delivered.
    pub events: u64,
    /// How long that took.
    pub passed: Duration,
    /// The server's processor time.
    pub server: Duration,
    /// The part of that in which the crowd was reading.
    pub reading: Duration,
}

impl Load {
    /// Events for a second of the server's processor time.
    #[must_use]
    pub fn a_second(&self) -> u64 {
        rate(self.events, self.server)
    }
}

fn rate(events: u64, time: Duration) -> u64 {
    let nanos = u128::from(events) * 1_000_000_000;
    let rate = nanos.checked_div(time.as_nanos()).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// None comes while there are events.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
/// Readers come over so long a time.
pub(super) const OPENING: Duration = Duration::from_secs(1);
/// What the first events cost is not counted.
pub(super) const WARM_UP: Duration = Duration::from_secs(1);

/// Starts the server, opens the readers, and counts for a while what they are
/// given.
///
/// # Errors
/// If a reader is refused, cut off, or given wrong events, or none; and where
/// the system does not tell what a process takes.
pub fn round(program: &Program, plan: &Plan) -> io::Result<Load> {
    let mut server = program.start_with(&Given {
        readers: plan.readers,
        every: plan.every,
        heartbeat: HEARTBEAT,
        cores: plan.cores,
    })?;
    let mut crowd = crowd(&server, plan.cores)?;
    let mut measure = || {
        crowd.grow_to(plan.readers, OPENING)?;
        crowd.warm_up(WARM_UP)?;
        let (read, before) = (crowd.reading(), server.processor()?);
        let (start, mut events) = (Instant::now(), 0);
        crowd.listen(
            || start.elapsed() >= plan.watched,
            |one| events += u64::from(matches!(one.heard, Heard::Event(_))),
        )?;
        let passed = start.elapsed();
        let server = server.processor()?.saturating_sub(before);
        let reading = crowd.reading().saturating_sub(read);
        crowd.all_are_served(Duration::ZERO)?;
        Ok(Load { events, passed, server, reading })
    };
    measure().map_err(|error: io::Error| server.explain(&error))
}

/// A table of what came of one plan.
#[must_use]
pub fn table(measured: &[Measured<Load>], plan: &Plan) -> String {
    let title = format!("{} readers", grouped(plan.readers as u64));
    let names = [
        &*title,
        "events/s",
        "a CPU second",
        "least to most",
        "times",
        "CPU",
        "crowd",
    ];
    let mut rows = Rows::new(&names, 1);
    let least = measured.iter().find(|one| one.name == LEAST);
    let least = least.map_or(0, |least| {
        let fine: Vec<_> =
            least.rounds.iter().filter_map(|one| one.clone().ok()).collect();
        median(&fine, Load::a_second)
    });
    for one in measured {
        let front = [one.name.clone()];
        rows.add(&front, one.missing.as_ref(), &one.rounds, |fine| {
            let a_second = |load: &Load| load.a_second() * 1000;
            let [median_is, both] = three(fine, 0, a_second);
            let delivered = median(fine, |load| rate(load.events, load.passed));
            let crowd =
                fine.iter().map(|load| share(load.reading, load.passed));
            vec![
                grouped(delivered),
                median_is,
                both,
                times(least, median(fine, Load::a_second)),
                percent(median(fine, |load| share(load.server, load.passed))),
                percent(crowd.max().unwrap_or(0)),
            ]
        });
    }
    rows.text()
}

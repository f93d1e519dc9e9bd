//! What an event costs: how many reach readers for a second of processor time.

use std::io;
use std::time::{Duration, Instant};

use super::{LEAST, Measured, Rows, fixed, median, three, times};
use crate::cores::Cores;
use crate::crowd::{Crowd, Heard};
use crate::proc;
use crate::program::{Given, Program};
use crate::table::grouped;

/// How many readers are sent how much.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Readers.
    pub readers: usize,
    /// From one event to the next, for each reader.
    pub every: Duration,
    /// Events that all readers together are given while it is measured.
    pub events: u64,
    /// Where it all runs.
    pub cores: Option<Cores>,
}

impl Plan {
    /// How long a server takes for the events that keeps up with the plan, in
    /// seconds.
    pub(super) fn watched(&self) -> f64 {
        let a_reader = self.events / (self.readers as u64).max(1);
        let rounds = u32::try_from(a_reader).unwrap_or(u32::MAX);
        (self.every * rounds).as_secs_f64()
    }
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
    /// The crowd's processor time.
    pub crowd: Duration,
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
/// A server that is slower than this has no figure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the server, opens the readers, and counts until they have been
/// given so many events.
///
/// # Errors
/// If a reader is refused, cut off, or given wrong events; if it all takes too
/// long; and where the system does not tell what a process takes.
pub fn round(program: &Program, plan: &Plan) -> io::Result<Load> {
    let mut server = program.start_with(&Given {
        readers: plan.readers,
        every: plan.every,
        heartbeat: HEARTBEAT,
        cores: plan.cores,
    })?;
    let mut crowd = Crowd::of(server.stream().clone())?;
    let mut measure = || {
        crowd.grow_to(plan.readers, OPENING)?;
        crowd.warm_up(WARM_UP)?;

        let ours = || proc::processor_time(std::process::id());
        let (start, server_before, ours_before) =
            (Instant::now(), server.processor()?, ours()?);
        let events = std::cell::Cell::new(0);
        crowd.listen(
            || events.get() >= plan.events || start.elapsed() > PATIENCE,
            |one| {
                let is_event = matches!(one.heard, Heard::Event(_));
                events.update(|count| count + u64::from(is_event));
            },
        )?;
        let (passed, events) = (start.elapsed(), events.get());
        if events < plan.events {
            let (events, of) = (grouped(events), grouped(plan.events));
            return Err(io::Error::other(format!(
                "{events} of {of} events in {passed:.0?}"
            )));
        }
        let server = server.processor()?.saturating_sub(server_before);
        let crowd = ours()?.saturating_sub(ours_before);
        Ok(Load { events, passed, server, crowd })
    };
    measure().map_err(|error| server.explain(&error))
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
            vec![
                grouped(delivered),
                median_is,
                both,
                times(least, median(fine, Load::a_second)),
                percent(fine, |load| load.server),
                percent(fine, |load| load.crowd),
            ]
        });
    }
    rows.text()
}

/// The median share of one processor.
fn percent(rounds: &[Load], of: fn(&Load) -> Duration) -> String {
    let share = median(rounds, |load| {
        let share = of(load).as_nanos() * 100_000 / load.passed.as_nanos();
        u64::try_from(share).unwrap_or(u64::MAX)
    });
    format!("{}%", fixed(share, 0))
}

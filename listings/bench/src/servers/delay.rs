//! How late events come, with many readers and a steady rate.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::{
    Measured, Rows, both_ends, crowd, fixed, median, percent, share, times,
};
use crate::cores::Cores;
use crate::crowd::Heard;
use crate::delay::{Arrived, Delays, ENOUGH, Timetable, per_mille};
use crate::program::{Given, Program};
use crate::table::grouped;

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

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Delayed {
    /// What an event's place depends on.
    pub timetable: Timetable,
    /// Of the events that were due, how many came: thousandths of a percent.
    pub sent: u64,
    /// The server's share of its processor: thousandths of a percent.
    pub processor: u64,
    /// How late they came, against the earliest.
    pub delay: Parts,
    /// How long an arrival can have waited for the crowd to read it: 99 of
    /// 100 no longer, in nanoseconds.
    pub in_line: i64,
    /// How late they came by the times in their data, if they tell.
    pub told: Option<Parts>,
    /// Readers that were given too few events to be among them.
    pub left_out: usize,
}

/// What so many of all do not exceed, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// The least.
    pub least: i64,
    /// Half of them.
    pub half: i64,
    /// 99 of 100.
    pub most: i64,
    /// All: the longest.
    pub longest: i64,
}

impl Parts {
    fn of(part: impl Fn(usize) -> i64) -> Self {
        let [least, half, most, longest] = [0, 500, 990, 1000].map(part);
        Self { least, half, most, longest }
    }
}

/// By their code, what the events of these servers are due by; who is named
/// otherwise is guessed at.
const KNOWN: [(&str, Timetable); 14] = [
    ("ch01-sockets", Timetable::Drifts),
    ("ch02-blocking", Timetable::Own),
    ("ch03-hyper", Timetable::Drifts),
    ("ch04-axum", Timetable::Shared),
    ("ch05-browser", Timetable::Shared),
    ("raw Python", Timetable::Drifts),
    ("Flask", Timetable::Drifts),
    ("Starlette", Timetable::Drifts),
    ("sse-starlette", Timetable::Drifts),
    ("FastAPI", Timetable::Drifts),
    ("better-sse", Timetable::Drifts),
    ("plain-axum", Timetable::Shared),
    ("nchan", Timetable::Shared),
    (super::LEAST, Timetable::Shared),
];

/// What is known of a server by its name, behind which may be arguments.
fn known(name: &str) -> Option<Timetable> {
    let name = name.split(" -").next()?;
    let known = KNOWN.iter().find(|(known, _)| *known == name)?;
    Some(known.1)
}

/// Readers come over so long a time: as much as their timetables lie apart, if
/// each has its own.
const OPENING: Duration = Duration::from_secs(1);
/// What happens at first is not counted.
const WARM_UP: Duration = Duration::from_secs(1);

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
    let mut crowd = crowd(&server, plan.cores)?;
    let mut readers: Vec<Vec<Arrived>> = vec![Vec::new(); plan.readers];
    let (mut in_line, mut told) = (Vec::new(), Vec::new());
    let mut measure = || {
        crowd.grow_to(plan.readers, OPENING)?;
        crowd.warm_up(WARM_UP)?;
        let before = server.processor()?;
        let (start, date) = (Instant::now(), SystemTime::now());
        let date = date.duration_since(SystemTime::UNIX_EPOCH);
        let date = nanos(date.map_err(io::Error::other)?);
        crowd.listen(
            || start.elapsed() >= plan.watched,
            |one| {
                let Heard::Event(number) = one.heard else { return };
                let at = nanos(one.at.saturating_duration_since(start));
                readers[one.reader].push((number, at));
                in_line.push(nanos(one.in_line));
                let due = one.due.and_then(|due| i64::try_from(due).ok());
                told.extend(due.map(|due| date + at - due));
            },
        )?;
        let passed = start.elapsed();
        let processor = server.processor()?.saturating_sub(before);
        crowd.all_are_served(Duration::ZERO)?;
        Ok((passed, processor))
    };
    let (passed, processor) =
        measure().map_err(|error: io::Error| server.explain(&error))?;
    let known = known(&program.name);
    let delays = Delays::of(&readers, plan.every, OPENING, known);
    let delays = delays.ok_or_else(|| {
        io::Error::other("too few events to say how late they come")
    })?;
    in_line.sort_unstable();
    told.sort_unstable();
    let came = u32::try_from(in_line.len()).unwrap_or(u32::MAX);
    let asked = passed * u32::try_from(plan.readers).unwrap_or(u32::MAX);
    let told = (!told.is_empty()).then(|| Parts::of(|p| per_mille(&told, p)));
    Ok(Delayed {
        timetable: delays.timetable,
        sent: share(plan.every * came, asked),
        processor: share(processor, passed),
        delay: Parts::of(|part| delays.per_mille(part)),
        in_line: per_mille(&in_line, 990),
        told,
        left_out: delays.left_out,
    })
}

/// A delay, which may be below 0 where an event came early.
fn positive(nanos: i64) -> u64 {
    u64::try_from(nanos).unwrap_or(0)
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// A table for each kind of timetable, in milliseconds; below them what the
/// data told, and who was left out.
#[must_use]
pub fn tables(measured: &[Measured<Delayed>]) -> String {
    let kind = |one: &Measured<Delayed>| {
        let guessed = one.rounds.iter().flatten().next();
        guessed.map(|one| one.timetable).or_else(|| known(&one.name))
    };
    let of = |timetable: Option<Timetable>, title| {
        let which = measured.iter().filter(|one| kind(one) == timetable);
        let which: Vec<_> = which.collect();
        (!which.is_empty()).then(|| table(title, &which))
    };
    let mut tables: Vec<_> = Timetable::ALL
        .into_iter()
        .filter_map(|one| of(Some(one), one.title()))
        .chain(of(None, "not known"))
        .collect();
    tables.extend(told(measured));
    let mut text = tables.join("\n");
    text.push_str(&left_out(measured));
    text
}

fn table(title: &str, measured: &[&Measured<Delayed>]) -> String {
    let names = [title, "sent", "CPU", "50%", "99%", "least to most"];
    let names = [&names[..], &["times", "100%", "in line"]].concat();
    let mut rows = Rows::new(&names, 1);
    let most = |one: &&Measured<Delayed>| {
        let rounds = one.rounds.iter().flatten();
        let rounds: Vec<_> = rounds.collect();
        let most = median(&rounds, |one| positive(one.delay.most));
        (most > 0).then_some(most)
    };
    let best = measured.iter().filter_map(most).min().unwrap_or(0);
    for one in measured {
        let front = [one.name.clone()];
        rows.add(&front, one.missing.as_ref(), &one.rounds, |fine| {
            let [least, most, longest] = three(fine, |one| one.delay.most);
            vec![
                percent(median(fine, |one| one.sent)),
                percent(median(fine, |one| one.processor)),
                middle(fine, |one| one.delay.half),
                most,
                both_ends(fine.len(), &least, &longest),
                times(median(fine, |one| positive(one.delay.most)), best),
                middle(fine, |one| one.delay.longest),
                middle(fine, |one| one.in_line),
            ]
        });
    }
    rows.text()
}

/// The delays of those whose events tell when they were due.
fn told(measured: &[Measured<Delayed>]) -> Option<String> {
    let names = ["told by the data", "least", "50%", "99%", "100%"];
    let mut rows = Rows::new(&names, 1);
    let mut is_empty = true;
    for one in measured {
        let told = one.rounds.iter().flatten().filter_map(|one| one.told);
        let told: Vec<_> = told.collect();
        if told.is_empty() {
            continue;
        }
        is_empty = false;
        let told: Vec<_> = told.into_iter().map(Ok).collect();
        rows.add(std::slice::from_ref(&one.name), None, &told, |told| {
            vec![
                middle(told, |one| one.least),
                middle(told, |one| one.half),
                middle(told, |one| one.most),
                middle(told, |one| one.longest),
            ]
        });
    }
    (!is_empty).then(|| rows.text())
}

/// A line for each server of which some readers got too little.
fn left_out(measured: &[Measured<Delayed>]) -> String {
    let line = |one: &Measured<Delayed>| {
        let most = one.rounds.iter().flatten().map(|one| one.left_out).max();
        let most = most.filter(|&most| most > 0)?;
        let (name, most) = (&one.name, grouped(most as u64));
        Some(format!(
            "{name}: {most} readers got fewer than {ENOUGH} events, and are \
             left out\n"
        ))
    };
    let lines: String = measured.iter().filter_map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// Nanoseconds as milliseconds, to three digits, but no further than two
/// behind the point.
fn ms(nanos: i64) -> String {
    let micros = (nanos.unsigned_abs() + 500) / 1000;
    let digits = match micros {
        0..10_000 => 2,
        10_000..100_000 => 1,
        _ => 0,
    };
    let text = fixed(micros, digits);
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let sign = if nanos < 0 && !is_zero { "-" } else { "" };
    format!("{sign}{text}")
}

/// Least, median and most of the rounds, in milliseconds.
fn three<T>(rounds: &[T], figure: impl Fn(&T) -> i64) -> [String; 3] {
    let mut figures: Vec<_> = rounds.iter().map(figure).collect();
    figures.sort_unstable();
    // An even number has two in its middle.
    let (low, high) = ((figures.len().max(1) - 1) / 2, figures.len() / 2);
    let at = |index: usize| figures.get(index).copied().unwrap_or_default();
    let median = i64::midpoint(at(low), at(high));
    [at(0), median, at(figures.len().max(1) - 1)].map(ms)
}

fn middle<T>(rounds: &[T], figure: impl Fn(&T) -> i64) -> String {
    let [_, median, _] = three(rounds, figure);
    median
}

#[cfg(test)]
mod tests {
    use super::{Timetable, known, ms, three};

    #[test]
    fn a_time_has_three_digits_and_its_sign() {
        for (nanos, text) in [
            (0, "0.00"),
            (4_400, "0.00"),
            (-4_400, "0.00"),
            (5_000, "0.01"),
            (-24_200, "-0.02"),
            (9_994_000, "9.99"),
            (10_040_000, "10.0"),
            (374_230_000, "374"),
            (1_135_320_000, "1,135"),
        ] {
            assert_eq!(ms(nanos), text);
        }
    }

    #[test]
    fn rounds_that_are_below_zero_are_no_zero() {
        let ns = [3_000_000, -2_000_000, -1_000_000, 5_000_000];
        assert_eq!(three(&ns, |one| *one), ["-2.00", "1.00", "5.00"]);
        assert_eq!(three(&ns[..3], |one| *one), ["-2.00", "-1.00", "3.00"]);
        assert_eq!(three(&ns[..1], |one| *one), ["3.00"; 3]);
        assert_eq!(three(&ns[..0], |one| *one), ["0.00"; 3]);
    }

    #[test]
    fn of_all_that_the_book_compares_it_is_known() {
        let examples = crate::servers::EXAMPLES;
        let theirs = crate::others::names().chain(examples);
        for name in crate::servers::ours().chain(theirs) {
            assert!(known(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_is_known_does_not_depend_on_arguments() {
        assert_eq!(known("ch04-axum -q"), Some(Timetable::Shared));
        assert_eq!(known("raw Python"), Some(Timetable::Drifts));
        assert_eq!(known("least --due"), Some(Timetable::Shared));
        assert_eq!(known("my-server"), None);
    }
}

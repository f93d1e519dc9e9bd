//! How late events come, told from the times at which they arrive.
//!
//! A server does not say when it sent. But events are due at even intervals,
//! so where the others of a stream lie says when each was due. The one that
//! came earliest, against its place in the row, counts as in time; delays are
//! those of the others. What all events have in common is therefore no delay
//! here: on one machine that is some microseconds.
//!
//! Where an event's place is depends on who made the row. A server may count
//! from one start, for all readers or for each; or it may sleep between two
//! events, and then each lateness moves all that follow.

use std::time::Duration;

/// An event's number, and when it arrived, in nanoseconds since some moment.
pub type Arrived = (u64, i64);

/// What an event's place depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// One row for all readers.
    Shared,
    /// A row for each reader.
    Own,
    /// On the event before: the server sleeps in between, and the row drifts.
    Drifts,
}

impl Clock {
    /// In a word, for a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Own => "own",
            Self::Drifts => "drifts",
        }
    }
}

/// How late the events of a server came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delays {
    /// What an event's place depends on.
    pub clock: Clock,
    /// From one event to the next, on the average.
    pub period: Duration,
    /// Nanoseconds, the shortest first. With [`Clock::Drifts`] there are some
    /// below 0, where the event before came late.
    sorted: Vec<i64>,
}

// ANCHOR: delays
impl Delays {
    /// The delays of what each reader was given, which are consecutive events
    /// that are due `every` so often, to readers that came over `opening`.
    /// `None` if nobody was given eight of them.
    #[must_use]
    pub fn of(
        readers: &[Vec<Arrived>],
        every: Duration,
        opening: Duration,
    ) -> Option<Self> {
        let (every, opening) = (nanos(every), nanos(opening));
        let readers: Vec<_> =
            readers.iter().filter(|row| row.len() >= 8).collect();
        // The numbers may begin anywhere, even at the time since 1970 divided
        // by the interval.
        let base = readers.iter().filter_map(|row| row.first()).min()?.0;
        // Against a row in which that one stands at 0.
        let offset = |&(number, at): &Arrived| {
            let nth = i64::try_from(number.saturating_sub(base));
            at - nth.unwrap_or(i64::MAX).saturating_mul(every)
        };
        let earliest = |row: &[Arrived]| row.iter().map(offset).min();
        let starts: Vec<_> =
            readers.iter().filter_map(|row| earliest(row)).collect();
        let first = starts.iter().copied().min()?;
        let spread = starts.iter().copied().max()? - first;

        let drift = median(readers.iter().filter_map(|row| {
            let (early, late) = row.split_at(row.len() / 2);
            Some(earliest(late)? - earliest(early)?)
        }))?;
        let period = median(readers.iter().filter_map(|row| {
            let ((n, at), (m, end)) = (row.first()?, row.last()?);
            (end - at).checked_div(i64::try_from(m - n).ok()?)
        }))?;
        let clock = if drift.abs() > every / DRIFT {
            Clock::Drifts
        } else if spread < opening / 4 {
            Clock::Shared
        } else {
            Clock::Own
        };

        let mut sorted = Vec::new();
        for (row, start) in readers.iter().zip(starts) {
            match clock {
                Clock::Shared => {
                    sorted.extend(row.iter().map(|one| offset(one) - first));
                }
                Clock::Own => {
                    sorted.extend(row.iter().map(|one| offset(one) - start));
                }
                Clock::Drifts => sorted.extend(
                    row.windows(2).map(|two| offset(&two[1]) - offset(&two[0])),
                ),
            }
        }
        sorted.sort_unstable();
        let period = Duration::from_nanos(period.unsigned_abs());
        Some(Self { clock, period, sorted })
    }
}
// ANCHOR_END: delays

/// A row that has moved by a twentieth of the interval, from one half of the
/// time to the other, drifts.
const DRIFT: i64 = 20;

impl Delays {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The least delay that so many per mille of all have or undercut: 1,000
    /// asks for the longest. In nanoseconds.
    #[must_use]
    pub fn per_mille(&self, part: usize) -> i64 {
        let rank = (self.sorted.len() * part).div_ceil(1000);
        self.sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn median(of: impl Iterator<Item = i64>) -> Option<i64> {
    let mut of: Vec<_> = of.collect();
    of.sort_unstable();
    of.get(of.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Arrived, Clock, Delays};
    use std::time::Duration;

    const MS: i64 = 1_000_000;
    const EVERY: Duration = Duration::from_millis(50);
    const OPENING: Duration = Duration::from_secs(1);

    fn delays(rows: &[Vec<Arrived>]) -> Delays {
        Delays::of(rows, EVERY, OPENING).unwrap()
    }

    /// A hundred readers, each with two hundred events, at what `at` says for
    /// reader and event.
    fn crowd(at: impl Fn(i64, i64) -> i64) -> Vec<Vec<Arrived>> {
        let row = |reader| {
            let event =
                |number: i64| (number.unsigned_abs() + 7, at(reader, number));
            (0..200).map(event).collect()
        };
        (0..100).map(row).collect()
    }

    /// Every tenth event is late by 3 ms, every hundredth by 20.
    fn late(number: i64) -> i64 {
        match number {
            _ if number % 100 == 50 => 20 * MS,
            _ if number % 10 == 5 => 3 * MS,
            _ => 0,
        }
    }

    #[test]
    fn a_row_for_all() {
        let rows = crowd(|_, n| n * 50 * MS + late(n));
        let delays = delays(&rows);
        assert_eq!(delays.clock, Clock::Shared);
        assert_eq!(delays.period, EVERY);
        assert_eq!(delays.len(), 20_000);
        for (part, ms) in [(500, 0), (890, 0), (950, 3), (990, 3), (1000, 20)] {
            assert_eq!(delays.per_mille(part), ms * MS, "{part}");
        }
    }

    /// Who is always served last is always late.
    #[test]
    fn a_row_for_all_in_which_some_wait() {
        let rows = crowd(|reader, n| n * 50 * MS + reader * MS / 10);
        let delays = delays(&rows);
        assert_eq!(delays.clock, Clock::Shared);
        assert_eq!(delays.per_mille(500), 49 * MS / 10);
        assert_eq!(delays.per_mille(1000), 99 * MS / 10);
    }

    #[test]
    fn a_row_for_each() {
        let rows = crowd(|r, n| r * 10 * MS + n * 50 * MS + late(n + r));
        let delays = delays(&rows);
        assert_eq!(delays.clock, Clock::Own);
        assert_eq!(delays.per_mille(500), 0);
        assert_eq!(delays.per_mille(990), 3 * MS);
        assert_eq!(delays.per_mille(1000), 20 * MS);
    }

    /// One that sleeps is told apart from one that is late: its row drifts,
    /// and its delays do not add up.
    #[test]
    fn a_row_that_drifts() {
        let rows = crowd(|reader, n| {
            let slept = n * 50 * MS + n * MS / 10;
            let late = (0..=n).map(late).sum::<i64>();
            reader * 10 * MS + slept + late
        });
        let delays = delays(&rows);
        assert_eq!(delays.clock, Clock::Drifts);
        assert_eq!(delays.period.as_micros(), 50_602);
        assert_eq!(delays.per_mille(500), MS / 10);
        assert_eq!(delays.per_mille(980), 3 * MS + MS / 10);
        assert_eq!(delays.per_mille(1000), 20 * MS + MS / 10);
    }

    /// Numbers as of a clock that counts since 1970.
    #[test]
    fn numbers_may_begin_anywhere() {
        let mut rows = crowd(|_, n| n * 50 * MS + late(n));
        for (number, _) in rows.iter_mut().flatten() {
            *number += 35_000_000_000;
        }
        assert_eq!(delays(&rows).per_mille(1000), 20 * MS);
        for (number, _) in rows.iter_mut().flatten() {
            *number += u64::MAX - 36_000_000_000;
        }
        assert_eq!(delays(&rows).per_mille(1000), 20 * MS);
    }

    #[test]
    fn too_few_say_nothing() {
        let rows = [vec![(1, 0), (2, 50 * MS)], vec![]];
        assert_eq!(Delays::of(&rows, EVERY, OPENING), None);
    }
}

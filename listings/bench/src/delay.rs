//! How late events come, told from the times at which they arrive.
//!
//! Few servers say when an event was due. But events are due at even
//! intervals, so where the others of a stream lie says when each was due. The
//! one that came earliest, against its place in the timetable, counts as in
//! time; delays are those of the others. What all events have in common is
//! therefore no delay here. How much that is, a server tells that puts the
//! time into its data.
//!
//! Where an event's place is depends on who made the timetable. A server may
//! count from one start, for all readers or for each; or it may sleep between
//! two events, and then each lateness moves all that follow.

use std::time::Duration;

/// An event's number, and when it arrived, in nanoseconds since some moment.
pub type Arrived = (u64, i64);

/// What an event's place depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timetable {
    /// One timetable for all readers.
    Shared,
    /// One for each reader.
    Own,
    /// On the event before: the server sleeps in between, and drifts.
    Drifts,
}

impl Timetable {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Shared, Self::Own, Self::Drifts];

    /// The name of its servers' table, and of their group in a plot.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Shared => "shared timetable",
            Self::Own => "own timetables",
            Self::Drifts => "no timetable",
        }
    }
}

/// How late the events of a server came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delays {
    /// What an event's place depends on.
    pub timetable: Timetable,
    /// Readers that were given too few events to tell anything.
    pub left_out: usize,
    /// Nanoseconds, the shortest first. With [`Timetable::Drifts`] there are
    /// some below 0, where the event before came late.
    sorted: Vec<i64>,
}

/// Fewer events of a reader tell nothing.
pub const ENOUGH: usize = 8;

// ANCHOR: delays
impl Delays {
    /// The delays of what each reader was given, which are consecutive events
    /// that are due `every` so often, to readers that came over `opening`.
    /// Without a `known` timetable it is guessed. `None` if nobody was given
    /// [`ENOUGH`] events.
    #[must_use]
    pub fn of(
        readers: &[Vec<Arrived>],
        every: Duration,
        opening: Duration,
        known: Option<Timetable>,
    ) -> Option<Self> {
        let (every, opening) = (nanos(every), nanos(opening));
        let all = readers.len();
        let readers: Vec<_> =
            readers.iter().filter(|row| row.len() >= ENOUGH).collect();
        // The numbers may begin anywhere, even at the time since 1970 divided
        // by the interval.
        let base = readers.iter().filter_map(|row| row.first()).min()?.0;
        // Against a timetable in which that one stands at 0.
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
        let timetable = known.unwrap_or(if drift.abs() > every / DRIFT {
            Timetable::Drifts
        } else if spread < opening / 4 {
            Timetable::Shared
        } else {
            Timetable::Own
        });

        let mut sorted = Vec::new();
        for (row, start) in readers.iter().zip(starts) {
            match timetable {
                Timetable::Shared => {
                    sorted.extend(row.iter().map(|one| offset(one) - first));
                }
                Timetable::Own => {
                    sorted.extend(row.iter().map(|one| offset(one) - start));
                }
                Timetable::Drifts => sorted.extend(
                    row.windows(2).map(|two| offset(&two[1]) - offset(&two[0])),
                ),
            }
        }
        sorted.sort_unstable();
        Some(Self { timetable, left_out: all - readers.len(), sorted })
    }
}
// ANCHOR_END: delays

/// Times that have moved by a twentieth of the interval, from one half of the
/// measurement to the other, drift.
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

    /// As [`per_mille`], of all: in nanoseconds.
    #[must_use]
    pub fn per_mille(&self, part: usize) -> i64 {
        per_mille(&self.sorted, part)
    }
}

/// The least of `sorted` that so many per mille of all have or undercut: 1,000
/// asks for the last, 0 for the first. 0 if there are none.
#[must_use]
pub fn per_mille(sorted: &[i64], part: usize) -> i64 {
    let rank = (sorted.len() * part).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
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
    use super::{Arrived, Delays, Timetable, per_mille};
    use std::time::Duration;

    const MS: i64 = 1_000_000;
    const EVERY: Duration = Duration::from_millis(50);
    const OPENING: Duration = Duration::from_secs(1);

    fn delays(rows: &[Vec<Arrived>]) -> Delays {
        Delays::of(rows, EVERY, OPENING, None).unwrap()
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
    fn one_timetable_for_all() {
        let rows = crowd(|_, n| n * 50 * MS + late(n));
        let delays = delays(&rows);
        assert_eq!(delays.timetable, Timetable::Shared);
        assert_eq!(delays.len(), 20_000);
        for (part, ms) in [(500, 0), (890, 0), (950, 3), (990, 3), (1000, 20)] {
            assert_eq!(delays.per_mille(part), ms * MS, "{part}");
        }
    }

    /// Who is always served last is always late.
    #[test]
    fn one_timetable_for_all_in_which_some_wait() {
        let rows = crowd(|reader, n| n * 50 * MS + reader * MS / 10);
        let delays = delays(&rows);
        assert_eq!(delays.timetable, Timetable::Shared);
        assert_eq!(delays.per_mille(500), 49 * MS / 10);
        assert_eq!(delays.per_mille(1000), 99 * MS / 10);
    }

    #[test]
    fn one_for_each() {
        let rows = crowd(|r, n| r * 10 * MS + n * 50 * MS + late(n + r));
        let delays = delays(&rows);
        assert_eq!(delays.timetable, Timetable::Own);
        assert_eq!(delays.per_mille(500), 0);
        assert_eq!(delays.per_mille(990), 3 * MS);
        assert_eq!(delays.per_mille(1000), 20 * MS);
    }

    /// One that sleeps is told apart from one that is late: its
    /// times drift, and its delays do not add up.
    #[test]
    fn one_that_drifts() {
        let rows = crowd(|reader, n| {
            let slept = n * 50 * MS + n * MS / 10;
            let late = (0..=n).map(late).sum::<i64>();
            reader * 10 * MS + slept + late
        });
        let delays = delays(&rows);
        assert_eq!(delays.timetable, Timetable::Drifts);
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

    /// A server that falls behind its timetable is late for every event, more
    /// and more; only one that has none starts anew from each.
    #[test]
    fn one_that_falls_behind_is_not_taken_for_one_that_sleeps() {
        let rows = crowd(|_, n| n * 60 * MS);
        let guessed = delays(&rows);
        assert_eq!(guessed.timetable, Timetable::Drifts);
        assert_eq!(guessed.per_mille(1000), 10 * MS);
        let known = Some(Timetable::Own);
        let known = Delays::of(&rows, EVERY, OPENING, known).unwrap();
        assert_eq!(known.timetable, Timetable::Own);
        assert_eq!(known.per_mille(1000), 1990 * MS);
    }

    #[test]
    fn too_few_say_nothing() {
        let few = vec![(1, 0), (2, 50 * MS)];
        let rows = [few.clone(), vec![]];
        assert_eq!(Delays::of(&rows, EVERY, OPENING, None), None);
        let mut rows = crowd(|_, n| n * 50 * MS);
        rows.extend([few, vec![]]);
        let delays = delays(&rows);
        assert_eq!(delays.left_out, 2);
        assert_eq!(delays.len(), 20_000);
    }

    /// The nearest rank: no figure that was not measured.
    #[test]
    fn parts_of_few() {
        let sorted: Vec<i64> = (1..=10).collect();
        for (part, is) in [(0, 1), (100, 1), (500, 5), (501, 6), (990, 10)] {
            assert_eq!(per_mille(&sorted, part), is, "{part}");
        }
        assert_eq!(per_mille(&sorted[..1], 990), 1);
        assert_eq!(per_mille(&[], 990), 0);
    }
}

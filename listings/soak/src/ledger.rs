//! What a reader was given, and whether that was everything, once and in
//! order. It looks at IDs and texts alone, and shares no code with the servers
//! that number or the clients that decode.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::AddAssign;

/// So many numbers of events that did not come are kept, should they come
/// late; beyond that they are counted.
const KEPT: usize = 10_000;

/// Where in a stream an event is: its ID is `NUMBER`, or `RUN-NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which run of its server numbered it; empty if numbers do not depend on
    /// runs.
    pub run: String,
    /// One more than that of the event before it.
    pub number: u64,
}

impl Position {
    /// What an ID says.
    #[must_use]
    pub fn of(id: &str) -> Option<Self> {
        let (run, number) = id.rsplit_once('-').unwrap_or(("", id));
        let number = number.parse().ok()?;
        Some(Self { run: run.to_owned(), number })
    }
}

/// What there is to say of some readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Greetings that came.
    pub events: u64,
    /// Of these, those that had come before.
    pub doubles: u64,
    /// Of these, those behind which a later one had come.
    pub late: u64,
    /// Greetings that never came, though a later one did.
    pub gaps: u64,
    /// Events that said that others are lost.
    pub told: u64,
    /// Whatever else is not as it should be.
    pub wrong: u64,
}

impl Counts {
    /// Whether all is as it should be.
    #[must_use]
    pub fn is_flawless(&self) -> bool {
        self.doubles + self.late + self.gaps + self.wrong == 0
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.doubles += other.doubles;
        self.late += other.late;
        self.gaps += other.gaps;
        self.told += other.told;
        self.wrong += other.wrong;
    }
}

/// What is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It came before.
    Double(u64),
    /// It came behind a later one.
    Late(u64),
    /// So many before it did not come.
    Gap(u64),
    /// The server was started anew, and nobody said so.
    Untold,
    /// A gap was told where none can be, or not as it is.
    Told(String),
    /// It is no event of ours.
    Unknown(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Double(number) => write!(f, "event {number} came twice"),
            Self::Late(number) => write!(f, "event {number} came late"),
            Self::Gap(count) => write!(f, "{count} events did not come"),
            Self::Untold => write!(f, "another run, and no word of it"),
            Self::Told(data) => write!(f, "told of a gap: {data}"),
            Self::Unknown(what) => write!(f, "no event of ours: {what}"),
        }
    }
}

/// The ledger of one reader, over all its connections.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Whether its server may lose events, and say so: `missed`.
    may_be_told: bool,
    newest: Option<Position>,
    missing: BTreeSet<u64>,
    counts: Counts,
}

impl Ledger {
    /// A ledger without an event.
    #[must_use]
    pub fn new(may_be_told: bool) -> Self {
        Self { may_be_told, ..Self::default() }
    }

    /// Enters the next event of the stream.
    ///
    /// # Errors
    /// What is wrong with it. That is counted too.
    pub fn enter(
        &mut self,
        event_type: &str,
        data: &str,
        id: &str,
    ) -> Result<(), Flaw> {
        let entered = self.try_enter(event_type, data, id);
        match entered {
            // Counted for as long as it does not come: see `counts`.
            Ok(()) | Err(Flaw::Gap(_)) => {}
            Err(Flaw::Double(_)) => self.counts.doubles += 1,
            Err(Flaw::Late(_)) => self.counts.late += 1,
            Err(_) => self.counts.wrong += 1,
        }
        entered
    }

    // ANCHOR: enter
    fn try_enter(
        &mut self,
        event_type: &str,
        data: &str,
        id: &str,
    ) -> Result<(), Flaw> {
        let unknown = || Flaw::Unknown(format!("{event_type}, {id}: {data}"));
        let position = Position::of(id).ok_or_else(unknown)?;
        if event_type == "missed" {
            self.counts.told += 1;
            // Its ID is that of the last event that is lost.
            let lost = self.newest.as_ref().and_then(|newest| {
                let is_same = newest.run == position.run;
                is_same.then(|| position.number.checked_sub(newest.number))?
            });
            let told = serde_json::from_str::<Value>(data).ok();
            let is_true = told == Some(json!({ "events": lost }));
            self.settle();
            self.newest = Some(position);
            return if self.may_be_told && is_true {
                Ok(())
            } else {
                Err(Flaw::Told(data.to_owned()))
            };
        }
        let number = position.number;
        if data != format!("Hello! This is event {number}") {
            return Err(unknown());
        }
        self.counts.events += 1;
        let Some(newest) = &mut self.newest else {
            self.newest = Some(position);
            return Ok(());
        };
        if position.run != newest.run {
            self.newest = Some(position);
            return Err(Flaw::Untold);
        }
        if number <= newest.number {
            return Err(if self.missing.remove(&number) {
                Flaw::Late(number)
            } else {
                Flaw::Double(number)
            });
        }
        let between = newest.number + 1..number;
        newest.number = number;
        if between.is_empty() {
            return Ok(());
        }
        let count = between.end - between.start;
        let room = KEPT.saturating_sub(self.missing.len()) as u64;
        self.counts.gaps += count.saturating_sub(room);
        let kept = between.start..between.end.min(between.start + room);
        self.missing.extend(kept);
        Err(Flaw::Gap(count))
    }
    // ANCHOR_END: enter

    /// The reader begins again, and knows of nothing: the next event is its
    /// first.
    pub fn begin(&mut self) {
        self.settle();
        self.newest = None;
    }

    /// What did not come until now will not come.
    fn settle(&mut self) {
        self.counts.gaps += self.missing.len() as u64;
        self.missing.clear();
    }

    /// Where the reader is.
    #[must_use]
    pub fn newest(&self) -> Option<&Position> {
        self.newest.as_ref()
    }

    /// What there is to say of it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let gaps = self.counts.gaps + self.missing.len() as u64;
        Counts { gaps, ..self.counts }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Flaw, Ledger};

    fn enter(ledger: &mut Ledger, run: &str, number: u64) -> Option<Flaw> {
        let data = format!("Hello! This is event {number}");
        ledger.enter("message", &data, &format!("{run}{number}")).err()
    }

    fn entered(numbers: &[u64]) -> (Vec<Option<Flaw>>, Counts) {
        let mut ledger = Ledger::new(false);
        let flaws = numbers.iter().map(|n| enter(&mut ledger, "", *n));
        (flaws.collect(), ledger.counts())
    }

    #[test]
    fn in_order_from_anywhere() {
        let (flaws, counts) = entered(&[7, 8, 9, 10]);
        assert_eq!(flaws, [None, None, None, None]);
        assert_eq!(counts, Counts { events: 4, ..Counts::default() });
        assert!(counts.is_flawless());
    }

    #[test]
    fn every_flaw_is_one() {
        for (numbers, flaw, counts) in [
            // Dropped.
            (
                &[1, 2, 4, 5][..],
                Flaw::Gap(1),
                Counts { gaps: 1, ..Counts::default() },
            ),
            // Doubled.
            (
                &[1, 2, 2, 3],
                Flaw::Double(2),
                Counts { doubles: 1, ..Counts::default() },
            ),
            (
                &[3, 4, 5, 1],
                Flaw::Double(1),
                Counts { doubles: 1, ..Counts::default() },
            ),
            // Swapped.
            (
                &[1, 3, 2, 4],
                Flaw::Late(2),
                Counts { late: 1, ..Counts::default() },
            ),
        ] {
            let (flaws, counted) = entered(numbers);
            assert!(flaws.contains(&Some(flaw)), "{numbers:?}: {flaws:?}");
            assert_eq!(counted, Counts { events: 4, ..counts }, "{numbers:?}");
            assert!(!counted.is_flawless());
        }
    }

    #[test]
    fn a_large_gap_is_counted_and_not_kept() {
        let (flaws, counts) = entered(&[1, 1_000_000]);
        assert_eq!(flaws[1], Some(Flaw::Gap(999_998)));
        assert_eq!(counts.gaps, 999_998);
    }

    #[test]
    fn another_run_must_be_told() {
        let mut ledger = Ledger::new(true);
        assert_eq!(enter(&mut ledger, "a-", 4), None);
        let told = ledger.enter("missed", r#"{"events":null}"#, "b-0");
        assert_eq!(told, Ok(()));
        assert_eq!(enter(&mut ledger, "b-", 1), None);
        let told = ledger.enter("missed", r#"{"events":7}"#, "b-8");
        assert_eq!(told, Ok(()));
        // Not as many as that.
        let told = ledger.enter("missed", r#"{"events":7}"#, "b-9");
        assert!(matches!(told, Err(Flaw::Told(_))));
        // What is told is where it goes on.
        assert_eq!(enter(&mut ledger, "b-", 11), Some(Flaw::Gap(1)));
        assert_eq!(enter(&mut ledger, "c-", 12), Some(Flaw::Untold));
        let counts = ledger.counts();
        assert_eq!((counts.told, counts.gaps, counts.wrong), (3, 1, 2));

        let mut strict = Ledger::new(false);
        assert_eq!(enter(&mut strict, "a-", 4), None);
        let told = strict.enter("missed", r#"{"events":1}"#, "a-5");
        assert!(matches!(told, Err(Flaw::Told(_))));
        assert!(!strict.counts().is_flawless());
        // One that is told is not counted again.
        assert_eq!(enter(&mut strict, "a-", 6), None);
    }

    #[test]
    fn what_is_no_greeting_is_wrong() {
        for (data, id) in [
            ("Hello! This is event 2", "1"),
            ("Hello! This is event", "1"),
            ("Hello! This is event 1", ""),
            ("Hello! This is event 1", "-"),
        ] {
            let mut ledger = Ledger::new(true);
            let entered = ledger.enter("message", data, id);
            assert!(matches!(entered, Err(Flaw::Unknown(_))), "{data} {id}");
            assert_eq!(ledger.counts().wrong, 1);
        }
    }

    #[test]
    fn who_begins_again_has_missed_nothing() {
        let mut ledger = Ledger::new(false);
        assert_eq!(enter(&mut ledger, "", 4), None);
        ledger.begin();
        assert_eq!(enter(&mut ledger, "", 9), None);
        assert!(ledger.counts().is_flawless());
    }
}

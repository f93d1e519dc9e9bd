//! What a power cut takes from a log, and from those who read it.

use crate::simulated::World;
use event_log::{
    AppendError, Disk, Draft, Gap, Id, Key, Log, ReadError,
    disk::{Durability, Options},
    event_stream::Event,
};
use fastrand::Rng;
use std::{collections::BTreeMap, fmt, time::Duration};

/// How often the power goes for each seed.
const CUTS: u32 = 3;

/// What one seed showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many events were acknowledged.
    pub acknowledged: u64,
    /// How many of those were gone.
    pub lost: u64,
    /// How many events a reader had seen that were gone, or were others.
    pub seen_and_gone: u64,
    /// How many of those gone had an ID that the log still took for its own:
    /// a reader that comes back is not told.
    pub untold: u64,
    /// How often the power went.
    pub cuts: u32,
}

impl Report {
    /// Whether nothing was lost that had been acknowledged or seen.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.seen_and_gone == 0 && self.untold == 0
    }

    /// Adds what another seed showed.
    pub fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.seen_and_gone += other.seen_and_gone;
        self.untold += other.untold;
        self.cuts += other.cuts;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, lost, seen_and_gone, untold, cuts } = self;
        write!(
            f,
            "{cuts} power cuts, {acknowledged} events acknowledged: {lost} \
             lost, {seen_and_gone} seen by a reader and gone, {untold} of \
             those without a word"
        )
    }
}

/// Publishes on a simulated disk, cuts its power at a random moment, opens the
/// log again, and compares.
///
/// # Errors
/// If the log cannot be opened after a power cut, or gives out what was never
/// published.
pub async fn run(seed: u64, durability: Durability) -> Result<Report, String> {
    let mut random = Rng::with_seed(seed);
    let mut report = Report::default();
    let mut world = World::new();
    let mut known = Known::default();
    for round in 0..CUTS {
        world.stop_after(random.u64(20..600));
        // The power may be gone before the log is open.
        if let Ok(log) = open(&world, durability, random.u64(..)) {
            known.publish(&log, &world, &mut random).await;
        }
        if !world.is_stopped() {
            return Err(format!("round {round}: the log failed with power"));
        }
        report.cuts += 1;
        world = world.cut(&mut random);
        let log = open(&world, durability, random.u64(..))
            .map_err(|error| format!("round {round}: {error}"))?;
        known.compare(&log, &mut report).await?;
        drop(log);
    }
    report.acknowledged += known.acknowledged;
    Ok(report)
}

fn open(
    world: &World,
    durability: Durability,
    run: u64,
) -> std::io::Result<Disk<World>> {
    let mut options = Options::default();
    options.durability = durability;
    // So that files are begun and removed, too.
    options.kept_events = 400;
    options.readers = 1;
    Disk::open_in(world.clone(), options, run)
}

/// What was said of the events, and by whom they were seen.
#[derive(Debug, Default)]
struct Known {
    /// The events that a reader has seen, or whose number was acknowledged,
    /// by run and number: what they are.
    seen: BTreeMap<(u64, u64), Draft>,
    /// How many were acknowledged.
    acknowledged: u64,
    published: u64,
}

impl Known {
    /// Publishes until the power is gone.
    async fn publish(
        &mut self,
        log: &Disk<World>,
        world: &World,
        random: &mut Rng,
    ) {
        while !world.is_stopped() {
            let events: Vec<_> =
                (0..random.usize(1..20)).map(|_| self.draft(random)).collect();
            let key = random.bool().then(|| {
                Key::new(format!("key {}", self.published).as_bytes())
            });
            let count = events.len() as u64;
            let told = log.append(events.clone(), key.flatten()).await;
            let run = log.tail().position().run;
            match told {
                Ok(appended) => {
                    let first = appended.last + 1 - count;
                    self.acknowledged += count;
                    for (number, draft) in (first..).zip(events) {
                        self.seen.insert((run, number), draft);
                    }
                }
                Err(AppendError::Failed(_)) => return,
                Err(other) => unreachable!("{other}"),
            }
        }
    }

    fn draft(&mut self, random: &mut Rng) -> Draft {
        self.published += 1;
        let filler = "x".repeat(random.usize(..400));
        Draft::new(Event::new(format!("{} {filler}", self.published)))
    }

    /// Holds what the log has to what was said of it.
    async fn compare(
        &mut self,
        log: &Disk<World>,
        report: &mut Report,
    ) -> Result<(), String> {
        let at = log.tail().position();
        let oldest = match log.read(0, 1).await {
            Err(ReadError::Gap(Gap::Missed(missed))) => missed + 1,
            Err(error) => return Err(error.to_string()),
            Ok(_) => 1,
        };
        let mut there = BTreeMap::new();
        let mut after = oldest - 1;
        while after < at.number {
            let piece = log.read(after, 64 * 1024).await;
            for entry in piece.map_err(|error| error.to_string())? {
                after = entry.number;
                there.insert(entry.number, entry.encoded);
            }
        }
        let mut gone = Vec::new();
        for (&(run, number), draft) in &self.seen {
            if number < oldest {
                continue;
            }
            let id = Id { run: at.run, number };
            let expected =
                [format!("id: {id}\n").as_bytes(), draft.as_bytes()].concat();
            if there.get(&number).is_some_and(|it| **it == *expected) {
                continue;
            }
            report.lost += 1;
            report.seen_and_gone += 1;
            // A reader that has it is not told if its ID is still good.
            let id = Id { run, number }.to_string();
            report.untold += u64::from(log.tail().number(&id).is_ok());
            gone.push((run, number));
        }
        for key in gone {
            self.seen.remove(&key);
        }
        // Those that are there go on under the run that is.
        let kept = std::mem::take(&mut self.seen);
        self.seen = kept
            .into_iter()
            .filter(|((_, number), _)| *number >= oldest)
            .map(|((_, number), draft)| ((at.run, number), draft))
            .collect();
        Ok(())
    }
}

/// The policies by their names.
///
/// # Errors
/// If it is none of them.
pub fn policy(name: &str) -> Result<Durability, String> {
    match name {
        "none" => Ok(Durability::None),
        "interval" => Ok(Durability::Interval(Duration::from_millis(2))),
        "commit" => Ok(Durability::Commit),
        _ => Err(format!("{name} is no policy: none, interval or commit")),
    }
}

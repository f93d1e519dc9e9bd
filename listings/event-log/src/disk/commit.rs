//! The one thread that writes.

use super::{
    Durability, Files, Options, guarded, milliseconds,
    segment::{Batch, Fault, Published, Segment, numbered},
    shelf::{Keys, Shelf},
};
use crate::{AppendError, Appended, Draft, Entry, Id, Key, Tail, log::encode};
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind},
    string::{String, ToString},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant, SystemTime},
    vec::Vec,
};
use tokio::sync::oneshot;

/// The most bytes that are written as one, unless one append has more.
const MAX_BATCH: usize = 1024 * 1024;

/// How long nothing is tried on a disk that was full.
const FULL: Duration = Duration::from_secs(1);

/// How often what is too old is looked for while nothing is published.
const TIDY: Duration = Duration::from_secs(10);

/// A part of the whole that a file may hold of what is kept by age or number:
/// so much more than was asked for is kept.
const PARTS: u64 = 8;

/// What somebody wants to append.
pub(super) struct Append {
    pub(super) events: Vec<Draft>,
    pub(super) bytes: usize,
    pub(super) key: Option<Key>,
    pub(super) answer: oneshot::Sender<Result<Appended, AppendError>>,
}

/// Writes what has come together as one transaction, then shows it to the
/// readers, then answers those who published it: group commit.
pub(super) struct Committer<F> {
    shelf: Arc<Shelf<F>>,
    tail: Arc<Tail>,
    keys: Remembered,
    options: Options,
    /// The time of the newest event. An event is never older than the one
    /// before it, whatever the clock does.
    time: u64,
    /// When what was not forced onto the disk has to be.
    flush_at: Option<Instant>,
    state: Health,
}

/// Whether the log takes anything.
enum Health {
    Good,
    /// The disk was full; nothing is tried until then.
    Full(Instant),
    /// For good, and why.
    Failed(String),
}

impl<F: Files> Committer<F> {
    pub(super) fn new(
        shelf: Arc<Shelf<F>>,
        tail: Arc<Tail>,
        keys: Keys,
        options: Options,
    ) -> Self {
        let time = shelf.spans().iter().map(|it| it.ended).max();
        let time = time.unwrap_or_default();
        let keys = Remembered::new(keys);
        let state = Health::Good;
        Self { shelf, tail, keys, options, time, flush_at: None, state }
    }

    // ANCHOR: commit
    /// Runs until nobody can append any more, and closes the files.
    pub(super) fn run(mut self, waiting: &Receiver<Append>) {
        loop {
            let first = match waiting.recv_timeout(self.pause()) {
                Ok(append) => append,
                Err(RecvTimeoutError::Timeout) => {
                    self.idle();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut bytes = first.bytes;
            let mut group = Vec::from([first]);
            // What came while the last transaction was written.
            while bytes < MAX_BATCH {
                let Ok(append) = waiting.try_recv() else { break };
                bytes += append.bytes;
                group.push(append);
            }
            self.commit(group);
        }
        // After a failure it says so once more; everybody has been told.
        let _ = guarded(|| self.shelf.close());
    }

    /// How long to wait for something to write before there is other work.
    fn pause(&self) -> Duration {
        let now = Instant::now();
        let flush = self.flush_at.map(|at| at.saturating_duration_since(now));
        flush.map_or(TIDY, |flush| flush.min(TIDY))
    }

    /// Writes a group, and answers each of it.
    fn commit(&mut self, group: Vec<Append>) {
        match &self.state {
            Health::Failed(why) => {
                return refuse(group, &AppendError::Failed(why.clone()));
            }
            Health::Full(until) if *until > Instant::now() => {
                return refuse(group, &AppendError::Full(FULL));
            }
            Health::Good | Health::Full(_) => {}
        }
        self.time = self.time.max(milliseconds(SystemTime::now()));
        self.keys.forget(&self.options, self.time);
        let mut plan = Plan::new(self.shelf.newest() + 1);
        for append in group {
            self.plan(&mut plan, append);
        }
        if plan.drafts.is_empty() {
            return plan.answer();
        }
        match guarded(|| self.write(&plan)) {
            Ok(Ok(blocks)) => {
                self.state = Health::Good;
                self.keys.remember(&plan);
                let newest = plan.first + blocks.len() as u64 - 1;
                self.shelf.wrote(newest, self.time);
                self.tail.push(blocks.into_iter().map(|it| it.encoded));
                // Ahead of the answer: who has it finds all in order.
                self.tidy();
                plan.answer();
            }
            Ok(Err(fault)) => {
                let why = self.fail(&fault);
                plan.refuse(&why);
            }
            Err(why) => {
                self.state = Health::Failed(why.clone());
                plan.refuse(&AppendError::Failed(why));
            }
        }
    }
    // ANCHOR_END: commit

    /// One transaction, and one value in it.
    fn write(&mut self, plan: &Plan) -> Result<Vec<Entry<Bytes>>, Fault> {
        let value = Batch::encode(plan.first, self.time, &plan.drafts);
        let keys: Vec<_> = plan.keys.iter().map(|(k, p)| (k, *p)).collect();
        let now = Instant::now();
        let is_durable = match self.options.durability {
            Durability::Commit => true,
            Durability::None => false,
            Durability::Interval(every) => {
                let at = *self.flush_at.get_or_insert(now + every);
                at <= now
            }
        };
        self.shelf
            .write(|it| it.write(plan.first, &value, &keys, is_durable))?;
        if is_durable {
            self.flush_at = None;
        }
        let first = Id { run: self.shelf.run(), number: plan.first };
        Ok(numbered(first, plan.drafts.iter().map(Draft::as_bytes)))
    }

    // ANCHOR: failure
    /// After a write that failed: what to tell those who wait.
    ///
    /// A full disk is no fault of the disk: the file is opened anew, which
    /// forgets what was half written, and readers go on. Anything else is the
    /// end of this log: nobody knows what the disk has, and a second `fsync`
    /// may succeed without having written what the first could not.
    fn fail(&mut self, fault: &Fault) -> AppendError {
        if let Fault::Io(error) = fault
            && matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            )
        {
            let newest = self.shelf.newest();
            match guarded(|| self.shelf.again()) {
                Ok(Ok(found)) if found == newest => {
                    self.state = Health::Full(Instant::now() + FULL);
                    return AppendError::Full(FULL);
                }
                Ok(Ok(_)) => {
                    return self.end("the disk has not what was said");
                }
                Ok(Err(error)) => return self.end(&error.to_string()),
                Err(why) => return self.end(&why),
            }
        }
        self.end(&fault.to_string())
    }

    /// The log takes nothing from here on.
    fn end(&mut self, why: &str) -> AppendError {
        self.state = Health::Failed(why.to_string());
        AppendError::Failed(why.to_string())
    }
    // ANCHOR_END: failure

    /// Gives an append its place in the plan, or answers it.
    fn plan(&self, plan: &mut Plan, append: Append) {
        let Append { events, key, answer, .. } = append;
        if let Some(key) = &key {
            let known = plan.keys.iter().find(|(it, _)| it == key);
            let known = known.map(|(_, published)| *published);
            let known = known.or_else(|| self.keys.get(key));
            let oldest = self.shelf.oldest();
            if let Some(published) = known.filter(|it| it.first >= oldest) {
                let same = self.is_same(plan, published, &events);
                let appended =
                    Appended { last: published.last, is_repeated: true };
                plan.answers.push((answer, same.map(|()| appended)));
                return;
            }
        }
        let first = plan.first + plan.drafts.len() as u64;
        let last = first + events.len() as u64 - 1;
        if let Some(key) = key {
            plan.keys.push((key, Published { first, last, time: self.time }));
        }
        plan.drafts.extend(events);
        let appended = Appended { last, is_repeated: false };
        plan.answers.push((answer, Ok(appended)));
    }

    /// Holds what was published under a key to what is published now.
    fn is_same(
        &self,
        plan: &Plan,
        published: Published,
        events: &[Draft],
    ) -> Result<(), AppendError> {
        let Published { first, last, .. } = published;
        if last - first + 1 != events.len() as u64 {
            return Err(AppendError::OtherContent);
        }
        if let Some(at) = first.checked_sub(plan.first) {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let there = plan.drafts.get(at..at + events.len());
            let is_same = there == Some(events);
            return is_same.then_some(()).ok_or(AppendError::OtherContent);
        }
        let run = self.shelf.run();
        let mut wanted = Vec::new();
        for (number, event) in (first..).zip(events) {
            encode(Id { run, number }, event.as_bytes(), &mut wanted);
        }
        let newest = self.shelf.newest();
        let (mut there, mut after) = (Vec::new(), first - 1);
        while after < last {
            let read = guarded(|| self.shelf.read(after, newest, wanted.len()));
            let read = read.and_then(|it| it.map_err(|it| it.to_string()));
            for entry in read.map_err(AppendError::Failed)? {
                after = entry.number;
                if after <= last {
                    there.extend_from_slice(&entry.encoded);
                }
            }
        }
        (there == wanted).then_some(()).ok_or(AppendError::OtherContent)
    }

    /// What there is to do while nobody publishes.
    fn idle(&mut self) {
        if self.flush_at.is_some_and(|at| at <= Instant::now()) {
            self.flush_at = None;
            match guarded(|| self.shelf.write(Segment::flush)) {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => drop(self.fail(&fault)),
                Err(why) => drop(self.end(&why)),
            }
        }
        self.tidy();
    }

    /// Ends a file that is large enough, and removes what is no longer kept.
    fn tidy(&mut self) {
        if !matches!(self.state, Health::Good) {
            return;
        }
        let tidied = guarded(|| self.try_tidy()).map_err(io::Error::other);
        if let Err(error) = tidied.and_then(|it| it) {
            drop(self.end(&error.to_string()));
        }
    }

    fn try_tidy(&mut self) -> io::Result<()> {
        let Options { kept_age, kept_events, kept_bytes, .. } = self.options;
        let kept_age = u64::try_from(kept_age.as_millis()).unwrap_or(u64::MAX);
        let newest = self.shelf.newest();
        let bytes = self.shelf.active_bytes()?;
        let spans = self.shelf.spans();
        if let Some(active) = spans.last()
            && active.begun <= self.time
            && (bytes >= self.options.segment_bytes
                || newest + 1 - active.first >= (kept_events / PARTS).max(1)
                || self.time - active.begun >= (kept_age / PARTS).max(1))
        {
            // Where there is no room, it goes on in the file that there is.
            let _ = self.shelf.turn()?;
        }
        let now = milliseconds(SystemTime::now());
        let mut total =
            bytes + spans.iter().rev().skip(1).map(|it| it.bytes).sum::<u64>();
        for pair in spans.windows(2) {
            let [old, next] = pair else { break };
            let is_kept = total <= kept_bytes
                && newest + 1 - next.first < kept_events
                && now.saturating_sub(old.ended) <= kept_age;
            if is_kept {
                break;
            }
            total -= old.bytes;
            self.shelf.remove_oldest()?;
        }
        self.shelf.keep(kept_events);
        Ok(())
    }
}

/// What one transaction will write, and what to answer then.
struct Plan {
    first: u64,
    drafts: Vec<Draft>,
    keys: Vec<(Key, Published)>,
    #[expect(clippy::type_complexity, reason = "named in no other place")]
    answers: Vec<(
        oneshot::Sender<Result<Appended, AppendError>>,
        Result<Appended, AppendError>,
    )>,
}

impl Plan {
    fn new(first: u64) -> Self {
        let (drafts, keys, answers) = Default::default();
        Self { first, drafts, keys, answers }
    }

    /// Answers, after it was written. Who has left is not told.
    fn answer(self) {
        for (answer, appended) in self.answers {
            let _ = answer.send(appended);
        }
    }

    /// Answers, after it was not.
    fn refuse(self, why: &AppendError) {
        let first = self.first;
        for (answer, appended) in self.answers {
            // What was there before is there still.
            let is_old = matches!(
                &appended,
                Ok(Appended { last, .. }) if *last < first
            );
            let refused = appended.is_err() || is_old;
            let told = if refused { appended } else { Err(why.clone()) };
            let _ = answer.send(told);
        }
    }
}

fn refuse(group: Vec<Append>, why: &AppendError) {
    for append in group {
        let _ = append.answer.send(Err(why.clone()));
    }
}

/// The keys that are remembered.
struct Remembered {
    by_key: HashMap<Key, Published>,
    /// In the order in which they came.
    order: VecDeque<(Key, u64)>,
}

impl Remembered {
    fn new(keys: Keys) -> Self {
        let order = keys.iter().map(|(key, it)| (key.clone(), it.time));
        let order = order.collect();
        Self { by_key: keys.into_iter().collect(), order }
    }

    fn get(&self, key: &Key) -> Option<Published> {
        self.by_key.get(key).copied()
    }

    fn remember(&mut self, plan: &Plan) {
        for (key, published) in &plan.keys {
            self.by_key.insert(key.clone(), *published);
            self.order.push_back((key.clone(), published.time));
        }
    }

    /// Forgets what is too old, or one too many.
    fn forget(&mut self, options: &Options, now: u64) {
        let age = options.kept_keys_age.as_millis();
        let age = u64::try_from(age).unwrap_or(u64::MAX);
        while let Some((key, time)) = self.order.front() {
            let is_kept = self.order.len() <= options.kept_keys
                && now.saturating_sub(*time) <= age;
            if is_kept {
                break;
            }
            if self.by_key.get(key).is_some_and(|it| it.time == *time) {
                self.by_key.remove(key);
            }
            self.order.pop_front();
        }
    }
}

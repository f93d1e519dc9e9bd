//! The newest events of a log, in memory, where readers wait for more.

use crate::{Entry, Gap, Id, ReadError};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    vec::Vec,
};
use tokio::sync::watch;

/// The newest events of a log, within a bound. Readers that are level wait
/// here; one that is further behind reads the log itself.
pub struct Tail {
    run: u64,
    kept: Mutex<Kept>,
    /// The newest number that may be shown. It is told when the event is
    /// there.
    newest: watch::Sender<u64>,
    max_events: usize,
    max_bytes: usize,
}

struct Kept {
    entries: VecDeque<Entry<Bytes>>,
    bytes: usize,
    newest: u64,
}

impl Tail {
    /// An empty tail behind that place, which keeps at most so many events,
    /// and at most so many bytes of them, but at least one event.
    #[must_use]
    pub fn new(at: Id, max_events: usize, max_bytes: usize) -> Self {
        let entries = VecDeque::new();
        let kept = Kept { entries, bytes: 0, newest: at.number };
        Self {
            run: at.run,
            kept: Mutex::new(kept),
            newest: watch::Sender::new(at.number),
            max_events: max_events.max(1),
            max_bytes,
        }
    }

    // ANCHOR: push
    /// Shows events that are safe: they follow on the newest.
    pub fn push(&self, events: impl IntoIterator<Item = Bytes>) {
        let newest = {
            let mut kept = self.lock();
            for encoded in events {
                kept.newest += 1;
                kept.bytes += encoded.len();
                let number = kept.newest;
                kept.entries.push_back(Entry { number, encoded });
            }
            while kept.entries.len() > self.max_events
                || (kept.bytes > self.max_bytes && kept.entries.len() > 1)
            {
                let Some(oldest) = kept.entries.pop_front() else { break };
                kept.bytes -= oldest.encoded.len();
            }
            kept.newest
        };
        // No longer under the lock: this wakes every reader. Of two that push
        // at the same time the second may get here first.
        self.newest.send_if_modified(|told| {
            let is_new = newest > *told;
            *told = newest.max(*told);
            is_new
        });
    }
    // ANCHOR_END: push

    /// The newest number that may be shown, and its changes.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Where the log stands.
    #[must_use]
    pub fn position(&self) -> Id {
        self.id(self.lock().newest)
    }

    /// The number of the oldest event here, or of the next to come.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        let kept = self.lock();
        kept.newest + 1 - kept.entries.len() as u64
    }

    /// The ID of the event with that number.
    #[must_use]
    pub const fn id(&self, number: u64) -> Id {
        Id { run: self.run, number }
    }

    /// The number in an ID of this run.
    ///
    /// # Errors
    /// If no event of this run has that ID.
    pub fn number(&self, id: &str) -> Result<u64, Gap> {
        let number = id.split_once('-').and_then(|(_, it)| it.parse().ok());
        let number = number.ok_or(Gap::Unknown)?;
        // `+7` and `07` are numbers, and no event has them.
        let is_ours = std::format!("{}", self.id(number)) == id;
        let is_there = number <= self.lock().newest;
        (is_ours && is_there).then_some(number).ok_or(Gap::Unknown)
    }

    /// The events behind that number, oldest first, at most `max` of them.
    ///
    /// # Errors
    /// If the next is no longer here, or nobody has counted that far.
    pub fn read(
        &self,
        after: u64,
        max: usize,
    ) -> Result<Vec<Entry<Bytes>>, ReadError> {
        let kept = self.lock();
        let lacking = kept.newest.checked_sub(after).ok_or(Gap::Unknown)?;
        let here = kept.entries.len();
        match usize::try_from(lacking) {
            Ok(count) if count <= here => {
                let from = here - count;
                let to = here.min(from.saturating_add(max));
                Ok(kept.entries.range(from..to).cloned().collect())
            }
            _ => Err(Gap::Missed(lacking - here as u64).into()),
        }
    }

    /// The lock is held while pointers are copied, and never across an
    /// `await`. A thread that panicked left the entries as whole as it found
    /// them.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

//! One source, many readers: what is published once reaches every reader, in
//! order, those included that come back or fall behind.

use crate::feed::{Feed, FeedError, Missed};
use bytes::Bytes;
use event_stream::{Entry, Event, Gap, History};
use futures::{Stream, stream};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::broadcast::{self, error::RecvError};

/// How many events a reader takes from the history at a time. A reader that
/// stalls holds on to no more than these when the history has dropped them.
const BATCH: usize = 64;

// ANCHOR: hub
/// Where events are published, and where readers get them.
#[derive(Debug)]
pub struct Hub {
    history: Mutex<History<Bytes>>,
    live: broadcast::Sender<Entry<Bytes>>,
}

impl Hub {
    /// A hub whose readers may fall `behind` so many events (at least one,
    /// rounded up to a power of two) before they must go back to the history.
    #[must_use]
    pub fn new(history: History<Bytes>, behind: usize) -> Self {
        let history = Mutex::new(history);
        Self { history, live: broadcast::Sender::new(behind.max(1)) }
    }

    /// Publishes the event that `make` makes of its number, encoded once for
    /// all readers, and returns its ID. Waits for no reader.
    ///
    /// # Errors
    /// If the event cannot be written; then it has not been published.
    pub fn publish(
        &self,
        make: impl FnOnce(u64) -> Feed,
    ) -> Result<String, FeedError> {
        let mut history = self.lock();
        let feed = make(history.newest() + 1);
        let entry = history.push(Event::try_from(&feed)?);
        let id = history.id(entry.number);
        // Under the lock still, so that events published at the same time
        // have one order in both places. The error says that nobody reads.
        let _ = self.live.send(entry);
        Ok(id)
    }

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.live.receiver_count()
    }

    /// The lock is held for as long as it takes to copy a few pointers, and
    /// never across an `await`: a mutex of std serves best. A thread that
    /// panicked left the history as whole as it found it.
    fn lock(&self) -> MutexGuard<'_, History<Bytes>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
// ANCHOR_END: hub

// ANCHOR: reader
/// One reader's place in the stream.
#[derive(Debug)]
pub struct Reader {
    hub: Arc<Hub>,
    live: broadcast::Receiver<Entry<Bytes>>,
    /// The number of the event that was taken last: for this reader, from the
    /// history or from `live`.
    last: u64,
    /// What was taken from the history and not given out yet.
    replay: VecDeque<Bytes>,
    /// Whether the history may hold more that the reader lacks.
    is_behind: bool,
}

impl Hub {
    /// A reader of what comes after the event with that ID. Without an ID
    /// that is what comes from now on.
    ///
    /// # Errors
    /// If the reader cannot be told what it missed.
    pub fn subscribe(
        self: &Arc<Self>,
        last_event_id: Option<&str>,
    ) -> Result<Reader, FeedError> {
        // Subscribe first: nothing published from here on is lost. What it
        // has in common with the history comes twice, and `next` drops it.
        let live = self.live.subscribe();
        let mut reader = Reader {
            hub: Arc::clone(self),
            live,
            last: 0,
            replay: VecDeque::new(),
            is_behind: false,
        };
        let history = self.lock();
        let newest = history.newest();
        match last_event_id {
            None => {
                // An ID without an event: should the connection break before
                // the first one comes, the reader says where it stood.
                let place = format!("id: {}\n\n", history.id(newest));
                reader.replay.push_back(place.into());
                reader.last = newest;
            }
            Some(id) => match history.after(id) {
                Ok(mut lacking) => {
                    let next = lacking.next();
                    reader.last = next.map_or(newest, |next| next.number - 1);
                }
                Err(gap) => reader.miss(gap, &history)?,
            },
        }
        reader.catch_up(&history)?;
        drop(history);
        Ok(reader)
    }
}
// ANCHOR_END: reader

impl Reader {
    // ANCHOR: next
    /// The next event, encoded, or an ID alone; `None` when there will be no
    /// more. Nothing is lost when its future is dropped before it is done.
    ///
    /// # Errors
    /// If the reader cannot be told what it missed.
    pub async fn next(&mut self) -> Option<Result<Bytes, FeedError>> {
        loop {
            if let Some(encoded) = self.replay.pop_front() {
                return Some(Ok(encoded));
            }
            if self.is_behind {
                let hub = Arc::clone(&self.hub);
                if let Err(error) = self.catch_up(&hub.lock()) {
                    return Some(Err(error));
                }
                continue;
            }
            match self.live.recv().await {
                Ok(entry) if entry.number <= self.last => {} // came twice
                Ok(entry) if entry.number == self.last + 1 => {
                    self.last = entry.number;
                    return Some(Ok(entry.encoded));
                }
                // Some were overwritten before this reader came for them.
                Ok(_) | Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }
    // ANCHOR_END: next

    // ANCHOR: catch_up
    /// Takes what the reader lacks from the history, some at a time.
    fn catch_up(&mut self, history: &History<Bytes>) -> Result<(), FeedError> {
        if let Err(gap) = history.after_number(self.last) {
            self.miss(gap, history)?;
        }
        let mut taken = 0;
        for entry in history.after_number(self.last).into_iter().flatten() {
            if taken == BATCH {
                break;
            }
            self.replay.push_back(entry.encoded.clone());
            self.last = entry.number;
            taken += 1;
        }
        self.is_behind = taken == BATCH;
        Ok(())
    }

    /// Tells the reader of a gap, and goes on behind it. The event carries
    /// the ID of the last event that is lost: who comes back with it has been
    /// told already.
    fn miss(
        &mut self,
        gap: Gap,
        history: &History<Bytes>,
    ) -> Result<(), FeedError> {
        let oldest = history.iter().next().map(|entry| entry.number);
        self.last = oldest.map_or(history.newest(), |oldest| oldest - 1);
        let events = match gap {
            Gap::Missed(events) => Some(events),
            Gap::Unknown => None,
        };
        let feed = Feed::Missed(Missed { events });
        let event = Event::try_from(&feed)?
            .with_id(history.id(self.last))
            .map_err(FeedError::Field)?;
        let mut encoded = Vec::new();
        event.encode(&mut encoded);
        self.replay.push_back(encoded.into());
        Ok(())
    }
    // ANCHOR_END: catch_up

    /// The same as a stream. It has ended after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, FeedError>> {
        stream::unfold(Some(self), |reader| async {
            let mut reader = reader?;
            let next = reader.next().await?;
            let reader = next.is_ok().then_some(reader);
            Some((next, reader))
        })
    }
}

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
    history: Arc<Mutex<History<Bytes>>>,
    live: broadcast::Sender<Entry<Bytes>>,
}

impl Hub {
    /// A hub whose readers may fall `behind` so many events (at least one,
    /// rounded up to a power of two) before they must go back to the history.
    #[must_use]
    pub fn new(history: History<Bytes>, behind: usize) -> Self {
        let history = Arc::new(Mutex::new(history));
        Self { history, live: broadcast::Sender::new(behind.max(1)) }
    }

    /// Publishes an event, encoded once for all readers, and returns its ID.
    /// Waits for no reader. `told` is called with the event's number before
    /// any reader is woken.
    pub fn publish(&self, event: Event<'_>, told: impl FnOnce(u64)) -> String {
        let (entry, id) = {
            let mut history = lock(&self.history);
            let entry = history.push(event);
            let id = history.id(entry.number);
            (entry, id)
        };
        told(entry.number);
        // No longer under the lock: this wakes every reader that waits. So of
        // two events that are published at the same time the second may get
        // here first; a reader sees the hole, and finds the other in the
        // history. The error says that nobody reads.
        let _ = self.live.send(entry);
        id
    }

    /// Where the stream stands: the ID of the newest event, or of the place
    /// before the first. What is published from now on comes after it.
    #[must_use]
    pub fn position(&self) -> String {
        let history = lock(&self.history);
        history.id(history.newest())
    }

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.live.receiver_count()
    }
}

/// The lock is held while an event is encoded or a batch of pointers copied,
/// and never across an `await`: a mutex of std serves best. A thread that
/// panicked left the history as whole as it found it.
fn lock(history: &Mutex<History<Bytes>>) -> MutexGuard<'_, History<Bytes>> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}
// ANCHOR_END: hub

// ANCHOR: reader
/// What a reader is given: a block of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What is in it.
    pub says: Says,
    /// The block as it goes over the wire.
    pub encoded: Bytes,
}

/// What is in a [`Block`], for whoever has no use for its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// No event: an ID or a reconnection time alone.
    Nothing,
    /// The event with that number.
    Event(u64),
    /// The event `missed`, which is for this reader only.
    Missed(Missed),
}

/// One reader, somewhere in the stream.
#[derive(Debug)]
pub struct Reader {
    history: Arc<Mutex<History<Bytes>>>,
    live: broadcast::Receiver<Entry<Bytes>>,
    /// The number of the event that was taken last: for this reader, from the
    /// history or from `live`.
    last: u64,
    /// What was taken from the history and not given out yet.
    replay: VecDeque<Block>,
    /// Whether the history holds more that the reader lacks.
    is_behind: bool,
}

impl Hub {
    /// A reader of what comes after the event with that ID. Without an ID
    /// that is what comes from now on.
    ///
    /// # Errors
    /// If the reader cannot be told what it missed.
    pub fn subscribe(
        &self,
        last_event_id: Option<&str>,
    ) -> Result<Reader, FeedError> {
        let mut reader = self.listen();
        reader.begin(last_event_id)?;
        Ok(reader)
    }

    /// A reader that hears what is published from here on, and has not looked
    /// into the history.
    fn listen(&self) -> Reader {
        Reader {
            history: Arc::clone(&self.history),
            live: self.live.subscribe(),
            last: 0,
            replay: VecDeque::new(),
            is_behind: false,
        }
    }
}

impl Reader {
    /// Looks into the history. What it has in common with the subscription
    /// comes twice, and `next` drops it.
    fn begin(&mut self, last_event_id: Option<&str>) -> Result<(), FeedError> {
        let history = Arc::clone(&self.history);
        let history = lock(&history);
        let newest = history.newest();
        match last_event_id {
            None => {
                // An ID without an event: should the connection break before
                // the first one comes, the reader says where it stood.
                let encoded = format!("id: {}\n\n", history.id(newest)).into();
                self.replay.push_back(Block { says: Says::Nothing, encoded });
                self.last = newest;
            }
            Some(id) => match history.after(id) {
                Ok(mut lacking) => {
                    let next = lacking.next();
                    self.last = next.map_or(newest, |next| next.number - 1);
                }
                Err(gap) => self.miss(gap, &history)?,
            },
        }
        self.catch_up(&history)
    }
}
// ANCHOR_END: reader

impl Reader {
    // ANCHOR: next
    /// The next block; `None` if the hub is gone, and with it whoever could
    /// publish. Nothing is lost when its future is dropped before it is done.
    ///
    /// # Errors
    /// If the reader cannot be told what it missed.
    pub async fn next(&mut self) -> Option<Result<Block, FeedError>> {
        loop {
            if let Some(block) = self.replay.pop_front() {
                return Some(Ok(block));
            }
            if self.is_behind {
                let history = Arc::clone(&self.history);
                if let Err(error) = self.catch_up(&lock(&history)) {
                    return Some(Err(error));
                }
                continue;
            }
            match self.live.recv().await {
                Ok(entry) if entry.number <= self.last => {} // came twice
                Ok(Entry { number, encoded }) if number == self.last + 1 => {
                    self.last = number;
                    let says = Says::Event(number);
                    return Some(Ok(Block { says, encoded }));
                }
                // Some were overwritten before this reader came for them, or
                // one was overtaken on its way here.
                Ok(_) | Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Takes what the reader lacks from the history, some at a time.
    fn catch_up(&mut self, history: &History<Bytes>) -> Result<(), FeedError> {
        let lacking = match history.after_number(self.last) {
            Ok(lacking) => lacking,
            Err(gap) => {
                self.miss(gap, history)?;
                // From where the history begins, there is no gap.
                return self.catch_up(history);
            }
        };
        for entry in lacking.take(BATCH) {
            self.last = entry.number;
            let says = Says::Event(entry.number);
            let encoded = entry.encoded.clone();
            self.replay.push_back(Block { says, encoded });
        }
        self.is_behind = self.last < history.newest();
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
        let missed = Missed {
            events: match gap {
                Gap::Missed(events) => Some(events),
                Gap::Unknown => None,
            },
        };
        let feed = Feed::Missed(missed);
        let event = Event::try_from(&feed)?
            .with_id(history.id(self.last))
            .map_err(FeedError::Field)?;
        let says = Says::Missed(missed);
        let encoded = event.to_string().into();
        self.replay.push_back(Block { says, encoded });
        Ok(())
    }
    // ANCHOR_END: next

    /// The same as a stream. It has ended after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Block, FeedError>> {
        // Boxed: it is moved into a future and out again for each block.
        stream::unfold(Some(Box::new(self)), |reader| async {
            let mut reader = reader?;
            let next = reader.next().await?;
            let reader = next.is_ok().then_some(reader);
            Some((next, reader))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Hub, Says};
    use event_stream::{Event, History};
    use futures::FutureExt;

    /// What is published between the two steps is neither late nor there
    /// twice. The order of the steps is in their types: only who listens can
    /// look into the history.
    #[test]
    fn an_event_between_listening_and_looking() {
        for (id, expected) in [
            (None, &[Says::Nothing, Says::Event(3)][..]),
            (Some("5eed-1"), &[Says::Event(2), Says::Event(3)]),
        ] {
            let hub = Hub::new(History::new(0x5eed, 8, usize::MAX), 8);
            let publish = || drop(hub.publish(Event::new("."), |_| ()));
            publish();
            let mut reader = hub.listen();
            publish();
            reader.begin(id).unwrap();
            let mut there = || reader.next().now_or_never();
            let at_once = there().unwrap().unwrap().unwrap();
            assert_eq!(at_once.says, expected[0]);
            assert!(there().is_none(), "{id:?}");
            publish();
            let next = there().unwrap().unwrap().unwrap();
            assert_eq!(next.says, expected[1]);
        }
    }
}

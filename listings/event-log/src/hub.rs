//! One source, many readers: what is published once reaches every reader, in
//! order, those included that come back or fall behind.

use crate::{Entry, Gap, History};
use alloc::{
    boxed::Box,
    collections::VecDeque,
    format,
    string::{String, ToString},
};
use bytes::Bytes;
use core::fmt;
use event_stream::{Event, HEARTBEAT};
use futures_util::{Stream, stream};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, ready},
    time::Duration,
};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep},
};

/// The longest time without a heartbeat: a year, which no connection lasts.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How many events a reader takes from the history at a time. A reader that
/// stalls holds on to no more than these when the history has dropped them.
const BATCH: usize = 64;

// ANCHOR: hub
/// Where events are published, and where readers get them.
pub struct Hub {
    shared: Arc<Shared>,
    live: broadcast::Sender<Live>,
}

/// What the hub and its readers have in common.
struct Shared {
    state: Mutex<State>,
    tell: Tell,
}

struct State {
    history: History<Bytes>,
    /// Whether nothing will follow.
    is_over: bool,
}

/// Makes the event that tells a reader of a gap.
type Tell = Box<dyn Fn(Gap) -> Event<'static> + Send + Sync>;

/// What is sent to the readers that wait.
#[derive(Clone)]
enum Live {
    Event(Entry<Bytes>),
    /// Nothing follows what the history has.
    End,
}

/// The hub has ended: the event was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

impl Hub {
    /// A hub whose readers may fall `behind` so many events (at least one,
    /// rounded up to a power of two) before they must go back to the history.
    ///
    /// `tell` makes the event for a reader that missed some: its type and its
    /// data are between you and your readers. It gets an ID here.
    pub fn new(
        history: History<Bytes>,
        behind: usize,
        tell: impl Fn(Gap) -> Event<'static> + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State { history, is_over: false });
        let shared = Arc::new(Shared { state, tell: Box::new(tell) });
        Self { shared, live: broadcast::Sender::new(behind.max(1)) }
    }

    /// Publishes an event, encoded once for all readers, and returns its ID.
    /// Waits for no reader. `told` is called with the event's number before
    /// any reader is woken.
    ///
    /// # Errors
    /// If the hub has [ended](Self::end).
    pub fn publish(
        &self,
        event: Event<'_>,
        told: impl FnOnce(u64),
    ) -> Result<String, Ended> {
        let (entry, id) = {
            let mut state = self.shared.lock();
            if state.is_over {
                return Err(Ended);
            }
            let entry = state.history.push(event);
            let id = state.history.id(entry.number);
            (entry, id)
        };
        told(entry.number);
        // No longer under the lock: this wakes every reader that waits. So of
        // two events that are published at the same time the second may get
        // here first; a reader sees the hole, and finds the other in the
        // history. The error says that nobody reads.
        let _ = self.live.send(Live::Event(entry));
        Ok(id)
    }

    /// Ends the stream behind what was published: each reader gets all of it,
    /// and then the end. Who comes later gets what it lacks, while this hub is
    /// kept.
    pub fn end(&self) {
        self.shared.lock().is_over = true;
        let _ = self.live.send(Live::End);
    }

    /// Where the stream stands: the ID of the newest event, or of the place
    /// before the first. What is published from now on comes after it.
    #[must_use]
    pub fn position(&self) -> String {
        let state = self.shared.lock();
        state.history.id(state.history.newest())
    }

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.live.receiver_count()
    }
}

impl Shared {
    /// The lock is held while an event is encoded or a batch of pointers
    /// copied, and never across an `await`: a mutex of std serves best. A
    /// thread that panicked left the history as whole as it found it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
// ANCHOR_END: hub

/// The event that tells a reader of a gap, if you have no other words for it:
/// its type is `missed`, and its data `{"events":7}`, or `{"events":null}`
/// where nobody knows how many.
#[must_use]
pub fn missed(gap: Gap) -> Event<'static> {
    let data = match gap {
        Gap::Missed(events) => format!("{{\"events\":{events}}}"),
        Gap::Unknown => "{\"events\":null}".into(),
    };
    let Ok(event) = Event::new(data).with_type("missed") else {
        unreachable!("a word ends no line");
    };
    event
}

// ANCHOR: heartbeats
/// The same pieces, and a [`HEARTBEAT`] when nothing came for so long
/// (§9.2.7 suggests about 15 seconds).
///
/// A stream does nothing while nobody polls it: the timer wakes who does. It
/// is one timer, put off by each piece, which takes no lock. A timeout around
/// each piece would be another timer each time, made and taken away again.
///
/// # Panics
/// When polled outside a runtime of tokio's that has its timers enabled.
pub fn with_heartbeats<E>(
    encoded: impl Stream<Item = Result<Bytes, E>>,
    heartbeat: Duration,
) -> impl Stream<Item = Result<Bytes, E>> {
    let heartbeat = heartbeat.min(LONGEST);
    let mut encoded = Box::pin(encoded);
    let mut timer = None;
    stream::poll_fn(move |context| {
        // It needs the runtime of whoever polls.
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(heartbeat)));
        let piece = match encoded.as_mut().poll_next(context) {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                ready!(timer.as_mut().poll(context));
                Some(Ok(Bytes::from_static(HEARTBEAT.as_bytes())))
            }
        };
        timer.as_mut().reset(Instant::now() + heartbeat);
        Poll::Ready(piece)
    })
}
// ANCHOR_END: heartbeats

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
#[non_exhaustive]
pub enum Says {
    /// No event: an ID or a reconnection time alone.
    Nothing,
    /// The event with that number.
    Event(u64),
    /// What tells of a gap, for this reader only.
    Missed(Gap),
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start<'a> {
    /// With what is published from now on.
    Newest,
    /// With the oldest event that is kept.
    Oldest,
    /// Behind the event with that ID: the reader's `Last-Event-ID`.
    After(&'a str),
}

impl<'a> From<Option<&'a str>> for Start<'a> {
    /// Behind that ID. Without one, from now on.
    fn from(last_event_id: Option<&'a str>) -> Self {
        last_event_id.map_or(Self::Newest, Self::After)
    }
}

/// One reader, somewhere in the stream.
pub struct Reader {
    shared: Arc<Shared>,
    live: broadcast::Receiver<Live>,
    /// The number of the event that was taken last: for this reader, from the
    /// history or from `live`.
    last: u64,
    /// What was taken from the history and not given out yet.
    replay: VecDeque<Block>,
    /// Whether the history holds more that the reader lacks.
    is_behind: bool,
    /// Whether nothing follows what the history holds.
    is_over: bool,
}

impl Hub {
    /// A reader that begins there. `None` if the stream has ended, and there
    /// is nothing that this reader lacks: the answer to it is 204, and it will
    /// not come back (§9.2.3).
    pub fn subscribe<'a>(&self, start: impl Into<Start<'a>>) -> Option<Reader> {
        let mut reader = self.listen();
        reader.begin(start.into());
        let is_done = reader.is_over && reader.replay.is_empty();
        (!is_done).then_some(reader)
    }

    /// A reader that hears what is published from here on, and has not looked
    /// into the history.
    fn listen(&self) -> Reader {
        Reader {
            shared: Arc::clone(&self.shared),
            live: self.live.subscribe(),
            last: 0,
            replay: VecDeque::new(),
            is_behind: false,
            is_over: false,
        }
    }
}

impl Reader {
    /// Looks into the history. What it has in common with the subscription
    /// comes twice, and `next` drops it.
    fn begin(&mut self, start: Start<'_>) {
        let shared = Arc::clone(&self.shared);
        let state = shared.lock();
        let history = &state.history;
        let newest = history.newest();
        let before = |next: Option<&Entry<_>>| {
            next.map_or(newest, |next| next.number - 1)
        };
        match start {
            Start::Newest => {
                self.last = newest;
                if !state.is_over {
                    // An ID without an event: should the connection break
                    // before the first one comes, the reader says where it
                    // stood.
                    let id = history.id(newest);
                    let encoded = format!("id: {id}\n\n").into();
                    let block = Block { says: Says::Nothing, encoded };
                    self.replay.push_back(block);
                }
            }
            Start::Oldest => self.last = before(history.iter().next()),
            Start::After(id) => match history.after(id) {
                Ok(mut lacking) => self.last = before(lacking.next()),
                Err(gap) => self.miss(gap, history),
            },
        }
        self.catch_up(&state);
    }
}
// ANCHOR_END: reader

impl Reader {
    // ANCHOR: next
    /// The next block; `None` if the stream has ended, or the hub is gone, and
    /// with it whoever could publish. Nothing is lost when its future is
    /// dropped before it is done.
    pub async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some(block) = self.replay.pop_front() {
                return Some(block);
            }
            if self.is_behind {
                let shared = Arc::clone(&self.shared);
                self.catch_up(&shared.lock());
                continue;
            }
            if self.is_over {
                return None;
            }
            match self.live.recv().await {
                // It came twice.
                Ok(Live::Event(entry)) if entry.number <= self.last => {}
                Ok(Live::Event(Entry { number, encoded }))
                    if number == self.last + 1 =>
                {
                    self.last = number;
                    return Some(Block { says: Says::Event(number), encoded });
                }
                // Some were overwritten before this reader came for them, or
                // one was overtaken on its way here, by another or by the end.
                Ok(_) | Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Takes what the reader lacks from the history, some at a time.
    fn catch_up(&mut self, state: &State) {
        let history = &state.history;
        let lacking = match history.after_number(self.last) {
            Ok(lacking) => lacking,
            Err(gap) => {
                self.miss(gap, history);
                // From where the history begins, there is no gap.
                return self.catch_up(state);
            }
        };
        for entry in lacking.take(BATCH) {
            self.last = entry.number;
            let says = Says::Event(entry.number);
            let encoded = entry.encoded.clone();
            self.replay.push_back(Block { says, encoded });
        }
        self.is_behind = self.last < history.newest();
        self.is_over = state.is_over;
    }

    /// Tells the reader of a gap, and goes on behind it. The event carries
    /// the ID of the last event that is lost: who comes back with it has been
    /// told already.
    fn miss(&mut self, gap: Gap, history: &History<Bytes>) {
        let oldest = history.iter().next().map(|entry| entry.number);
        self.last = oldest.map_or(history.newest(), |oldest| oldest - 1);
        let Ok(event) = (self.shared.tell)(gap).with_id(history.id(self.last))
        else {
            unreachable!("digits and a hyphen end no line");
        };
        let encoded = event.to_string().into();
        self.replay.push_back(Block { says: Says::Missed(gap), encoded });
    }
    // ANCHOR_END: next

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Block> {
        // Boxed: it is moved into a future and out again for each block.
        stream::unfold(Box::new(self), |mut reader| async {
            let block = reader.next().await?;
            Some((block, reader))
        })
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream has ended")
    }
}

impl core::error::Error for Ended {}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("readers", &self.readers())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Hub, Says, Start};
    use crate::{Gap, History};
    use alloc::string::ToString;
    use event_stream::Event;
    use futures_util::FutureExt;

    /// What is published between the two steps is neither late nor there
    /// twice. The order of the steps is in their types: only who listens can
    /// look into the history.
    #[test]
    fn an_event_between_listening_and_looking() {
        for (id, expected) in [
            (Start::Newest, &[Says::Nothing, Says::Event(3)][..]),
            (Start::After("5eed-1"), &[Says::Event(2), Says::Event(3)]),
        ] {
            let history = History::new(0x5eed, 8, usize::MAX);
            let tell = |gap: Gap| Event::new(gap.to_string());
            let hub = Hub::new(history, 8, tell);
            let publish = || drop(hub.publish(Event::new("."), |_| ()));
            publish();
            let mut reader = hub.listen();
            publish();
            reader.begin(id);
            let mut there = || reader.next().now_or_never();
            let at_once = there().unwrap().unwrap();
            assert_eq!(at_once.says, expected[0]);
            assert!(there().is_none(), "{id:?}");
            publish();
            let next = there().unwrap().unwrap();
            assert_eq!(next.says, expected[1]);
        }
    }
}

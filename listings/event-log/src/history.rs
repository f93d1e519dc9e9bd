//! What a server keeps of its stream, for readers that come back.

use alloc::{collections::VecDeque, format, string::String, vec::Vec};
use core::{error::Error, fmt};
use event_stream::Event;

// ANCHOR: history
/// The newest events of one stream, numbered and encoded, within a bound.
///
/// Each event is given an ID as it enters: `RUN-NUMBER`. The number grows by
/// one, so a reader's `Last-Event-ID` tells which events it lacks. The run
/// differs each time the server starts: an ID from before a restart is then
/// known to be one, whatever number it has.
///
/// `T` is what holds an event's bytes: a `Vec<u8>`, or what many readers can
/// share without a copy, such as `Arc<[u8]>` or `bytes::Bytes`.
///
/// ```
/// use event_log::{History, event_stream::Event};
///
/// let mut history: History = History::new(0x5eed, 1000, 1024 * 1024);
/// for data in ["one", "two", "three"] {
///     let entry = history.push(Event::new(data));
///     // Send `entry.encoded` to those who are connected.
///     assert!(entry.encoded.starts_with(b"id: 5eed-"));
/// }
/// let mut missing = history.after("5eed-1")?;
/// assert_eq!(missing.len(), 2);
/// assert_eq!(
///     missing.next().map(|entry| &*entry.encoded),
///     Some(&b"id: 5eed-2\ndata: two\n\n"[..])
/// );
/// # Ok::<(), event_log::Gap>(())
/// ```
#[derive(Clone, Debug)]
pub struct History<T = Vec<u8>> {
    run: u64,
    newest: u64,
    /// Those up to `newest`, without a hole.
    kept: VecDeque<Entry<T>>,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

/// An event that has its place in a [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry<T> {
    /// Its number: one more than that of the event before it.
    pub number: u64,
    /// The event as it goes over the wire, ID included.
    pub encoded: T,
}
// ANCHOR_END: history

// ANCHOR: gap
/// Why a history cannot continue after an ID. What it still has, it gives
/// with [`History::iter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// So many events after that one are no longer kept.
    Missed(u64),
    /// No event of this run has that ID: it is from before a restart, or from
    /// elsewhere.
    Unknown,
}
// ANCHOR_END: gap

impl<T> History<T>
where
    T: AsRef<[u8]> + Clone + From<Vec<u8>>,
{
    // ANCHOR: begin
    /// An empty history that keeps at most `max_events` events of at most
    /// `max_bytes` bytes in all, as encoded. An event takes up to a hundred
    /// bytes more.
    ///
    /// `run` should differ each time the server starts: a random number, or
    /// the time.
    #[must_use]
    pub const fn new(run: u64, max_events: usize, max_bytes: usize) -> Self {
        let kept = VecDeque::new();
        Self { run, newest: 0, kept, bytes: 0, max_events, max_bytes }
    }

    /// An empty history that goes on with the numbers of a run whose newest
    /// event was `newest`, for a server that has written its events out and
    /// knows that it has sent no later one.
    ///
    /// `None` if `newest` is more than half of `u64::MAX`: nobody has counted
    /// that far, and a history that goes on could run out of numbers.
    #[must_use]
    pub const fn resume(
        run: u64,
        newest: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Option<Self> {
        if newest > u64::MAX / 2 {
            return None;
        }
        let kept = VecDeque::new();
        Some(Self { run, newest, kept, bytes: 0, max_events, max_bytes })
    }
    // ANCHOR_END: begin

    // ANCHOR: push
    /// Gives the event the next ID, in place of any it had, and keeps it, in
    /// place of the oldest where the bound asks for it.
    ///
    /// An event larger than `max_bytes` is not kept, and nor is anything
    /// before it: there are no holes.
    pub fn push(&mut self, event: Event<'_>) -> Entry<T> {
        self.newest += 1;
        let number = self.newest;
        let mut encoded = Vec::new();
        let Ok(event) = event.with_id(self.id(number)) else {
            unreachable!("digits and a hyphen end no line");
        };
        event.encode(&mut encoded);
        // The bound is on what is held, so nothing is held in reserve.
        encoded.shrink_to_fit();
        let entry = Entry { number, encoded: T::from(encoded) };

        self.bytes += entry.encoded.as_ref().len();
        self.kept.push_back(entry.clone());
        while self.kept.len() > self.max_events || self.bytes > self.max_bytes {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.encoded.as_ref().len();
        }
        entry
    }

    /// The ID of the event with that number. Number 0 stands before the first:
    /// its ID is for a reader that has received nothing yet.
    #[must_use]
    pub fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.run)
    }

    /// The number of the newest event, kept or not, or 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> u64 {
        self.newest
    }
    // ANCHOR_END: push

    // ANCHOR: after
    /// The events after the one with that ID, oldest first: what a reader
    /// lacks that sends it as its `Last-Event-ID`.
    ///
    /// # Errors
    /// If they are not all here.
    pub fn after(
        &self,
        last_event_id: &str,
    ) -> Result<impl ExactSizeIterator<Item = &Entry<T>> + use<'_, T>, Gap>
    {
        let number = last_event_id
            .split_once('-')
            .and_then(|(_, number)| number.parse().ok())
            // `+7` and `07` are numbers, and no event has them.
            .filter(|&number| self.id(number) == last_event_id)
            .ok_or(Gap::Unknown)?;
        self.after_number(number)
    }

    /// The events after the one with that number, oldest first; 0 stands
    /// before the first.
    ///
    /// # Errors
    /// If they are not all here.
    pub fn after_number(
        &self,
        number: u64,
    ) -> Result<impl ExactSizeIterator<Item = &Entry<T>>, Gap> {
        let lacking = self.newest.checked_sub(number).ok_or(Gap::Unknown)?;
        // Numbers are consecutive, so a place follows from a number.
        match usize::try_from(lacking) {
            Ok(count) if count <= self.kept.len() => {
                Ok(self.kept.range(self.kept.len() - count..))
            }
            _ => Err(Gap::Missed(lacking - self.kept.len() as u64)),
        }
    }
    // ANCHOR_END: after

    /// All that is kept, oldest first.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry<T>> {
        self.kept.iter()
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed(1) => write!(f, "1 event is no longer kept"),
            Self::Missed(count) => {
                write!(f, "{count} events are no longer kept")
            }
            Self::Unknown => write!(f, "no event here has that ID"),
        }
    }
}

impl Error for Gap {}

//! What keeps the events of a stream, and what it promises.

use crate::Gap;
use bytes::Bytes;
use core::{error::Error, fmt, time::Duration};
use event_stream::Event;
use std::{string::String, time::SystemTime, vec::Vec};

use crate::{Entry, Tail};

/// The longest [`Key`], in bytes.
pub const MAX_KEY: usize = 255;

// ANCHOR: log
/// Where the events of one stream are kept: in memory, on disk, or elsewhere.
///
/// The numbers are consecutive. Nothing is acknowledged, and nothing is in
/// [`tail`](Self::tail), before the store holds it as safely as it promises:
/// so no reader sees what is lost later.
pub trait Log: Send + Sync + 'static {
    /// The newest events, where readers wait for the next.
    fn tail(&self) -> &Tail;

    /// Appends events behind each other, all or none, and returns their
    /// numbers once they are safe. Should the future be dropped, they may be
    /// appended all the same: a `key` tells.
    ///
    /// # Errors
    /// See [`AppendError`].
    fn append(
        &self,
        events: Vec<Draft>,
        key: Option<Key>,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// The events behind that number, oldest first: about `max_bytes` of them,
    /// at least one if there is one.
    ///
    /// # Errors
    /// If the next is no longer kept, or cannot be read.
    fn read(
        &self,
        after: u64,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Vec<Entry<Bytes>>, ReadError>> + Send;

    /// The number of the last event before that time, by the clock of the
    /// store; of the one before the oldest if all came later.
    ///
    /// # Errors
    /// If it cannot be read.
    fn before(
        &self,
        time: SystemTime,
    ) -> impl Future<Output = Result<u64, ReadError>> + Send;
}
// ANCHOR_END: log

/// An event that has no number yet, encoded by whoever publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft(Bytes);

impl Draft {
    /// The event, without an ID: the store gives it one.
    #[must_use]
    pub fn new(event: Event<'_>) -> Self {
        let mut encoded = Vec::new();
        event.without_id().encode(&mut encoded);
        Self(encoded.into())
    }

    /// Its bytes without the line of the ID.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Appends a draft as it goes over the wire, with its ID, which has no line
/// end in it.
pub(crate) fn encode(id: Id, draft: &[u8], out: &mut Vec<u8>) {
    use std::io::Write;
    // A `Vec` takes whatever is written to it.
    let _ = writeln!(out, "id: {id}");
    out.extend_from_slice(draft);
}

/// An event's place in a stream: `RUN-NUMBER`, as readers send it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// The run of numbers that it belongs to. It changes only when something
    /// acknowledged could be gone.
    pub run: u64,
    /// Its number in the run; 0 stands before the first event.
    pub number: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.run, self.number)
    }
}

/// What names a publication: whoever publishes again, because the answer was
/// lost, does so under the same key, and the event is there once.
///
/// The store remembers a bounded number of keys, for a bounded time, and none
/// for longer than its event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Bytes);

impl Key {
    /// A key of 1 to [`MAX_KEY`] bytes; `None` if it is longer, or empty.
    #[must_use]
    pub fn new(key: &[u8]) -> Option<Self> {
        let fits = (1..=MAX_KEY).contains(&key.len());
        fits.then(|| Self(Bytes::copy_from_slice(key)))
    }

    #[cfg(feature = "disk")]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The number of the last of its events.
    pub last: u64,
    /// Whether they were there already, under the same key.
    pub is_repeated: bool,
}

// ANCHOR: errors
/// Why events were not appended. [`status`](Self::status) is what a server
/// answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// They are larger than so many bytes in all, which is the most.
    TooLarge(usize),
    /// There is something else under that key.
    OtherContent,
    /// There is no room. There may be in so long.
    Full(Duration),
    /// Too many wait, or nobody is there who could take them. Try again in so
    /// long.
    NotNow(Duration),
    /// The store has failed, and takes nothing until it is opened again: it
    /// does not know what the disk has of the last events. Nobody has been
    /// told that they are safe.
    Failed(String),
}

/// Why events were not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// What follows is no longer kept, or never was.
    Gap(Gap),
    /// It cannot be read. The reader has to be cut off: what would come
    /// behind a hole would be wrong.
    Failed(String),
}
// ANCHOR_END: errors

impl AppendError {
    /// The status of HTTP that says so.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooLarge(_) => 413,
            Self::OtherContent => 422,
            Self::Full(_) => 507,
            Self::NotNow(_) | Self::Failed(_) => 503,
        }
    }

    /// When to try again, if that may help: the value of `Retry-After`.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full(time) | Self::NotNow(time) => Some(*time),
            _ => None,
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(most) => write!(f, "more than {most} bytes"),
            Self::OtherContent => {
                f.write_str("something else was published under that key")
            }
            Self::Full(_) => f.write_str("the disk is full"),
            Self::NotNow(_) => f.write_str("too many are publishing"),
            Self::Failed(why) => write!(f, "the log has failed: {why}"),
        }
    }
}

impl Error for AppendError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap(gap) => gap.fmt(f),
            Self::Failed(why) => write!(f, "the log cannot be read: {why}"),
        }
    }
}

impl Error for ReadError {}

impl From<Gap> for ReadError {
    fn from(gap: Gap) -> Self {
        Self::Gap(gap)
    }
}

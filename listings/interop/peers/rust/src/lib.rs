//! The decoders of Server-Sent Events that Rust programs use, each in its own
//! natural form, read through one trait.
//!
//! An adaptor adds nothing to a crate's own work: no copy, no check, no
//! runtime. What it hands on, it borrows from what the crate handed out. So
//! the same adaptors serve to compare what the crates read and how fast: for
//! that there are [`inputs`], [`contestants`] and a [`clock`]; and
//! [`encoders`] for the way back.
//!
//! ```
//! use bytes::Bytes;
//! use peers::{Reader, Seen, Visitor, for_each_reader};
//!
//! struct Count(Vec<(&'static str, usize)>);
//!
//! impl Visitor for Count {
//!     fn visit<R: Reader>(&mut self) {
//!         let chunks = [Bytes::from_static(b"data: a\n\ndata: b\n\n")];
//!         let mut events = 0;
//!         R::read(&chunks, |seen| {
//!             events += usize::from(seen.data().is_some());
//!         })
//!         .expect("a good stream");
//!         self.0.push((R::CRATE, events));
//!     }
//! }
//!
//! let mut count = Count(Vec::new());
//! for_each_reader(&mut count);
//! assert!(count.0.iter().all(|(_, events)| *events == 2));
//! ```

pub mod clock;
pub mod contestants;
pub mod encoders;
pub mod inputs;
mod readers;

pub use readers::{
    AsyncSse, EventStream, EventStreamItems, EventsourceClient,
    EventsourceStream, Eventsrc, ReqwestSse, SseCodec, SseCore, SseCoreStream,
    SseStream,
};

use bytes::Bytes;
use std::time::Duration;

// ANCHOR: reader
/// What a crate hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// An event to dispatch.
    Event {
        /// Its type, `message` where the stream named none.
        event_type: &'a str,
        /// Its data.
        data: &'a [u8],
        /// The last event ID that it carries, empty where there is none.
        last_event_id: &'a str,
    },
    /// The fields of a block as they came, from a crate that leaves to its
    /// caller what a blank line then means.
    Block {
        /// The value of its field `event`, if it has one.
        event: Option<&'a str>,
        /// The values of its fields `data`, joined by LF, if it has one.
        data: Option<&'a [u8]>,
        /// The value of its field `id`, if it has one.
        id: Option<&'a str>,
        /// The value of its field `retry`, if it has one.
        retry: Option<Duration>,
    },
    /// A comment.
    Comment(&'a str),
    /// A new reconnection time.
    ReconnectionTime(Duration),
    /// A block without data set the last event ID to this.
    LastEventId(&'a str),
}

/// A decoder, and how it is called.
pub trait Reader {
    /// The crate's name.
    const CRATE: &'static str;
    /// What of the crate does the reading, where it offers more than one
    /// thing that does.
    const FORM: &'static str;

    /// The decoder, and the chunks in the form in which it takes them.
    type Input;

    /// Makes both ready: all that a program pays for but once a stream.
    ///
    /// # Errors
    /// The crate's own, as text.
    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String>;

    /// Reads the stream to its end: what a program pays for each chunk.
    ///
    /// # Errors
    /// The crate's own, as text. That the stream ended is none.
    fn run(
        input: &mut Self::Input,
        each: impl FnMut(Seen<'_>),
    ) -> Result<(), String>;

    /// Both: reads the chunks as they came from the network.
    ///
    /// # Errors
    /// As theirs.
    fn read(
        chunks: &[Bytes],
        each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        Self::run(&mut Self::prepare(chunks)?, each)
    }

    /// The last event ID after that, which a reconnection would send; `None`
    /// from a crate that does not tell it.
    #[must_use]
    fn last_event_id(_chunks: &[Bytes]) -> Option<String> {
        None
    }

    /// The crate's version, as the lock file has it.
    #[must_use]
    fn version() -> &'static str {
        version(Self::CRATE)
    }
}
// ANCHOR_END: reader

impl<'a> Seen<'a> {
    /// The data, if this has any: an event's or a block's.
    #[must_use]
    pub const fn data(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Event { data, .. } => Some(data),
            Self::Block { data, .. } => data,
            _ => None,
        }
    }
}

/// Something to do with each [`Reader`].
pub trait Visitor {
    /// Does it.
    fn visit<R: Reader>(&mut self);
}

/// All of them: the book's own first, the others by name.
pub fn for_each_reader(visitor: &mut impl Visitor) {
    visitor.visit::<EventStream>();
    visitor.visit::<EventStreamItems>();
    visitor.visit::<AsyncSse>();
    visitor.visit::<EventsourceClient>();
    visitor.visit::<EventsourceStream>();
    visitor.visit::<Eventsrc>();
    visitor.visit::<ReqwestSse>();
    visitor.visit::<SseCodec>();
    visitor.visit::<SseCore>();
    visitor.visit::<SseCoreStream>();
    visitor.visit::<SseStream>();
}

/// The version of a crate that the lock file has once; empty if it has none.
#[must_use]
pub fn version(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    lock.split("[[package]]\n")
        .filter_map(|package| package.strip_prefix("name = \""))
        .filter_map(|package| package.strip_prefix(name))
        .filter_map(|package| package.strip_prefix("\"\nversion = \""))
        .find_map(|package| package.split('"').next())
        .unwrap_or_default()
}

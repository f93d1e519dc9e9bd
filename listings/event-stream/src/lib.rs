//! The event stream format of Server-Sent Events, [WHATWG HTML §9.2], the
//! rules for reconnecting, without any input or output.
//!
//! Bytes and time come in as arguments; events and delays come out. There are
//! no sockets, no clock and no async runtime in here, so a thread over
//! `std::net` and a task over hyper use the same encoder, the same
//! [`Decoder`] and the same [`Reconnection`].
//!
//! One invariant holds throughout: **an [`Event`] that exists can be written
//! faithfully.** What would break the framing is refused when it is built, so
//! writing it cannot fail and cannot inject.
//!
//! # Features
//! - `std`, on by default: wider vectors in the search for line ends and the
//!   check of UTF-8, where the processor has them. Without it the crate
//!   needs no more than an allocator.
//! - `stream`: `Items`, from a [`futures_core::Stream`] of chunks to one of
//!   items. That trait is all it needs: no runtime.
//!
//! [`futures_core::Stream`]: https://docs.rs/futures-core/0.3/futures_core/stream/trait.Stream.html
//! [WHATWG HTML §9.2]: https://html.spec.whatwg.org/multipage/server-sent-events.html
#![no_std]

extern crate alloc;

mod decoder;
mod event;
mod lines;
mod reconnection;
mod response;
#[cfg(feature = "stream")]
mod stream;

pub use decoder::{
    ChunkItems, Decoder, Item, LimitExceeded, MessageEvent, Text,
};
pub use event::{Comment, Event, FieldError, HEARTBEAT, Retry};
pub use reconnection::{Reconnection, Verdict};
pub use response::{Failure, Refusal, drives_a_terminal};
#[cfg(feature = "stream")]
pub use stream::{Items, ItemsError};

/// The MIME type of an event stream, §9.2.5: always UTF-8, so it needs no
/// `charset` parameter.
pub const MIME_TYPE: &str = "text/event-stream";

//! The event stream format of Server-Sent Events, [WHATWG HTML §9.2], and the
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
//! [WHATWG HTML §9.2]: https://html.spec.whatwg.org/multipage/server-sent-events.html
#![no_std]

extern crate alloc;

mod decoder;
mod event;
mod history;
mod reconnection;
#[cfg(feature = "stream")]
mod stream;

pub use decoder::{Decoder, Item, LimitExceeded, MessageEvent};
pub use event::{Comment, Event, FieldError, HEARTBEAT, Retry};
pub use history::{Entry, Gap, History};
pub use reconnection::{Failure, Reconnection, Verdict};
#[cfg(feature = "stream")]
pub use stream::{Items, ItemsError};

/// The MIME type of an event stream, §9.2.5: always UTF-8, so it needs no
/// `charset` parameter.
pub const MIME_TYPE: &str = "text/event-stream";

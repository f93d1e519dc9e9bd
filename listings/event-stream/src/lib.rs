#![doc = include_str!("../README.md")]
//!
//! # What is in here
//! - Write: [`Event`], [`Comment`], [`Retry`], [`HEARTBEAT`].
//! - Read: [`Decoder`], [`Item`], [`MessageEvent`].
//! - Connect again: [`Reconnection`], which also judges a response.
#![cfg_attr(
    feature = "stream",
    doc = "- Await: [`EventStreamExt`], [`Items`], [`Events`]."
)]
#![cfg_attr(feature = "http-body", doc = "- Answer: [`EventBody`].")]
//!
//! One invariant holds throughout: **an [`Event`] that exists can be written
//! faithfully.** What would break the framing is refused when it is built, so
//! writing it cannot fail and cannot inject.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]

extern crate alloc;

#[cfg(feature = "http-body")]
mod body;
mod decoder;
mod event;
#[cfg(feature = "json")]
mod json;
mod lines;
mod reconnection;
mod response;
#[cfg(feature = "stream")]
mod stream;

#[cfg(feature = "http-body")]
pub use body::EventBody;
pub use decoder::{
    ChunkItems, Decoder, Item, LimitExceeded, MessageEvent, Text,
};
pub use event::{Comment, Event, FieldError, HEARTBEAT, Retry};
pub use reconnection::{Reconnection, Verdict};
pub use response::{Failure, Refusal, drives_a_terminal};
#[cfg(feature = "stream")]
pub use stream::{EventStreamExt, Events, Items, ItemsError};

/// The MIME type of an event stream, §9.2.5: always UTF-8, so it needs no
/// `charset` parameter.
pub const MIME_TYPE: &str = "text/event-stream";

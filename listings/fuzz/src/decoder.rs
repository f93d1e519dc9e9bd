//! The decoder and the standard read aloud say the same of any bytes, however
//! they are cut.
//!
//! An input is three lengths of pieces, the limit (0 is the default), a number
//! that is not 0 for a stream that goes on from another, and then the stream.

use crate::{
    input::{Cuts, number},
    reference,
};
use event_stream::{Decoder, Item, LimitExceeded};

/// What a decoder is told before the stream begins.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// What one event may take, in bytes.
    pub limit: usize,
    /// The last event ID of the connection before.
    pub last_event_id: &'static str,
}

impl Default for Setting {
    fn default() -> Self {
        Self { limit: Decoder::DEFAULT_LIMIT, last_event_id: "" }
    }
}

/// What a stream said, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Events, comments, reconnection times and IDs, in their order.
    pub items: Vec<Item>,
    /// What a reconnection would send.
    pub last_event_id: String,
    /// The error that ended it, if one did.
    pub exceeded: Option<LimitExceeded>,
}

// ANCHOR: decoder
/// Both say the same: the items, the last event ID, and the byte at which the
/// limit was passed.
///
/// # Panics
/// If they do not.
pub fn check(input: &[u8]) {
    check_with(input, decode);
}

/// The same of anything else that calls itself a decoder.
///
/// # Panics
/// If it says something else.
pub fn check_with(
    mut input: &[u8],
    decode: impl Fn(&Setting, &[&[u8]]) -> Reading,
) {
    let cuts = Cuts::take(&mut input);
    let limit = match number(&mut input) {
        0 => Decoder::DEFAULT_LIMIT,
        limit => limit,
    };
    let last_event_id = if number(&mut input) == 0 { "" } else { "before" };
    let (setting, stream) = (Setting { limit, last_event_id }, input);

    let expected = reference::read(&setting, stream);
    for pieces in cuts.ways(stream) {
        assert_eq!(decode(&setting, &pieces), expected, "{setting:?}");
    }
}

/// The decoder under test, fed piece by piece.
///
/// # Panics
/// If it leaves bytes of a piece, or goes on after an error.
#[must_use]
pub fn decode(setting: &Setting, pieces: &[&[u8]]) -> Reading {
    let mut decoder = Decoder::with_limit(setting.limit)
        .with_last_event_id(setting.last_event_id);
    let mut reading = Reading::default();
    for mut piece in pieces.iter().copied() {
        while reading.exceeded.is_none() {
            match decoder.next(&mut piece) {
                Ok(Some(item)) => reading.items.push(item.to_owned()),
                Ok(None) => {
                    assert!(piece.is_empty(), "None, and bytes were left");
                    break;
                }
                Err(error) => reading.exceeded = Some(error),
            }
        }
    }
    if let Some(error) = reading.exceeded {
        let again = decoder.next(&mut &b"data: x\n\n"[..]);
        assert_eq!(again, Err(error), "the error is not final");
    }
    decoder.last_event_id().clone_into(&mut reading.last_event_id);
    reading
}
// ANCHOR_END: decoder

//! The decoder and the standard read aloud say the same of any bytes, however
//! they are cut.
//!
//! An input is three lengths of pieces, the limit (0 is the default), a number
//! that is odd for a stream that goes on from another and has the bit 2 where
//! comments are skipped, and then the stream.

use crate::{
    input::{Cuts, number},
    reading::{Reading, Setting},
    reference,
};
use event_stream::Decoder;

// ANCHOR: decoder
/// Both say the same: the items, the last event ID, and the byte at which the
/// limit was passed.
///
/// # Panics
/// If they do not.
pub fn check(input: &[u8]) {
    check_with(input, decode);
    check_with(input, decode_chunks);
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
    let flags = number(&mut input);
    let last_event_id = if flags & 1 == 0 { "" } else { "before" };
    let without_comments = flags & 2 != 0;
    let setting = Setting { limit, last_event_id, without_comments };
    let stream = input;

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
    let mut decoder = setting.decoder();
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

/// The same decoder, asked for the items of a whole piece.
fn decode_chunks(setting: &Setting, pieces: &[&[u8]]) -> Reading {
    let mut decoder = setting.decoder();
    let mut reading = Reading::default();
    for piece in pieces {
        let mut items = decoder.items(piece);
        reading.exceeded = loop {
            match items.next() {
                Ok(Some(item)) => reading.items.push(item.to_owned()),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if reading.exceeded.is_some() {
            break;
        }
    }
    decoder.last_event_id().clone_into(&mut reading.last_event_id);
    reading
}

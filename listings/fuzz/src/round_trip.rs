//! What the encoder writes, a decoder reads back: the same, and nothing else.
//!
//! An input is three lengths of pieces, and then fields between bytes FF,
//! which no UTF-8 contains. The first letter of a field says what the rest is:
//! data, a type, an ID, a retry or a wait in milliseconds, a comment; h is a
//! heartbeat.

use crate::{
    decoder,
    input::Cuts,
    reading::{Reading, Setting},
    reference,
};
use event_stream::{
    Comment, Event, FieldError, HEARTBEAT, Item, MessageEvent, Retry,
};
use std::time::Duration;

/// Something for the encoder to write.
#[derive(Clone, Debug)]
pub enum Sent {
    /// An event.
    Event {
        /// Its data.
        data: String,
        /// Its type.
        event_type: Option<String>,
        /// Its ID.
        id: Option<String>,
        /// Its reconnection time.
        retry: Option<Duration>,
    },
    /// A comment.
    Comment(String),
    /// A reconnection time on its own.
    Retry(Duration),
    /// A heartbeat.
    Heartbeat,
}

/// What the fields of an input ask for. Type, ID and retry are for the data
/// that comes next.
fn sent(input: &[u8]) -> Vec<Sent> {
    let mut all = Vec::new();
    let (mut event_type, mut id, mut retry) = (None, None, None);
    for field in input.split(|byte| *byte == 0xFF) {
        let Some((letter, rest)) = field.split_first() else { continue };
        let text = String::from_utf8_lossy(rest).into_owned();
        match letter {
            b't' => event_type = Some(text),
            b'i' => id = Some(text),
            b'r' => retry = milliseconds(&text),
            b'd' => all.push(Sent::Event {
                data: text,
                event_type: event_type.take(),
                id: id.take(),
                retry: retry.take(),
            }),
            b'w' => all.extend(milliseconds(&text).map(Sent::Retry)),
            b'c' => all.push(Sent::Comment(text)),
            b'h' => all.push(Sent::Heartbeat),
            _ => {}
        }
    }
    all
}

/// So many milliseconds and a fraction, which nobody is to see.
fn milliseconds(text: &str) -> Option<Duration> {
    let time = Duration::from_millis(text.parse().ok()?);
    Some(time.saturating_add(Duration::from_nanos(999_999)))
}

impl Sent {
    // ANCHOR: refused
    /// Why it cannot be written: CR and LF end a line, and for NUL a reader
    /// ignores the whole ID. There is no other reason.
    fn refused(&self) -> Option<FieldError> {
        let find = |field, text: &str, refused: &[char]| {
            let position = text.find(refused)?;
            let character = text[position..].chars().next()?;
            Some(FieldError { field, character, position })
        };
        match self {
            Self::Event { event_type, id, .. } => {
                let event_type = event_type.as_deref().unwrap_or_default();
                let id = id.as_deref().unwrap_or_default();
                find("event", event_type, &['\r', '\n'])
                    .or_else(|| find("id", id, &['\r', '\n', '\0']))
            }
            Self::Comment(text) => find("comment", text, &['\r', '\n']),
            Self::Retry(_) | Self::Heartbeat => None,
        }
    }
    // ANCHOR_END: refused

    /// What a reader is to read.
    fn expected(&self, last_event_id: &mut String) -> Vec<Item> {
        let whole = |time: &Duration| {
            let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            Item::ReconnectionTime(Duration::from_millis(time))
        };
        match self {
            Self::Event { data, event_type, id, retry } => {
                if let Some(id) = id {
                    last_event_id.clone_from(id);
                }
                let event_type = match event_type.as_deref() {
                    None | Some("") => "message",
                    Some(named) => named,
                };
                let event = Item::Event(MessageEvent {
                    event_type: event_type.to_owned().into(),
                    data: data.replace("\r\n", "\n").replace('\r', "\n"),
                    last_event_id: last_event_id.clone(),
                });
                retry.iter().map(whole).chain([event]).collect()
            }
            Self::Comment(text) => vec![Item::Comment(text.clone())],
            Self::Retry(time) => vec![whole(time)],
            Self::Heartbeat => vec![Item::Comment("heartbeat".to_owned())],
        }
    }
}

// ANCHOR: check
/// What can be written is read back, by the decoder and by the standard read
/// aloud, and nothing else is read; what cannot be written is refused, for
/// the reasons that are documented.
///
/// # Panics
/// If that is not so.
pub fn check(input: &[u8]) {
    check_with(input, encode);
}

/// The same of anything else that calls itself an encoder.
///
/// # Panics
/// If it writes something else.
pub fn check_with(
    mut input: &[u8],
    encode: impl Fn(&Sent, &mut Vec<u8>) -> Result<(), FieldError>,
) {
    let cuts = Cuts::take(&mut input);
    let mut stream = Vec::new();
    let mut expected = Reading::default();
    for sent in sent(input) {
        let before = stream.len();
        let outcome = encode(&sent, &mut stream);
        assert_eq!(outcome.err(), sent.refused(), "{sent:?}");
        if outcome.is_ok() {
            let id = &mut expected.last_event_id;
            expected.items.extend(sent.expected(id));
        } else {
            assert_eq!(stream.len(), before, "refused, and written");
        }
    }
    let setting = Setting::default();
    assert_eq!(reference::read(&setting, &stream), expected);
    for pieces in cuts.ways(&stream) {
        assert_eq!(decoder::decode(&setting, &pieces), expected);
    }
}
// ANCHOR_END: check

/// The encoder under test.
///
/// # Errors
/// If it refuses.
///
/// # Panics
/// If what it built is not what it was given, or is written in two ways.
pub fn encode(sent: &Sent, out: &mut Vec<u8>) -> Result<(), FieldError> {
    let start = out.len();
    let printed = match sent {
        Sent::Event { data, event_type, id, retry } => {
            let mut event = Event::new(&**data);
            if let Some(event_type) = event_type {
                event = event.with_type(&**event_type)?;
            }
            if let Some(id) = id {
                event = event.with_id(&**id)?;
            }
            if let Some(retry) = retry {
                event = event.with_retry(*retry);
            }
            assert_eq!(event.data(), data);
            assert_eq!(event.id(), id.as_deref());
            event.encode(out);
            event.to_string()
        }
        Sent::Comment(text) => {
            let comment = Comment::new(&**text)?;
            comment.encode(out);
            comment.to_string()
        }
        Sent::Retry(time) => {
            let retry = Retry::new(*time);
            retry.encode(out);
            retry.to_string()
        }
        Sent::Heartbeat => {
            out.extend_from_slice(HEARTBEAT.as_bytes());
            HEARTBEAT.to_owned()
        }
    };
    assert_eq!(&out[start..], printed.as_bytes(), "written in two ways");
    Ok(())
}

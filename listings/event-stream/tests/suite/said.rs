//! What a decoder said, in a form that outlives it.

use event_stream::{Decoder, Item, LimitExceeded};
use serde_json::{Value, json};
use std::time::Duration;

/// An [`Item`] that owns its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Event { event_type: String, data: String, id: String },
    Comment(String),
    Retry(Duration),
    Id(String),
}

impl From<Item<&str>> for Said {
    fn from(item: Item<&str>) -> Self {
        match item {
            Item::Event(event) => Self::Event {
                event_type: event.event_type.into(),
                data: event.data.into(),
                id: event.last_event_id.into(),
            },
            Item::Comment(text) => Self::Comment(text.into()),
            Item::ReconnectionTime(time) => Self::Retry(time),
            Item::LastEventId(id) => Self::Id(id.into()),
        }
    }
}

impl Said {
    pub(crate) fn event(event_type: &str, data: &str, id: &str) -> Self {
        Self::Event {
            event_type: event_type.into(),
            data: data.into(),
            id: id.into(),
        }
    }

    /// The item in the vocabulary of the fixtures.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Event { event_type, data, id } => json!({
                "kind": "event", "type": event_type, "data": data, "id": id
            }),
            Self::Comment(text) => json!({ "kind": "comment", "text": text }),
            Self::Retry(time) => json!({
                "kind": "retry",
                "ms": u64::try_from(time.as_millis()).unwrap(),
            }),
            Self::Id(id) => json!({ "kind": "id", "id": id }),
        }
    }
}

/// The items of a stream, and the error that ended it, if one did.
pub(crate) type Outcome = (Vec<Said>, Option<LimitExceeded>);

pub(crate) fn decode<'a>(
    decoder: &mut Decoder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut said = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.next(&mut chunk) {
                Ok(Some(item)) => said.push(item.into()),
                Ok(None) => break,
                Err(error) => return (said, Some(error)),
            }
        }
        assert!(chunk.is_empty(), "`None` means that the chunk is used up");
    }
    (said, None)
}

/// The items of a stream that keeps within the default limit.
pub(crate) fn items<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Said> {
    let (said, error) = decode(&mut Decoder::new(), chunks);
    assert_eq!(error, None);
    said
}

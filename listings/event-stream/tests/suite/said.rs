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

/// Decodes item by item and chunk by chunk, which must say the same.
#[track_caller]
pub(crate) fn decode<'a>(
    decoder: &mut Decoder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut by_chunk = decoder.clone();
    let (mut said, mut said_by_chunk) = (Vec::new(), Vec::new());
    for chunk in chunks {
        let error = next(decoder, chunk, &mut said).err();
        let found = items_of(&mut by_chunk, chunk, &mut said_by_chunk).err();
        assert_eq!((&said_by_chunk, found), (&said, error));
        if error.is_some() {
            return (said, error);
        }
    }
    (said, None)
}

fn next(
    decoder: &mut Decoder,
    mut chunk: &[u8],
    said: &mut Vec<Said>,
) -> Result<(), LimitExceeded> {
    while let Some(item) = decoder.next(&mut chunk)? {
        said.push(item.into());
    }
    assert!(chunk.is_empty(), "`None` means that the chunk is used up");
    Ok(())
}

fn items_of(
    decoder: &mut Decoder,
    chunk: &[u8],
    said: &mut Vec<Said>,
) -> Result<(), LimitExceeded> {
    let mut items = decoder.items(chunk);
    while let Some(item) = items.next()? {
        said.push(item.into());
    }
    Ok(())
}

/// The items of a stream that keeps within the default limit.
pub(crate) fn items<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Said> {
    let (said, error) = decode(&mut Decoder::new(), chunks);
    assert_eq!(error, None);
    said
}

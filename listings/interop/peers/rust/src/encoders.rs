//! Who is timed making bytes of events, and in which form.

use crate::{
    clock::Around,
    inputs::{LATIN, Words},
};
use axum::{
    body::{Body, HttpBody},
    response::{IntoResponse, sse},
};
use bytes::{Bytes, BytesMut};
use event_stream::Event;
use futures::stream;
use sse_stream::Sse;
use std::{
    convert::Infallible,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Is shown what was made of each text.
pub type See<'a> = &'a mut dyn FnMut(&[u8]);

/// Prepares it, and hands over what is left to do.
pub type Encode = fn(&'static [String], See<'_>, Around<'_>);

/// All of them, in the order of the table.
pub const ENCODERS: [(&str, Encode); 8] = [
    ("memcpy", copy),
    ("event-stream", encode),
    ("event-stream, Bytes", encode_to_share),
    ("event-stream, split", encode_to_split),
    ("a further reader", share),
    ("the same, as a body", share_as_body),
    ("axum, as a body", axum),
    ("sse-stream", sse_stream),
];

/// The texts that become events, none like the other.
#[must_use]
pub fn texts(count: usize, size: usize) -> &'static [String] {
    let mut words = Words::new();
    let texts = (0..count).map(|_| words.text(LATIN, size, size));
    texts.collect::<Vec<_>>().leak()
}

/// What each is to make of such a text.
#[must_use]
pub fn encoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    Event::new(text).encode(&mut bytes);
    bytes
}

fn to_share(texts: &[String]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from(encoded(text))).collect()
}

// ANCHOR: encode
/// Bytes that are there already, one event after the other into the same
/// room.
fn copy(texts: &'static [String], see: See<'_>, around: Around<'_>) {
    let events = to_share(texts);
    let mut room = Vec::new();
    around(&mut || {
        for event in &events {
            room.clear();
            room.extend_from_slice(event);
            see(&room);
        }
    });
}

/// One event after the other, into the same room.
fn encode(texts: &'static [String], see: See<'_>, around: Around<'_>) {
    let mut room = Vec::new();
    around(&mut || {
        for text in texts {
            room.clear();
            Event::new(text).encode(&mut room);
            see(&room);
        }
    });
}

/// Each into bytes of its own, which many readers can share.
fn encode_to_share(texts: &'static [String], see: See<'_>, around: Around<'_>) {
    around(&mut || {
        for text in texts {
            see(&Bytes::from(encoded(text)));
        }
    });
}

/// Each into the next part of a block that many events share.
fn encode_to_split(texts: &'static [String], see: See<'_>, around: Around<'_>) {
    const BLOCK: usize = 64 * 1024;
    let (mut room, mut block) = (Vec::new(), BytesMut::new());
    around(&mut || {
        for text in texts {
            room.clear();
            Event::new(text).encode(&mut room);
            if block.capacity() < room.len() {
                block.reserve(BLOCK.max(room.len()));
            }
            block.extend_from_slice(&room);
            see(&block.split().freeze());
        }
    });
}

/// What each of those readers costs.
fn share(texts: &'static [String], see: See<'_>, around: Around<'_>) {
    let events = to_share(texts);
    around(&mut || {
        for event in &events {
            see(&black_box(event).clone());
        }
    });
}

/// The same, up to where a server takes the bytes from.
fn share_as_body(texts: &'static [String], see: See<'_>, around: Around<'_>) {
    let events = to_share(texts);
    let next = (0..events.len())
        .map(move |at| Ok::<_, Infallible>(events[at].clone()));
    read(Body::from_stream(stream::iter(next)), see, around);
}

/// What each reader costs where each has events of its own.
fn axum(texts: &'static [String], see: See<'_>, around: Around<'_>) {
    let events = texts
        .iter()
        .map(|text| Ok::<_, Infallible>(sse::Event::default().data(text)));
    let response = sse::Sse::new(stream::iter(events)).into_response();
    read(response.into_body(), see, around);
}

/// As a server reads the body of a response.
fn read(body: Body, see: See<'_>, around: Around<'_>) {
    let mut body = pin!(body);
    let mut context = Context::from_waker(Waker::noop());
    around(&mut || {
        while let Poll::Ready(Some(Ok(frame))) =
            body.as_mut().poll_frame(&mut context)
        {
            if let Some(bytes) = frame.data_ref() {
                see(bytes);
            }
        }
    });
}
// ANCHOR_END: encode

fn sse_stream(texts: &'static [String], see: See<'_>, around: Around<'_>) {
    around(&mut || {
        for text in texts {
            if let Ok(bytes) = Sse::default().data(text).encode() {
                see(&bytes);
            }
        }
    });
}

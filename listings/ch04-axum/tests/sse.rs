//! axum's own `Sse`: what its `Event` makes of text that somebody else chose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use axum::{
    body::to_bytes,
    response::{IntoResponse, Sse, sse::Event},
};
use event_stream::{Decoder, Item};
use futures::stream;
use std::{convert::Infallible, panic};

/// The bytes that axum sends for one event.
async fn wire(event: Event) -> String {
    let events = stream::iter([Ok::<_, Infallible>(event)]);
    let body = Sse::new(events).into_response().into_body();
    let bytes = to_bytes(body, 1024).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The data of each event that a reader makes of these bytes.
fn read(bytes: &str) -> Vec<String> {
    let (mut decoder, mut bytes) = (Decoder::new(), bytes.as_bytes());
    let mut data = Vec::new();
    while let Some(item) = decoder.next(&mut bytes).unwrap() {
        if let Item::Event(event) = item {
            data.push(event.data.to_owned());
        }
    }
    data
}

// ANCHOR: event
#[tokio::test]
async fn what_axum_makes_of_text_from_outside() {
    // CRLF is one line end, and becomes two.
    let crlf = wire(Event::default().data("a\r\nb")).await;
    assert_eq!(crlf, "data: a\rdata: \ndata: b\n\n");
    assert_eq!(read(&crlf), ["a\n\nb"]);

    // An empty text is no event at all.
    let empty = wire(Event::default().id("7").data("")).await;
    assert_eq!(empty, "id: 7\n\n");
    assert!(read(&empty).is_empty());

    // A line end in the type or the ID is a panic, in the request's task.
    for bad in ["a\rb", "a\nb"] {
        panic::catch_unwind(|| Event::default().event(bad)).unwrap_err();
        panic::catch_unwind(|| Event::default().id(bad)).unwrap_err();
    }
}

#[test]
fn what_this_book_makes_of_it() {
    let encoded = event_stream::Event::new("a\r\nb").to_string();
    assert_eq!(read(&encoded), ["a\nb"]);
    let encoded = event_stream::Event::new("").to_string();
    assert_eq!(read(&encoded), [""]);
    for bad in ["a\rb", "a\nb"] {
        event_stream::Event::new("").with_type(bad).unwrap_err();
        event_stream::Event::new("").with_id(bad).unwrap_err();
    }
}
// ANCHOR_END: event

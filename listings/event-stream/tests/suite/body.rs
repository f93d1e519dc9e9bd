//! `EventBody`: encoded pieces as the body of a response.

use crate::said::{self, Said};
use bytes::Bytes;
use event_stream::{
    Comment, Event, EventBody, EventStreamExt, HEARTBEAT, Retry,
};
use futures::{FutureExt, StreamExt, stream};
use http_body_util::BodyExt;
use std::{convert::Infallible, time::Duration};

#[test]
fn whatever_is_encoded_turns_into_bytes() {
    let event = Event::new("a\nb").with_type("t").unwrap();
    let comment = Comment::new("c").unwrap();
    let retry = Retry::new(Duration::from_secs(5));
    for (bytes, text) in [
        (Bytes::from(event.clone()), event.to_string()),
        (Bytes::from(comment.clone()), comment.to_string()),
        (Bytes::from(retry), retry.to_string()),
    ] {
        assert_eq!(bytes, text);
    }
}

#[test]
fn a_body_has_the_pieces_one_by_one() {
    let pieces = [
        Bytes::from(Retry::new(Duration::from_secs(5))),
        Event::new("one").into(),
        HEARTBEAT.into(),
        Event::new("two").into(),
    ];
    let mut body =
        EventBody::new(stream::iter(pieces.clone().map(Ok::<_, Infallible>)));
    for piece in pieces {
        let frame = body.frame().now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    assert!(body.frame().now_or_never().unwrap().is_none());
}

#[test]
fn a_piece_waits_for_its_stream() {
    let (sender, events) = futures::channel::mpsc::unbounded();
    let mut body = EventBody::new(events.map(Ok::<_, Infallible>));
    assert!(body.frame().now_or_never().is_none());
    sender.unbounded_send(Event::new("late")).unwrap();
    let frame = body.frame().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "data: late\n\n");
    drop(sender);
    assert!(body.frame().now_or_never().unwrap().is_none());
}

#[test]
fn an_error_of_the_stream_is_the_bodys() {
    let pieces = [Ok(Event::new("one")), Err("gone")];
    let mut body = EventBody::new(stream::iter(pieces));
    assert!(body.frame().now_or_never().unwrap().unwrap().is_ok());
    let error = body.frame().now_or_never().unwrap().unwrap().unwrap_err();
    assert_eq!(error, "gone");
}

#[test]
fn what_a_body_says_is_what_went_in() {
    let events = ["one", "two\nlines", ""].map(Event::new);
    let body =
        EventBody::new(stream::iter(events.clone().map(Ok::<_, Infallible>)));
    let received: Vec<_> = body
        .into_data_stream()
        .items()
        .map(|item| Said::from(item.unwrap().as_deref()))
        .collect()
        .now_or_never()
        .unwrap();
    let sent: String = events.iter().map(ToString::to_string).collect();
    assert_eq!(received, said::items([sent.as_bytes()]));
}

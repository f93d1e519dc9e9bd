//! What is written, byte for byte, and what is refused.

use event_stream::{Comment, Event, FieldError, HEARTBEAT, MIME_TYPE, Retry};
use std::{fmt::Display, time::Duration};

/// `Display` and `encode` write the same; `encode` appends.
#[track_caller]
fn check(display: &impl Display, encode: impl Fn(&mut Vec<u8>), bytes: &str) {
    assert_eq!(display.to_string(), bytes);
    let mut out = b"before".to_vec();
    encode(&mut out);
    assert_eq!(out, [b"before", bytes.as_bytes()].concat());
}

#[track_caller]
fn event(event: &Event<'_>, bytes: &str) {
    check(event, |out| event.encode(out), bytes);
}

#[test]
fn data_alone() {
    event(&Event::new("Hello"), "data: Hello\n\n");
}

#[test]
fn every_field() {
    let all = Event::new("Hello")
        .with_type("note")
        .unwrap()
        .with_id("7")
        .unwrap()
        .with_retry(Duration::from_millis(1500));
    event(&all, "event: note\nid: 7\nretry: 1500\ndata: Hello\n\n");
    assert_eq!(all.event_type(), "note");
    assert_eq!(all.id(), Some("7"));
    assert_eq!(all.retry(), Some(Duration::from_millis(1500)));
    assert_eq!(all.data(), "Hello");
}

#[test]
fn nothing_is_set_unless_asked() {
    let plain = Event::new("");
    assert_eq!(plain.event_type(), "message");
    assert_eq!((plain.id(), plain.retry()), (None, None));
}

#[test]
fn empty_data_is_a_line_of_its_own() {
    event(&Event::new(""), "data: \n\n");
}

#[test]
fn every_line_end_starts_a_line_of_data() {
    event(
        &Event::new("a\nb\rc\r\nd"),
        "data: a\ndata: b\ndata: c\ndata: d\n\n",
    );
    event(&Event::new("\n"), "data: \ndata: \n\n");
    event(&Event::new("a\r\n\r\n"), "data: a\ndata: \ndata: \n\n");
    event(&Event::new("\n\r"), "data: \ndata: \ndata: \n\n");
}

#[test]
fn other_separators_are_text() {
    let text = "a\u{2028}b\u{85}c\u{B}d\0e";
    event(&Event::new(text), &format!("data: {text}\n\n"));
}

#[test]
fn data_that_looks_like_fields_stays_data() {
    event(
        &Event::new("x\n\nevent: admin\n: c"),
        "data: x\ndata: \ndata: event: admin\ndata: : c\n\n",
    );
}

#[test]
fn spaces_at_the_front_survive() {
    let spaced = Event::new(" x").with_id(" 1").unwrap();
    event(&spaced.with_type(" t").unwrap(), "event:  t\nid:  1\ndata:  x\n\n");
}

#[test]
fn an_empty_id_is_written_and_an_empty_type_is_not() {
    let empty = Event::new("x").with_id("").unwrap().with_type("").unwrap();
    event(&empty, "id: \ndata: x\n\n");
    assert_eq!((empty.id(), empty.event_type()), (Some(""), "message"));
}

#[test]
fn what_would_break_the_framing_is_refused() {
    let refused = |field, character, position| {
        Err(FieldError { field, character, position })
    };
    let typed = |text| Event::new("").with_type(text).map(drop);
    let with_id = |text| Event::new("").with_id(text).map(drop);
    let comment = |text| Comment::new(text).map(drop);
    let cases = [
        (typed("a\nb"), refused("event", '\n', 1)),
        (typed("a\rb"), refused("event", '\r', 1)),
        (typed("\r\n"), refused("event", '\r', 0)),
        (typed("ü\n"), refused("event", '\n', 2)),
        (with_id("1\ndata: injected"), refused("id", '\n', 1)),
        (with_id("1\r"), refused("id", '\r', 1)),
        (with_id("12\0"), refused("id", '\0', 2)),
        (comment("fine\n\ndata: injected\n\n"), refused("comment", '\n', 4)),
        (comment("fine\r"), refused("comment", '\r', 4)),
        (typed("\0"), Ok(())),
        (comment("\0"), Ok(())),
        (typed("\u{2028}\u{85}"), Ok(())),
    ];
    for (actual, expected) in cases {
        assert_eq!(actual, expected);
    }
}

#[test]
fn the_refusal_says_what_and_where() {
    let say = |text| Event::new("").with_id(text).unwrap_err().to_string();
    assert_eq!(say("a\n"), "LF at byte 1 of `id`: not writable");
    assert_eq!(say("\r"), "CR at byte 0 of `id`: not writable");
    assert_eq!(say("é\0"), "NUL at byte 2 of `id`: not writable");
}

#[test]
fn comments_and_the_heartbeat() {
    let check_comment = |text, bytes| {
        let comment = Comment::new(text).unwrap();
        check(&comment, |out| comment.encode(out), bytes);
    };
    check_comment("still here", ": still here\n\n");
    check_comment("", ": \n\n");
    check_comment("heartbeat", HEARTBEAT);
}

#[test]
fn a_reconnection_time_is_whole_milliseconds() {
    let check_retry = |time, bytes| {
        let retry = Retry::new(time);
        check(&retry, |out| retry.encode(out), bytes);
    };
    check_retry(Duration::from_secs(3), "retry: 3000\n\n");
    check_retry(Duration::ZERO, "retry: 0\n\n");
    check_retry(Duration::from_micros(1999), "retry: 1\n\n");
    check_retry(Duration::MAX, "retry: 18446744073709551615\n\n");
    let event = Event::new("").with_retry(Duration::MAX);
    assert_eq!(event.retry(), Some(Duration::from_millis(u64::MAX)));
}

#[test]
fn the_mime_type_is_the_standards() {
    assert_eq!(MIME_TYPE, "text/event-stream");
}

//! Types there and back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ch04_axum::feed::{Fault, Feed, FeedError, Missed, Post};
use event_log::{
    History,
    hub::{Hub, Says, missed},
};
use event_stream::{Decoder, Event, Item, MessageEvent};
use serde_json::{Value, json};

fn post(author: &str, text: &str) -> Post {
    Post { author: author.to_owned(), text: text.to_owned() }
}

fn received(event: &Event<'_>) -> MessageEvent {
    decoded(event.to_string().as_bytes()).unwrap()
}

/// The event in these bytes; an ID alone is none.
fn decoded(mut encoded: &[u8]) -> Result<MessageEvent, String> {
    match Decoder::new().next(&mut encoded).unwrap().unwrap() {
        Item::Event(event) => Ok(event.to_owned()),
        Item::LastEventId(id) => Err(id.to_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_one_side_sends_the_other_receives() {
    for (feed, event_type, data) in [
        (Feed::Greeting("Hello!".into()), "message", "Hello!"),
        (Feed::Greeting(String::new()), "message", ""),
        (
            Feed::Posted(post("Ada", "two\nlines\r\nand \"more\": \0")),
            "posted",
            r#"{"author":"Ada","text":"two\nlines\r\nand \"more\": \u0000"}"#,
        ),
        (Feed::Missed(Missed { events: Some(7) }), "missed", r#"{"events":7}"#),
        (Feed::Missed(Missed { events: None }), "missed", r#"{"events":null}"#),
    ] {
        let raw = received(&Event::try_from(&feed).unwrap());
        assert_eq!((&*raw.event_type, &*raw.data), (event_type, data));
        assert_eq!(Feed::try_from(&raw).unwrap(), feed);
    }
}

#[test]
fn what_a_newer_server_sends_does_not_stop_an_older_client() {
    let event = |event_type, data| {
        received(&Event::new(data).with_type(event_type).unwrap())
    };
    let error = Feed::try_from(&event("edited", "{}")).unwrap_err();
    assert!(matches!(error, FeedError::Unknown(name) if name == "edited"));

    let more = r#"{"author":"Ada","text":"Hi","mood":"good"}"#;
    let feed = Feed::try_from(&event("posted", more)).unwrap();
    assert_eq!(feed, Feed::Posted(post("Ada", "Hi")));

    let error = Feed::try_from(&event("posted", "Hi")).unwrap_err();
    assert!(matches!(error, FeedError::Data("posted", _)), "{error}");
}

fn parsed(json: Value) -> Result<Post, Fault> {
    let Value::Object(object) = json else { panic!("{json}") };
    Post::parse(object)
}

#[test]
fn posts_are_held_against_their_rules() {
    let json =
        |author: &str, text: &str| json!({ "author": author, "text": text });
    let full = |count| "ä".repeat(count);
    let (author, text) = (Post::MAX_AUTHOR, Post::MAX_TEXT);
    for (a, t) in [
        ("A", "B"),
        (&*full(author), &*full(text)),
        ("Ada Lovelace", "two\nlines"),
        (" Ada ", " taken as it is "),
        // Joined by a zero-width joiner.
        ("👩\u{200d}🔬", "\u{200f}שלום"),
    ] {
        assert_eq!(parsed(json(a, t)), Ok(post(a, t)));
    }
    let length = |field, max| Fault::Length { field, max, count: max + 1 };
    let control = |field, character| Fault::Control { field, character };
    let blank = |field| Fault::Blank { field };
    for (a, t, fault) in [
        ("", "B", blank("author")),
        ("A", "", blank("text")),
        (" \u{3000}\t", "B", blank("author")),
        ("A", "\n \n", blank("text")),
        (&*full(author + 1), "B", length("author", author)),
        ("A", &*full(text + 1), length("text", text)),
        ("A\nB", "C", control("author", '\n')),
        ("A", "\u{1b}[2J", control("text", '\u{1b}')),
        ("A", "B\r\n", control("text", '\r')),
        ("\u{202e}adA", "B", control("author", '\u{202e}')),
        ("A", "\u{2066}B", control("text", '\u{2066}')),
    ] {
        assert_eq!(parsed(json(a, t)), Err(fault), "{a:?} {t:?}");
    }
    for (json, fault) in [
        (json!({}), "missing field `author`"),
        (
            json!({ "author": 1, "text": "B" }),
            "invalid type: integer `1`, expected a string",
        ),
    ] {
        assert_eq!(parsed(json), Err(Fault::Shape(fault.into())));
    }
}

// ANCHOR: wire
#[tokio::test]
async fn what_goes_over_the_wire() {
    let history = History::new(0x5eed, 2, usize::MAX);
    let hub = Hub::new(history, 8, missed);
    let mut reader = hub.subscribe(None).unwrap();
    let greeting = |n| Feed::Greeting(format!("Hello! This is event {n}"));
    let post = Feed::Posted(post("Ada", "two\nlines"));
    for feed in [greeting(1), greeting(2), post, greeting(3)] {
        hub.publish(Event::try_from(&feed).unwrap(), |_| ()).unwrap();
    }
    // To a reader that is there: its position first, an ID without an event.
    for block in [
        "id: 5eed-0\n\n",
        "id: 5eed-1\ndata: Hello! This is event 1\n\n",
        "id: 5eed-2\ndata: Hello! This is event 2\n\n",
        "event: posted\nid: 5eed-3\n\
         data: {\"author\":\"Ada\",\"text\":\"two\\nlines\"}\n\n",
        "id: 5eed-4\ndata: Hello! This is event 3\n\n",
    ] {
        assert_eq!(reader.next().await.unwrap().encoded, block);
    }
    // To one that was away too long: two events are kept, one is lost.
    let mut late = hub.subscribe(Some("5eed-1")).unwrap();
    let missed = "event: missed\nid: 5eed-2\ndata: {\"events\":1}\n\n";
    assert_eq!(late.next().await.unwrap().encoded, missed);
    assert_eq!(late.next().await.unwrap().says, Says::Event(3));
}
// ANCHOR_END: wire

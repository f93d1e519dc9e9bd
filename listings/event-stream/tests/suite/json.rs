//! JSON as an event's data.

use event_stream::{Decoder, Event, EventStreamExt, Item};
use futures::{FutureExt, StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, convert::Infallible};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Post<'a> {
    #[serde(borrow)]
    author: Cow<'a, str>,
    text: Option<Cow<'a, str>>,
}

/// Every character there is, the line ends and NUL among them.
#[test]
fn a_value_arrives_as_it_was() {
    let post = Post {
        author: ('\0'..=char::MAX).collect(),
        text: Some("two\r\nlines".into()),
    };
    let event = Event::from_json(&post).unwrap();
    let event = event.with_type("post").unwrap();
    let text = event.to_string();
    let line_ends = |c: &char| matches!(c, '\r' | '\n');
    assert_eq!(text.chars().filter(line_ends).count(), 3, "one line of data");

    let (mut decoder, mut rest) = (Decoder::new(), text.as_bytes());
    let Some(Item::Event(event)) = decoder.next(&mut rest).unwrap() else {
        panic!("an event");
    };
    assert_eq!(event.json::<Post<'_>>().unwrap(), post);
    assert_eq!(event.to_owned().json::<Post<'_>>().unwrap(), post);
}

#[test]
fn a_value_may_borrow_from_the_event() {
    let chunks = [Ok::<_, Infallible>(r#"data: {"author":"Ada"}"#), Ok("\n\n")];
    let mut events = stream::iter(chunks).events();
    let event = events.next().now_or_never().unwrap().unwrap().unwrap();
    let post: Post<'_> = event.json().unwrap();
    assert!(matches!(post.author, Cow::Borrowed("Ada")));
}

#[test]
fn what_is_no_json_is_an_error() {
    let mut decoder = Decoder::new();
    let mut items = decoder.items(b"data: [DONE]\n\ndata\n\ndata: {}\n\n");
    let mut errors = Vec::new();
    while let Some(Item::Event(event)) = items.next().unwrap() {
        errors.push(event.json::<Post<'_>>().unwrap_err());
    }
    assert!(errors[0].is_syntax() && errors[1].is_eof(), "{errors:?}");
    assert!(errors[2].is_data(), "{errors:?}");
}

#[test]
fn what_json_cannot_say_is_no_event() {
    let by_pair = BTreeMap::from([((1, 2), 3)]);
    assert!(Event::from_json(&by_pair).is_err());
    let text = Event::from_json(&Value::Null).unwrap();
    assert_eq!(text.data(), "null");
}

//! Types there and back; one source and its readers, in every order that
//! things can happen in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use ch04_axum::{
    feed::{Fault, Feed, FeedError, Missed, Post},
    hub::{Hub, Reader},
};
use event_stream::{Decoder, Event, History, Item, MessageEvent};
use futures::{FutureExt, StreamExt};
use std::{
    hint, iter,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::time::timeout;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

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

#[test]
fn posts_are_held_against_their_rules() {
    let full = |count| "ä".repeat(count);
    let (author, text) = (Post::MAX_AUTHOR, Post::MAX_TEXT);
    for good in [
        post("A", "B"),
        post(&full(author), &full(text)),
        post("Ada Lovelace", "two\nlines"),
    ] {
        good.check().unwrap();
    }
    let length = |field, max, count| Fault::Length { field, max, count };
    let control = |field, character| Fault::Control { field, character };
    for (bad, fault) in [
        (post("", "B"), length("author", author, 0)),
        (post("A", ""), length("text", text, 0)),
        (post(&full(author + 1), "B"), length("author", author, author + 1)),
        (post("A", &full(text + 1)), length("text", text, text + 1)),
        (post("A\nB", "C"), control("author", '\n')),
        (post("A", "\u{1b}[2J"), control("text", '\u{1b}')),
        (post("A", "B\r\n"), control("text", '\r')),
    ] {
        assert_eq!(bad.check(), Err(fault), "{bad:?}");
    }
}

fn hub(kept: usize, behind: usize) -> Arc<Hub> {
    let history = History::new(0x5eed, kept, usize::MAX);
    Arc::new(Hub::new(history, behind))
}

fn publish(hub: &Hub) -> String {
    hub.publish(|number| Feed::Greeting(number.to_string())).unwrap()
}

/// The next piece; a test that waits for it too long has failed.
async fn next(reader: &mut Reader) -> Bytes {
    let next = timeout(PATIENCE, reader.next()).await;
    next.expect("an event").unwrap().unwrap()
}

/// The data of the next event; an ID alone in parentheses.
async fn data(reader: &mut Reader) -> String {
    decoded(&next(reader).await)
        .map_or_else(|id| format!("({id})"), |event| event.data)
}

#[tokio::test]
async fn an_event_is_encoded_once_for_all() {
    let hub = hub(10, 10);
    let mut readers: Vec<_> =
        (0..3).map(|_| hub.subscribe(None).unwrap()).collect();
    readers.push(hub.subscribe(Some("5eed-0")).unwrap());
    assert_eq!(hub.readers(), 4);
    publish(&hub);
    let mut places = Vec::new();
    for (number, reader) in readers.iter_mut().enumerate() {
        if number < 3 {
            assert_eq!(data(reader).await, "(5eed-0)");
        }
        places.push(next(reader).await.as_ptr());
    }
    assert!(places.iter().all(|place| *place == places[0]));
    drop(readers);
    assert_eq!(hub.readers(), 0);
}

// ANCHOR: wire
#[tokio::test]
async fn what_goes_over_the_wire() {
    let hub = hub(2, 8);
    let mut reader = hub.subscribe(None).unwrap();
    for number in 1..=3 {
        let greeting = format!("Hello! This is event {number}");
        hub.publish(|_| Feed::Greeting(greeting)).unwrap();
    }
    let post = post("Ada", "two\nlines");
    hub.publish(|_| Feed::Posted(post)).unwrap();

    // To a reader that is there: its place first, an ID without an event.
    for block in [
        "id: 5eed-0\n\n",
        "id: 5eed-1\ndata: Hello! This is event 1\n\n",
        "id: 5eed-2\ndata: Hello! This is event 2\n\n",
        "id: 5eed-3\ndata: Hello! This is event 3\n\n",
        "event: posted\nid: 5eed-4\n\
         data: {\"author\":\"Ada\",\"text\":\"two\\nlines\"}\n\n",
    ] {
        assert_eq!(next(&mut reader).await, block);
    }
    // To one that was away too long: two events are kept, one is lost.
    let mut late = hub.subscribe(Some("5eed-1")).unwrap();
    let missed = "event: missed\nid: 5eed-2\ndata: {\"events\":1}\n\n";
    assert_eq!(next(&mut late).await, missed);
    let third = "id: 5eed-3\ndata: Hello! This is event 3\n\n";
    assert_eq!(next(&mut late).await, third);
}
// ANCHOR_END: wire

#[tokio::test]
async fn where_a_reader_begins() {
    for (id, expected) in [
        (None, &["(5eed-5)"][..]),
        (Some("5eed-5"), &[]),
        (Some("5eed-4"), &["5"]),
        (Some("5eed-2"), &["3", "4", "5"]),
        (Some("5eed-1"), &[r#"{"events":1}"#, "3", "4", "5"]),
        (Some("5eed-0"), &[r#"{"events":2}"#, "3", "4", "5"]),
        (Some("5eed-6"), &[r#"{"events":null}"#, "3", "4", "5"]),
        (Some("5eed-05"), &[r#"{"events":null}"#, "3", "4", "5"]),
        (Some("beef-5"), &[r#"{"events":null}"#, "3", "4", "5"]),
        (Some("\u{fffd}"), &[r#"{"events":null}"#, "3", "4", "5"]),
    ] {
        let hub = hub(3, 8);
        for _ in 1..=5 {
            publish(&hub);
        }
        let mut reader = hub.subscribe(id).unwrap();
        publish(&hub);
        for expected in expected.iter().chain(&["6"]) {
            assert_eq!(data(&mut reader).await, *expected, "{id:?}");
        }
    }
}

#[tokio::test]
async fn a_reader_that_is_there_in_time_needs_no_history() {
    let hub = hub(0, 8);
    let mut reader = hub.subscribe(Some("5eed-0")).unwrap();
    for number in 1..=5 {
        assert_eq!(publish(&hub), format!("5eed-{number}"));
    }
    for number in 1..=5 {
        assert_eq!(data(&mut reader).await, number.to_string());
    }
}

#[tokio::test]
async fn a_reader_that_lags_goes_on_from_the_history() {
    let hub = hub(1_000, 4);
    let mut reader = hub.subscribe(Some("5eed-0")).unwrap();
    for _ in 1..=500 {
        publish(&hub);
    }
    for number in 1..=500 {
        assert_eq!(data(&mut reader).await, number.to_string());
    }
}

#[tokio::test]
async fn a_reader_that_lags_too_far_is_told_once() {
    let hub = hub(3, 4);
    let mut reader = hub.subscribe(Some("5eed-0")).unwrap();
    for _ in 1..=10 {
        publish(&hub);
    }
    let missed = decoded(&next(&mut reader).await).unwrap();
    assert_eq!(
        (&*missed.event_type, &*missed.data, &*missed.last_event_id),
        ("missed", r#"{"events":7}"#, "5eed-7")
    );
    // Whether it goes on reading, or loses its connection and comes back:
    let mut again = hub.subscribe(Some(&missed.last_event_id)).unwrap();
    for number in ["8", "9", "10"] {
        assert_eq!(data(&mut reader).await, number);
        assert_eq!(data(&mut again).await, number);
    }
}

#[tokio::test]
async fn a_gap_before_anything_is_kept() {
    let hub = hub(3, 4);
    let mut reader = hub.subscribe(Some("from-elsewhere")).unwrap();
    let missed = decoded(&next(&mut reader).await).unwrap();
    assert_eq!(missed.last_event_id, "5eed-0");
    publish(&hub);
    assert_eq!(data(&mut reader).await, "1");
}

/// Two threads publish, as fast as they can. Meanwhile readers come, read a
/// little, leave, and come back with the ID of the last thing they had.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_gap_and_no_duplicate_whoever_joins_when() {
    const EVENTS: u64 = 5_000;
    const READERS: usize = 100;
    let hub = hub(usize::MAX, 16);
    let publishers = [(); 2].map(|()| {
        let hub = Arc::clone(&hub);
        thread::spawn(move || {
            while hub.readers() < READERS {
                thread::yield_now();
            }
            for _ in 0..EVENTS / 2 {
                publish(&hub);
                thread::yield_now();
            }
        })
    });
    let readers = (0..READERS as u64).map(|seed| {
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            // Half of them from the start, half from now on.
            let mut id = (seed % 2 == 0).then(|| "5eed-0".to_owned());
            let mut last = None;
            let mut joined = 0;
            while last != Some(EVENTS) {
                let mut reader = hub.subscribe(id.as_deref()).unwrap();
                joined += 1;
                // Now and then one stays until the end.
                for _ in 0..=(seed * joined * 7) % 500 {
                    let encoded = next(&mut reader).await;
                    let now = decoded(&encoded)
                        .map_or_else(|id| id, |event| event.last_event_id);
                    let number = now.strip_prefix("5eed-").unwrap();
                    let number = number.parse().unwrap();
                    if let Some(last) = last {
                        assert_eq!(number, last + 1, "reader {seed}");
                    }
                    (id, last) = (Some(now), Some(number));
                    if number == EVENTS {
                        break;
                    }
                }
            }
            joined
        })
    });
    let mut joined = 0;
    for reader in readers.collect::<Vec<_>>() {
        joined += reader.await.unwrap();
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
    assert!(joined > 1_000, "{joined}");
    assert_eq!(hub.readers(), 0);
}

/// Whoever joins at the very moment of an event has it, or has its place
/// behind it. It does not wait for the next event to notice.
#[test]
fn an_event_at_the_moment_of_joining_is_there_at_once() {
    const ROUNDS: usize = 5_000;
    let hub = hub(usize::MAX, 16);
    // Both threads spin: to be woken takes longer than what is raced here.
    let (round, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wait = |count: &AtomicUsize, number| {
        while count.load(Ordering::Acquire) < number {
            thread::yield_now();
        }
    };
    let readers: Vec<_> = thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=ROUNDS {
                wait(&round, number);
                publish(&hub);
                done.store(number, Ordering::Release);
            }
        });
        let join = |number| {
            round.store(number, Ordering::Release);
            // A little later each time.
            (0..number % 500).for_each(|_| hint::spin_loop());
            let mut reader = hub.subscribe(None);
            wait(&done, number);
            // All there is for now.
            let mut next = || reader.as_mut().ok()?.next().now_or_never();
            iter::from_fn(|| next()?).flatten().collect::<Vec<_>>()
        };
        (1..=ROUNDS).map(join).collect()
    });
    for (number, pieces) in readers.iter().enumerate() {
        let ids: Vec<_> = pieces
            .iter()
            .map(|piece| match decoded(piece) {
                Ok(event) => event.last_event_id,
                Err(id) => id,
            })
            .collect();
        let (before, after) =
            (format!("5eed-{number}"), format!("5eed-{}", number + 1));
        assert!(ids == [&*after] || ids == [&*before, &*after], "{ids:?}");
    }
}

/// With a history that forgets, what a reader is given and what it is told of
/// still come to all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_missed_is_counted() {
    const EVENTS: u64 = 20_000;
    let hub = hub(32, 16);
    let readers: Vec<_> =
        (0..8).map(|_| hub.subscribe(Some("5eed-0")).unwrap()).collect();
    (0..EVENTS / 2).for_each(|_| drop(publish(&hub)));
    let readers = readers.into_iter().map(|reader| {
        tokio::spawn(async move {
            let (mut number, mut gaps) = (0, 0);
            let mut events = Box::pin(reader.into_stream());
            while number < EVENTS {
                let encoded = timeout(PATIENCE, events.next()).await;
                let raw = decoded(&encoded.unwrap().unwrap().unwrap()).unwrap();
                number += match Feed::try_from(&raw).unwrap() {
                    Feed::Missed(Missed { events }) => {
                        gaps += 1;
                        events.unwrap()
                    }
                    _ => 1,
                };
                assert_eq!(raw.last_event_id, format!("5eed-{number}"));
                if number % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            gaps
        })
    });
    let readers: Vec<_> = readers.collect();
    let publisher = thread::spawn({
        let hub = Arc::clone(&hub);
        move || (0..EVENTS / 2).for_each(|_| drop(publish(&hub)))
    });
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    publisher.join().unwrap();
}

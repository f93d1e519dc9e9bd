//! One source and its readers, in every order that things can happen in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use event_log::{
    Gap, History,
    hub::{Block, Ended, Hub, Reader, Says, Start},
};
use event_stream::{Decoder, Event, Item, MessageEvent};
use futures::{FutureExt, StreamExt};
use std::{iter, sync::Arc, thread, time::Duration};
use tokio::time::timeout;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The event in these bytes; an ID alone is none.
fn decoded(mut encoded: &[u8]) -> Result<MessageEvent, String> {
    match Decoder::new().next(&mut encoded).unwrap().unwrap() {
        Item::Event(event) => Ok(event.to_owned()),
        Item::LastEventId(id) => Err(id.to_owned()),
        other => panic!("{other:?}"),
    }
}

fn hub(kept: usize, behind: usize) -> Arc<Hub> {
    let history = History::new(0x5eed, kept, usize::MAX);
    let tell =
        |gap: Gap| Event::new(gap.to_string()).with_type("missed").unwrap();
    Arc::new(Hub::new(history, behind, tell))
}

fn publish(hub: &Hub) -> String {
    let mut number = 0;
    let id = hub.publish(Event::new("."), |told| number = told).unwrap();
    assert_eq!(id, format!("5eed-{number}"));
    id
}

/// The next block; a test that waits for it too long has failed.
async fn next(reader: &mut Reader) -> Block {
    let next = timeout(PATIENCE, reader.next()).await;
    next.expect("a block").unwrap()
}

/// What the next block says.
async fn says(reader: &mut Reader) -> Says {
    next(reader).await.says
}

/// What there is for a reader by now.
fn there(reader: &mut Reader) -> Vec<Says> {
    iter::from_fn(|| reader.next().now_or_never()?)
        .map(|block| block.says)
        .collect()
}

fn missed(events: Option<u64>) -> Says {
    Says::Missed(events.map_or(Gap::Unknown, Gap::Missed))
}

#[tokio::test]
async fn an_event_is_encoded_once_for_all() {
    let hub = hub(10, 10);
    let mut readers: Vec<_> =
        (0..3).map(|_| hub.subscribe(None).unwrap()).collect();
    readers.push(hub.subscribe(Some("5eed-0")).unwrap());
    assert_eq!(hub.readers(), 4);
    publish(&hub);
    let mut addresses = Vec::new();
    for (number, reader) in readers.iter_mut().enumerate() {
        if number < 3 {
            assert_eq!(says(reader).await, Says::Nothing);
        }
        addresses.push(next(reader).await.encoded.as_ptr());
    }
    assert!(addresses.iter().all(|address| *address == addresses[0]));
    drop(readers);
    assert_eq!(hub.readers(), 0);
}

#[tokio::test]
async fn where_a_reader_begins() {
    let kept = [3, 4, 5].map(Says::Event);
    for (id, first, then) in [
        (None, Some(Says::Nothing), &[][..]),
        (Some("5eed-5"), None, &[]),
        (Some("5eed-4"), None, &kept[2..]),
        (Some("5eed-2"), None, &kept),
        (Some("5eed-1"), Some(missed(Some(1))), &kept),
        (Some("5eed-0"), Some(missed(Some(2))), &kept),
        (Some("5eed-6"), Some(missed(None)), &kept),
        (Some("5eed-05"), Some(missed(None)), &kept),
        (Some("beef-5"), Some(missed(None)), &kept),
        (Some("\u{fffd}"), Some(missed(None)), &kept),
    ] {
        let hub = hub(3, 8);
        for _ in 1..=5 {
            publish(&hub);
        }
        let mut reader = hub.subscribe(id).unwrap();
        publish(&hub);
        let expected = first.iter().chain(then).chain(&[Says::Event(6)]);
        for expected in expected {
            assert_eq!(says(&mut reader).await, *expected, "{id:?}");
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
        assert_eq!(says(&mut reader).await, Says::Event(number));
    }
}

/// The second of two events overtakes the first on its way to the readers.
#[test]
fn an_event_that_is_overtaken_comes_first_all_the_same() {
    for (kept, expected) in [
        (2, &[Says::Event(1), Says::Event(2)][..]),
        // Unless the history holds no longer what the reader looks for there.
        // Then it is told.
        (1, &[missed(Some(1)), Says::Event(2)]),
        (0, &[missed(Some(2))]),
    ] {
        let hub = hub(kept, 8);
        let mut reader = hub.subscribe(Some("5eed-0")).unwrap();
        hub.publish(Event::new("first"), |number| {
            assert_eq!(number, 1);
            // Nobody holds the lock by now, and nobody has been woken.
            assert_eq!(there(&mut reader), []);
            assert_eq!(publish(&hub), "5eed-2");
            assert_eq!(there(&mut reader), expected);
        })
        .unwrap();
        // The first comes once more, and is no reason to look into the
        // history, which may hold too little by now.
        publish(&hub);
        publish(&hub);
        assert_eq!(there(&mut reader), [3, 4].map(Says::Event));
    }
}

#[test]
fn the_end_of_the_hub_is_the_end_of_its_readers() {
    let hub = hub(8, 2);
    let mut reader = hub.subscribe(Some("5eed-0")).unwrap();
    for _ in 1..=5 {
        publish(&hub);
    }
    drop(hub);
    assert_eq!(there(&mut reader), [1, 2, 3, 4, 5].map(Says::Event));
    assert!(matches!(reader.next().now_or_never(), Some(None)));
}

#[tokio::test]
async fn a_reader_that_lags_goes_on_from_the_history() {
    let hub = hub(1_000, 4);
    let mut reader = hub.subscribe(Some("5eed-0")).unwrap();
    for _ in 1..=500 {
        publish(&hub);
    }
    for number in 1..=500 {
        assert_eq!(says(&mut reader).await, Says::Event(number));
    }
}

#[tokio::test]
async fn a_reader_that_lags_too_far_is_told_once() {
    let hub = hub(3, 4);
    let mut reader = hub.subscribe(Some("5eed-0")).unwrap();
    for _ in 1..=10 {
        publish(&hub);
    }
    let told = next(&mut reader).await;
    assert_eq!(told.says, missed(Some(7)));
    let event = decoded(&told.encoded).unwrap();
    assert_eq!(
        (&*event.event_type, &*event.data, &*event.last_event_id),
        ("missed", "7 events are no longer kept", "5eed-7")
    );
    // Whether it goes on reading, or loses its connection and comes back:
    let mut again = hub.subscribe(Some(&*event.last_event_id)).unwrap();
    for number in 8..=10 {
        assert_eq!(says(&mut reader).await, Says::Event(number));
        assert_eq!(says(&mut again).await, Says::Event(number));
    }
}

#[tokio::test]
async fn a_gap_before_anything_is_kept() {
    let hub = hub(3, 4);
    let mut reader = hub.subscribe(Some("from-elsewhere")).unwrap();
    let told = next(&mut reader).await;
    assert_eq!(told.says, missed(None));
    assert_eq!(decoded(&told.encoded).unwrap().last_event_id, "5eed-0");
    publish(&hub);
    assert_eq!(says(&mut reader).await, Says::Event(1));
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
                    let Block { says, encoded } = next(&mut reader).await;
                    let now = decoded(&encoded)
                        .map_or_else(|id| id, |event| event.last_event_id);
                    let number = now.strip_prefix("5eed-").unwrap();
                    let number = number.parse().unwrap();
                    if says != Says::Nothing {
                        assert_eq!(says, Says::Event(number));
                    }
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
            let mut blocks = Box::pin(reader.into_stream());
            while number < EVENTS {
                let block = timeout(PATIENCE, blocks.next()).await;
                let block = block.unwrap().unwrap();
                number += match block.says {
                    Says::Missed(Gap::Missed(events)) => {
                        gaps += 1;
                        events
                    }
                    _ => 1,
                };
                let raw = decoded(&block.encoded).unwrap();
                assert_eq!(raw.last_event_id, format!("5eed-{number}"));
                if number % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            gaps
        })
    });
    let readers: Vec<_> = readers.collect();
    let publishers = [(); 2].map(|()| {
        let hub = Arc::clone(&hub);
        thread::spawn(move || {
            (0..EVENTS / 4).for_each(|_| drop(publish(&hub)));
        })
    });
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
}

// ANCHOR: end
#[tokio::test]
async fn an_answer_that_ends_reaches_whoever_asks_for_it() {
    let hub = hub(10, 2);
    let mut early = hub.subscribe(Start::Oldest).unwrap();
    let first = publish(&hub);
    let last = publish(&hub);
    hub.end();
    assert_eq!(hub.publish(Event::new("late"), |_| ()), Err(Ended));

    // Who was there gets all of it, and then the end.
    assert_eq!(there(&mut early), [1, 2].map(Says::Event));
    assert_eq!(early.next().await, None);
    // Who lost the connection gets the rest, and then the end.
    let mut back = hub.subscribe(Start::After(&first)).unwrap();
    assert_eq!(says(&mut back).await, Says::Event(2));
    assert_eq!(back.next().await, None);
    // Who has all of it has nothing to come back for.
    assert!(hub.subscribe(Start::After(&last)).is_none());
    assert!(hub.subscribe(Start::Newest).is_none());
}
// ANCHOR_END: end

#[tokio::test]
async fn the_end_overtakes_nothing() {
    for published in 0..8 {
        // The ring holds one: what is more comes from the history.
        let hub = hub(10, 1);
        let mut reader = hub.subscribe(None).unwrap();
        (0..published).for_each(|_| drop(publish(&hub)));
        hub.end();
        assert_eq!(says(&mut reader).await, Says::Nothing);
        let all: Vec<_> = (1..=published).map(Says::Event).collect();
        assert_eq!(there(&mut reader), all);
        assert_eq!(reader.next().await, None);
    }
}

#[tokio::test]
async fn a_reader_that_waits_hears_the_end() {
    let hub = hub(10, 2);
    let mut reader = hub.subscribe(Start::Oldest).unwrap();
    let waits = tokio::spawn(async move { reader.next().await });
    tokio::task::yield_now().await;
    hub.end();
    assert_eq!(timeout(PATIENCE, waits).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn from_the_oldest_that_is_kept_there_is_no_gap() {
    let hub = hub(2, 8);
    (0..4).for_each(|_| drop(publish(&hub)));
    let mut reader = hub.subscribe(Start::Oldest).unwrap();
    assert_eq!(there(&mut reader), [3, 4].map(Says::Event));
}

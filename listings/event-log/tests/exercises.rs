//! The solutions of the page's exercises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use event_log::{Entry, Gap, History};
use event_stream::{Decoder, Event, Item, Reconnection};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, RandomState},
};

// ANCHOR: primed
/// What tells a reader where it is, before anything has happened.
fn here(history: &History) -> String {
    format!("id: {}\n\n", history.id(history.newest()))
}

/// The events that reach a client whose first connection brings `first` and
/// breaks; one happens before it is back.
fn events_of_a_client(history: &mut History, first: &str) -> Vec<String> {
    let mut rules = Reconnection::new(0);
    let (mut decoder, mut chunk) = (Decoder::new(), first.as_bytes());
    while let Some(item) = decoder.next(&mut chunk).unwrap() {
        assert!(!matches!(item, Item::Event(_)), "a page would see it");
        rules.item(&item);
    }
    history.push(Event::new("missed"));
    let id = rules.headers().find(|(name, _)| *name == "Last-Event-ID");
    let Some((_, id)) = id else {
        return Vec::new(); // What it missed, nobody knows.
    };
    let missing = history.after(id).unwrap();
    missing.map(|entry| history.id(entry.number)).collect()
}

#[test]
fn a_reader_that_was_told_where_it_is_misses_nothing() {
    let mut history = History::new(0x5eed, 10, 1000);
    history.push(Event::new("before it came"));
    let first = here(&history);
    assert_eq!(first, "id: 5eed-1\n\n");
    assert_eq!(events_of_a_client(&mut history, &first), ["5eed-2"]);
    assert!(events_of_a_client(&mut history, "").is_empty());
}
// ANCHOR_END: primed

// ANCHOR: topics
/// A history for each topic, and no more topics than `max`.
struct Topics {
    max: usize,
    /// Drawn when the server starts. Makes a run of a topic's name.
    runs: RandomState,
    histories: BTreeMap<String, History>,
}

impl Topics {
    fn empty(&self, topic: &str) -> History {
        // A run of its own: elsewhere its IDs are unknown.
        History::new(self.runs.hash_one(topic), 100, 100_000)
    }

    /// The first event makes the topic; `None` if there are too many.
    fn push(
        &mut self,
        topic: &str,
        event: Event<'_>,
    ) -> Option<Entry<Vec<u8>>> {
        if !self.histories.contains_key(topic) {
            if self.histories.len() == self.max {
                return None;
            }
            self.histories.insert(topic.to_owned(), self.empty(topic));
        }
        Some(self.histories.get_mut(topic)?.push(event))
    }

    /// What there is of a topic. Without events it has its beginning, and
    /// to ask for it makes no topic.
    fn history(&self, topic: &str) -> Cow<'_, History> {
        match self.histories.get(topic) {
            Some(history) => Cow::Borrowed(history),
            None => Cow::Owned(self.empty(topic)),
        }
    }
}

#[test]
fn the_first_event_of_a_topic_reaches_who_waited_for_it() {
    let mut topics = topics(2);
    let waited = here(&topics.history("news"));
    let id = waited.strip_prefix("id: ").unwrap().trim_end();
    assert_eq!(topics.history("news").after(id).unwrap().len(), 0);
    assert!(topics.histories.is_empty(), "to ask makes nothing");

    let entry = topics.push("news", Event::new("first")).unwrap();
    let history = topics.history("news");
    assert!(history.after(id).unwrap().eq([&entry]));
}
// ANCHOR_END: topics

fn topics(max: usize) -> Topics {
    let (runs, histories) = (RandomState::new(), BTreeMap::new());
    Topics { max, runs, histories }
}

#[test]
fn topics_do_not_know_each_other() {
    let mut topics = topics(2);
    topics.push("quiet", Event::new("first")).unwrap();
    for _ in 0..1000 {
        topics.push("busy", Event::new("noise")).unwrap();
    }
    let (quiet, busy) = (topics.history("quiet"), topics.history("busy"));
    let missing = |history: &History, id: &str| -> Result<usize, Gap> {
        Ok(history.after(id)?.len())
    };
    assert_eq!(missing(&quiet, &quiet.id(0)), Ok(1));
    assert_eq!(missing(&busy, &busy.id(999)), Ok(1));
    assert_eq!(missing(&busy, &busy.id(0)), Err(Gap::Missed(900)));
    assert_eq!(missing(&busy, &quiet.id(1)), Err(Gap::Unknown));
    let another = topics.history("another");
    assert_eq!(missing(&another, &quiet.id(0)), Err(Gap::Unknown));
}

#[test]
fn every_topic_of_every_start_has_a_run_of_its_own() {
    let mut ids = BTreeSet::new();
    for _start in 0..10 {
        let topics = topics(2);
        for topic in 0..1000 {
            ids.insert(here(&topics.history(&topic.to_string())));
        }
    }
    assert_eq!(ids.len(), 10_000);
}

#[test]
fn topics_have_a_bound() {
    let mut topics = topics(2);
    for topic in 0..1000 {
        let pushed = topics.push(&topic.to_string(), Event::new("x"));
        assert_eq!(pushed.is_some(), topic < 2);
    }
    assert_eq!(topics.histories.len(), 2);
}

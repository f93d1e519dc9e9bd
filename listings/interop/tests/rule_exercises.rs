//! The exercises of "Rule by rule".
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use event_stream::{Decoder, Event, Item};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, str};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

// ANCHOR: naive
/// The reader that is written first.
fn naive(text: &str) -> Vec<String> {
    let blocks = text.split("\n\n");
    let data =
        |block: &str| block.strip_prefix("data: ").map(ToOwned::to_owned);
    blocks.filter_map(data).collect()
}

#[test]
fn the_reader_that_is_written_first() {
    let mut right = BTreeSet::new();
    let (mut count, mut without_events) = (0, 0);
    for entry in fs::read_dir(folder("../event-stream/fixtures")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "sse") {
            continue;
        }
        count += 1;
        let items = fs::read_to_string(path.with_extension("jsonl")).unwrap();
        let items = items.lines().map(|line| {
            serde_json::from_str::<Value>(line).expect("a line of JSON")
        });
        let asked: Vec<_> = items
            .filter_map(|item| item["data"].as_str().map(ToOwned::to_owned))
            .collect();
        let stream = fs::read(&path).unwrap();
        if str::from_utf8(&stream).is_ok_and(|text| naive(text) == asked) {
            without_events += usize::from(asked.is_empty());
            let name = path.file_stem().unwrap();
            right.insert(name.to_str().unwrap().to_owned());
        }
    }
    assert_eq!((right.len(), count), (57, 146));
    // Most of which have no event to find.
    assert_eq!(without_events, 34);
    // It knows one rule.
    assert!(right.contains("event"));
    // A client for one server may live long without the others.
    for name in ["data-lines-joined", "line-end-crlf", "comment-in-event"] {
        assert!(!right.contains(name), "{name}");
    }
    // And it takes an unfinished event for one.
    assert!(!right.contains("end-without-blank-line"));
}
// ANCHOR_END: naive

// ANCHOR: one-line
/// The text as one line that any field of any of these servers can carry.
fn one_line(text: &str) -> String {
    let is_unsafe = |c: char| matches!(c, '\r' | '\n' | '\0');
    text.replace(is_unsafe, " ").trim_start_matches(' ').to_owned()
}

#[test]
fn one_line_is_one_line() {
    let texts =
        ["a\nb", "a\r\rdata: injected", "\n\na", "a\0b", " a", "\u{a0}a", ""];
    for text in texts {
        let line = one_line(text);
        // What an encoder writes that looks at nothing.
        let careless = format!("event:{line}\nid:{line}\ndata:x\n\n");
        let careful = Event::new("x").with_type(&*line).unwrap();
        let careful = careful.with_id(&*line).unwrap().to_string();
        for stream in [careless, careful] {
            let mut decoder = Decoder::new();
            let mut rest = stream.as_bytes();
            let item = decoder.next(&mut rest).unwrap();
            let Some(Item::Event(event)) = item else {
                panic!("{stream:?}: {item:?}")
            };
            let named = if line.is_empty() { "message" } else { &line };
            assert_eq!(event.event_type, named);
            assert_eq!((event.last_event_id, event.data), (&*line, "x"));
            assert_eq!(decoder.next(&mut rest).unwrap(), None);
        }
    }
}
// ANCHOR_END: one-line

//! Solutions to the exercises of "Any bytes".
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use event_log::{Gap, History};
use event_stream::{Event, Item};
use fuzz::{
    TARGETS, corpus,
    decoder::{self, decode},
    reading::{Reading, Setting},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The inputs of a target.
fn inputs(name: &str) -> Vec<Vec<u8>> {
    let target = TARGETS.iter().find(|it| it.name == name).unwrap();
    let mut inputs = (target.seeds)().unwrap();
    inputs.extend(corpus::read(name).unwrap());
    inputs
}

// ANCHOR: blind
/// A decoder that loses a byte of data that is longer than 64 KiB.
fn forgetful(setting: &Setting, pieces: &[&[u8]]) -> Reading {
    let mut reading = decode(setting, pieces);
    for item in &mut reading.items {
        if let Item::Event(event) = item
            && event.data.len() > 64 * 1024
        {
            event.data.pop();
        }
    }
    reading
}

fn finds(input: &[u8]) -> bool {
    let check = || decoder::check_with(input, forgetful);
    catch_unwind(AssertUnwindSafe(check)).is_err()
}

#[test]
fn no_input_of_a_kilobyte_finds_it() {
    assert!(!inputs("decoder").iter().any(|input| finds(input)));
    let long = format!("99900data: {}\n\n", "x".repeat(64 * 1024 + 1));
    assert!(finds(long.as_bytes()));
}
// ANCHOR_END: blind

// ANCHOR: shrink
/// A shorter input that still fails: what is not needed goes, first half of
/// the bytes, then a quarter, and in the end one by one.
fn shrink(mut input: Vec<u8>, fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut length = input.len() / 2;
    while length > 0 {
        let mut at = 0;
        while at < input.len() {
            let mut less = input.clone();
            less.drain(at..(at + length).min(input.len()));
            if fails(&less) {
                input = less;
            } else {
                at += length;
            }
        }
        length /= 2;
    }
    input
}
// ANCHOR_END: shrink

#[test]
fn a_failing_input_shrinks_to_what_matters() {
    let per_piece = |setting: &Setting, pieces: &[&[u8]]| {
        let text: Vec<_> =
            pieces.iter().map(|p| String::from_utf8_lossy(p)).collect();
        let text: Vec<_> = text.iter().map(|text| text.as_bytes()).collect();
        decode(setting, &text)
    };
    let fails = |input: &[u8]| {
        let check = || decoder::check_with(input, per_piece);
        catch_unwind(AssertUnwindSafe(check)).is_err()
    };
    let input = "13000: a comment\ndata: Hello\ndata: caf\u{e9}\nid: 7\n\n";
    let shrunk = shrink(input.as_bytes().to_vec(), fails);
    assert!(fails(&shrunk));
    let rest = String::from_utf8_lossy(&shrunk[5..]).into_owned();
    assert_eq!(rest, ":\u{e9}\n");
}

// ANCHOR: history
/// Whatever a reader sends as its last event ID: it gets the events that come
/// after that one, all of them, or it is told that there is a gap.
fn history(input: &[u8]) {
    let last_event_id = String::from_utf8_lossy(input);
    let mut history: History = History::new(0x5eed, 5, 1000);
    for number in 1..=9 {
        let entry = history.push(Event::new("x"));
        assert_eq!(entry.number, number);
    }
    let of = (0..=9).find(|number| history.id(*number) == last_event_id);
    match (history.after(&last_event_id), of) {
        (Ok(entries), Some(number)) => {
            let numbers: Vec<_> = entries.map(|entry| entry.number).collect();
            assert_eq!(numbers, (number + 1..=9).collect::<Vec<_>>());
        }
        (Err(Gap::Missed(count)), Some(number)) => {
            assert_eq!(count, 4 - number);
        }
        (Err(Gap::Unknown), None) => {}
        (outcome, _) => panic!("{:?}", outcome.map(Iterator::count)),
    }
}
// ANCHOR_END: history

#[test]
fn any_last_event_id_is_answered() {
    for input in ["5eed-0", "5eed-4", "5eed-9", "5eed-09", "5eed-+9", "5eed-10"]
    {
        history(input.as_bytes());
        for at in 0..input.len() {
            for byte in 0..=255 {
                let mut input = input.as_bytes().to_vec();
                input[at] = byte;
                history(&input);
                input.insert(at, byte);
                history(&input);
            }
        }
    }
    for input in inputs("decoder") {
        input.split(|byte| *byte == b'\n').for_each(history);
    }
}

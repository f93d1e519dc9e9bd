//! Solutions to the exercises of the page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use event_log::History;
use event_stream::{Decoder, Event, Item};
use soak::ledger::{Counts, Ledger};

// ANCHOR: every_byte
/// Enters what these bytes say, and returns the ID to go on from.
fn read(ledger: &mut Ledger, id: String, mut bytes: &[u8]) -> String {
    let mut decoder = Decoder::new().with_last_event_id(&id);
    let mut last = id;
    while let Some(item) = decoder.next(&mut bytes).unwrap() {
        if let Item::Event(event) = item {
            event.last_event_id.clone_into(&mut last);
            ledger.enter("message", event.data, &last).unwrap();
        }
    }
    last
}

#[test]
fn a_cut_behind_every_byte() {
    let mut history: History = History::new(0x5eed, 100, 1_000_000);
    let mut bytes = Vec::new();
    for number in 1..=5 {
        let event = Event::new(format!("Hello! This is event {number}"));
        bytes.extend(history.push(event).encoded);
        bytes.extend(b":\n\n");
    }
    for cut in 0..=bytes.len() {
        let mut ledger = Ledger::new(false);
        // `RUN-0` is what a reader gets before the first event.
        let id = read(&mut ledger, history.id(0), &bytes[..cut]);
        let rest: Vec<_> =
            history.after(&id).unwrap().map(|entry| &*entry.encoded).collect();
        read(&mut ledger, id, &rest.concat());
        let all = Counts { events: 5, ..Counts::default() };
        assert_eq!(ledger.counts(), all, "cut behind byte {cut}");
    }
}
// ANCHOR_END: every_byte

// ANCHOR: keep_first
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Keep the ID.
    Keep,
    /// Do what the event asks for.
    Do,
    /// Both in one transaction.
    Both,
}

/// What outlives an application: the ID that it kept, and what it did.
struct Left {
    kept: u64,
    done: Ledger,
}

/// One life: up to event 5, or until it is killed before its next step when it
/// has taken so many.
fn live(left: &mut Left, steps: &[Step], most: usize) {
    let mut taken = 0;
    for number in left.kept + 1..=5 {
        for step in steps {
            if taken == most {
                return;
            }
            taken += 1;
            if let Step::Keep | Step::Both = step {
                left.kept = number;
            }
            if let Step::Do | Step::Both = step {
                let text = format!("Hello! This is event {number}");
                // What is wrong with it is counted.
                let _ = left.done.enter("message", &text, &number.to_string());
            }
        }
    }
}

fn live_twice(steps: &[Step], killed: usize) -> Counts {
    let mut left = Left { kept: 0, done: Ledger::new(false) };
    live(&mut left, steps, killed);
    live(&mut left, steps, usize::MAX);
    left.done.counts()
}

#[test]
fn what_a_kill_leaves() {
    let worst = |steps: &[Step]| {
        let mut worst = (0, 0);
        for killed in 0..=10 {
            let counts = live_twice(steps, killed);
            let missing = 5 + counts.doubles - counts.events;
            worst = (missing.max(worst.0), counts.doubles.max(worst.1));
        }
        worst
    };
    // At most once: one may be missing.
    assert_eq!(worst(&[Step::Keep, Step::Do]), (1, 0));
    // At least once: one may come twice.
    assert_eq!(worst(&[Step::Do, Step::Keep]), (0, 1));
    // Exactly once.
    assert_eq!(worst(&[Step::Both]), (0, 0));
}
// ANCHOR_END: keep_first

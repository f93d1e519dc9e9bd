//! A reader that is killed anywhere, and whose sum is right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use event_log::History;
use event_stream::{Decoder, Event, Item, MessageEvent};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

// ANCHOR: ledger
/// What a reader's events came to, and the last of them. Both are in one
/// file, which is replaced in one step: a program that is killed has both of
/// an event or neither.
struct Ledger {
    path: PathBuf,
    last_event_id: String,
    total: u64,
}

impl Ledger {
    fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                "\n0".into()
            }
            read => read?,
        };
        // No ID has a line end in it.
        let (id, total) = text.split_once('\n').unwrap_or_default();
        let total = total.parse().map_err(io::Error::other)?;
        Ok(Self { path: path.to_owned(), last_event_id: id.into(), total })
    }

    fn book(&mut self, event: MessageEvent<&str>) -> io::Result<()> {
        let amount: u64 = event.data.parse().map_err(io::Error::other)?;
        let total = self.total.checked_add(amount);
        let total = total.ok_or_else(|| io::Error::other("too much"))?;
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        write!(file, "{}\n{total}", event.last_event_id)?;
        file.sync_data()?;
        fs::rename(&new, &self.path)?;
        event.last_event_id.clone_into(&mut self.last_event_id);
        self.total = total;
        Ok(())
    }
}
// ANCHOR_END: ledger

/// What a server sends to a reader that has the event with that ID.
fn replay(history: &History, last_event_id: &str) -> Vec<u8> {
    let id = match last_event_id {
        "" => &history.id(0),
        id => id,
    };
    let lacking = history.after(id).unwrap();
    lacking.flat_map(|entry| entry.encoded.clone()).collect()
}

/// One life of the reader: it books so many events and is killed, while it
/// writes the file for the next.
fn life(path: &Path, history: &History, events: usize) -> u64 {
    let mut ledger = Ledger::open(path).unwrap();
    let stream = replay(history, &ledger.last_event_id);
    let mut decoder = Decoder::new().with_last_event_id(&*ledger.last_event_id);
    let mut booked = 0;
    let mut chunk = &*stream;
    while booked < events
        && let Some(item) = decoder.next(&mut chunk).unwrap()
    {
        if let Item::Event(event) = item {
            ledger.book(event).unwrap();
            booked += 1;
        }
    }
    fs::write(path.with_extension("new"), "5eed-9\n9").unwrap();
    ledger.total
}

#[test]
fn whenever_it_is_killed_the_sum_is_right() {
    let mut history: History = History::new(0x5eed, 100, 100_000);
    for amount in 1..=10 {
        history.push(Event::new(amount.to_string()));
    }
    for first in 0..=10 {
        for second in 0..=10 - first {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ledger");
            if path.exists() {
                fs::remove_file(&path).unwrap();
            }
            life(&path, &history, first);
            life(&path, &history, second);
            assert_eq!(life(&path, &history, 10), 55, "{first} {second}");
        }
    }
}

#[test]
fn what_is_no_ledger_is_an_error_and_no_new_one() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-ledger");
    for text in ["", "5eed-1", "5eed-1\n", "5eed-1\nx"] {
        fs::write(&path, text).unwrap();
        assert!(Ledger::open(&path).is_err(), "{text:?}");
    }
}

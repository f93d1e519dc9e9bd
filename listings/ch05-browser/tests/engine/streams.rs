//! Streams to compare readers with: the fixtures, and as many more as one
//! likes, the same on every machine.

use event_stream::{Decoder, Item};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// A stream, and what it is called in a message.
#[derive(Clone, Debug)]
pub struct Stream {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Every fixture of `event-stream`, by name.
pub fn fixtures() -> Vec<Stream> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../event-stream/fixtures");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut streams: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|it| it == "sse"))
        .map(|path| Stream {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            bytes: fs::read(&path).unwrap(),
        })
        .collect();
    streams.sort_by(|a, b| a.name.cmp(&b.name));
    streams
}

/// What the format cares about. The first of them come more often.
const PIECES: [&[u8]; 56] = [
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\r",
    b"\ndata: a\n\n",
    b"\ndata: b\n\n",
    b"\nid: 7\ndata: c\n\n",
    b"\nevent: t\ndata: d\n\n",
    b"data: x",
    b"data:",
    b"data",
    b"event: t",
    b"event: ",
    b"event:",
    b"event",
    b"id: 1",
    b"id:2",
    b"id: ",
    b"id",
    b"retry: 5",
    b"retry: 05",
    b"retry:",
    b"retry: +5",
    b"retry",
    b": comment",
    b":",
    b": ",
    b" ",
    b"  ",
    b"\t",
    b"\0",
    b"9",
    b"x",
    b"Data: y",
    b"DATA",
    b"Event: T",
    b"event: open",
    b"event: error",
    b"event: message",
    b"event : z",
    b"\x0B",
    b"\x0C",
    b"\xEF\xBB\xBF",
    b"\xEF\xBB",
    b"\xEF",
    b"\xBF",
    b"\xC3\xA9",
    b"\xC3",
    b"\xE2\x80\xA8",
    b"\xE2\x82",
    b"\xC2\x85",
    b"\xF0\x9F\x98\x80",
    b"\xF0\x9F\x98",
    b"\x80",
];

/// This many streams of such pieces, and of bytes at random between them.
pub fn generated(count: usize, seed: u64) -> Vec<Stream> {
    let mut random = Random(seed);
    let stream = |number| {
        let mut bytes = Vec::new();
        for _ in 0..random.below(40) {
            match random.below(10) {
                0 => bytes.push(random.next().to_le_bytes()[0]),
                1..6 => bytes.extend(PIECES[random.below(10)]),
                _ => bytes.extend(PIECES[random.below(PIECES.len())]),
            }
        }
        Stream { name: format!("generated {number}"), bytes }
    };
    (1..=count).map(stream).collect()
}

/// `SplitMix64`: the same numbers everywhere, and none of its own state is
/// worth a dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed =
            (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 on, less than `bound`.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.next() % bound).unwrap()
    }
}

/// What our decoder reads.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// All items, in the vocabulary of `fixtures/README.md`.
    pub items: Vec<Value>,
    /// What a reader of them sends when it comes back; empty for nothing.
    pub last_event_id: String,
    /// The reconnection time that it was told last, in milliseconds.
    pub retry: Option<u64>,
}

impl Reading {
    pub fn of(mut bytes: &[u8]) -> Self {
        let mut decoder = Decoder::new();
        let mut reading = Self::default();
        while let Some(item) = decoder.next(&mut bytes).unwrap() {
            reading.items.push(match item {
                Item::Event(event) => {
                    let id = event.last_event_id;
                    id.clone_into(&mut reading.last_event_id);
                    json!({
                        "kind": "event", "type": event.event_type,
                        "data": event.data, "id": event.last_event_id,
                    })
                }
                Item::Comment(text) => {
                    json!({ "kind": "comment", "text": text })
                }
                Item::ReconnectionTime(time) => {
                    let ms = u64::try_from(time.as_millis()).unwrap();
                    reading.retry = Some(ms);
                    json!({ "kind": "retry", "ms": as_in_js(ms) })
                }
                Item::LastEventId(id) => {
                    id.clone_into(&mut reading.last_event_id);
                    json!({ "kind": "id", "id": id })
                }
            });
        }
        reading
    }

    /// The events among the items: an `EventSource` shows no more.
    pub fn events(&self) -> Vec<Value> {
        let is_event = |item: &&Value| item["kind"] == "event";
        self.items.iter().filter(is_event).cloned().collect()
    }
}

/// JavaScript has no other numbers than these.
#[allow(clippy::cast_precision_loss, reason = "it loses the same digits")]
fn as_in_js(number: u64) -> Value {
    if number < 1 << 53 { json!(number) } else { json!(number as f64) }
}

/// Each byte as the character of its number, since JSON has no bytes.
pub fn chars(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

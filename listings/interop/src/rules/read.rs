//! The fixtures, and what somebody read of one.

use super::list::Left;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::Path;

/// An event as a reader of the stream gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) event_type: String,
    pub(super) data: String,
    pub(super) last_event_id: String,
}

/// A stream, and what the standard says that it says.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) name: String,
    pub(super) stream: Vec<u8>,
    pub(super) events: Vec<Event>,
    /// The reconnection time at its end, in milliseconds, if it sets one.
    pub(super) retry: Option<u64>,
    /// The last event ID at its end.
    pub(super) last_event_id: String,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn text(value: &Value, name: &str) -> io::Result<String> {
    let text = value[name].as_str().map(ToOwned::to_owned);
    text.ok_or_else(|| invalid(&format!("no {name} in {value}")))
}

impl Fixture {
    fn new(name: &str, stream: Vec<u8>, expected: &str) -> io::Result<Self> {
        let mut fixture = Self {
            name: name.to_owned(),
            stream,
            events: Vec::new(),
            retry: None,
            last_event_id: String::new(),
        };
        for line in expected.lines() {
            let item: Value = serde_json::from_str(line)?;
            match item["kind"].as_str() {
                Some("event") => {
                    let event = Event {
                        event_type: text(&item, "type")?,
                        data: text(&item, "data")?,
                        last_event_id: text(&item, "id")?,
                    };
                    fixture.last_event_id.clone_from(&event.last_event_id);
                    fixture.events.push(event);
                }
                Some("id") => fixture.last_event_id = text(&item, "id")?,
                Some("retry") => fixture.retry = item["ms"].as_u64(),
                // The standard drops it, and so do most.
                Some("comment") => {}
                _ => return Err(invalid(&format!("{name}: {line}"))),
            }
        }
        Ok(fixture)
    }

    /// All of a folder, by name.
    pub(super) fn all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut fixtures = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "sse") {
                let name = path.file_stem().unwrap_or_default();
                let expected = fs::read_to_string(path.with_extension("jsonl"));
                fixtures.push(Self::new(
                    &name.to_string_lossy(),
                    fs::read(&path)?,
                    &expected?,
                )?);
            }
        }
        fixtures.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(fixtures)
    }
}

/// A block as somebody handed it out; `None` is what it left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// It is but an ID: that there was no data was seen to.
    pub(super) is_id: bool,
    pub(super) event_type: Option<String>,
    pub(super) data: Option<String>,
    pub(super) id: Option<String>,
}

/// How reading ended, if not with the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Error(String),
    Panic(String),
}

/// What somebody read of a stream that was cut in some way.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) reader: String,
    pub(super) version: String,
    pub(super) form: String,
    pub(super) fixture: String,
    pub(super) cut: String,
    pub(super) blocks: Vec<Block>,
    /// In milliseconds.
    pub(super) retry: Option<u64>,
    /// `None` where it does not tell.
    pub(super) last_event_id: Option<String>,
    pub(super) ended: Option<Ended>,
}

impl Read {
    /// A line of `conform`.
    pub(super) fn new(line: &str) -> io::Result<Self> {
        let read: Value = serde_json::from_str(line)?;
        let open = |block: &Value, name: &str| {
            block[name].as_str().map(ToOwned::to_owned)
        };
        let blocks = read["blocks"].as_array().into_iter().flatten();
        let ended = |name: &str| open(&read["ended"], name);
        Ok(Self {
            reader: text(&read, "reader")?,
            version: text(&read, "version")?,
            form: text(&read, "form")?,
            fixture: text(&read, "fixture")?,
            cut: text(&read, "cut")?,
            blocks: blocks
                .map(|block| Block {
                    is_id: block["kind"] == "id",
                    event_type: open(block, "type"),
                    data: open(block, "data"),
                    id: open(block, "id"),
                })
                .collect(),
            retry: read["retry"].as_u64(),
            last_event_id: open(&read, "lastEventId"),
            ended: ended("error")
                .map(Ended::Error)
                .or_else(|| ended("panic").map(Ended::Panic)),
        })
    }

    // ANCHOR: events
    /// What a blank line makes of each block (§9.2.6): the events, and the
    /// last event ID at the end.
    fn events(&self) -> (Vec<Event>, String) {
        let (mut events, mut last_event_id) = (Vec::new(), String::new());
        for block in &self.blocks {
            if let Some(id) = &block.id {
                last_event_id.clone_from(id);
            }
            let Some(data) = &block.data else { continue };
            let event_type = block.event_type.as_deref().unwrap_or("message");
            events.push(Event {
                event_type: event_type.to_owned(),
                data: data.clone(),
                last_event_id: last_event_id.clone(),
            });
        }
        (events, last_event_id)
    }
    // ANCHOR_END: events

    /// The events, once the caller has done its part, and the last event ID,
    /// where somebody knows it.
    pub(super) fn complete(&self) -> (Vec<Event>, Option<String>) {
        let (events, last_event_id) = self.events();
        // Who hands out blocks without data hands out all IDs.
        let does_ids = self.blocks.iter().any(|block| block.data.is_none());
        let known = self.last_event_id.clone();
        (events, known.or_else(|| does_ids.then_some(last_event_id)))
    }

    /// The caller's part.
    pub(super) fn left(&self) -> Vec<Left> {
        let mut left = Vec::new();
        for Block { is_id, event_type, data, id } in &self.blocks {
            if id.is_none() || data.is_none() {
                left.push(Left::Id);
            }
            if data.is_none() && !is_id {
                left.push(Left::Data);
            }
            if data.is_some() && event_type.is_none() {
                left.push(Left::Type);
            }
        }
        left
    }
}

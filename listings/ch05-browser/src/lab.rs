//! The wire lab: what somebody posts comes back as an event stream, so that a
//! browser reads it, and beside it what our decoder makes of it.

use bytes::Bytes;
use event_stream::{Decoder, Item};
use include_dir::{Dir, include_dir};
use serde::Serialize;
use std::{
    collections::VecDeque,
    fmt::Write,
    sync::LazyLock,
    time::{Duration, Instant},
};

/// What the lab may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most bytes of one post.
    pub bytes: usize,
    /// The most posts that wait for their readers; one more, and the oldest
    /// goes.
    pub waiting: usize,
    /// How long a post waits.
    pub time: Duration,
    /// The most posts in a second, of all who post.
    pub per_second: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024,
            waiting: 32,
            time: Duration::from_secs(30),
            per_second: 10,
        }
    }
}

// ANCHOR: lab
/// What waits to be read. Time comes in as an argument; what is over goes
/// with the next use, so what lies here when nobody comes is bounded by
/// number and size alone.
#[derive(Debug)]
pub struct Lab {
    bounds: Bounds,
    /// The oldest first.
    waiting: VecDeque<Waiting>,
    /// Of the second that began then, how many posts came.
    second: Option<(Instant, u32)>,
}

#[derive(Debug)]
struct Waiting {
    id: String,
    since: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nobody has read it.
    Posted(Bytes),
    /// It was read once: the browser will come back by itself.
    Read,
    /// It came back: tell it to stop.
    Back,
}

/// What a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The bytes, as they were posted.
    Bytes(Bytes),
    /// It is the browser's own reconnection.
    Back,
    /// It may stop reconnecting.
    Stop,
}

/// More posts than the lab takes in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Lab {
    /// An empty lab.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self { bounds, waiting: VecDeque::new(), second: None }
    }

    /// Takes a post, to be read under that ID.
    ///
    /// # Errors
    /// If there were too many in this second.
    pub fn post(
        &mut self,
        id: String,
        bytes: Bytes,
        now: Instant,
    ) -> Result<(), TooMany> {
        self.sweep(now);
        let (start, count) = match self.second {
            Some((start, count)) if now - start < SECOND => (start, count),
            _ => (now, 0),
        };
        if count >= self.bounds.per_second {
            return Err(TooMany);
        }
        self.second = Some((start, count + 1));
        if self.waiting.len() >= self.bounds.waiting.max(1) {
            self.waiting.pop_front();
        }
        let stage = Stage::Posted(bytes);
        self.waiting.push_back(Waiting { id, since: now, stage });
        Ok(())
    }

    /// What is under that ID, without taking it; `None` if nothing is.
    pub fn look(&mut self, id: &str, now: Instant) -> Option<Turn> {
        Some(self.find(id, now)?.turn())
    }

    /// What is under that ID, and the next reader gets what is after it.
    pub fn take(&mut self, id: &str, now: Instant) -> Option<Turn> {
        let found = self.find(id, now)?;
        let turn = found.turn();
        found.stage = match found.stage {
            Stage::Posted(_) => Stage::Read,
            Stage::Read | Stage::Back => Stage::Back,
        };
        Some(turn)
    }

    fn find(&mut self, id: &str, now: Instant) -> Option<&mut Waiting> {
        self.sweep(now);
        self.waiting.iter_mut().find(|waiting| waiting.id == id)
    }

    fn sweep(&mut self, now: Instant) {
        let time = self.bounds.time;
        self.waiting.retain(|waiting| now - waiting.since < time);
    }
}
// ANCHOR_END: lab

const SECOND: Duration = Duration::from_secs(1);

impl Waiting {
    fn turn(&self) -> Turn {
        match &self.stage {
            Stage::Posted(bytes) => Turn::Bytes(bytes.clone()),
            Stage::Read => Turn::Back,
            Stage::Back => Turn::Stop,
        }
    }
}

/// What the decoder makes of the bytes, as `fixtures/README.md` of
/// `event-stream` writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The items, in order.
    pub items: Vec<Said>,
    /// Why there are no more, if there should be.
    pub error: Option<String>,
}

/// An [`Item`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Said {
    /// An event.
    Event {
        /// Its type.
        #[serde(rename = "type")]
        event_type: String,
        /// Its data.
        data: String,
        /// The last event ID that it carries.
        id: String,
    },
    /// A comment.
    Comment {
        /// What it says.
        text: String,
    },
    /// A reconnection time.
    Retry {
        /// In milliseconds.
        ms: u64,
    },
    /// A block without data that set the last event ID.
    Id {
        /// The ID.
        id: String,
    },
}

impl Said {
    /// Bytes of text in it.
    fn len(&self) -> usize {
        match self {
            Self::Event { event_type, data, id } => {
                event_type.len() + data.len() + id.len()
            }
            Self::Comment { text } | Self::Id { id: text } => text.len(),
            Self::Retry { .. } => 0,
        }
    }
}

impl From<Item<&str>> for Said {
    fn from(item: Item<&str>) -> Self {
        match item.to_owned() {
            Item::Event(event) => Self::Event {
                event_type: event.event_type.into_owned(),
                data: event.data,
                id: event.last_event_id,
            },
            Item::Comment(text) => Self::Comment { text },
            Item::ReconnectionTime(time) => Self::Retry {
                ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            },
            Item::LastEventId(id) => Self::Id { id },
        }
    }
}

/// The most text in a [`Reading`], in bytes. Every event repeats the last
/// event ID: half a post of ID and half of short events are megabytes.
const MAX_TEXT: usize = 256 * 1024;

/// Reads the bytes as a whole stream.
#[must_use]
pub fn read(mut bytes: &[u8]) -> Reading {
    let mut decoder = Decoder::new();
    let mut reading = Reading::default();
    let mut text = 0;
    loop {
        match decoder.next(&mut bytes) {
            Ok(Some(item)) => {
                let said = Said::from(item);
                text += said.len();
                if text > MAX_TEXT {
                    let error = format!("more than {MAX_TEXT} bytes of items");
                    reading.error = Some(error);
                    return reading;
                }
                reading.items.push(said);
            }
            Ok(None) => return reading,
            Err(error) => {
                reading.error = Some(error.to_string());
                return reading;
            }
        }
    }
}

static FIXTURES: Dir<'_> =
    include_dir!("$CARGO_MANIFEST_DIR/../event-stream/fixtures");

/// A case for the lab's shelf.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// The fixture's name.
    pub name: &'static str,
    /// What it shows.
    pub what: &'static str,
    /// The stream: each character is a byte, from U+0000 to U+00FF, since
    /// JSON has no bytes.
    pub bytes: String,
}

/// The fixtures of `event-stream`, in the order in which its README explains
/// them.
pub static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let readme = FIXTURES.get_file("README.md");
    let readme = readme.and_then(|file| file.contents_utf8());
    let rows = readme.unwrap_or_default().lines().filter_map(|line| {
        // | `name` | What it shows. | 9.2.6 |
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (what, _) = rest.split_once(" | ")?;
        let stream = FIXTURES.get_file(format!("{name}.sse"))?;
        let bytes = stream.contents().iter().copied().map(char::from).collect();
        Some(Case { name, what, bytes })
    });
    rows.collect()
});

/// An ID that nobody guesses: whoever has it may read what was posted.
///
/// # Errors
/// If the system gives no randomness.
pub fn id() -> Result<String, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(random.iter().fold(String::new(), |mut id, byte| {
        // A `String` takes whatever is written to it.
        let _ = write!(id, "{byte:02x}");
        id
    }))
}

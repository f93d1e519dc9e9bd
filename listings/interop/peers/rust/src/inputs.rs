//! The streams that decoders are timed with: made here, the same each time.

use bytes::Bytes;
use std::fmt::Display;

/// An event, as whoever reads the stream should get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub event_type: String,
    /// Its data.
    pub data: Vec<u8>,
    /// Its ID, empty if it has none.
    pub id: String,
}

/// A stream, and the events in it.
#[derive(Debug)]
pub struct Input {
    /// What it is called.
    pub name: &'static str,
    stream: Bytes,
    /// Where each block ends.
    ends: Vec<usize>,
    /// What is to be read.
    pub events: Vec<Event>,
}

/// How a stream is cut into chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// So many bytes a chunk.
    Bytes(usize),
    /// A chunk a block: how it comes from a server that flushes each event.
    Block,
}

impl Cut {
    /// `64`, or `block`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "block" => Some(Self::Block),
            _ => text.parse().ok().filter(|size| *size > 0).map(Self::Bytes),
        }
    }
}

/// How much of each.
pub const SIZE: usize = 1024 * 1024;

impl Input {
    /// Blocks, until they are a mebibyte.
    fn new(
        name: &'static str,
        mut block: impl FnMut(&mut Words) -> Block,
    ) -> Self {
        let mut words = Words::new();
        let mut stream = String::new();
        let (mut ends, mut events) = (Vec::new(), Vec::new());
        while stream.len() < SIZE {
            let Block { lines, event } = block(&mut words);
            stream.push_str(&lines);
            ends.push(stream.len());
            events.extend(event);
        }
        // Memory that is never given back: who takes a chunk, and drops it,
        // counts no references.
        let stream = Bytes::from_static(stream.leak().as_bytes());
        Self { name, stream, ends, events }
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.stream.len()
    }

    /// The stream in pieces.
    #[must_use]
    pub fn chunks(&self, cut: Cut) -> Vec<Bytes> {
        let ends: Vec<_> = match cut {
            Cut::Bytes(size) => {
                let ends = (size..self.size()).step_by(size);
                ends.chain([self.size()]).collect()
            }
            Cut::Block => self.ends.clone(),
        };
        let starts = [0].into_iter().chain(ends.iter().copied());
        let chunk =
            |(start, end): (usize, &usize)| self.stream.slice(start..*end);
        starts.zip(&ends).map(chunk).collect()
    }
}

// ANCHOR: inputs
/// A block as it goes over the wire, and the event that it is.
struct Block {
    lines: String,
    event: Option<Event>,
}

/// All streams.
#[must_use]
pub fn inputs() -> Vec<Input> {
    let (mut blocks, mut id, mut message) = (0, 0, 0);
    vec![
        Input::new("tokens", |words| Block::data(words.token(LATIN))),
        Input::new("1 KiB", |words| Block::data(words.text(LATIN, 1024, 1024))),
        Input::new("1 MiB", |words| Block::data(words.text(LATIN, SIZE, SIZE))),
        Input::new("heartbeats", |words| {
            blocks += 1;
            match blocks % 20 {
                0 => Block::data(words.text(LATIN, 60, 200)),
                _ => Block::heartbeat(),
            }
        }),
        Input::new("messages", |words| {
            message += 1;
            let block = Block::data(words.text(LATIN, 1024, 1024));
            block
                .with_type("response.output_text.delta")
                .with_id(format!("{:016x}-{message}", words.next()))
        }),
        Input::new("id", |words| {
            id += 1;
            Block::data(words.token(LATIN)).with_id(id)
        }),
        Input::new("type", |words| {
            Block::data(words.token(LATIN)).with_type("token")
        }),
        Input::new("CRLF", |words| Block::data(words.token(LATIN)).crlf()),
        Input::new("Cyrillic", |words| Block::data(words.token(CYRILLIC))),
        Input::new("CJK", |words| Block::data(words.token(CJK))),
    ]
}

impl Words {
    /// What a language model's server sends for each token.
    fn token(&mut self, letters: &str) -> String {
        let id = self.next();
        let text = self.text(letters, 14, 154);
        format!("{{\"id\":\"{id:016x}\",\"delta\":{{\"text\":\"{text}\"}}}}")
    }
}
// ANCHOR_END: inputs

impl Block {
    fn heartbeat() -> Self {
        Self { lines: ": heartbeat\n\n".to_owned(), event: None }
    }

    fn data(data: String) -> Self {
        let lines = format!("data: {data}\n\n");
        let event_type = "message".to_owned();
        let data = data.into_bytes();
        let event = Event { event_type, data, id: String::new() };
        Self { lines, event: Some(event) }
    }

    fn with_id(mut self, id: impl Display) -> Self {
        self.lines.insert_str(0, &format!("id: {id}\n"));
        if let Some(event) = &mut self.event {
            event.id = id.to_string();
        }
        self
    }

    fn with_type(mut self, name: &str) -> Self {
        self.lines.insert_str(0, &format!("event: {name}\n"));
        if let Some(event) = &mut self.event {
            name.clone_into(&mut event.event_type);
        }
        self
    }

    fn crlf(mut self) -> Self {
        self.lines = self.lines.replace('\n', "\r\n");
        self
    }
}

/// Characters as often as here.
pub(crate) const LATIN: &str = "etaoin shrdlu cmfwyp vbgkqjxz,. ";
const CYRILLIC: &str = "оеаинт срвлкм дпуяыь гзбчйхж,. ";
const CJK: &str =
    "的一是不了人我在有他这中大来上国，个到说们为子和你地出道也时年。";

/// The same numbers each time, by the generator splitmix64.
#[derive(Debug)]
pub struct Words(u64);

impl Words {
    /// From the first number on.
    #[must_use]
    pub const fn new() -> Self {
        Self(1)
    }

    /// The next number.
    // No iterator: it has no end.
    #[allow(clippy::should_implement_trait)]
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number less than this.
    pub fn below(&mut self, end: usize) -> usize {
        let number = (self.next() >> 32) % (end.max(1) as u64);
        usize::try_from(number).unwrap_or_default()
    }

    /// Letters, of as many bytes at least and at most; past them by what the
    /// last letter needs.
    pub fn text(&mut self, letters: &str, least: usize, most: usize) -> String {
        let letters: Vec<char> = letters.chars().collect();
        let size = least + self.below(most - least + 1);
        let mut text = String::new();
        while text.len() < size {
            text.push(letters[self.below(letters.len())]);
        }
        text
    }
}

impl Default for Words {
    fn default() -> Self {
        Self::new()
    }
}

//! What a client reads: bytes in, in pieces of any size; events out.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{error::Error, fmt, mem, ops::Range, time::Duration};
use memchr::memchr2;

// ANCHOR: item
/// What a stream says, in the order it says it.
///
/// The decoder's own items, `Item<&str>`, borrow from it or from the chunk, so
/// that an event costs no allocation: copy what must outlive the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<S = String> {
    /// An event to dispatch.
    Event(MessageEvent<S>),
    /// A comment, less one leading space. A browser drops it; it shows that
    /// the server is alive.
    Comment(S),
    /// A new reconnection time (the field `retry`), at most
    /// `u64::MAX` milliseconds.
    ReconnectionTime(Duration),
    /// A block without data set the last event ID to this: nothing is
    /// dispatched, and a reconnection sends it.
    LastEventId(S),
}

/// An event as a reader receives it, with the names of the standard's
/// `MessageEvent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageEvent<S = String> {
    /// The type: `message` where the stream named none.
    pub event_type: S,
    /// The data: the values of the block's `data` fields, joined by LF.
    pub data: S,
    /// The last event ID when this event was dispatched: its own, or that of
    /// an event before it, or empty.
    pub last_event_id: S,
}
// ANCHOR_END: item

impl MessageEvent<&str> {
    /// A copy that outlives the decoder's next call.
    #[must_use]
    pub fn to_owned(&self) -> MessageEvent {
        MessageEvent {
            event_type: self.event_type.to_string(),
            data: self.data.to_string(),
            last_event_id: self.last_event_id.to_string(),
        }
    }
}

impl Item<&str> {
    /// A copy that outlives the decoder's next call.
    #[must_use]
    pub fn to_owned(&self) -> Item {
        match self {
            Self::Event(event) => Item::Event(event.to_owned()),
            Self::Comment(comment) => Item::Comment((*comment).to_string()),
            Self::ReconnectionTime(time) => Item::ReconnectionTime(*time),
            Self::LastEventId(id) => Item::LastEventId((*id).to_string()),
        }
    }
}

impl Item {
    /// The same item, borrowed: as the decoder gave it.
    #[must_use]
    pub fn as_deref(&self) -> Item<&str> {
        match self {
            Self::Event(event) => Item::Event(MessageEvent {
                event_type: &event.event_type,
                data: &event.data,
                last_event_id: &event.last_event_id,
            }),
            Self::Comment(comment) => Item::Comment(comment),
            Self::ReconnectionTime(time) => Item::ReconnectionTime(*time),
            Self::LastEventId(id) => Item::LastEventId(id),
        }
    }
}

/// An event, or a line of it, is larger than the decoder may hold. The
/// decoder cannot go on: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    /// The limit, in bytes.
    pub limit: usize,
    /// Where in the stream the first byte past the limit stands.
    pub offset: u64,
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, offset } = self;
        write!(
            f,
            "an event is larger than {limit} bytes (at byte {offset} of the \
             stream); raise the limit if events may be this large"
        )
    }
}

impl Error for LimitExceeded {}

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

// ANCHOR: decoder
/// Decodes one event stream, §9.2.6.
///
/// ```
/// use event_stream::{Decoder, Item};
///
/// let mut decoder = Decoder::new();
/// for mut chunk in [&b"id: 7\ndata: He"[..], b"llo\n\n"] {
///     while let Some(item) = decoder.next(&mut chunk)? {
///         let Item::Event(event) = item else { continue };
///         assert_eq!((event.last_event_id, event.data), ("7", "Hello"));
///     }
/// }
/// # Ok::<(), event_stream::LimitExceeded>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    /// What must outlive a chunk: the data of the event so far (`data`, less
    /// the LF that the standard adds to its end), then the bytes of an
    /// unfinished line (from `line_start`).
    buffer: Vec<u8>,
    data: Option<Range<usize>>,
    line_start: usize,
    event_type: String,
    /// The last event ID *string*: what events carry and what a reconnection
    /// sends.
    last_event_id: String,
    /// The last event ID *buffer*, where the block has an `id` of its own.
    /// The blank line makes it the string.
    id_buffer: String,
    block_has_id: bool,
    /// How much of a leading BOM has gone by; all of it, too, once it is
    /// clear that there is none.
    bom: usize,
    after_cr: bool,
    /// What the item returned last borrows, to be cleared at the next call.
    lent: Lent,
    /// Text repaired with U+FFFD, lent to an item.
    repaired: String,
    limit: usize,
    exceeded: Option<LimitExceeded>,
    /// Bytes of the stream before the chunk.
    offset: u64,
}
// ANCHOR_END: decoder

#[derive(Clone, Copy, Debug)]
enum Lent {
    Nothing,
    Line,
    Block,
}

/// The value of a line: in the chunk, or in the buffer if the line came in
/// pieces.
enum Value<'c> {
    Chunk(&'c [u8]),
    Buffer(Range<usize>),
}

/// An [`Item`], before the text it borrows is looked up.
enum Found<'c> {
    Event(Value<'c>),
    Comment(Value<'c>),
    ReconnectionTime(Duration),
    LastEventId,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// What one event may take unless [`with_limit`](Self::with_limit) says
    /// otherwise: 16 MiB.
    pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

    /// A decoder at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_limit(Self::DEFAULT_LIMIT)
    }

    /// A decoder that refuses an event whose type, ID, data and current line
    /// come to more than `limit` bytes.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            data: None,
            line_start: 0,
            event_type: String::new(),
            last_event_id: String::new(),
            id_buffer: String::new(),
            block_has_id: false,
            bom: 0,
            after_cr: false,
            lent: Lent::Nothing,
            repaired: String::new(),
            limit,
            exceeded: None,
            offset: 0,
        }
    }

    // ANCHOR: resume
    /// The same decoder with the last event ID of the connection before, for
    /// a stream that is resumed: its events carry that ID until an `id` field
    /// sets another.
    ///
    /// §9.2.6 says that the buffer starts out empty. Taken by its letter, the
    /// first event without an ID would make a client forget what it resumed
    /// from. Browsers carry the ID over, and the test `format-field-id-2` of
    /// the Web Platform Tests asks for it.
    #[must_use]
    pub fn with_last_event_id(mut self, id: impl Into<String>) -> Self {
        self.last_event_id = id.into();
        self
    }
    // ANCHOR_END: resume

    /// The last event ID of the stream so far (the standard's *string*, not
    /// the buffer: an unfinished block has not changed it).
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    // ANCHOR: next
    /// Takes the next item from the front of `chunk`, and the bytes that made
    /// it; `None` once the chunk is used up. Call it until then, then again
    /// with the next chunk. An event that is unfinished when the stream ends
    /// is to be dropped, and so is the decoder (§9.2.6): a new stream starts
    /// with a new one, told the ID by
    /// [`with_last_event_id`](Self::with_last_event_id).
    ///
    /// # Errors
    /// If an event is larger than the limit. Every later call fails likewise.
    #[inline]
    pub fn next<'s, 'c: 's>(
        &'s mut self,
        chunk: &mut &'c [u8],
    ) -> Result<Option<Item<&'s str>>, LimitExceeded> {
        let length = chunk.len();
        let found = self.advance(chunk)?;
        self.offset += (length - chunk.len()) as u64;
        let Some(found) = found else { return Ok(None) };
        let Self { buffer, repaired, .. } = self;
        Ok(Some(match found {
            Found::Event(data) => Item::Event(MessageEvent {
                event_type: match &*self.event_type {
                    "" => "message",
                    named => named,
                },
                data: text(&data, buffer, repaired),
                last_event_id: &self.last_event_id,
            }),
            Found::Comment(comment) => {
                Item::Comment(text(&comment, buffer, repaired))
            }
            Found::ReconnectionTime(time) => Item::ReconnectionTime(time),
            Found::LastEventId => Item::LastEventId(&self.last_event_id),
        }))
    }
    // ANCHOR_END: next

    // ANCHOR: advance
    fn advance<'c>(
        &mut self,
        chunk: &mut &'c [u8],
    ) -> Result<Option<Found<'c>>, LimitExceeded> {
        if let Some(exceeded) = self.exceeded {
            return Err(exceeded);
        }
        let length = chunk.len();
        self.take_back();
        if self.bom < BOM.len() {
            self.skip_bom(chunk);
        }
        // The event's data, as long as it is one line of this very chunk.
        let mut borrowed = None;
        loop {
            if self.after_cr && !chunk.is_empty() {
                self.after_cr = false;
                *chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
            }
            let Some(end) = line_end(chunk) else { break };
            let piece = &chunk[..end];
            self.check_limit(piece, borrowed, length - chunk.len())?;
            self.after_cr = chunk[end] == b'\r';
            *chunk = &chunk[end + 1..];

            let (field, value) = if self.line_start == self.buffer.len() {
                if piece.is_empty() {
                    match self.dispatch(borrowed) {
                        None => continue,
                        found => return Ok(found),
                    }
                }
                let (field, start) = split(piece);
                (field, Value::Chunk(&piece[start..]))
            } else {
                self.buffer.extend_from_slice(piece);
                let (field, start) = split(&self.buffer[self.line_start..]);
                let start = self.line_start + start;
                (field, Value::Buffer(start..self.buffer.len()))
            };
            match (field, value) {
                (Field::Data, Value::Chunk(value))
                    if self.data.is_none() && borrowed.is_none() =>
                {
                    borrowed = Some(value);
                }
                (Field::Data, value) => {
                    self.keep(borrowed.take());
                    self.append_data(value);
                }
                (Field::Comment, value) => {
                    self.keep(borrowed);
                    self.lent = Lent::Line;
                    return Ok(Some(Found::Comment(value)));
                }
                (field, value) => {
                    let time = self.set(field, &value);
                    self.buffer.truncate(self.line_start);
                    if time.is_some() {
                        self.keep(borrowed);
                        return Ok(time.map(Found::ReconnectionTime));
                    }
                }
            }
        }
        self.check_limit(chunk, borrowed, length - chunk.len())?;
        self.keep(borrowed);
        self.buffer.extend_from_slice(chunk);
        *chunk = &[];
        Ok(None)
    }
    // ANCHOR_END: advance

    // ANCHOR: limit
    /// Holds the line that goes on with `piece`, `consumed` bytes into the
    /// chunk, against the limit. Only what counts is counted, so that the
    /// outcome does not depend on where chunks are cut.
    fn check_limit(
        &mut self,
        piece: &[u8],
        borrowed: Option<&[u8]>,
        consumed: usize,
    ) -> Result<(), LimitExceeded> {
        let mut block = borrowed.map_or(0, <[u8]>::len);
        block += self.event_type.len();
        block += self.data.as_ref().map_or(0, Range::len);
        if self.block_has_id {
            block += self.id_buffer.len();
        }
        let room = self.limit.saturating_sub(block);
        let line = self.buffer.len() - self.line_start;
        if line + piece.len() <= room {
            return Ok(());
        }
        let line_start = self.offset + consumed as u64 - line as u64;
        let exceeded = LimitExceeded {
            limit: self.limit,
            offset: line_start + room as u64,
        };
        self.exceeded = Some(exceeded);
        Err(exceeded)
    }
    // ANCHOR_END: limit

    /// A blank line: the end of a block.
    fn dispatch<'c>(
        &mut self,
        borrowed: Option<&'c [u8]>,
    ) -> Option<Found<'c>> {
        let block_has_id = mem::take(&mut self.block_has_id);
        if block_has_id {
            mem::swap(&mut self.last_event_id, &mut self.id_buffer);
        }
        let data = match borrowed {
            Some(value) => Some(Value::Chunk(value)),
            None => self.data.take().map(Value::Buffer),
        };
        let found = match data {
            Some(data) => Found::Event(data),
            None if block_has_id => Found::LastEventId,
            None => {
                self.event_type.clear();
                return None;
            }
        };
        self.lent = Lent::Block;
        Some(found)
    }

    /// Sets what a field other than `data` sets, and returns a reconnection
    /// time if it was one. What the standard ignores is ignored.
    fn set(&mut self, field: Field, value: &Value<'_>) -> Option<Duration> {
        let value = value.bytes(&self.buffer);
        match field {
            Field::Event => replace(&mut self.event_type, value),
            Field::Id if !value.contains(&0) => {
                replace(&mut self.id_buffer, value);
                self.block_has_id = true;
            }
            Field::Retry => return reconnection_time(value),
            _ => {}
        }
        None
    }

    /// Moves data that the chunk holds to the buffer, which outlives it.
    fn keep(&mut self, borrowed: Option<&[u8]>) {
        if let Some(value) = borrowed {
            self.append_data(Value::Chunk(value));
        }
    }

    /// Appends a line of data. The buffer ends with the line if it came in
    /// pieces, and is only as long as the data if it did not.
    fn append_data(&mut self, value: Value<'_>) {
        self.data = Some(match (self.data.take(), value) {
            (None, Value::Buffer(value)) => value,
            (None, Value::Chunk(value)) => {
                self.buffer.extend_from_slice(value);
                0..value.len()
            }
            (Some(data), Value::Chunk(value)) => {
                self.buffer.push(b'\n');
                self.buffer.extend_from_slice(value);
                data.start..self.buffer.len()
            }
            (Some(data), Value::Buffer(value)) => {
                let end = data.end + 1 + value.len();
                self.buffer[data.end] = b'\n';
                self.buffer.copy_within(value, data.end + 1);
                self.buffer.truncate(end);
                data.start..end
            }
        });
        self.line_start = self.buffer.len();
    }

    fn take_back(&mut self) {
        match mem::replace(&mut self.lent, Lent::Nothing) {
            Lent::Nothing => {}
            Lent::Line => self.buffer.truncate(self.line_start),
            Lent::Block => {
                self.buffer.clear();
                self.data = None;
                self.line_start = 0;
                self.event_type.clear();
            }
        }
    }

    /// §9.2.6: one BOM at the start of the stream is not part of it. It may
    /// come in pieces, and what looked like one may turn out to be a line.
    #[cold]
    fn skip_bom(&mut self, chunk: &mut &[u8]) {
        while let Some(&expected) = BOM.get(self.bom) {
            match chunk.split_first() {
                None => return,
                Some((&byte, rest)) if byte == expected => {
                    self.bom += 1;
                    *chunk = rest;
                }
                Some(_) => {
                    self.buffer.extend_from_slice(&BOM[..self.bom]);
                    self.bom = BOM.len();
                }
            }
        }
    }
}

impl<'c> Value<'c> {
    fn bytes<'b>(&self, buffer: &'b [u8]) -> &'b [u8]
    where
        'c: 'b,
    {
        match self {
            Value::Chunk(value) => value,
            Value::Buffer(range) => &buffer[range.clone()],
        }
    }
}

// ANCHOR: line_end
/// Where the first CR or LF stands. A call to `memchr2` costs more than a
/// short line does, and every second line is short (the blank one), so the
/// first eight bytes are searched in one register.
#[inline]
fn line_end(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    if let Some(first) = bytes.first_chunk() {
        let word = u64::from_le_bytes(*first);
        let lf = word ^ (ONES * 0x0A);
        let cr = word ^ (ONES * 0x0D);
        // The high bit of each byte that is zero in `lf` or `cr`; bytes
        // above the first such byte may be marked in error.
        let marks =
            (lf.wrapping_sub(ONES) & !lf) | (cr.wrapping_sub(ONES) & !cr);
        let marks = marks & (ONES * 0x80);
        if marks != 0 {
            return Some(marks.trailing_zeros() as usize / 8);
        }
    }
    memchr2(b'\n', b'\r', bytes)
}
// ANCHOR_END: line_end

// ANCHOR: split
#[derive(Clone, Copy)]
enum Field {
    Data,
    Event,
    Id,
    Retry,
    Comment,
    Unknown,
}

/// Which field a line is, and where its value starts: past the colon and one
/// space. A name without a colon has an empty value.
fn split(line: &[u8]) -> (Field, usize) {
    let (field, name) = match line {
        [b'd', b'a', b't', b'a', ..] => (Field::Data, 4),
        [b'i', b'd', ..] => (Field::Id, 2),
        [b'e', b'v', b'e', b'n', b't', ..] => (Field::Event, 5),
        [b'r', b'e', b't', b'r', b'y', ..] => (Field::Retry, 5),
        [b':', ..] => (Field::Comment, 0),
        _ => (Field::Unknown, 0),
    };
    match &line[name..] {
        [] => (field, name),
        [b':', b' ', ..] => (field, name + 2),
        [b':', ..] => (field, name + 1),
        _ => (Field::Unknown, line.len()),
    }
}
// ANCHOR_END: split

// ANCHOR: text
/// The value as text. Line ends, colons and field names are ASCII, which no
/// UTF-8 sequence contains, so decoding value by value repairs what decoding
/// the whole stream first would repair (§9.2.6: "UTF-8 decode").
fn text<'a>(
    value: &Value<'a>,
    buffer: &'a [u8],
    repaired: &'a mut String,
) -> &'a str {
    let bytes = value.bytes(buffer);
    core::str::from_utf8(bytes).unwrap_or_else(|_| {
        repaired.clear();
        repair(bytes, repaired);
        repaired
    })
}

/// One U+FFFD for each maximal part of a sequence that is not UTF-8, as the
/// Encoding standard has it.
#[cold]
fn repair(bytes: &[u8], text: &mut String) {
    for part in bytes.utf8_chunks() {
        text.push_str(part.valid());
        if !part.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}
// ANCHOR_END: text

fn replace(text: &mut String, value: &[u8]) {
    text.clear();
    match core::str::from_utf8(value) {
        Ok(value) => text.push_str(value),
        Err(_) => repair(value, text),
    }
}

/// `None` unless the value is digits, one or more, and nothing else.
fn reconnection_time(value: &[u8]) -> Option<Duration> {
    if value.is_empty() {
        return None;
    }
    let mut milliseconds = 0_u64;
    for byte in value {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        milliseconds =
            milliseconds.saturating_mul(10).saturating_add(digit.into());
    }
    Some(Duration::from_millis(milliseconds))
}

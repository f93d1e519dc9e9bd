//! What a client reads: bytes in, in pieces of any size; events out.

use crate::lines::{Check, Line, Lines, Short};
use alloc::{
    borrow::Cow,
    string::{String, ToString},
    vec::Vec,
};
use core::{error::Error, fmt, mem, ops::Range, time::Duration};
use memchr::memchr;
use simdutf8::basic::from_utf8;

// ANCHOR: item
/// What a stream says, in the order it says it. The standard has no more, so a
/// match of all four stays complete.
///
/// The decoder's own items, `Item<&str>`, borrow from it or from the chunk, so
/// that an event costs no allocation: copy what must outlive the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item<S: Text = String, T = <S as Text>::EventType> {
    /// An event to dispatch.
    Event(MessageEvent<S, T>),
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
/// `MessageEvent`. It has no other fields: a test may build one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageEvent<S: Text = String, T = <S as Text>::EventType> {
    /// The type: `message` where the stream named none.
    pub event_type: T,
    /// The data: the values of the block's `data` fields, joined by LF.
    pub data: S,
    /// The last event ID when this event was dispatched: its own, or that of
    /// an event before it, or empty.
    pub last_event_id: S,
}

/// What an item's text is held in: `&str` or `String`.
pub trait Text: sealed::Sealed {
    /// What an event's type is held in.
    type EventType;
}

impl<'a> Text for &'a str {
    type EventType = &'a str;
}

impl Text for String {
    /// `message`, which most events are, needs no room of its own.
    type EventType = Cow<'static, str>;
}
// ANCHOR_END: item

mod sealed {
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for alloc::string::String {}
}

impl MessageEvent<&str> {
    /// A copy that outlives the decoder's next call.
    #[must_use]
    pub fn to_owned(&self) -> MessageEvent {
        MessageEvent {
            event_type: match self.event_type {
                MESSAGE => Cow::Borrowed(MESSAGE),
                named => Cow::Owned(named.to_string()),
            },
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

/// The event type where the stream names none.
const MESSAGE: &str = "message";

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

// ANCHOR: decoder
/// Decodes one event stream, §9.2.6.
///
/// ```
/// use event_stream::{Decoder, Item};
///
/// let mut decoder = Decoder::new();
/// for chunk in [&b"id: 7\ndata: He"[..], b"llo\n\n"] {
///     let mut items = decoder.items(chunk);
///     while let Some(item) = items.next()? {
///         let Item::Event(event) = item else { continue };
///         assert_eq!((event.last_event_id, event.data), ("7", "Hello"));
///     }
/// }
/// # Ok::<(), event_stream::LimitExceeded>(())
/// ```
#[derive(Clone, Debug)]
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
    /// The block has a field that a blank line must act on.
    in_block: bool,
    after_cr: bool,
    due: Due,
    /// Text that was joined, or repaired with U+FFFD, lent to an item.
    text: String,
    limit: usize,
    comments: Comments,
    /// Bytes of the stream, with those of the chunk.
    offset: u64,
}
// ANCHOR_END: decoder

/// What becomes of comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comments {
    HandOut,
    Skip,
}

/// What is due before the next line is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// To skip a BOM, of which so many bytes have gone by.
    SkipBom(usize),
    /// To skip what is left of a comment, up to its line end.
    SkipComment,
    /// To drop the line that the last item borrowed.
    DropLine,
    /// To drop the block that the last item borrowed.
    DropBlock,
    /// To fail again.
    Fail(LimitExceeded),
}

// ANCHOR: block
/// What a block has said, as far as it lies in this chunk and is UTF-8. It
/// counts more than what the decoder has of the block from before.
#[derive(Clone, Copy, Default)]
struct Block<'c> {
    event_type: Option<&'c str>,
    id: Option<&'c str>,
    data: Data<'c>,
}

#[derive(Clone, Copy, Default)]
enum Data<'c> {
    #[default]
    None,
    /// The only line.
    Line(&'c str),
    /// Several, joined in the `text` of the decoder.
    Joined,
}
// ANCHOR_END: block

impl Block<'_> {
    #[inline]
    fn is_empty(&self) -> bool {
        let Self { event_type, id, data } = self;
        event_type.is_none() && id.is_none() && matches!(data, Data::None)
    }
}

/// An [`Item`], before the text it borrows is looked up.
enum Found<'c> {
    Event {
        /// Empty where it is in the decoder's `event_type`, or where there
        /// is none.
        event_type: &'c str,
        data: Value<'c>,
    },
    Comment(Value<'c>),
    ReconnectionTime(Duration),
    LastEventId,
}

/// Where a text lies.
enum Value<'c> {
    Chunk(&'c str),
    /// Lines of the chunk, joined.
    Joined,
    /// Bytes that came in pieces, or must be repaired.
    Buffer(Range<usize>),
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
    /// come to more than `limit` bytes. What it holds may be several times as
    /// much: buffers grow by doubling, a byte that is not UTF-8 becomes three,
    /// and the last ID is kept beside the new one.
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
            in_block: false,
            after_cr: false,
            due: Due::SkipBom(0),
            text: String::new(),
            limit,
            comments: Comments::HandOut,
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

    /// The same decoder without [`Item::Comment`]: it skips comments, as a
    /// browser does (§9.2.6: "Ignore the line"), and neither holds one nor
    /// limits its length.
    ///
    /// ```
    /// use event_stream::{Decoder, Item};
    ///
    /// let stream = b": b\ndata: a\n\n";
    /// let mut chunk = &stream[..];
    /// let mut decoder = Decoder::new();
    /// assert_eq!(decoder.next(&mut chunk)?, Some(Item::Comment("b")));
    /// assert!(matches!(decoder.next(&mut chunk)?, Some(Item::Event(_))));
    /// assert_eq!(decoder.next(&mut chunk)?, None);
    ///
    /// let mut chunk = &stream[..];
    /// let mut decoder = Decoder::new().without_comments();
    /// assert!(matches!(decoder.next(&mut chunk)?, Some(Item::Event(_))));
    /// assert_eq!(decoder.next(&mut chunk)?, None);
    /// # Ok::<(), event_stream::LimitExceeded>(())
    /// ```
    #[must_use]
    pub fn without_comments(mut self) -> Self {
        self.comments = Comments::Skip;
        self
    }

    /// The last event ID of the stream so far (the standard's *string*, not
    /// the buffer: an unfinished block has not changed it).
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Whether an event has begun that no blank line has ended: ask when the
    /// stream has, and all its items were taken. The standard drops such an
    /// event (§9.2.6). Where a server is known to end its last event with the
    /// stream, decode one blank line more (`b"\n\n"`), and it comes out; if
    /// the stream was cut instead, so does half of an event.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let line = match self.due {
            // What is in the buffer was handed out.
            Due::DropLine | Due::DropBlock => &[][..],
            _ => &self.buffer[self.line_start..],
        };
        let is_block = self.in_block && self.due != Due::DropBlock;
        is_block || line.first().is_some_and(|byte| *byte != b':')
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
    #[expect(clippy::inline_always, reason = "a loop's item in registers")]
    #[inline(always)]
    pub fn next<'s, 'c: 's>(
        &'s mut self,
        chunk: &mut &'c [u8],
    ) -> Result<Option<Item<&'s str>>, LimitExceeded> {
        let mut lines = self.lines(chunk, Check::Text);
        let found = self.find(&mut lines)?;
        *chunk = lines.rest();
        self.offset -= chunk.len() as u64;
        Ok(found.map(|found| self.item(found)))
    }

    /// The items of a whole chunk: what [`next`](Self::next) finds one by
    /// one, but what is known of the chunk is kept from one item to the next.
    /// Ask until there are no more: what was not asked for is lost. (The
    /// offset of an error counts it all the same.)
    #[inline]
    pub fn items<'d, 'c>(&'d mut self, chunk: &'c [u8]) -> ChunkItems<'d, 'c> {
        let lines = self.lines(chunk, Check::Rest);
        ChunkItems { decoder: self, lines }
    }
    // ANCHOR_END: next

    #[inline]
    fn lines<'c>(&mut self, chunk: &'c [u8], check: Check) -> Lines<'c> {
        self.offset += chunk.len() as u64;
        Lines::new(chunk, check)
    }

    /// Looks for the next item: first as what most streams are made of, then
    /// as anything that the standard allows.
    #[expect(clippy::inline_always, reason = "a loop's item in registers")]
    #[inline(always)]
    fn find<'c>(
        &mut self,
        lines: &mut Lines<'c>,
    ) -> Result<Option<Found<'c>>, LimitExceeded> {
        if self.due != Due::Nothing || self.after_cr {
            self.settle(lines)?;
        }
        if lines.rest().is_empty() {
            return Ok(None);
        }
        let is_cut = self.line_start < self.buffer.len();
        if !is_cut && !self.in_block {
            if self.comments == Comments::Skip {
                lines.skip_comments();
            }
            match lines.next_short(self.limit) {
                Some(Short::Data(data)) => {
                    let data = Value::Chunk(data);
                    return Ok(Some(Found::Event { event_type: "", data }));
                }
                Some(Short::Comment(text)) => {
                    return Ok(Some(Found::Comment(Value::Chunk(text))));
                }
                None => {}
            }
        }
        if !lines.has_end() {
            self.keep_rest(lines)?;
            Ok(None)
        } else if is_cut {
            self.end_cut_line(lines)
        } else {
            self.advance(lines)
        }
    }

    // ANCHOR: advance
    #[inline(never)]
    fn advance<'c>(
        &mut self,
        lines: &mut Lines<'c>,
    ) -> Result<Option<Found<'c>>, LimitExceeded> {
        let mut block = Block::default();
        while let Some(line) = lines.next() {
            self.after_cr = line.is_cut_after_cr;
            let found = if line.bytes.is_empty() {
                self.end_block(mem::take(&mut block))
            } else {
                self.end_line(line, lines, &mut block)?
            };
            if found.is_some() {
                self.keep(block);
                return Ok(found);
            }
        }
        self.keep(block);
        self.keep_rest(lines)?;
        Ok(None)
    }

    /// Adds to the unfinished line what the chunk has of it.
    #[inline(never)]
    fn keep_rest(
        &mut self,
        lines: &mut Lines<'_>,
    ) -> Result<(), LimitExceeded> {
        let rest = lines.rest();
        if rest.is_empty() {
            return Ok(());
        }
        lines.skip(rest.len());
        let is_start = self.line_start == self.buffer.len();
        if is_start && rest[0] == b':' && self.comments == Comments::Skip {
            self.due = Due::SkipComment;
        } else if !self.extend_line(rest) {
            return Err(self.exceed(&Block::default(), rest.len()));
        }
        Ok(())
    }
    // ANCHOR_END: advance

    #[expect(clippy::inline_always, reason = "a loop's item in registers")]
    #[inline(always)]
    fn item<'s, 'c: 's>(&'s mut self, found: Found<'c>) -> Item<&'s str> {
        let Self { buffer, text, event_type, last_event_id, .. } = self;
        match found {
            Found::Event { event_type: named, data } => {
                Item::Event(MessageEvent {
                    event_type: match (named, &**event_type) {
                        ("", "") => MESSAGE,
                        ("", named) | (named, _) => named,
                    },
                    data: data.look_up(buffer, text),
                    last_event_id,
                })
            }
            Found::Comment(comment) => {
                Item::Comment(comment.look_up(buffer, text))
            }
            Found::ReconnectionTime(time) => Item::ReconnectionTime(time),
            Found::LastEventId => Item::LastEventId(last_event_id),
        }
    }

    /// A line that lies in the chunk.
    #[expect(clippy::inline_always, reason = "the loop's block in registers")]
    #[inline(always)]
    fn end_line<'c>(
        &mut self,
        line: Line<'c>,
        lines: &mut Lines<'c>,
        block: &mut Block<'c>,
    ) -> Result<Option<Found<'c>>, LimitExceeded> {
        let (field, value) = split(line.bytes);
        if field == Field::Comment && self.comments == Comments::Skip {
            return Ok(None);
        }
        if !self.has_room(block, line.bytes.len(), lines.len_taken()) {
            return Err(self.exceed(block, lines.len_from(line.start)));
        }
        match field {
            Field::Data if self.data.is_none() => {
                let text = match block.data {
                    Data::None => lines.text_of(line, value),
                    _ => lines.known_text_of(line, value),
                };
                block.data = match (block.data, text) {
                    (Data::None, Some(text)) => Data::Line(text),
                    (data, Some(text)) => self.join(data, text),
                    (data, None) => {
                        self.keep_data(data);
                        self.append_data(value);
                        Data::None
                    }
                };
            }
            Field::Data => self.append_data(value),
            Field::Event => {
                block.event_type = lines.short_text_of(line, value);
                if block.event_type.is_none() {
                    self.set(field, value);
                }
            }
            Field::Id if memchr(0, value).is_none() => {
                block.id = lines.short_text_of(line, value);
                if block.id.is_none() {
                    self.set(field, value);
                }
            }
            Field::Retry => {
                let time = reconnection_time(value);
                return Ok(time.map(Found::ReconnectionTime));
            }
            Field::Comment => {
                if let Some(text) = lines.text_of(line, value) {
                    return Ok(Some(Found::Comment(Value::Chunk(text))));
                }
                self.keep(mem::take(block));
                self.buffer.extend_from_slice(value);
                self.due = Due::DropLine;
                let value = self.line_start..self.buffer.len();
                return Ok(Some(Found::Comment(Value::Buffer(value))));
            }
            Field::Id | Field::Unknown => {}
        }
        Ok(None)
    }

    /// What is left of a line that came in pieces, and ends in this chunk: it
    /// is put together in the buffer. Then the lines behind it.
    fn end_cut_line<'c>(
        &mut self,
        lines: &mut Lines<'c>,
    ) -> Result<Option<Found<'c>>, LimitExceeded> {
        let Some(line) = lines.next() else { return Ok(None) };
        if !self.extend_line(line.bytes) {
            let to_end = lines.len_from(line.start);
            return Err(self.exceed(&Block::default(), to_end));
        }
        self.after_cr = line.is_cut_after_cr;
        let (field, value) = split(&self.buffer[self.line_start..]);
        let end = self.buffer.len();
        let value = end - value.len()..end;
        match field {
            Field::Data => self.append_buffered_data(value),
            Field::Comment => {
                self.due = Due::DropLine;
                return Ok(Some(Found::Comment(Value::Buffer(value))));
            }
            Field::Retry => {
                let time = reconnection_time(&self.buffer[value]);
                self.buffer.truncate(self.line_start);
                if let Some(time) = time {
                    return Ok(Some(Found::ReconnectionTime(time)));
                }
            }
            field => {
                let buffer = mem::take(&mut self.buffer);
                self.set(field, &buffer[value]);
                self.buffer = buffer;
                self.buffer.truncate(self.line_start);
            }
        }
        self.advance(lines)
    }

    /// A blank line: the end of a block.
    #[inline]
    fn end_block<'c>(&mut self, block: Block<'c>) -> Option<Found<'c>> {
        let is_held = mem::take(&mut self.in_block);
        if !is_held && block.is_empty() {
            return None;
        }
        if block.event_type.is_some() {
            self.event_type.clear();
        }
        let mut has_id = mem::take(&mut self.block_has_id);
        if let Some(id) = block.id {
            has_id = true;
            self.last_event_id.clear();
            self.last_event_id.push_str(id);
        } else if has_id {
            mem::swap(&mut self.last_event_id, &mut self.id_buffer);
        }
        let data = match block.data {
            Data::Line(data) => Some(Value::Chunk(data)),
            Data::Joined => Some(Value::Joined),
            Data::None => self.data.take().map(Value::Buffer),
        };
        let event_type = block.event_type.unwrap_or_default();
        let found = match data {
            Some(data) => Found::Event { event_type, data },
            None if has_id => Found::LastEventId,
            None => {
                self.event_type.clear();
                return None;
            }
        };
        if is_held {
            self.due = Due::DropBlock;
        }
        Some(found)
    }

    /// Sets the type or the ID: to text that is repaired, or outlives the
    /// chunk.
    fn set(&mut self, field: Field, value: &[u8]) {
        match field {
            Field::Event => replace(&mut self.event_type, value),
            Field::Id if memchr(0, value).is_none() => {
                replace(&mut self.id_buffer, value);
                self.block_has_id = true;
            }
            _ => return,
        }
        self.in_block = true;
    }

    /// Adds to an unfinished line, if there is room.
    #[inline]
    fn extend_line(&mut self, piece: &[u8]) -> bool {
        let line = self.buffer.len() - self.line_start;
        let length = line + piece.len();
        let has_room = self.has_room(&Block::default(), length, piece.len());
        if has_room {
            self.buffer.extend_from_slice(piece);
        }
        has_room
    }

    /// Copies what outlives the chunk.
    #[inline]
    fn keep(&mut self, block: Block<'_>) {
        if block.is_empty() {
            return;
        }
        self.in_block = true;
        if let Some(event_type) = block.event_type {
            self.event_type.clear();
            self.event_type.push_str(event_type);
        }
        if let Some(id) = block.id {
            self.id_buffer.clear();
            self.id_buffer.push_str(id);
            self.block_has_id = true;
        }
        self.keep_data(block.data);
    }

    fn keep_data(&mut self, data: Data<'_>) {
        match data {
            Data::None => {}
            Data::Line(line) => self.append_data(line.as_bytes()),
            Data::Joined => {
                let text = mem::take(&mut self.text);
                self.append_data(text.as_bytes());
                self.text = text;
            }
        }
    }

    /// Joins data and the next line of it, both of which are UTF-8.
    #[inline(never)]
    fn join<'c>(&mut self, data: Data<'c>, line: &str) -> Data<'c> {
        if let Data::Line(first) = data {
            self.text.clear();
            self.text.push_str(first);
        }
        self.text.push('\n');
        self.text.push_str(line);
        Data::Joined
    }

    /// Appends a line of data. The buffer is only as long as the data before.
    #[inline(never)]
    fn append_data(&mut self, value: &[u8]) {
        let start = match &self.data {
            Some(data) => {
                self.buffer.push(b'\n');
                data.start
            }
            None => self.buffer.len(),
        };
        self.buffer.extend_from_slice(value);
        self.data = Some(start..self.buffer.len());
        self.line_start = self.buffer.len();
        self.in_block = true;
    }

    /// The same for a line with which the buffer ends.
    fn append_buffered_data(&mut self, value: Range<usize>) {
        self.data = Some(match self.data.take() {
            None => value,
            Some(data) => {
                let end = data.end + 1 + value.len();
                self.buffer[data.end] = b'\n';
                self.buffer.copy_within(value, data.end + 1);
                self.buffer.truncate(end);
                data.start..end
            }
        });
        self.line_start = self.buffer.len();
        self.in_block = true;
    }

    // ANCHOR: limit
    /// Whether the block may have a line of this length. Most have, by far:
    /// the block holds no more than the decoder, and what was taken of this
    /// chunk.
    #[inline]
    fn has_room(&self, block: &Block<'_>, line: usize, taken: usize) -> bool {
        let Self { buffer, event_type, id_buffer, .. } = self;
        let held = buffer.len() + event_type.len() + id_buffer.len();
        held + taken <= self.limit || line <= self.room(block)
    }

    /// How long the block's next line may be. Only what counts is counted,
    /// so that the outcome does not depend on where chunks are cut.
    #[inline(never)]
    fn room(&self, block: &Block<'_>) -> usize {
        let event_type = block.event_type.unwrap_or(&self.event_type);
        let id = match block.id {
            Some(id) => id,
            None if self.block_has_id => &self.id_buffer,
            None => "",
        };
        let data = match (block.data, &self.data) {
            (Data::Line(data), _) => data.len(),
            (Data::Joined, _) => self.text.len(),
            (Data::None, Some(data)) => data.len(),
            (Data::None, None) => 0,
        };
        let held = event_type.len() + id.len() + data;
        self.limit.saturating_sub(held)
    }

    /// There is no room for the line that starts, or goes on, `to_end` bytes
    /// before the chunk's end.
    #[cold]
    fn exceed(&mut self, block: &Block<'_>, to_end: usize) -> LimitExceeded {
        let line = self.buffer.len() - self.line_start;
        let line_start = self.offset - to_end as u64 - line as u64;
        let room = self.room(block);
        let exceeded = LimitExceeded {
            limit: self.limit,
            offset: line_start + room as u64,
        };
        self.due = Due::Fail(exceeded);
        exceeded
    }
    // ANCHOR_END: limit

    /// Does what is due before the next line.
    #[inline(never)]
    fn settle(&mut self, lines: &mut Lines<'_>) -> Result<(), LimitExceeded> {
        match mem::replace(&mut self.due, Due::Nothing) {
            Due::Nothing => {}
            Due::SkipBom(skipped) => self.skip_bom(skipped, lines),
            Due::SkipComment => {
                if let Some(line) = lines.next() {
                    self.after_cr = line.is_cut_after_cr;
                } else {
                    lines.skip(lines.rest().len());
                    self.due = Due::SkipComment;
                }
            }
            Due::DropLine => self.buffer.truncate(self.line_start),
            Due::DropBlock => {
                self.buffer.clear();
                self.line_start = 0;
                self.event_type.clear();
            }
            Due::Fail(exceeded) => {
                self.due = Due::Fail(exceeded);
                return Err(exceeded);
            }
        }
        if self.after_cr {
            self.after_cr = lines.rest().is_empty();
            // It belongs to the CR: there is no line between.
            lines.skip_lf();
        }
        Ok(())
    }

    /// §9.2.6: one BOM at the start of the stream is not part of it. It may
    /// come in pieces, and what looked like one may turn out to be a line.
    fn skip_bom(&mut self, mut skipped: usize, lines: &mut Lines<'_>) {
        while let Some(expected) = BOM.get(skipped) {
            match lines.rest().first() {
                None => {
                    self.due = Due::SkipBom(skipped);
                    return;
                }
                Some(byte) if byte == expected => {
                    skipped += 1;
                    lines.skip(1);
                }
                Some(_) => {
                    self.buffer.extend_from_slice(&BOM[..skipped]);
                    return;
                }
            }
        }
    }
}

/// The items of one chunk: made by [`Decoder::items`].
#[derive(Debug)]
#[must_use = "bytes that are not asked for are lost"]
pub struct ChunkItems<'d, 'c> {
    decoder: &'d mut Decoder,
    lines: Lines<'c>,
}

impl ChunkItems<'_, '_> {
    /// The next item; `None` once the chunk is used up.
    ///
    /// # Errors
    /// As [`Decoder::next`].
    #[expect(clippy::should_implement_trait, reason = "each item borrows")]
    #[expect(clippy::inline_always, reason = "a loop's item in registers")]
    #[inline(always)]
    pub fn next(&mut self) -> Result<Option<Item<&str>>, LimitExceeded> {
        let Self { decoder, lines } = self;
        let found = decoder.find(lines)?;
        Ok(found.map(|found| decoder.item(found)))
    }
}

// ANCHOR: split
#[derive(Clone, Copy, PartialEq, Eq)]
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
#[expect(clippy::inline_always, reason = "every line goes through it")]
#[inline(always)]
fn split(line: &[u8]) -> (Field, &[u8]) {
    let (field, rest) = match line {
        [b'd', b'a', b't', b'a', rest @ ..] => (Field::Data, rest),
        [b'i', b'd', rest @ ..] => (Field::Id, rest),
        [b'e', b'v', b'e', b'n', b't', rest @ ..] => (Field::Event, rest),
        [b'r', b'e', b't', b'r', b'y', rest @ ..] => (Field::Retry, rest),
        [b':', ..] => (Field::Comment, line),
        _ => return (Field::Unknown, &[]),
    };
    match rest {
        [] => (field, &[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => (field, value),
        _ => (Field::Unknown, &[]),
    }
}
// ANCHOR_END: split

// ANCHOR: text
impl<'c> Value<'c> {
    /// Line ends, colons and field names are ASCII, which no UTF-8 sequence
    /// contains, so decoding value by value repairs what decoding the whole
    /// stream first would repair (§9.2.6: "UTF-8 decode").
    #[inline]
    fn look_up<'s>(self, buffer: &'s [u8], text: &'s mut String) -> &'s str
    where
        'c: 's,
    {
        match self {
            Value::Chunk(chunk) => chunk,
            Value::Joined => text,
            Value::Buffer(range) => to_text(&buffer[range], text),
        }
    }
}

fn to_text<'a>(value: &'a [u8], repaired: &'a mut String) -> &'a str {
    from_utf8(value).unwrap_or_else(|_| {
        repaired.clear();
        repair(value, repaired);
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
    match from_utf8(value) {
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

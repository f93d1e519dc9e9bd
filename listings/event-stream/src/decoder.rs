//! What a client reads: bytes in, in pieces of any size; events out.

use crate::lines::{Block, Check, Line, Lines, Short};
use alloc::{
    borrow::Cow,
    string::{String, ToString},
    vec::Vec,
};
use core::{error::Error, fmt, mem, ops::Range, time::Duration};
use simdutf8::basic::from_utf8;

// ANCHOR: item
/// What a stream says, in the order it says it.
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
/// `MessageEvent`.
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
    /// What the block's type, ID and data come to, in bytes.
    block_size: usize,
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

impl<'c> Found<'c> {
    #[inline]
    fn event(data: Value<'c>) -> Self {
        Self::Event { event_type: "", data }
    }
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
            block_size: 0,
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
        if self.due != Due::Nothing {
            self.settle(lines)?;
        }
        let is_between =
            !self.in_block && !self.after_cr && self.buffer.is_empty();
        if is_between {
            if self.comments == Comments::Skip {
                lines.skip_comments();
            }
            match lines.next_short(self.limit) {
                Some(Short::Data(data)) => {
                    return Ok(Some(Found::event(Value::Chunk(data))));
                }
                Some(Short::Comment(text)) => {
                    return Ok(Some(Found::Comment(Value::Chunk(text))));
                }
                None => {}
            }
        }
        if lines.rest().is_empty() {
            return Ok(None);
        }
        if !lines.has_end() {
            self.keep_rest(lines)?;
            return Ok(None);
        }
        let found = if is_between && !lines.is_short() {
            self.next_block(lines)
        } else {
            self.end_data(lines)
        };
        match found {
            Some(found) => Ok(Some(found)),
            None => self.advance(lines),
        }
    }

    /// A block that is whole, in this chunk.
    fn next_block<'c>(&mut self, lines: &mut Lines<'c>) -> Option<Found<'c>> {
        // A longer one would be held twice, if the loop has to take it.
        const LONG: usize = 16 * 1024;
        let Block { event_type, id, data } =
            lines.next_block(self.limit.min(LONG), &mut self.text)?;
        if let Some(id) = id {
            self.last_event_id.clear();
            self.last_event_id.push_str(id);
        }
        let data = data.map_or(Value::Joined, Value::Chunk);
        Some(Found::Event { event_type, data })
    }

    /// The end of a block whose data is one line, of which the buffer has the
    /// start.
    fn end_data<'c>(&mut self, lines: &mut Lines<'c>) -> Option<Found<'c>> {
        const DATA: &[u8] = b"data: ";
        if self.data.is_some() || !self.buffer.starts_with(DATA) {
            return None;
        }
        // There was room for what the buffer holds.
        let room = self.limit - self.block_size - self.buffer.len();
        let piece = lines.last_piece(room)?;
        self.buffer.extend_from_slice(piece);
        self.data = Some(DATA.len()..self.buffer.len());
        self.in_block = true;
        self.end_block(None)
    }

    // ANCHOR: advance
    #[inline(never)]
    fn advance<'c>(
        &mut self,
        lines: &mut Lines<'c>,
    ) -> Result<Option<Found<'c>>, LimitExceeded> {
        // The event's data, as long as it is one line of this very chunk.
        let mut borrowed = None;
        while let Some(line) = lines.next() {
            let is_lf = line.bytes.is_empty() && line.end == b'\n';
            let after_cr = mem::replace(&mut self.after_cr, line.end == b'\r');
            if after_cr && is_lf {
                continue; // It belongs to the CR: there is no line between.
            }
            let found = if self.line_start < self.buffer.len() {
                if !self.extend_line(line.bytes) {
                    return Err(self.exceed(lines.len_from(line.start)));
                }
                self.end_buffered_line()
            } else if line.bytes.is_empty() {
                self.end_block(borrowed.take())
            } else {
                self.end_line(line, lines, &mut borrowed)?
            };
            if found.is_some() {
                self.keep(borrowed);
                return Ok(found);
            }
        }
        self.keep(borrowed);
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
        self.after_cr = false;
        let is_start = self.line_start == self.buffer.len();
        if is_start && rest[0] == b':' && self.comments == Comments::Skip {
            self.due = Due::SkipComment;
        } else if !self.extend_line(rest) {
            return Err(self.exceed(rest.len()));
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

    /// The end of a line that lies in the chunk.
    #[inline]
    fn end_line<'c>(
        &mut self,
        line: Line<'c>,
        lines: &mut Lines<'c>,
        borrowed: &mut Option<&'c str>,
    ) -> Result<Option<Found<'c>>, LimitExceeded> {
        let (field, value) = split(line.bytes);
        if field == Field::Comment && self.comments == Comments::Skip {
            return Ok(None);
        }
        if !self.has_room(line.bytes.len()) {
            return Err(self.exceed(lines.len_from(line.start)));
        }
        match field {
            Field::Data => {
                let is_first = self.data.is_none() && borrowed.is_none();
                self.count_data(value.len(), is_first);
                let before = borrowed.take();
                if is_first {
                    *borrowed = lines.text_of(line, value);
                }
                if borrowed.is_none() {
                    self.keep(before);
                    self.append_data(value);
                }
            }
            Field::Comment => {
                if let Some(text) = lines.text_of(line, value) {
                    return Ok(Some(Found::Comment(Value::Chunk(text))));
                }
                self.keep(borrowed.take());
                self.buffer.extend_from_slice(value);
                self.due = Due::DropLine;
                let value = self.line_start..self.buffer.len();
                return Ok(Some(Found::Comment(Value::Buffer(value))));
            }
            field => {
                return Ok(self.set(field, value).map(Found::ReconnectionTime));
            }
        }
        Ok(None)
    }

    /// The end of a line that came in pieces, and lies in the buffer.
    fn end_buffered_line<'c>(&mut self) -> Option<Found<'c>> {
        let (field, value) = split(&self.buffer[self.line_start..]);
        let end = self.buffer.len();
        let value = end - value.len()..end;
        match field {
            Field::Data => {
                self.count_data(value.len(), self.data.is_none());
                self.append_buffered_data(value);
                None
            }
            Field::Comment => {
                self.due = Due::DropLine;
                Some(Found::Comment(Value::Buffer(value)))
            }
            field => {
                let buffer = mem::take(&mut self.buffer);
                let time = self.set(field, &buffer[value]);
                self.buffer = buffer;
                self.buffer.truncate(self.line_start);
                time.map(Found::ReconnectionTime)
            }
        }
    }

    /// A blank line: the end of a block.
    #[inline]
    fn end_block<'c>(
        &mut self,
        borrowed: Option<&'c str>,
    ) -> Option<Found<'c>> {
        if !self.in_block {
            return None;
        }
        self.in_block = false;
        self.block_size = 0;
        let block_has_id = mem::take(&mut self.block_has_id);
        if block_has_id {
            mem::swap(&mut self.last_event_id, &mut self.id_buffer);
        }
        let found = match (borrowed, self.data.take()) {
            (Some(data), _) => Found::event(Value::Chunk(data)),
            (None, Some(data)) => Found::event(Value::Buffer(data)),
            (None, None) if block_has_id => Found::LastEventId,
            (None, None) => {
                self.event_type.clear();
                return None;
            }
        };
        self.due = Due::DropBlock;
        Some(found)
    }

    /// Sets what a field other than `data` sets, and returns a reconnection
    /// time if it was one. What the standard ignores is ignored.
    fn set(&mut self, field: Field, value: &[u8]) -> Option<Duration> {
        match field {
            Field::Event => {
                self.block_size -= self.event_type.len();
                replace(&mut self.event_type, value);
                self.block_size += self.event_type.len();
            }
            Field::Id if !value.contains(&0) => {
                if self.block_has_id {
                    self.block_size -= self.id_buffer.len();
                }
                replace(&mut self.id_buffer, value);
                self.block_size += self.id_buffer.len();
                self.block_has_id = true;
            }
            Field::Retry => return reconnection_time(value),
            _ => return None,
        }
        self.in_block = true;
        None
    }

    /// Counts a line of data, and the LF before it unless it is the first.
    #[inline]
    fn count_data(&mut self, length: usize, is_first: bool) {
        self.block_size += length + usize::from(!is_first);
        self.in_block = true;
    }

    /// Adds to an unfinished line, if there is room.
    #[inline]
    fn extend_line(&mut self, piece: &[u8]) -> bool {
        let line = self.buffer.len() - self.line_start;
        let has_room = self.has_room(line + piece.len());
        if has_room {
            self.buffer.extend_from_slice(piece);
        }
        has_room
    }

    /// Moves data that the chunk holds to the buffer, which outlives it.
    #[inline]
    fn keep(&mut self, borrowed: Option<&str>) {
        if let Some(data) = borrowed {
            self.append_data(data.as_bytes());
        }
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
    }

    // ANCHOR: limit
    /// Whether the block may have a line of this length. Only what counts is
    /// counted, so that the outcome does not depend on where chunks are cut.
    #[inline]
    fn has_room(&self, line: usize) -> bool {
        line <= self.limit.saturating_sub(self.block_size)
    }

    /// There is no room for the line that starts, or goes on, `to_end` bytes
    /// before the chunk's end.
    #[cold]
    fn exceed(&mut self, to_end: usize) -> LimitExceeded {
        let line = self.buffer.len() - self.line_start;
        let line_start = self.offset - to_end as u64 - line as u64;
        let room = self.limit.saturating_sub(self.block_size);
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
                    self.after_cr = line.end == b'\r';
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
#[inline]
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
    fn look_up<'s>(self, buffer: &'s [u8], joined: &'s mut String) -> &'s str
    where
        'c: 's,
    {
        match self {
            Value::Chunk(text) => text,
            Value::Joined => joined,
            Value::Buffer(range) => to_text(&buffer[range], joined),
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

//! WHATWG HTML §9.2.6, read aloud: a decoder that is slow and plain. It takes
//! a whole stream at once and shares no code with the one that it judges.
//! What stands in quotes is the standard's, the names of characters shortened.

use crate::reading::{Reading, Setting};
use event_stream::{Item, LimitExceeded, MessageEvent};
use std::time::Duration;

// ANCHOR: interpret
/// What the standard names, and what a reader has been told so far.
struct Interpreter {
    data_buffer: String,
    event_type_buffer: String,
    last_event_id_buffer: String,
    last_event_id_string: String,
    /// The standard has no need of this: a block without data dispatches
    /// nothing, and we tell of the ID that it set.
    block_has_id: bool,
    items: Vec<Item>,
}

/// What a stream says.
fn interpret(stream: &[u8], last_event_id: &str) -> Reading {
    let mut to = Interpreter {
        data_buffer: String::new(),
        event_type_buffer: String::new(),
        last_event_id_buffer: last_event_id.to_owned(),
        last_event_id_string: last_event_id.to_owned(),
        block_has_id: false,
        items: Vec::new(),
    };
    // "Streams must be decoded using the UTF-8 decode algorithm", which puts
    // U+FFFD for what is not UTF-8 and "strips one leading BOM, if any".
    let text = String::from_utf8_lossy(stream);
    let mut text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    // "Lines must be separated by either a CRLF character pair, a single LF
    // character, or a single CR character". What no line end ends is no line.
    while let Some(at) = text.find(['\r', '\n']) {
        let (line, end) = text.split_at(at);
        to.line(line);
        text = match end.strip_prefix("\r\n") {
            Some(behind) => behind,
            None => &end[1..],
        };
    }
    // "Once the end of the file is reached, any pending data must be
    // discarded."
    Reading {
        items: to.items,
        last_event_id: to.last_event_id_string,
        exceeded: None,
    }
}

// ANCHOR_END: interpret

// ANCHOR: rules
impl Interpreter {
    fn line(&mut self, line: &str) {
        if line.is_empty() {
            // "If the line is empty (a blank line): Dispatch the event."
            self.dispatch();
        } else if let Some(comment) = line.strip_prefix(':') {
            // "If the line starts with a colon: Ignore the line." We tell of
            // it, with the space gone that a value would lose.
            self.items.push(Item::Comment(value(comment)));
        } else if let Some(colon) = line.find(':') {
            // "Collect the characters on the line before the first colon, and
            // let field be that string. Collect the characters after [it],
            // and let value be that string."
            self.field(&line[..colon], value(&line[colon + 1..]));
        } else {
            // "Process the field using the whole line as the field name, and
            // the empty string as the field value."
            self.field(line, String::new());
        }
    }

    fn field(&mut self, name: &str, value: String) {
        if name == "event" {
            // "Set the event type buffer to the field value."
            self.event_type_buffer = value;
        } else if name == "data" {
            // "Append the field value to the data buffer, then append a
            // single LF character."
            self.data_buffer += &value;
            self.data_buffer += "\n";
        } else if name == "id" {
            // "If the field value does not contain U+0000 NULL, then set the
            // last event ID buffer to the field value. Otherwise, ignore the
            // field."
            if !value.contains('\0') {
                self.last_event_id_buffer = value;
                self.block_has_id = true;
            }
        } else if name == "retry" {
            // "If the field value consists of only ASCII digits, then
            // interpret the field value as an integer in base ten". No digit
            // is no integer; one past `u64` is `u64::MAX`.
            if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) {
                let time = value.parse().unwrap_or(u64::MAX);
                let time = Duration::from_millis(time);
                self.items.push(Item::ReconnectionTime(time));
            }
        }
        // "Otherwise: The field is ignored."
    }

    fn dispatch(&mut self) {
        // "Set the last event ID string of the event source to the value of
        // the last event ID buffer. The buffer does not get reset".
        self.last_event_id_string = self.last_event_id_buffer.clone();
        let last_event_id = self.last_event_id_string.clone();
        let block_has_id = std::mem::take(&mut self.block_has_id);
        // "If the data buffer is an empty string, set the data buffer and the
        // event type buffer to the empty string and return."
        let mut data = std::mem::take(&mut self.data_buffer);
        let mut event_type = std::mem::take(&mut self.event_type_buffer);
        if data.is_empty() {
            if block_has_id {
                self.items.push(Item::LastEventId(last_event_id));
            }
            return;
        }
        // "If the data buffer's last character is LF, remove [it]."
        if data.ends_with('\n') {
            data.pop();
        }
        // "Initialize event's type attribute to 'message' [...]. If the event
        // type buffer has a value other than the empty string, change the
        // type of the newly created event".
        if event_type.is_empty() {
            event_type.push_str("message");
        }
        self.items.push(Item::Event(MessageEvent {
            event_type: event_type.into(),
            data,
            last_event_id,
        }));
    }
}

/// "If value starts with a U+0020 SPACE character, remove it from value."
fn value(text: &str) -> String {
    text.strip_prefix(' ').unwrap_or(text).to_owned()
}
// ANCHOR_END: rules

// ANCHOR: limit
/// What a stream says to a reader that holds no more than so many bytes of an
/// event: all that came before the byte that was too much, and then an error.
#[must_use]
pub fn read(setting: &Setting, stream: &[u8]) -> Reading {
    let Setting { limit, last_event_id, without_comments } = *setting;
    let offset = too_much(setting, stream);
    let stream = &stream[..offset.unwrap_or(stream.len())];
    let mut reading = interpret(stream, last_event_id);
    if without_comments {
        reading.items.retain(|item| !matches!(item, Item::Comment(_)));
    }
    reading.exceeded =
        offset.map(|at| LimitExceeded { limit, offset: at as u64 });
    reading
}

/// Where the first byte stands with which the type, the ID, the data and the
/// line of one event come to more than the limit. Line ends count for nothing,
/// nor does a comment that is skipped.
fn too_much(setting: &Setting, stream: &[u8]) -> Option<usize> {
    const BOM: &[u8] = b"\xEF\xBB\xBF";
    if BOM.starts_with(stream) {
        // It may yet become a BOM, and a BOM is no part of a line.
        return None;
    }
    let mut at = if stream.starts_with(BOM) { BOM.len() } else { 0 };
    let (mut event_type, mut id, mut data) = (0, 0, None);
    while at < stream.len() {
        let is_end = |byte: &u8| *byte == b'\r' || *byte == b'\n';
        let rest = &stream[at..];
        let end = rest.iter().position(is_end).unwrap_or(rest.len());
        let line = &rest[..end];
        let block = event_type + id + data.unwrap_or(0);
        let room = setting.limit.saturating_sub(block);
        let is_skipped = setting.without_comments && line.starts_with(b":");
        if line.len() > room && !is_skipped {
            return Some(at + room);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        // Text counts as text: a byte that is not UTF-8 has become U+FFFD,
        // three bytes. Data counts as it came.
        let as_text = String::from_utf8_lossy(value).len();
        match name {
            b"" if colon.is_none() => (event_type, id, data) = (0, 0, None),
            b"event" => event_type = as_text,
            b"id" if !value.contains(&0) => id = as_text,
            // Between two lines of data is one LF.
            b"data" => {
                let before = data.map_or(0, |length| length + 1);
                data = Some(before + value.len());
            }
            _ => {}
        }
        let is_crlf = rest[end..].starts_with(b"\r\n");
        at += end + if is_crlf { 2 } else { 1 };
    }
    None
}
// ANCHOR_END: limit

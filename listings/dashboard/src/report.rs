//! What a role prints: one line at a time, at once, and never a character that
//! the reader's terminal would obey.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::ops::ControlFlow;

use serde::Serialize;

// ANCHOR: visible
/// Whether a character drives a terminal, or hides in it.
fn drives(c: char) -> bool {
    // C0, DEL and C1: U+009B alone begins a sequence, as ESC [ does.
    c.is_control()
        || matches!(c,
            // Marks that turn the direction of writing, and U+2028 and
            // U+2029, which end a line or a paragraph.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            // More of these, and what has no width: U+200B, U+FEFF,
            // operators, annotations, and in plane 14 tags, which spell
            // ASCII. Joiners and U+FE00..FE0F stay: Persian and emoji need
            // them.
            | '\u{2060}'..='\u{206f}' | '\u{200b}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with every character that drives a terminal written as an escape,
/// such as `\u{1b}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |shown, c| shown.extend(c.escape_default()))
}

/// The same for a line of JSON, so that whoever parses it gets the same
/// values: outside strings JSON has none of these characters, and within them
/// an escape is UTF-16, two for a character above U+FFFF (RFC 8259 §7).
fn visible_json(line: &str) -> Cow<'_, str> {
    escaped(line, |shown, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    })
}

fn escaped(text: &str, escape: fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(drives) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if drives(c) {
            escape(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}
// ANCHOR_END: visible

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Json<'a> {
    Open,
    Event {
        #[serde(rename = "type")]
        event_type: &'a str,
        data: &'a str,
        id: &'a str,
    },
    Error {
        closed: bool,
        message: &'a str,
    },
}

/// What a client tells the person or program that runs it: text, or with
/// `--json` one object a line. Each line is flushed at once.
///
/// An event reads `Received event ID (TYPE): DATA`, with its further lines of
/// data indented and nothing trimmed. Whatever drives a terminal is escaped:
/// as `\u{1b}` in text, as `\u001b` in JSON, which keeps its value.
pub struct Report {
    out: Box<dyn Write + Send>,
    json: bool,
    left: Option<NonZeroU64>,
    closed: bool,
    lost: Option<Box<dyn FnOnce(io::Error) + Send>>,
    gone: bool,
}

impl Report {
    /// A report to `out`, of at most `events` events.
    ///
    /// The launcher makes one for stdout; a test makes one for a buffer.
    pub fn new(
        out: impl Write + Send + 'static,
        json: bool,
        events: Option<NonZeroU64>,
    ) -> Self {
        Self {
            out: Box::new(out),
            json,
            left: events,
            closed: false,
            lost: None,
            gone: false,
        }
    }

    /// Calls `lost` once, when the output can no longer be written to.
    pub(crate) fn when_lost(
        mut self,
        lost: impl FnOnce(io::Error) + Send + 'static,
    ) -> Self {
        self.lost = Some(Box::new(lost));
        self
    }

    /// A line for a person: "Connecting to …", the request, the head. Nothing
    /// in JSON.
    pub fn note(&mut self, line: impl Display) {
        if !self.json {
            self.write(&visible(&line.to_string()));
        }
    }

    /// The stream is open: `{"kind":"open"}`. Nothing in text, where the head
    /// of the response tells it.
    pub fn open(&mut self) {
        self.write_json(&Json::Open);
    }

    /// An event arrived, with the last event ID it carries (WHATWG HTML 9.2.6,
    /// "dispatch the event").
    ///
    /// `Break` means that no more are wanted, since `--events N` is reached or
    /// nobody reads the output any longer: close the stream and return `Ok`.
    pub fn event(
        &mut self,
        event_type: &str,
        data: &str,
        last_event_id: &str,
    ) -> ControlFlow<()> {
        self.write_json(&Json::Event { event_type, data, id: last_event_id });
        if !self.json {
            self.write(&event_text(event_type, data, last_event_id));
        }
        if let Some(left) = self.left {
            self.left = NonZeroU64::new(left.get() - 1);
            if self.left.is_none() {
                self.gone = true;
            }
        }
        if self.gone {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// How many more events are wanted; `None` if there is no end to them.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        if self.gone { Some(0) } else { self.left.map(NonZeroU64::get) }
    }

    /// Something failed. `closed`: the client will not reconnect, as an
    /// `EventSource` whose `readyState` is `CLOSED`.
    ///
    /// A client that then returns an error need not report it here as well:
    /// the launcher does so, once.
    pub fn error(&mut self, closed: bool, message: &str) {
        self.closed |= closed;
        self.write_json(&Json::Error { closed, message });
        if !self.json {
            let word = if closed { "Closed" } else { "Error" };
            self.write(&format!("{word}: {}", visible(message)));
        }
    }

    /// Reports why the client gave up, unless it has done so itself. What is
    /// returned is still to be said, on stderr.
    pub(crate) fn failed(&mut self, message: String) -> Option<String> {
        if self.closed {
            return None;
        }
        if self.json {
            self.error(true, &message);
            return None;
        }
        Some(message)
    }

    fn write_json(&mut self, object: &Json) {
        if self.json {
            match serde_json::to_string(object) {
                Ok(line) => self.write(&visible_json(&line)),
                Err(error) => self.lose(error.into()),
            }
        }
    }

    fn write(&mut self, text: &str) {
        if self.gone {
            return;
        }
        let mut line = String::with_capacity(text.len() + 1);
        line.push_str(text);
        line.push('\n');
        let written = self.out.write_all(line.as_bytes());
        if let Err(error) = written.and_then(|()| self.out.flush()) {
            self.lose(error);
        }
    }

    fn lose(&mut self, error: io::Error) {
        self.gone = true;
        if let Some(lost) = self.lost.take() {
            lost(error);
        }
    }
}

/// Without an ID that is empty, without the type `message`, and with nothing
/// behind the colon where the data is empty.
fn event_text(event_type: &str, data: &str, id: &str) -> String {
    let mut text = String::from("Received event");
    if !id.is_empty() {
        let _ = write!(text, " {}", visible(id));
    }
    if event_type != "message" {
        let _ = write!(text, " ({})", visible(event_type));
    }
    text.push(':');
    if data.is_empty() {
        return text;
    }
    for (n, line) in data.split('\n').enumerate() {
        text.push_str(if n == 0 { " " } else { "\n    " });
        text.push_str(&visible(line));
    }
    text
}

//! A reader written down as the standard has it, with a switch for each way in
//! which an engine departs. With none switched on it reads what our decoder
//! reads; with those of an engine, what the engine reads, byte for byte. So
//! the switches are all that differs.

use serde_json::{Value, json};

/// Where an engine departs.
#[allow(clippy::struct_excessive_bools, reason = "each is a switch")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Quirks {
    /// A line end right behind a BOM is part of the line that follows.
    pub bom_takes_line_end: bool,
    /// An event has the ID of its own block, or none.
    pub ids_are_not_kept: bool,
    /// A block without data does not set the last event ID.
    pub ids_need_data: bool,
    /// A CR that is the last byte ends no line.
    pub last_cr_waits: bool,
    /// The characters ï»¿ are taken for a BOM, although they are none.
    pub mojibake_bom: bool,
    /// An empty `retry` sets the time back to what it was at first.
    pub empty_retry_resets: bool,
    /// A `retry` past 64 bits is no number.
    pub huge_retry_is_ignored: bool,
    /// A time past 31 bits is none at all.
    pub long_waits_are_none: bool,
    /// `Last-Event-ID` is Latin-1, and what that lacks stops everything.
    pub id_is_sent_as_latin1: bool,
}

/// What a reader read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub events: Vec<Value>,
    pub last_event_id: String,
    /// In milliseconds; `None` is the reader's own choice.
    pub retry: Option<u64>,
}

/// How a reader comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    /// With this in `Last-Event-ID`, if anything, as a server reads it.
    With(Option<String>),
    /// With a request that no server takes, or not at all.
    Never,
}

/// WHATWG HTML 9.2.5 and 9.2.6, and [`Quirks`].
pub fn read(bytes: &[u8], quirks: Quirks) -> Read {
    const BOM: &[u8] = b"\xEF\xBB\xBF";
    let mut read = Read::default();
    let stripped = bytes.strip_prefix(BOM);
    let text = String::from_utf8_lossy(stripped.unwrap_or(bytes));
    let mut text = &*text;
    let mut first_line_has_more = false;
    if stripped.is_some()
        && quirks.bom_takes_line_end
        && let Some(rest) = text.strip_prefix(['\r', '\n'])
    {
        text = rest;
        first_line_has_more = true;
    }
    if quirks.mojibake_bom {
        text = text.strip_prefix("\u{EF}\u{BB}\u{BF}").unwrap_or(text);
    }
    if quirks.last_cr_waits {
        text = text.strip_suffix('\r').unwrap_or(text);
    }
    let (mut data, mut event_type, mut id) = (None::<String>, "", None);
    while let Some((line, rest)) = line(text) {
        text = rest;
        if first_line_has_more {
            // It begins with a line end: no field has such a name.
            first_line_has_more = false;
            continue;
        }
        if line.is_empty() {
            if let Some(id) =
                id.filter(|_| data.is_some() || !quirks.ids_need_data)
            {
                str::clone_into(id, &mut read.last_event_id);
            }
            if let Some(data) = data.take() {
                let event_type =
                    if event_type.is_empty() { "message" } else { event_type };
                let shown = if quirks.ids_are_not_kept {
                    id.unwrap_or_default()
                } else {
                    &read.last_event_id
                };
                read.events.push(json!({
                    "kind": "event", "type": event_type, "data": data,
                    "id": shown,
                }));
            }
            (event_type, id) = ("", None);
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => match &mut data {
                None => data = Some(value.to_owned()),
                Some(data) => *data = format!("{data}\n{value}"),
            },
            "event" => event_type = value,
            "id" if !value.contains('\0') => id = Some(value),
            "retry" if value.is_empty() && quirks.empty_retry_resets => {
                read.retry = None;
            }
            "retry" if is_number(value) => match value.parse() {
                Ok(ms) => read.retry = Some(ms),
                Err(_) if quirks.huge_retry_is_ignored => {}
                Err(_) => read.retry = Some(u64::MAX),
            },
            _ => {}
        }
    }
    read
}

/// The first line, and what is behind its end.
fn line(text: &str) -> Option<(&str, &str)> {
    let end = text.find(['\r', '\n'])?;
    let (line, rest) = text.split_at(end);
    let after = rest.strip_prefix("\r\n").or_else(|| rest.get(1..));
    Some((line, after.unwrap_or_default()))
}

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

impl Read {
    /// How long the reader waits before it comes back, in milliseconds.
    pub fn wait(&self, quirks: Quirks) -> u64 {
        // Chromium's and npm's own choice alike.
        let wait = self.retry.unwrap_or(3_000);
        let none = quirks.long_waits_are_none && wait >= 1 << 31;
        if none { 0 } else { wait }
    }

    pub fn back(&self, quirks: Quirks) -> Back {
        let id = &self.last_event_id;
        // RFC 9110, 5.5: a field's value has no controls but the tabulator,
        // and blanks at its ends are none of it.
        if id.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return Back::Never;
        }
        if id.is_empty() {
            return Back::With(None);
        }
        let mut id = id.trim_matches([' ', '\t']).to_owned();
        if quirks.id_is_sent_as_latin1 {
            let bytes = id.chars().map(u8::try_from);
            let Ok(bytes) = bytes.collect::<Result<Vec<_>, _>>() else {
                return Back::Never;
            };
            id = String::from_utf8_lossy(&bytes).into_owned();
        }
        Back::With(Some(id))
    }
}

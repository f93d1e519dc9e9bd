//! Hostile text in the fields of an event: what servers make of it.
//!
//! Each framework's server is asked for an event whose data, type, ID or
//! comment holds line ends and worse. What it sends is read by the book's
//! decoder: the text comes back as it was, or it does not.

use crate::rules::Tables;
use crate::{rivals, table};
use event_stream::{Decoder, Item, MessageEvent};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::process::{Command, Stdio};

const COLUMNS: [(&str, &str); 7] = [
    ("own", "event-stream"),
    ("ax", "axum"),
    ("ac", "actix-web-lab"),
    ("ro", "rocket"),
    ("po", "poem"),
    ("wa", "warp"),
    ("sa", "salvo"),
];

/// A reader's last event ID before any of this.
const BEFORE: &str = "before";

/// One answer of a server.
struct Answer {
    server: String,
    version: String,
    field: String,
    text: String,
    response: Vec<u8>,
    panic: Option<String>,
}

/// What became of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The server has no such field.
    None,
    Faithful,
    /// Its line ends are LF: the format has no other.
    Lf,
    Refused,
    Panics,
    Changed,
    /// Another field, or another event, has come of it.
    Injected,
}

impl Mark {
    const fn shown(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Faithful => "yes",
            Self::Lf => "LF",
            Self::Refused => "ref",
            Self::Panics => "PAN",
            Self::Changed => "CHG",
            Self::Injected => "INJ",
        }
    }
}

/// What a reader makes of a body.
#[derive(Debug, Default)]
struct Decoded {
    events: Vec<MessageEvent>,
    comments: Vec<String>,
    has_retry: bool,
}

impl Decoded {
    fn new(mut body: &[u8]) -> io::Result<Self> {
        let mut decoder = Decoder::new().with_last_event_id(BEFORE);
        let mut came = Self::default();
        while let Some(item) =
            decoder.next(&mut body).map_err(io::Error::other)?
        {
            match item {
                Item::Event(event) => came.events.push(event.to_owned()),
                Item::Comment(text) => came.comments.push(text.to_owned()),
                Item::ReconnectionTime(_) => came.has_retry = true,
                Item::LastEventId(_) => {}
            }
        }
        Ok(came)
    }

    fn shown(&self) -> String {
        let mut parts: Vec<_> = self
            .comments
            .iter()
            .map(|text| format!("comment {}", plain(text)))
            .collect();
        parts.extend(self.has_retry.then(|| "a reconnection time".to_owned()));
        for event in &self.events {
            let MessageEvent { event_type, data, last_event_id } = event;
            let mut part = plain(data);
            if event_type != "message" {
                part = format!("type {}, data {part}", plain(event_type));
            }
            if last_event_id != BEFORE {
                let _ = write!(part, ", ID {}", plain(last_event_id));
            }
            parts.push(part);
        }
        if self.events.is_empty() {
            parts.push("no event".to_owned());
        }
        parts.join("; then ")
    }
}

fn plain(text: &str) -> String {
    let mut line = "\"".to_owned();
    for c in text.chars() {
        match c {
            ' '..='~' => line.push(c),
            c => line.extend(c.escape_default()),
        }
    }
    line + "\""
}

// ANCHOR: judge
/// Compares what came with what was given.
fn judge(field: &str, text: &str, came: &Decoded) -> Mark {
    let given = |name: &str, or: &'static str| {
        if field == name { text.to_owned() } else { or.to_owned() }
    };
    let mut event_type = given("event", "message");
    if event_type.is_empty() {
        "message".clone_into(&mut event_type);
    }
    let given = MessageEvent {
        event_type: event_type.into(),
        data: given("data", "x"),
        last_event_id: given("id", BEFORE),
    };
    let lf = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");

    let MessageEvent { event_type, data, last_event_id } = &given;
    let others_are_as_given = came.events.iter().all(|event| {
        (field == "event" || event.event_type == *event_type)
            && (field == "data" || event.data == *data)
            && (field == "id" || event.last_event_id == *last_event_id)
    });
    if came.events.len() > 1
        || came.has_retry
        || !others_are_as_given
        || field != "comment" && !came.comments.is_empty()
    {
        return Mark::Injected;
    }
    let [event] = &*came.events else { return Mark::Changed };
    if field == "comment" {
        match &*came.comments {
            [comment] if comment == text => Mark::Faithful,
            comments if comments.join("\n") == lf(text) => Mark::Lf,
            _ => Mark::Changed,
        }
    } else if *event == given {
        Mark::Faithful
    } else if field == "data" && event.data == lf(data) {
        Mark::Lf
    } else {
        Mark::Changed
    }
}
// ANCHOR_END: judge

/// The status and the body of a response; `None` if it was cut off.
fn body(response: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = response.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = str::from_utf8(&response[..end]).ok()?.to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut rest = &response[end + 4..];
    if !head.contains("\r\ntransfer-encoding: chunked") {
        return Some((status, rest.to_vec()));
    }
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|it| it == b"\r\n")?;
        let size = str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some((status, body));
        }
        body.extend_from_slice(rest.get(end + 2..)?.get(..size)?);
        rest = rest.get(end + 2 + size + 2..)?;
    }
}

/// The mark of an answer, and what to say of it.
fn mark(answer: &Answer) -> io::Result<(Mark, Vec<(&'static str, String)>)> {
    if let Some(panic) = &answer.panic {
        let line = panic.lines().next().unwrap_or_default();
        return Ok((Mark::Panics, vec![("panic  ", line.to_owned())]));
    }
    let Some((status, body)) = body(&answer.response) else {
        return Ok((Mark::Refused, vec![]));
    };
    match status {
        200 => {}
        404 => return Ok((Mark::None, vec![])),
        _ => return Ok((Mark::Refused, vec![])),
    }
    let came = Decoded::new(&body)?;
    let mark = judge(&answer.field, &answer.text, &came);
    let notes = vec![
        ("sent   ", body.escape_ascii().to_string()),
        ("read   ", came.shown()),
    ];
    Ok((mark, notes))
}

/// Everybody's answers.
fn answers() -> io::Result<Vec<Answer>> {
    let servers = rivals::build("servers", "servers")?;
    let output = Command::new(servers)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        let why = format!("peers/servers: {}", output.status);
        return Err(io::Error::other(why));
    }
    let lines = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    let answer = |line| {
        let line: Value = serde_json::from_str(line)?;
        let text =
            |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let bytes = line["response"].as_array().into_iter().flatten();
        Ok(Answer {
            server: text("server"),
            version: text("version"),
            field: text("field"),
            text: text("text"),
            response: bytes
                .filter_map(|byte| u8::try_from(byte.as_u64()?).ok())
                .collect(),
            panic: line["panic"].as_str().map(ToOwned::to_owned),
        })
    };
    lines.lines().map(answer).collect()
}

/// Whether the servers of other people are built. If not, [`report`] builds
/// them, which takes minutes.
#[must_use]
pub fn is_built() -> bool {
    rivals::is_built("servers", "servers")
}

/// The table and its notes.
///
/// # Errors
/// If the servers cannot be built, run or understood.
pub fn report() -> io::Result<Tables> {
    let answers = answers()?;
    let mut out = String::new();
    for (key, server) in COLUMNS {
        let first = answers.iter().find(|answer| answer.server == server);
        let first = first.ok_or_else(|| {
            io::Error::other(format!("{server} did not answer"))
        })?;
        let _ = writeln!(out, "{key:<3}  {server} {}", first.version);
    }
    let mut notes = out.clone();
    out += "\nyes: a reader gets the text as it was; LF: with LF for other \
            line ends;\nref: refused; PAN: panics; CHG: comes changed, or cut \
            where the rest is a\nfield that nobody knows; INJ: changes another \
            field, or makes an event;\n-: no such field\n\n";
    let _ = write!(out, "{:<34}", "text");
    for (key, _) in COLUMNS {
        let _ = write!(out, " {key:>3}");
    }
    out += "\n";
    let mut shown_kinds = BTreeSet::new();
    let of_first = answers.iter().filter(|it| it.server == COLUMNS[0].1);
    for Answer { field, text, .. } in of_first {
        let case = format!("{field:<7} {}", plain(text));
        let _ = write!(out, "{case:<34}");
        for (key, server) in COLUMNS {
            let answer = answers
                .iter()
                .find(|it| {
                    it.server == server
                        && it.field == *field
                        && it.text == *text
                })
                .ok_or_else(|| io::Error::other(format!("{server}: {case}")))?;
            let (mark, parts) = mark(answer)?;
            let mark_shown = mark.shown();
            let _ = write!(out, " {mark_shown:>3}");
            let is_bad =
                matches!(mark, Mark::Panics | Mark::Changed | Mark::Injected);
            // The first of a kind shows it.
            if is_bad && shown_kinds.insert((server, field, mark_shown)) {
                let _ = writeln!(notes, "\n{key}  {mark_shown}  {case}");
                for (label, text) in parts {
                    table::note(&mut notes, 4, label, &text);
                }
            }
        }
        out += "\n";
    }
    Ok(Tables { table: out, notes })
}

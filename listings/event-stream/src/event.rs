//! What a server sends. An event that could not be written faithfully cannot
//! be built.

use alloc::{borrow::Cow, vec::Vec};
use core::{
    error::Error,
    fmt::{self, Write},
    time::Duration,
};
use memchr::memchr2;

// ANCHOR: heartbeat
/// A comment that carries nothing, ready to write: it keeps a connection from
/// looking idle, and a server that only writes learns by it that the reader
/// has left (§9.2.7 suggests one about every 15 seconds).
pub const HEARTBEAT: &str = ": heartbeat\n\n";
// ANCHOR_END: heartbeat

// ANCHOR: event
/// An event to send: its data, and if wanted a type, an ID and a new
/// reconnection time.
///
/// ```
/// use event_stream::Event;
///
/// let event = Event::new("two\nlines").with_type("note")?.with_id("7")?;
/// assert_eq!(
///     event.to_string(),
///     "event: note\nid: 7\ndata: two\ndata: lines\n\n"
/// );
/// # Ok::<(), event_stream::FieldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    event_type: Cow<'a, str>,
    id: Option<Cow<'a, str>>,
    retry: Option<Retry>,
    data: Cow<'a, str>,
}
// ANCHOR_END: event

impl<'a> Event<'a> {
    /// An event of type `message` with this data, which may be any text.
    ///
    /// The format has no way to write a CR: a reader receives every CR and
    /// every CRLF in `data` as one LF. All else arrives as it is. Empty data
    /// is data: the event is dispatched.
    pub fn new(data: impl Into<Cow<'a, str>>) -> Self {
        Self {
            event_type: Cow::Borrowed(""),
            id: None,
            retry: None,
            data: data.into(),
        }
    }

    // ANCHOR: refuse
    /// Sets the event type, the name that `addEventListener` listens for. An
    /// empty one means `message`, as it does in the standard.
    ///
    /// # Errors
    /// If it contains CR or LF: the rest would become a line of its own.
    pub fn with_type(
        mut self,
        event_type: impl Into<Cow<'a, str>>,
    ) -> Result<Self, FieldError> {
        self.event_type = refuse("event", event_type.into(), b"\r\n")?;
        Ok(self)
    }

    /// Sets the last event ID that readers carry from this event on. An empty
    /// one makes them forget theirs.
    ///
    /// # Errors
    /// If it contains CR or LF, which would end its line, or NUL, for which
    /// readers ignore the whole field (§9.2.6).
    pub fn with_id(
        mut self,
        id: impl Into<Cow<'a, str>>,
    ) -> Result<Self, FieldError> {
        self.id = Some(refuse("id", id.into(), b"\r\n\0")?);
        Ok(self)
    }
    // ANCHOR_END: refuse

    /// The event without an ID: for whoever gives it another place.
    #[must_use]
    pub fn without_id(mut self) -> Self {
        self.id = None;
        self
    }

    /// Sets the time that readers wait before they reconnect, in whole
    /// milliseconds; a fraction is dropped.
    #[must_use]
    pub fn with_retry(mut self, reconnection_time: Duration) -> Self {
        self.retry = Some(Retry::new(reconnection_time));
        self
    }

    /// The event type: `message` unless it was set.
    #[must_use]
    pub fn event_type(&self) -> &str {
        if self.event_type.is_empty() { "message" } else { &self.event_type }
    }

    /// The ID, if the event sets one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The data as it was given, CRs included.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The reconnection time, if the event sets one.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
            .map(|Retry { milliseconds }| Duration::from_millis(milliseconds))
    }

    /// Appends the event to `out` as it goes over the wire. Allocates only
    /// where `out` must grow.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.data.len() + self.event_type.len() + 64);
        // A `Vec` takes whatever is written to it.
        let _: fmt::Result = self.write_to(&mut Bytes(out));
    }

    // ANCHOR: write
    fn write_to(&self, out: &mut impl Write) -> fmt::Result {
        if !self.event_type.is_empty() {
            write_field(out, "event: ", &self.event_type)?;
        }
        if let Some(id) = &self.id {
            write_field(out, "id: ", id)?;
        }
        if let Some(retry) = &self.retry {
            writeln!(out, "retry: {}", retry.milliseconds)?;
        }
        let mut rest = &*self.data;
        while let Some(end) = memchr2(b'\r', b'\n', rest.as_bytes()) {
            write_field(out, "data: ", &rest[..end])?;
            let is_crlf = rest[end..].starts_with("\r\n");
            rest = &rest[end + if is_crlf { 2 } else { 1 }..];
        }
        write_field(out, "data: ", rest)?;
        out.write_str("\n")
    }
    // ANCHOR_END: write
}

/// The event as it goes over the wire, for any [`fmt::Write`].
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

/// A comment: readers drop it, and people watching the bytes see it.
///
/// ```
/// use event_stream::{Comment, HEARTBEAT};
///
/// let mut out = Vec::new();
/// Comment::new("server 3")?.encode(&mut out);
/// assert_eq!(out, b": server 3\n\n");
/// assert_eq!(Comment::new("heartbeat")?.to_string(), HEARTBEAT);
/// assert!(Comment::new("a\ndata: b").is_err());
/// # Ok::<(), event_stream::FieldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment<'a>(Cow<'a, str>);

impl<'a> Comment<'a> {
    /// A comment of one line.
    ///
    /// # Errors
    /// If it contains CR or LF: the rest would become a line of its own.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Result<Self, FieldError> {
        refuse("comment", text.into(), b"\r\n").map(Self)
    }

    /// Appends the comment to `out` as it goes over the wire.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // A `Vec` takes whatever is written to it.
        let _: fmt::Result = write!(Bytes(out), "{self}");
    }
}

/// The comment as it goes over the wire.
impl fmt::Display for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, ": {}\n", self.0)
    }
}

/// A new reconnection time on its own, without an event.
///
/// ```
/// use event_stream::Retry;
/// use std::time::Duration;
///
/// let retry = Retry::new(Duration::from_secs(5));
/// assert_eq!(retry.to_string(), "retry: 5000\n\n");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    milliseconds: u64,
}

impl Retry {
    /// A reconnection time in whole milliseconds: a fraction is dropped, and
    /// what is past `u64::MAX` is `u64::MAX`.
    #[must_use]
    pub fn new(reconnection_time: Duration) -> Self {
        let milliseconds = reconnection_time.as_millis();
        Self { milliseconds: u64::try_from(milliseconds).unwrap_or(u64::MAX) }
    }

    /// Appends the reconnection time to `out` as it goes over the wire.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // A `Vec` takes whatever is written to it.
        let _: fmt::Result = write!(Bytes(out), "{self}");
    }
}

/// The reconnection time as it goes over the wire.
impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "retry: {}\n", self.milliseconds)
    }
}

/// A character that would break the framing, and where it stands.
///
/// ```
/// use event_stream::Event;
///
/// let refused = Event::new("hello").with_id("ann\ndata: hi").unwrap_err();
/// assert_eq!(refused.to_string(), "LF at byte 3 of `id`: not writable");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field: `event`, `id` or `comment`.
    pub field: &'static str,
    /// The character: CR, LF or NUL.
    pub character: char,
    /// Its position in the text, in bytes.
    pub position: usize,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, character, position } = self;
        let name = match character {
            '\r' => "CR",
            '\n' => "LF",
            _ => "NUL",
        };
        write!(f, "{name} at byte {position} of `{field}`: not writable")
    }
}

impl Error for FieldError {}

fn refuse<'a>(
    field: &'static str,
    text: Cow<'a, str>,
    refused: &[u8],
) -> Result<Cow<'a, str>, FieldError> {
    match text.bytes().position(|byte| refused.contains(&byte)) {
        Some(position) => {
            let character = char::from(text.as_bytes()[position]);
            Err(FieldError { field, character, position })
        }
        None => Ok(text),
    }
}

fn write_field(out: &mut impl Write, name: &str, value: &str) -> fmt::Result {
    out.write_str(name)?;
    out.write_str(value)?;
    out.write_str("\n")
}

struct Bytes<'a>(&'a mut Vec<u8>);

impl Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

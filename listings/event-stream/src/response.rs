//! What the head of a response says of a stream, as HTTP reads header fields.

use crate::MIME_TYPE;
use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
};
use core::{error::Error, fmt, time::Duration};

// ANCHOR: failure
/// Why a response is not an event stream. There may be more reasons one day.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The status is neither 200 nor 204.
    Status {
        /// The status.
        status: u16,
        /// How long the server asked to be left alone (`Retry-After`, RFC
        /// 9110 §10.2.3), if it said so.
        retry_after: Option<Duration>,
    },
    /// The `Content-Type`, empty if there is none, is not
    /// [`text/event-stream`](MIME_TYPE).
    ContentType(String),
    /// The body has a content coding, such as `gzip`: RFC 9110 §8.4.
    ContentCoding(String),
    /// The body has a transfer coding other than `chunked`, or none that its
    /// end can be told by: RFC 9112 §6.1. These are all that it names.
    TransferCoding(String),
}

/// A response that is not an event stream, with what its body says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// What is wrong with it.
    pub failure: Failure,
    /// The body's beginning, at most [`MAX_BODY`](Self::MAX_BODY) bytes of
    /// it, as text. It is the server's word: escape it before you print it,
    /// as `Display` does.
    pub body: String,
}
// ANCHOR_END: failure

impl Failure {
    /// Whether the body is for a person to read: with a status that is one of
    /// a refusal, servers say why.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        matches!(self, Self::Status { status: 400.., .. })
    }
}

impl Refusal {
    /// How much of a body is worth reading, in bytes: 1 KiB.
    pub const MAX_BODY: usize = 1024;

    /// A refusal with what came of its body. Of a longer one the beginning is
    /// kept, cut between characters.
    ///
    /// ```
    /// use event_stream::{Failure, Refusal};
    ///
    /// let failure = Failure::ContentType("text/html".into());
    /// let refusal = Refusal::new(failure, b"Please\nlog in\x07");
    /// assert_eq!(
    ///     refusal.to_string(),
    ///     "the Content-Type is \"text/html\", not \"text/event-stream\"; \
    ///      it says: Please log in\\u{7}"
    /// );
    /// ```
    #[must_use]
    pub fn new(failure: Failure, body: &[u8]) -> Self {
        let kept = &body[..body.len().min(Self::MAX_BODY)];
        let mut text = String::from_utf8_lossy(kept);
        if kept.len() < body.len() {
            // The character that the cut went through.
            let whole = text.trim_end_matches('\u{FFFD}');
            text = whole.to_owned().into();
        }
        let body = text.into_owned();
        Self { failure, body }
    }
}

impl fmt::Display for Refusal {
    /// The failure and, if there is one, the body: on one line, with whatever
    /// drives a terminal written as an escape.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.failure)?;
        let body = self.body.trim_ascii();
        if body.is_empty() {
            return Ok(());
        }
        write!(f, "; it says: ")?;
        for c in body.chars() {
            match c {
                '\n' => write!(f, " ")?,
                '\r' => {}
                c if drives_a_terminal(c) => {
                    let escaped = c.escape_unicode();
                    write!(f, "{escaped}")?;
                }
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

impl Error for Refusal {}

/// Whether a character drives a terminal, or hides in it: the C0 and C1
/// controls, line and paragraph separators, the marks that turn the direction
/// of writing, and what has no width. Joiners and variation selectors up to
/// U+FFFF are not among these: Persian and emoji need them.
///
/// What a peer sent is printed with each of these as an escape, such as
/// [`char::escape_unicode`], or in JSON `\u009b`.
///
/// ```
/// use event_stream::drives_a_terminal;
///
/// // Begins a command in many terminals, and turns the direction.
/// assert!(drives_a_terminal('\u{9b}') && drives_a_terminal('\u{202e}'));
/// assert!(!drives_a_terminal('é'));
/// ```
#[must_use]
pub fn drives_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, retry_after } => {
                write!(f, "the server answered with status {status}, not 200")?;
                match retry_after {
                    Some(time) => write!(f, ", and Retry-After: {time:?}"),
                    None => Ok(()),
                }
            }
            Self::ContentType(content_type) => write!(
                f,
                "the Content-Type is {content_type:?}, not {MIME_TYPE:?}"
            ),
            Self::ContentCoding(coding) => write!(
                f,
                "the body has the content coding {coding:?}, which was not \
                 asked for"
            ),
            Self::TransferCoding(codings) => write!(
                f,
                "the Transfer-Encoding is {codings:?}; only \"chunked\" can be \
                 read"
            ),
        }
    }
}

impl Error for Failure {}

/// The fields of a response head that decide about a stream. A name may come
/// more than once, in any case, with a list for a value (RFC 9110 §5.3).
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// All values of `Content-Type`, joined by commas.
    content_type: String,
    /// The essence of the last of them that is a MIME type.
    essence: String,
    /// The first content coding that codes.
    coding: Option<String>,
    /// The transfer codings, joined by commas.
    transfer_codings: String,
    date: Option<u64>,
    retry_after: Option<RetryAfter>,
}

#[derive(Clone, Copy, Debug)]
enum RetryAfter {
    Seconds(u64),
    Date(u64),
}

impl Head {
    pub(crate) fn new<N, V>(fields: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut head = Self::default();
        for (name, value) in fields {
            let value = String::from_utf8_lossy(value.as_ref());
            head.field(name.as_ref(), value.trim_matches(BLANK));
        }
        head
    }

    // ANCHOR: field
    fn field(&mut self, name: &str, value: &str) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("content-type") {
            join(&mut self.content_type, value);
            // Fetch, "extract a MIME type": the last that is one.
            let types = elements(value).filter_map(essence);
            if let Some(last) = types.last() {
                last.clone_into(&mut self.essence);
            }
        } else if is("content-encoding") {
            // `none` is no coding that HTTP knows: some servers say it to
            // keep a compressing proxy off, and mean what it says.
            let codes = |coding: &&str| {
                !["", "identity", "none"]
                    .iter()
                    .any(|none| coding.eq_ignore_ascii_case(none))
            };
            let coding = elements(value).find(codes);
            self.coding =
                self.coding.take().or(coding.map(ToString::to_string));
        } else if is("transfer-encoding") {
            elements(value)
                .for_each(|coding| join(&mut self.transfer_codings, coding));
        } else if is("date") {
            self.date = seconds(value);
        } else if is("retry-after") {
            let digits = value.bytes().all(|byte| byte.is_ascii_digit());
            self.retry_after = if digits && !value.is_empty() {
                // Digits that do not fit are many.
                let seconds = value.parse().unwrap_or(u64::MAX);
                Some(RetryAfter::Seconds(seconds))
            } else {
                seconds(value).map(RetryAfter::Date).or(self.retry_after)
            };
        }
    }
    // ANCHOR_END: field

    /// What is wrong with a response whose status is 200, if anything.
    pub(crate) fn failure(self) -> Option<Failure> {
        // Some servers name it twice, and mean it once. `identity` is what
        // old ones call none.
        let is_read = ["chunked", "identity"].iter().any(|coding| {
            elements(&self.transfer_codings).all(|named| {
                named.is_empty() || named.eq_ignore_ascii_case(coding)
            })
        });
        if !is_read {
            Some(Failure::TransferCoding(self.transfer_codings))
        } else if !self.essence.eq_ignore_ascii_case(MIME_TYPE) {
            Some(Failure::ContentType(self.content_type))
        } else {
            self.coding.map(Failure::ContentCoding)
        }
    }

    /// The wait that the server asked for. A date is held against the
    /// response's own `Date`, so that the clocks need not agree; without that
    /// it says nothing.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = match self.retry_after? {
            RetryAfter::Seconds(seconds) => seconds,
            RetryAfter::Date(until) => until.saturating_sub(self.date?),
        };
        Some(Duration::from_secs(seconds))
    }
}

/// Adds a value to a list (RFC 9110 §5.3).
fn join(list: &mut String, value: &str) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    list.push_str(value);
}

/// The white space that HTTP allows around a value.
const BLANK: [char; 2] = [' ', '\t'];

/// The elements of a list, less the white space around them. A comma in a
/// quoted string parts nothing.
fn elements(list: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return true,
            _ => {}
        }
        false
    })
    .map(|element| element.trim_matches(BLANK))
}

/// A MIME type without its parameters; `None` if it is none, or `*/*`, which
/// Fetch passes over.
fn essence(mime_type: &str) -> Option<&str> {
    let essence = mime_type.split(';').next()?.trim_end_matches(BLANK);
    let (kind, subtype) = essence.split_once('/')?;
    let is_type = is_token(kind) && is_token(subtype) && essence != "*/*";
    is_type.then_some(essence)
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
    };
    !text.is_empty() && text.bytes().all(in_token)
}

/// The seconds since 1970 of a date as servers must write it, such as `Sun,
/// 06 Nov 1994 08:49:37 GMT`: RFC 9110 §5.6.7. Its two obsolete forms are
/// `None`.
fn seconds(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
        "Nov", "Dec",
    ];
    let (_, date) = date.split_once(", ")?;
    let mut parts = date.splitn(5, [' ']);
    let mut part = || parts.next();
    let (day, month, year) = (part()?, part()?, part()?);
    let (time, zone) = (part()?, part()?);
    let month = (0..).zip(MONTHS).find(|(_, name)| *name == month)?.0;
    let mut clock = time.splitn(3, ':').map(|text| number(text, 2));
    let mut two = || clock.next().flatten();
    let (hour, minute, second) = (two()?, two()?, two()?);
    let (day, year) = (number(day, 2)?, number(year, 4)?);
    let is_date = zone == "GMT"
        && year >= 1970
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_date {
        return None;
    }
    // March is the first month: so a leap day ends a year, and the days
    // before a month need no table.
    let (year, month) =
        if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1;
    // From the first of March of the year 0 to 1970.
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let is_number =
        text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

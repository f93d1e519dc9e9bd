//! When to connect again, with what, and when to stop.

use crate::{Item, MIME_TYPE};
use alloc::{borrow::ToOwned, string::String};
use core::{error::Error, fmt, time::Duration};

// ANCHOR: reconnection
/// The reconnection rules of an `EventSource`, §9.2.3, without its sockets:
/// tell it what happened, and it says what to do.
///
/// The caller connects with [`headers`](Self::headers); reports
/// [`response`](Self::response), each [`item`](Self::item) and, when the
/// connection is over or could not be made, [`lost`](Self::lost); and waits as
/// long as that says before it connects again. Each new decoder is told the
/// ID: [`Decoder::with_last_event_id`](crate::Decoder::with_last_event_id).
#[derive(Clone, Debug)]
pub struct Reconnection {
    time: Duration,
    last_event_id: String,
    failures: u32,
    /// When the current response began, if there is one.
    opened: Option<Duration>,
    random: u64,
}

/// What to do with a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is an event stream: read it.
    Read,
    /// The server asked not to be connected to again (204 No Content).
    Stop,
    /// It is something else: do not reconnect, and say so.
    Fail(Failure),
}

/// Why a response is not an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The status is neither 200 nor 204.
    Status(u16),
    /// The `Content-Type`, empty if there is none, is not
    /// [`text/event-stream`](MIME_TYPE).
    ContentType(String),
}
// ANCHOR_END: reconnection

impl Reconnection {
    /// The time to wait before reconnecting until a `retry` field changes it:
    /// 3 seconds. The standard leaves it to the implementation, "probably in
    /// the region of a few seconds".
    pub const DEFAULT_TIME: Duration = Duration::from_secs(3);

    /// The most that failing again and again lengthens the wait to: 30
    /// seconds, unless the server asked for more.
    pub const MAX_BACKOFF: Duration = Duration::from_secs(30);

    /// The longest last event ID that is sent, in bytes: 4 KiB. Servers limit
    /// the head of a request, often to 8 KiB in all, and one that refuses the
    /// ID that it gave would lock this client out for good.
    pub const MAX_ID_SENT: usize = 4 * 1024;

    /// A connection that stays open this long, or delivers an event, is good:
    /// 30 seconds.
    pub const GOOD_AFTER: Duration = Duration::from_secs(30);

    /// Rules for a client that has not connected yet. `seed` makes its delays
    /// its own: two clients with different seeds do not return together.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            time: Self::DEFAULT_TIME,
            last_event_id: String::new(),
            failures: 0,
            opened: None,
            random: seed,
        }
    }

    /// The time to wait before reconnecting, as the server last set it.
    #[must_use]
    pub fn reconnection_time(&self) -> Duration {
        self.time
    }

    /// The last event ID, whether or not a header can carry it.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Connections in a row that failed or ended before they were good.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    // ANCHOR: headers
    /// The header fields to connect with: `Accept`, `Cache-Control`, and
    /// `Last-Event-ID` if there is one that a header can carry. It need not
    /// be ASCII: send the UTF-8 bytes of the value (§9.2.3).
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let id = &*self.last_event_id;
        let is_sent = !id.is_empty()
            && id.len() <= Self::MAX_ID_SENT
            && is_field_value(id);
        let id = is_sent.then_some(id);
        [("Accept", MIME_TYPE), ("Cache-Control", "no-cache")]
            .into_iter()
            .chain(id.map(|id| ("Last-Event-ID", id)))
    }
    // ANCHOR_END: headers

    // ANCHOR: response
    /// A response came, at `now` on the caller's clock (any origin, always
    /// the same). Redirects were followed before: this is the last response.
    pub fn response(
        &mut self,
        status: u16,
        content_type: Option<&str>,
        now: Duration,
    ) -> Verdict {
        let content_type = content_type.unwrap_or_default();
        match status {
            204 => Verdict::Stop,
            200 if is_event_stream(content_type) => {
                self.opened = Some(now);
                Verdict::Read
            }
            200 => Verdict::Fail(Failure::ContentType(content_type.into())),
            status => Verdict::Fail(Failure::Status(status)),
        }
    }
    // ANCHOR_END: response

    // ANCHOR: reset
    /// An item of the stream came. Only an event makes the connection good: a
    /// server that dies behind its first `retry` line would else be met by
    /// clients that never slow down.
    pub fn item(&mut self, item: &Item<&str>) {
        match item {
            Item::Event(event) => {
                self.failures = 0;
                self.set_last_event_id(event.last_event_id);
            }
            Item::LastEventId(id) => self.set_last_event_id(id),
            Item::ReconnectionTime(time) => self.time = *time,
            Item::Comment(_) => {}
        }
    }
    // ANCHOR_END: reset

    fn set_last_event_id(&mut self, id: &str) {
        if self.last_event_id != id {
            id.clone_into(&mut self.last_event_id);
        }
    }

    // ANCHOR: lost
    /// The connection could not be made, or broke, or the response ended, at
    /// `now`. Returns how long to wait before the next.
    ///
    /// The first time that is the reconnection time. From the second failure
    /// in a row on, the wait is drawn from between the reconnection time and a
    /// bound that doubles each time, up to [`MAX_BACKOFF`](Self::MAX_BACKOFF):
    /// so a server that comes back is not met by all its readers at once.
    pub fn lost(&mut self, now: Duration) -> Duration {
        let opened = self.opened.take();
        if opened.is_some_and(|at| now.saturating_sub(at) >= Self::GOOD_AFTER) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let doublings = self.failures - 1;
        if doublings == 0 {
            return self.time;
        }
        let bound = self
            .time
            .max(Duration::from_secs(1))
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(Self::MAX_BACKOFF);
        self.time + bound.saturating_sub(self.time).mul_f64(self.next_random())
    }
    // ANCHOR_END: lost

    /// A number from 0 to 1, by the generator splitmix64.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64")]
    fn next_random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => {
                write!(f, "the server answered with status {status}, not 200")
            }
            Self::ContentType(content_type) => write!(
                f,
                "the Content-Type is {content_type:?}, not {MIME_TYPE:?}"
            ),
        }
    }
}

impl Error for Failure {}

/// Compares the essence of a MIME type: parameters are allowed and ignored.
fn is_event_stream(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim_matches([' ', '\t']).eq_ignore_ascii_case(MIME_TYPE)
}

/// RFC 9110 §5.5: no control characters but tab, and no white space at the
/// ends, which a recipient strips.
fn is_field_value(text: &str) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    bytes.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t')
        && !is_blank(bytes.first())
        && !is_blank(bytes.last())
}

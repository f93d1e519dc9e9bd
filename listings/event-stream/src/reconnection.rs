//! When to connect again, with what, and when to stop.

use crate::{Failure, Item, MIME_TYPE, response::Head};
use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::{ops::RangeInclusive, time::Duration};

// ANCHOR: reconnection
/// The reconnection rules of an `EventSource`, §9.2.3, without its sockets:
/// tell it what happened, and it says what to do.
///
/// The caller connects with [`headers`](Self::headers); reports
/// [`response`](Self::response), each [`item`](Self::item) and, when the
/// response [`ended`](Self::ended) or the connection was
/// [`lost`](Self::lost) or could not be made, that; and waits as long as it is
/// told before it connects again. Each new decoder is told the ID:
/// [`Decoder::with_last_event_id`](crate::Decoder::with_last_event_id).
#[derive(Clone, Debug)]
pub struct Reconnection {
    /// As the server set it, within `bounds`.
    time: Duration,
    bounds: (Duration, Duration),
    retried_statuses: Vec<u16>,
    last_event_id: String,
    failures: u32,
    /// When the current response began, if there is one.
    opened: Option<Duration>,
    /// Something came with it.
    has_spoken: bool,
    random: u64,
}

/// What to do with a response. Each is an order, and a client that did not
/// know one could not follow it: so a match of all of them stays complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is an event stream: read it.
    Read,
    /// The server asked not to be connected to again (204 No Content).
    Stop,
    /// It is something else: do not reconnect, and say so.
    Fail(Failure),
    /// It has one of the statuses that the caller
    /// [chose to come back from](Reconnection::with_retried_statuses).
    Retry {
        /// What it was.
        failure: Failure,
        /// How long to wait before the next connection.
        wait: Duration,
    },
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
    /// 3 seconds, the time for which a client stays away.
    pub const GOOD_AFTER: Duration = Self::DEFAULT_TIME;

    // ANCHOR: bounds
    /// The least wait, whatever a server sets: half a second, as in Firefox.
    /// With `retry: 0` and a stream that ends after each event, a client would
    /// connect thousands of times a second.
    pub const MIN_WAIT: Duration = Duration::from_millis(500);

    /// The longest wait, whatever a server sets in `retry` or `Retry-After`:
    /// an hour. A number that is meant in other units, or that overflowed
    /// somewhere, must not silence a reader for good.
    pub const MAX_WAIT: Duration = Duration::from_secs(60 * 60);
    // ANCHOR_END: bounds

    /// The statuses of a server that is being replaced, is down or is
    /// overloaded, for
    /// [`with_retried_statuses`](Self::with_retried_statuses).
    pub const UNAVAILABLE: [u16; 4] = [429, 502, 503, 504];

    /// Rules for a client that has not connected yet. `seed` makes its delays
    /// its own: two clients with different seeds do not return together.
    ///
    /// ```
    /// use event_stream::{Decoder, Reconnection, Verdict};
    /// use std::time::{Duration, Instant};
    ///
    /// let start = Instant::now();
    /// let mut rules = Reconnection::new(42).with_last_event_id("6");
    /// let sent: Vec<_> = rules.headers().collect();
    /// assert_eq!(sent[2], ("Last-Event-ID", "6"));
    ///
    /// // The caller connects with them, and this is the answer:
    /// let head = [("Content-Type", "text/event-stream")];
    /// assert_eq!(rules.response(200, head, start.elapsed()), Verdict::Read);
    /// let mut decoder = Decoder::new().with_last_event_id(rules.last_event_id());
    /// let mut items = decoder.items(b"retry: 2000\nid: 7\ndata: Hello\n\n");
    /// while let Some(item) = items.next()? {
    ///     rules.item(&item);
    /// }
    ///
    /// // Then the connection broke. The caller waits as long, and starts anew.
    /// assert_eq!(rules.lost(start.elapsed()), Duration::from_secs(2));
    /// assert_eq!(rules.last_event_id(), "7");
    /// # Ok::<(), event_stream::LimitExceeded>(())
    /// ```
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            time: Self::DEFAULT_TIME,
            bounds: (Self::MIN_WAIT, Self::MAX_WAIT),
            retried_statuses: Vec::new(),
            last_event_id: String::new(),
            failures: 0,
            opened: None,
            has_spoken: false,
            random: seed,
        }
    }

    /// The same rules, for a client that goes on behind the event with this
    /// ID, from an earlier connection or an earlier program.
    #[must_use]
    pub fn with_last_event_id(mut self, id: impl Into<String>) -> Self {
        self.last_event_id = id.into();
        self
    }

    /// The same rules with other bounds for what a server sets. An upper bound
    /// below the lower one counts as that.
    #[must_use]
    pub fn with_bounds(mut self, bounds: RangeInclusive<Duration>) -> Self {
        let (least, most) = bounds.into_inner();
        self.bounds = (least, most.max(least));
        self.time = self.within_bounds(self.time);
        self
    }

    /// The same rules, but a response with one of these statuses is no end:
    /// the client comes back, no sooner than `Retry-After` says. By the
    /// standard each of them is final; a server that is replaced while its
    /// readers are there wants [`UNAVAILABLE`](Self::UNAVAILABLE). 200 and 204
    /// keep their meaning.
    #[must_use]
    pub fn with_retried_statuses(
        mut self,
        statuses: impl IntoIterator<Item = u16>,
    ) -> Self {
        self.retried_statuses = statuses.into_iter().collect();
        self
    }

    fn within_bounds(&self, wait: Duration) -> Duration {
        let (least, most) = self.bounds;
        wait.clamp(least, most)
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

    /// Whether anything has come with the newest response: an item, of any
    /// kind.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        self.has_spoken
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
    /// `fields` are the header fields of its head, all of them: what counts is
    /// read as HTTP says, in whatever case and however often a name comes.
    pub fn response<N, V>(
        &mut self,
        status: u16,
        fields: impl IntoIterator<Item = (N, V)>,
        now: Duration,
    ) -> Verdict
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let head = Head::new(fields);
        let failure = match status {
            204 => return Verdict::Stop,
            200 => {
                let Some(failure) = head.failure() else {
                    self.opened = Some(now);
                    self.has_spoken = false;
                    return Verdict::Read;
                };
                failure
            }
            _ => Failure::Status { status, retry_after: head.retry_after() },
        };
        match failure {
            Failure::Status { status, retry_after }
                if self.retried_statuses.contains(&status) =>
            {
                let asked = retry_after.unwrap_or_default();
                let wait = self.lost(now).max(self.within_bounds(asked));
                Verdict::Retry { failure, wait }
            }
            failure => Verdict::Fail(failure),
        }
    }
    // ANCHOR_END: response

    // ANCHOR: reset
    /// An item of the stream came. An event makes the connection good.
    pub fn item(&mut self, item: &Item<&str>) {
        self.has_spoken = true;
        match item {
            Item::Event(event) => {
                self.failures = 0;
                self.set_last_event_id(event.last_event_id);
            }
            Item::LastEventId(id) => self.set_last_event_id(id),
            Item::ReconnectionTime(time) => {
                self.time = self.within_bounds(*time);
            }
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
    /// The response ended at `now`, as its framing says. Returns how long to
    /// wait before the next connection.
    ///
    /// Where anything came with it, a comment included, that is no failure:
    /// many servers and proxies end a quiet stream now and then.
    pub fn ended(&mut self, now: Duration) -> Duration {
        if self.opened.is_some() && self.has_spoken {
            self.failures = 0;
        }
        self.lost(now)
    }

    /// The connection could not be made, or broke, at `now`. Returns how long
    /// to wait before the next.
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

/// RFC 9110 §5.5: no control characters but tab, and no white space at the
/// ends, which a recipient strips.
fn is_field_value(text: &str) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    bytes.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t')
        && !is_blank(bytes.first())
        && !is_blank(bytes.last())
}

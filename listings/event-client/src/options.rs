//! What is the caller's choice.

use event_stream::Reconnection;
use futures_util::{FutureExt, future::BoxFuture};
use reqwest::header::HeaderMap;
use std::{
    error::Error,
    fmt,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// How long to wait for a server.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the request to the head of its response: connecting and interim
    /// responses included; `None` for any time.
    pub head: Option<Duration>,
    /// From one piece of the body to the next; `None` for any time.
    pub idle: Option<Duration>,
}

impl Default for Timeouts {
    /// 30 seconds for a head, and a minute of silence: a server that sends a
    /// heartbeat every 15 seconds has missed four.
    fn default() -> Self {
        Self {
            head: Some(Duration::from_secs(30)),
            idle: Some(Duration::from_secs(60)),
        }
    }
}

// ANCHOR: options
/// How a stream is read, where that is the caller's choice.
///
/// ```
/// use event_client::{Options, event_stream::Reconnection};
///
/// let options = Options::default()
///     .with_last_event_id("41")
///     .with_retried_statuses(Reconnection::UNAVAILABLE);
/// ```
#[non_exhaustive]
pub struct Options {
    /// How long to wait for the server.
    pub timeouts: Timeouts,
    /// When to come back, from which statuses, and behind which event. A
    /// `Last-Event-ID` of the request itself comes before the rules'.
    pub rules: Reconnection,
    /// Whether the request may be sent again if its method is not `GET`: an
    /// answer that was complete, or lost, is then asked for once more. Say so
    /// only of a request that does nothing, or that the server knows to be the
    /// same (RFC 9110 §9.2.2).
    pub is_idempotent: bool,
    /// Whether an event that lacks its blank line when the server ends the
    /// stream is given out all the same. The standard drops it (§9.2.6), and
    /// some servers of language models leave the line out. Of a stream that
    /// was cut, nothing more is given out either way.
    pub keeps_unfinished: bool,
    /// Header fields that are new for each connection.
    pub fields: Option<Box<dyn Fields>>,
}

/// What gives the header fields of a connection that is about to be made,
/// such as a token that is still good: called with the last event ID, each
/// time. Its fields replace those of the request. An error is final.
///
/// Any `FnMut(String) -> impl Future<Output = Result<HeaderMap, _>>` does.
pub trait Fields: Send {
    /// The fields of the next connection.
    fn next(
        &mut self,
        last_event_id: &str,
    ) -> BoxFuture<'static, Result<HeaderMap, Box<dyn Error + Send + Sync>>>;
}
// ANCHOR_END: options

impl Default for Options {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            rules: Reconnection::new(RandomState::new().hash_one(())),
            is_idempotent: false,
            keeps_unfinished: false,
            fields: None,
        }
    }
}

impl Options {
    /// With other limits of the waits.
    #[must_use]
    pub const fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// With other rules.
    #[must_use]
    pub fn with_rules(mut self, rules: Reconnection) -> Self {
        self.rules = rules;
        self
    }

    /// From behind the event with this ID, of an earlier program. A
    /// `Last-Event-ID` of the request itself comes before it.
    #[must_use]
    pub fn with_last_event_id(mut self, id: impl Into<String>) -> Self {
        self.rules = self.rules.with_last_event_id(id);
        self
    }

    /// Back from a response with one of these statuses, which the standard
    /// calls final: [`Reconnection::UNAVAILABLE`], for one.
    #[must_use]
    pub fn with_retried_statuses(
        mut self,
        statuses: impl IntoIterator<Item = u16>,
    ) -> Self {
        self.rules = self.rules.with_retried_statuses(statuses);
        self
    }

    /// For a request that may be sent again though its method is not `GET`:
    /// [`is_idempotent`](Self::is_idempotent).
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }

    /// For a server that leaves out the last blank line:
    /// [`keeps_unfinished`](Self::keeps_unfinished).
    #[must_use]
    pub const fn keeping_unfinished(mut self) -> Self {
        self.keeps_unfinished = true;
        self
    }

    /// With header fields that are new for each connection.
    ///
    /// ```
    /// use event_client::{Options, reqwest::header::{AUTHORIZATION, HeaderMap}};
    ///
    /// # async fn token() -> std::io::Result<String> { Ok(String::new()) }
    /// let options = Options::default().with_fields(async |_last_event_id| {
    ///     let value = format!("Bearer {}", token().await?).parse()?;
    ///     let fields = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    ///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(fields)
    /// });
    /// ```
    #[must_use]
    pub fn with_fields(mut self, fields: impl Fields + 'static) -> Self {
        self.fields = Some(Box::new(fields));
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("timeouts", &self.timeouts)
            .field("rules", &self.rules)
            .field("is_idempotent", &self.is_idempotent)
            .field("keeps_unfinished", &self.keeps_unfinished)
            .finish_non_exhaustive()
    }
}

impl<F, A, E> Fields for F
where
    F: FnMut(String) -> A + Send,
    A: Future<Output = Result<HeaderMap, E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn next(
        &mut self,
        last_event_id: &str,
    ) -> BoxFuture<'static, Result<HeaderMap, Box<dyn Error + Send + Sync>>>
    {
        self(last_event_id.to_owned()).map(|it| it.map_err(Into::into)).boxed()
    }
}

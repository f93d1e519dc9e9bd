#![doc = include_str!("../README.md")]

pub mod head;
mod hop;
mod notice;
mod notices;
mod options;
pub mod tls;

pub use event_stream;
pub use notice::{GivenUp, Lost, Notice};
pub use notices::{Events, Notices};
pub use options::{Fields, Options, Timeouts};
pub use reqwest;

use reqwest::{
    Client, ClientBuilder, RequestBuilder, header::HeaderName,
    redirect::Policy,
};
use std::time::Duration;

/// What connecting to a host may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What this client reaches.
const SCHEMES: &[&str] =
    if cfg!(feature = "tls") { &["http", "https"] } else { &["http"] };
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

// ANCHOR: ext
/// A request that asks for an event stream.
pub trait RequestBuilderExt: Sized {
    /// The stream's events, over as many connections as it takes.
    ///
    /// ```no_run
    /// use event_client::RequestBuilderExt;
    /// use futures_util::TryStreamExt;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let http = event_client::http().build()?;
    /// let mut events = http.get("http://127.0.0.1:9003/events").events()?;
    /// while let Some(event) = events.try_next().await? {
    ///     println!("{}: {}", event.last_event_id, event.data);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the request cannot be sent, or could not be sent again.
    fn events(self) -> Result<Events, GivenUp> {
        self.events_with(Options::default())
    }

    /// As [`events`](Self::events), with other options than the usual ones.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    fn events_with(self, options: Options) -> Result<Events, GivenUp> {
        self.notices_with(options).map(Events::from)
    }

    /// All that happens while the stream is read.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    fn notices(self) -> Result<Notices, GivenUp> {
        self.notices_with(Options::default())
    }

    /// As [`notices`](Self::notices), with other options than the usual ones.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    fn notices_with(self, options: Options) -> Result<Notices, GivenUp>;
}
// ANCHOR_END: ext

impl RequestBuilderExt for RequestBuilder {
    fn notices_with(self, options: Options) -> Result<Notices, GivenUp> {
        Notices::new(self, options)
    }
}

// ANCHOR: http
/// An HTTP client fit for event streams: it limits what connecting takes, and
/// not what a response takes, and leaves redirects to [`Notices`]. Fields that
/// its caller makes a default of it go to every server that it talks to:
/// secrets belong on the request.
///
/// A client of your own works, too. What it is built with then holds: a
/// timeout for the whole response ends each stream after that time; redirects
/// that reqwest follows send a `POST` once more, and a header field of your
/// own to another origin; a proxy that the environment names may hold events
/// back.
#[must_use]
pub fn http() -> ClientBuilder {
    let http = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // reqwest would send a POST once more, and a header field of the
        // caller's own to another origin.
        .redirect(Policy::none())
        .referer(false)
        // The next connection is seconds away: nothing is gained by keeping
        // this one.
        .pool_max_idle_per_host(0)
        // Not by a proxy that the environment happens to name: it may hold
        // back what comes in small pieces.
        .no_proxy();
    #[cfg(feature = "tls")]
    let http = http.tls_backend_preconfigured(tls::config());
    http
}
// ANCHOR_END: http

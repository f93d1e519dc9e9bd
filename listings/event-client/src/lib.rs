#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod causes;
mod head;
mod hop;
mod http;
mod notice;
mod notices;
mod options;
pub mod tls;

pub use event_stream;
pub use head::redacted;
pub use http::http;
pub use notice::{GivenUp, Lost, Notice};
pub use notices::{Events, Notices};
pub use options::{Fields, Options, Timeouts};
pub use reqwest;

use reqwest::RequestBuilder;

/// A request that asks for an event stream. The trait is called as in
/// reqwest-eventsource, whose place it takes; what is called `eventsource`
/// there is [`events`](Self::events) here, where an item is an event and
/// nothing else, or [`notices`](Self::notices).
pub trait RequestBuilderExt: sealed::Sealed + Sized {
    /// The stream's events, over as many connections as it takes.
    ///
    /// ```no_run
    /// use event_client::RequestBuilderExt;
    /// use futures::TryStreamExt;
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
    /// ```no_run
    /// use event_client::{Options, RequestBuilderExt, Timeouts};
    /// use futures::TryStreamExt;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// // A language model, which may think for ten minutes.
    /// let limit = Some(std::time::Duration::from_secs(600));
    /// let timeouts = Timeouts { head: limit, idle: limit };
    /// let options = Options::default().with_timeouts(timeouts);
    /// let http = event_client::http().build()?;
    /// let request = http.post("http://127.0.0.1:9013/v1/chat/completions");
    /// let request = request.body(r#"{"stream":true}"#);
    /// let mut events = request.events_with(options)?;
    /// while let Some(event) = events.try_next().await? {
    ///     println!("{}", event.data);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`events`](Self::events).
    fn events_with(self, options: Options) -> Result<Events, GivenUp> {
        self.notices_with(options).map(Events)
    }

    /// All that happens while the stream is read: see [`Notices`].
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

impl RequestBuilderExt for RequestBuilder {
    fn notices_with(self, options: Options) -> Result<Notices, GivenUp> {
        Notices::new(self, options)
    }
}

mod sealed {
    /// So that a method more is no breaking change.
    pub trait Sealed {}

    impl Sealed for reqwest::RequestBuilder {}
}

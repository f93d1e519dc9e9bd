//! JSON as an event's data.

use crate::{Event, MessageEvent, Text};
use serde_core::{Deserialize, Serialize};

impl Event<'static> {
    /// An event of type `message` whose data is this value as JSON, in one
    /// line.
    ///
    /// ```
    /// use event_stream::Event;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Post<'a> {
    ///     text: &'a str,
    /// }
    ///
    /// let event = Event::from_json(&Post { text: "two\nlines" })?;
    /// assert_eq!(event.data(), r#"{"text":"two\nlines"}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the value cannot be JSON: a map has keys that are no text, or its
    /// own `Serialize` fails.
    pub fn from_json(
        value: &(impl Serialize + ?Sized),
    ) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::new)
    }
}

impl<S: Text + AsRef<str>, T> MessageEvent<S, T> {
    /// The data, read as JSON. The value may borrow from the event.
    ///
    /// ```
    /// use event_stream::{Decoder, Item};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Post<'a> {
    ///     text: &'a str,
    /// }
    ///
    /// let mut decoder = Decoder::new();
    /// let mut items = decoder.items(b"data: {\"text\":\"Hello\"}\n\n");
    /// while let Some(item) = items.next()? {
    ///     let Item::Event(event) = item else { continue };
    ///     let post: Post<'_> = event.json()?;
    ///     assert_eq!(post.text, "Hello");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the data is no JSON, or JSON of another shape. A stream whose last
    /// event is `[DONE]` ends with one that is none: look at
    /// [`data`](Self::data) first.
    pub fn json<'e, V: Deserialize<'e>>(
        &'e self,
    ) -> Result<V, serde_json::Error> {
        serde_json::from_str(self.data.as_ref())
    }
}

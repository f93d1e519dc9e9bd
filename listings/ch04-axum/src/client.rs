//! The client: that of the crate `event-client`, with types.

use crate::feed::{Feed, FeedError};
use event_client::{GivenUp, Notice, Options, RequestBuilderExt};
use event_stream::{Item, MessageEvent};
use futures::{Stream, TryStreamExt};

// ANCHOR: update
/// What happens while the feed is read.
#[derive(Debug)]
pub enum Update {
    /// An event came.
    Event {
        /// What it says; an error if this program cannot tell.
        feed: Result<Feed, FeedError>,
        /// The event as it came.
        raw: MessageEvent,
    },
    /// Something else: see [`Notice`].
    Notice(Notice),
}

impl From<Notice> for Update {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Item(Item::Event(raw)) => {
                Self::Event { feed: Feed::try_from(&raw), raw }
            }
            notice => Self::Notice(notice),
        }
    }
}

/// The feed at `url`, over as many connections as it takes.
///
/// # Errors
/// If there is no request to send to that URL.
pub fn feed(
    url: &str,
    options: Options,
) -> Result<impl Stream<Item = Result<Update, GivenUp>> + Send + use<>, GivenUp>
{
    let http = event_client::http().build().map_err(GivenUp::Request)?;
    Ok(http.get(url).notices_with(options)?.map_ok(Update::from))
}
// ANCHOR_END: update

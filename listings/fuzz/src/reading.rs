//! What a decoder is told, and what it has said in the end.

use event_stream::{Decoder, Item, LimitExceeded};

/// What a decoder is told before the stream begins.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// What one event may take, in bytes.
    pub limit: usize,
    /// The last event ID of the connection before.
    pub last_event_id: &'static str,
    /// Whether it is to skip comments.
    pub without_comments: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            limit: Decoder::DEFAULT_LIMIT,
            last_event_id: "",
            without_comments: false,
        }
    }
}

impl Setting {
    pub(crate) fn decoder(&self) -> Decoder {
        let decoder = Decoder::with_limit(self.limit)
            .with_last_event_id(self.last_event_id);
        if self.without_comments { decoder.without_comments() } else { decoder }
    }
}

/// What a stream said, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Events, comments, reconnection times and IDs, in their order.
    pub items: Vec<Item>,
    /// What a reconnection would send.
    pub last_event_id: String,
    /// The error that ended it, if one did.
    pub exceeded: Option<LimitExceeded>,
}

//! The stream: an iterator that waits in `next`. The framework asks for a
//! chunk, writes and flushes it, and asks for the next one. When a write
//! fails it asks no more: it drops the iterator.

use crate::peer::Peer;
use ch01_sockets::connections::Place;
use event_stream::{Event, HEARTBEAT};
use std::{io, net::Shutdown, sync::Arc, time::Instant};

// ANCHOR: greetings
/// The greetings for one reader, from its connection to its end.
pub(crate) struct Greetings {
    peer: Arc<Peer>,
    /// The number of the next event; `None` behind the last that a `u64` has.
    number: Option<u64>,
    /// When the next event happens.
    due: Instant,
    /// The chunk that was handed out last.
    handed: Option<Handed>,
    /// The reader's place, taken for as long as the framework has this.
    _place: Place,
}

struct Handed {
    at: Instant,
    /// What the chunk is, for the log; a heartbeat is not worth a line.
    event: Option<(u64, String)>,
}

impl Iterator for Greetings {
    type Item = Vec<u8>;

    /// Waits for the next event, or for a heartbeat's time. `None`, which
    /// makes the framework send the last chunk, when the server stops.
    fn next(&mut self) -> Option<Vec<u8>> {
        let Peer { connection, options, .. } = &*self.peer;
        // Asked again, so the last one has been written.
        if let Some(Handed { event: Some((number, text)), .. }) =
            self.handed.take()
        {
            let peer = connection.peer();
            connection
                .say(format_args!("Sent event {number} to {peer}: {text}"));
        }
        let left = self.due.saturating_duration_since(Instant::now());
        let wait = left.min(options.heartbeat);
        let number = self.number?;
        if connection.stops_within(wait) {
            return None;
        }
        let (chunk, event) = if wait < left {
            (HEARTBEAT.into(), None)
        } else {
            let text = format!("Hello! This is event {number}");
            let mut chunk = Vec::new();
            // Digits are an ID that cannot break the framing.
            let event = Event::new(&*text).with_id(number.to_string()).ok()?;
            event.encode(&mut chunk);
            self.number = number.checked_add(1);
            // Not from when it was due: a process that was stopped for a
            // while would send all that it did not, at once.
            self.due = Instant::now() + options.every;
            (chunk, Some((number, text)))
        };
        self.handed = Some(Handed { at: Instant::now(), event });
        Some(chunk)
    }
}
// ANCHOR_END: greetings

impl Greetings {
    /// A stream whose first event is due at once.
    pub(crate) fn new(peer: Arc<Peer>, place: Place, first: u64) -> Self {
        let due = Instant::now();
        let number = Some(first);
        Self { peer, number, due, handed: None, _place: place }
    }
}

// ANCHOR: drop
impl Drop for Greetings {
    /// With a chunk still handed out, the write of it failed: the framework
    /// tells us in no other way.
    fn drop(&mut self) {
        let Some(handed) = &self.handed else { return };
        let Peer { connection, options, .. } = &*self.peer;
        let (peer, limit) = (connection.peer(), options.write_timeout);
        self.peer.lose();
        // The framework has the chunk in a buffer, which tries to write it
        // once more when it is dropped. One that is gone already is closed.
        let _: io::Result<()> = connection.socket().shutdown(Shutdown::Both);
        if handed.at.elapsed() < limit {
            connection.say(format_args!("Client disconnected: {peer}"));
        } else {
            connection.say(format_args!(
                "Cut off {peer}: no room for an event in {limit:?}"
            ));
        }
    }
}
// ANCHOR_END: drop

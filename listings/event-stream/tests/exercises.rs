//! Solutions to the exercises of "The event stream".
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use event_stream::{
    Comment, Decoder, Event, FieldError, Item, MessageEvent, Reconnection,
    Retry,
};
use std::{collections::BTreeMap, time::Duration};

/// Every event of a stream that is there as a whole.
fn events(stream: &str) -> Vec<MessageEvent> {
    let (mut decoder, mut chunk) = (Decoder::new(), stream.as_bytes());
    let mut events = Vec::new();
    while let Some(item) = decoder.next(&mut chunk).unwrap() {
        if let Item::Event(event) = item {
            events.push(event.to_owned());
        }
    }
    events
}

// ANCHOR: injection
/// A server that pastes text between its own.
fn paste(name: &str, message: &str) -> String {
    format!("event: chat\nid: {name}\ndata: {message}\n\n")
}

#[test]
fn pasted_text_makes_events_of_its_own() {
    let stream = paste("ann", "hi\n\nevent: admin\ndata: shut down");
    let events = events(&stream);
    assert_eq!(events[0].data, "hi");
    assert_eq!(events[1].event_type, "admin");
    assert_eq!(events[1].data, "shut down");
}

#[test]
fn an_event_keeps_its_data() -> Result<(), FieldError> {
    let message = "hi\n\nevent: admin\ndata: shut down";
    let event = Event::new(message).with_type("chat")?.with_id("ann")?;
    let events = events(&event.to_string());
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].data, message);
    assert!(Event::new("").with_id("ann\n\nevent: admin").is_err());
    Ok(())
}
// ANCHOR_END: injection

// ANCHOR: predict
#[test]
fn four_events_and_one_reconnection_time() {
    let stream = "data\r\rid: 7\nretry: 1s\ndata:  a\n\n: data: b\n\
                  event: x\n\ndata: c\nretry: 10\nid:\n\ndata: d\n\ndata: e";
    let mut decoder = Decoder::new();
    let mut chunk = stream.as_bytes();
    let mut said = Vec::new();
    while let Some(item) = decoder.next(&mut chunk).unwrap() {
        said.push(match item {
            Item::Event(event) => format!(
                "{} {:?} {:?}",
                event.event_type, event.data, event.last_event_id
            ),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(
        said,
        [
            r#"message "" """#,
            r#"message " a" "7""#,
            r#"Comment("data: b")"#,
            "ReconnectionTime(10ms)",
            r#"message "c" """#,
            r#"message "d" """#,
        ]
    );
}
// ANCHOR_END: predict

// ANCHOR: relay
/// Writes what was read, for readers further on.
fn relay(item: &Item<&str>, out: &mut Vec<u8>) -> Result<(), FieldError> {
    match *item {
        Item::Event(event) => Event::new(event.data)
            .with_type(event.event_type)?
            .with_id(event.last_event_id)?
            .encode(out),
        Item::Comment(text) => Comment::new(text)?.encode(out),
        Item::ReconnectionTime(time) => Retry::new(time).encode(out),
        // There is no event to build, and the ID is known to be writable.
        Item::LastEventId(id) => {
            out.extend_from_slice(format!("id: {id}\n\n").as_bytes());
        }
    }
    Ok(())
}
// ANCHOR_END: relay

#[test]
fn a_relay_says_what_it_heard() {
    let say = |mut chunk: &[u8]| {
        let (mut decoder, mut relayed) = (Decoder::new(), Vec::new());
        let mut said = Vec::new();
        while let Some(item) = decoder.next(&mut chunk).unwrap() {
            relay(&item, &mut relayed).unwrap();
            said.push(format!("{item:?}"));
        }
        (said, relayed)
    };
    let stream = b"\xEF\xBB\xBFid: 1\r\rdata: a\r\ndata: \xFF\r\n\r\nretry:5\n\
                   : c\nevent: t\rid\rdata\r\rid: \0\ndata: b\n\n";
    let (said, relayed) = say(stream);
    assert_eq!(said.len(), 6);
    assert_eq!(say(&relayed), (said, relayed.clone()));
}

// ANCHOR: watchdog
/// Says when a stream has been silent for too long.
struct Watchdog {
    patience: Duration,
    last_sign: Duration,
}

impl Watchdog {
    /// Watches from `now` on, when the response began.
    fn new(patience: Duration, now: Duration) -> Self {
        Self { patience, last_sign: now }
    }

    /// Anything at all came: an event, a heartbeat, half a line.
    fn bytes_came(&mut self, now: Duration) {
        self.last_sign = now;
    }

    /// How long a read may still block; `None` if the stream is dead.
    fn time_left(&self, now: Duration) -> Option<Duration> {
        let silent = now.saturating_sub(self.last_sign);
        self.patience.checked_sub(silent).filter(|left| !left.is_zero())
    }
}
// ANCHOR_END: watchdog

#[test]
fn silence_is_noticed_and_a_heartbeat_is_not_silence() {
    let second = Duration::from_secs;
    let mut watchdog = Watchdog::new(second(45), second(100));
    assert_eq!(watchdog.time_left(second(100)), Some(second(45)));
    assert_eq!(watchdog.time_left(second(144)), Some(second(1)));
    watchdog.bytes_came(second(144));
    assert_eq!(watchdog.time_left(second(188)), Some(second(1)));
    assert_eq!(watchdog.time_left(second(189)), None);
    assert_eq!(watchdog.time_left(second(9999)), None);
}

// ANCHOR: herd
/// The most attempts in any one second while the server is away for a
/// minute, of `clients` that lost it at the same moment.
fn busiest_second(clients: u64, time: impl Fn(u64) -> Duration) -> u32 {
    let mut attempts = BTreeMap::new();
    for seed in 0..clients {
        let mut rules = Reconnection::new(seed);
        rules.item(&Item::ReconnectionTime(time(seed)));
        let mut now = rules.lost(Duration::ZERO);
        while now < Duration::from_secs(60) {
            *attempts.entry(now.as_secs()).or_insert(0) += 1;
            now += rules.lost(now);
        }
    }
    attempts.into_values().max().unwrap_or(0)
}

#[test]
fn one_time_for_all_brings_all_back_at_once() {
    let same = |_| Duration::from_secs(3);
    assert_eq!(busiest_second(1000, same), 1000);
}

#[test]
fn a_time_for_each_spreads_them() {
    // 3 to 13 seconds, drawn by the server for each connection.
    let drawn = |n| Duration::from_millis(3000 + n * 7919 % 10_000);
    assert!(busiest_second(1000, drawn) < 200);
}
// ANCHOR_END: herd

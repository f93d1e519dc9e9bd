//! Solutions to the exercises of the page on this crate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Peer, STREAM, listen, soon};
use event_client::{
    Events, Notice, RequestBuilderExt,
    event_stream::{Item, MessageEvent},
};
use futures::{Stream, StreamExt, stream};
use std::{error::Error, pin::pin, time::Duration};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{interval, timeout},
};

/// Far longer than a test takes.
const NEVER: Duration = Duration::from_secs(3600);

/// A server that sends its one reader an event each ten milliseconds.
async fn ticker(tasks: &mut JoinSet<()>) -> (AbortHandle, String) {
    let (listener, url) = listen().await;
    let task = tasks.spawn(async move {
        let (mut peer, _) = Peer::accept(&listener).await;
        peer.write(&format!("{STREAM}\r\n")).await.unwrap();
        let mut clock = interval(Duration::from_millis(10));
        for number in 1.. {
            clock.tick().await;
            let event = format!("id: {number}\ndata: x\n\n");
            peer.write(&event).await.unwrap();
        }
    });
    (task, url)
}

// ANCHOR: merge
/// What happens on any of these streams, each with the place of its stream.
fn merge<S>(
    streams: impl IntoIterator<Item = S>,
) -> impl Stream<Item = (usize, S::Item)>
where
    S: Stream + Send + 'static,
{
    let named = streams
        .into_iter()
        .enumerate()
        .map(|(place, stream)| stream.map(move |item| (place, item)).boxed());
    stream::select_all(named)
}
// ANCHOR_END: merge

#[tokio::test]
async fn two_streams_are_one() {
    let mut tasks = JoinSet::new();
    let (first, one) = ticker(&mut tasks).await;
    let (_, other) = ticker(&mut tasks).await;
    let http = event_client::http().build().unwrap();
    let streams = [one, other].map(|url| http.get(url).notices().unwrap());
    let mut merged = pin!(merge(streams));
    let mut events = [0, 0];
    while events.iter().any(|count| *count < 3) {
        let (place, notice) = soon("a notice", merged.next()).await.unwrap();
        if let Notice::Item(Item::Event(event)) = notice.unwrap() {
            events[place] += 1;
            assert_eq!(event.last_event_id, events[place].to_string());
        }
    }
    // The end of one is not the end of both.
    first.abort();
    let mut behind = 0;
    let mut is_lost = false;
    while !is_lost || behind < 3 {
        match soon("a notice", merged.next()).await.unwrap() {
            (0, Ok(Notice::Lost { .. })) => is_lost = true,
            (1, Ok(Notice::Item(_))) => behind += usize::from(is_lost),
            _ => {}
        }
    }
}

// ANCHOR: watchdog
/// The events of a stream; an error, and the end, if the next does not come
/// in time.
fn watched(
    events: Events,
    limit: Duration,
) -> impl Stream<Item = Result<MessageEvent, Box<dyn Error>>> {
    stream::unfold(Some(events), move |events| async move {
        let mut events = events?;
        Some(match timeout(limit, events.next()).await {
            Ok(Some(Ok(event))) => (Ok(event), Some(events)),
            Ok(Some(Err(error))) => (Err(error.into()), None),
            Ok(None) => return None,
            Err(_) => (Err("no event came in time".into()), None),
        })
    })
}
// ANCHOR_END: watchdog

#[tokio::test]
async fn heartbeats_do_not_calm_the_watchdog() {
    let (listener, url) = listen().await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut peer, _) = Peer::accept(&listener).await;
        let event = format!("{STREAM}\r\nid: 1\ndata: one\n\n");
        peer.write(&event).await.unwrap();
        let mut clock = interval(Duration::from_millis(10));
        // Until the connection goes, with the stream.
        while peer.write(":\n\n").await.is_ok() {
            clock.tick().await;
        }
        let (mut peer, head) = Peer::accept(&listener).await;
        assert!(head.contains("\r\nlast-event-id: 1\r\n"), "{head}");
        let event = format!("{STREAM}\r\nid: 2\ndata: two\n\n");
        peer.write(&event).await.unwrap();
        peer.closes().await;
    });
    let http = event_client::http().build().unwrap();
    let stream = http.get(&url).events().unwrap();
    let mut events = pin!(watched(stream, Duration::from_secs(2)));
    let first = soon("an event", events.next()).await.unwrap().unwrap();
    assert_eq!(first.data, "one");
    let over = soon("the end", events.next()).await.unwrap().unwrap_err();
    assert_eq!(over.to_string(), "no event came in time");
    assert!(events.next().await.is_none());

    // Whoever wants more goes on from the last event.
    let request = http.get(&url).header("Last-Event-ID", first.last_event_id);
    let stream = request.events().unwrap();
    let mut events = Box::pin(watched(stream, NEVER));
    let next = soon("an event", events.next()).await.unwrap().unwrap();
    assert_eq!(next.data, "two");
    drop(events);
    soon("the end", tasks.join_next()).await.unwrap().unwrap();
}

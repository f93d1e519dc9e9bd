//! What is lost when a future is dropped half-way: what is in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use event_client::event_stream::{Decoder, Item, Items};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::{convert::Infallible, pin::pin, time::Duration};
use tokio::time::{interval, sleep};

const STREAM: &str = "data: one\n\ndata: two\n\ndata: three\n\n";

/// A byte every ten milliseconds, as from a slow network.
fn slowly(text: &'static str) -> impl Stream<Item = Bytes> {
    stream::iter(text.as_bytes().chunks(1)).then(|byte| async {
        sleep(Duration::from_millis(10)).await;
        Bytes::from_static(byte)
    })
}

// ANCHOR: safe
/// The clock of this test jumps when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn a_stream_in_a_select_loses_nothing() {
    let bytes = slowly(STREAM).map(Ok::<_, Infallible>);
    let mut items = pin!(Items::new(bytes, Decoder::new()));
    let mut tick = interval(Duration::from_millis(3));
    let (mut data, mut ticks) = (Vec::new(), 0);
    loop {
        tokio::select! {
            item = items.try_next() => match item.unwrap() {
                Some(Item::Event(event)) => data.push(event.data),
                Some(_) => {}
                None => break,
            },
            // Each time, the future of `try_next` is dropped, unfinished.
            _ = tick.tick() => ticks += 1,
        }
    }
    assert_eq!(data, ["one", "two", "three"]);
    assert!(ticks > 100, "{ticks}");
}
// ANCHOR_END: safe

// ANCHOR: unsafe
/// The bytes to the next blank line.
async fn next_block(
    bytes: &mut (impl Stream<Item = Bytes> + Unpin),
) -> Option<String> {
    // This is part of the future, and goes with it.
    let mut block = Vec::new();
    while !block.ends_with(b"\n\n") {
        block.extend(bytes.next().await?);
    }
    String::from_utf8(block).ok()
}

#[tokio::test(start_paused = true)]
async fn a_future_in_a_select_loses_what_it_had() {
    let mut bytes = pin!(slowly(STREAM));
    let mut tick = interval(Duration::from_millis(3));
    let mut blocks = Vec::new();
    loop {
        tokio::select! {
            block = next_block(&mut bytes) => match block {
                Some(block) => blocks.push(block),
                None => break,
            },
            _ = tick.tick() => {}
        }
    }
    assert!(blocks.is_empty(), "{blocks:?}");
}
// ANCHOR_END: unsafe

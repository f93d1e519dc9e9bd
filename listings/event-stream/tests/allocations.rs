//! Once its buffers have grown, a decoder allocates nothing; nor does the
//! encoder. Owned items cost what they hold, and a history keeps to its
//! bound. The counting allocator is why this is a program of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use event_stream::{Decoder, Event, Items};
use futures::{FutureExt, StreamExt, stream};
use std::{convert::Infallible, time::Duration};

/// Everything that a decoder may have to hold: events of one line and of two,
/// IDs, types, comments, text to repair, cut at awkward places.
fn stream() -> Vec<u8> {
    let mut stream = Vec::new();
    for n in 0..100 {
        let id = n.to_string();
        let event = Event::new("one\ntwo").with_type("note").unwrap();
        event.with_id(id).unwrap().encode(&mut stream);
        Event::new("data of one line").encode(&mut stream);
        stream.extend(b": comment\n\nid: 7\n\nretry: 5\nfoo: bar\n\n");
        stream.extend(b"event: \xFF\nid: \xFF\ndata: \xC3\n\n");
    }
    stream
}

fn drain(decoder: &mut Decoder, stream: &[u8], size: usize) -> usize {
    let mut count = 0;
    for mut chunk in stream.chunks(size) {
        while decoder.next(&mut chunk).unwrap().is_some() {
            count += 1;
        }
    }
    for chunk in stream.chunks(size) {
        let mut items = decoder.items(chunk);
        while items.next().unwrap().is_some() {
            count += 1;
        }
    }
    count
}

#[test]
fn a_decoder_allocates_nothing_once_it_has_grown() {
    let stream = stream();
    for size in [1, 7, 64, 1460, stream.len()] {
        let mut decoder = Decoder::new();
        let items = drain(&mut decoder, &stream, size);
        let again = measure(|| {
            assert_eq!(drain(&mut decoder, &stream, size), items);
        });
        assert_eq!(again.count_total, 0, "in chunks of {size}");
    }
}

#[test]
fn a_decoder_holds_little_more_than_its_limit() {
    // Growing doubles a buffer: for a moment it takes three times its length.
    const LIMIT: usize = 64 * 1024;
    let lines = b"data: a line of data, and another\n".repeat(10_000);
    let line = [b"data: ".as_slice(), &b"x".repeat(1024 * 1024)].concat();
    for stream in [lines, line] {
        for size in [64, 1460, stream.len()] {
            let used = measure(|| {
                let mut decoder = Decoder::with_limit(LIMIT);
                let failed = stream.chunks(size).any(|mut chunk| {
                    loop {
                        match decoder.next(&mut chunk) {
                            Ok(Some(_)) => {}
                            Ok(None) => break false,
                            Err(_) => break true,
                        }
                    }
                });
                assert!(failed);
            });
            assert!(used.bytes_max <= 3 * LIMIT as u64 + 1024, "{used:?}");
        }
    }
}

#[test]
fn encoding_into_room_allocates_nothing() {
    let event = Event::new("one\ntwo")
        .with_type("note")
        .unwrap()
        .with_id("7")
        .unwrap()
        .with_retry(Duration::from_secs(3));
    let mut out = Vec::with_capacity(1024);
    assert_eq!(measure(|| event.encode(&mut out)).count_total, 0);
    assert!(out.ends_with(b"data: two\n\n"));
}

/// Allocations for all items of a stream, in one chunk.
fn allocations(stream: &[u8]) -> u64 {
    let chunk = stream::iter([Ok::<_, Infallible>(stream)]);
    let mut items = Items::new(chunk, Decoder::new());
    let used =
        measure(|| while items.next().now_or_never().unwrap().is_some() {});
    used.count_total
}

#[test]
fn an_owned_item_allocates_its_text_and_nothing_else() {
    let per_item = |block: &[u8]| {
        // The first ones make the decoder's own buffers grow.
        let first = allocations(&block.repeat(20));
        let more = allocations(&block.repeat(120)) - first;
        assert_eq!(more % 100, 0, "the same for each");
        more / 100
    };
    assert_eq!(per_item(b"id: 7\nevent: note\ndata: x\n\n"), 3);
    assert_eq!(per_item(b"event: note\ndata: x\n\n"), 2);
    assert_eq!(per_item(b"event: message\ndata: x\n\n"), 1);
    assert_eq!(per_item(b"data: x\n\n"), 1);
    assert_eq!(per_item(b"data: x\ndata: y\n\n"), 1);
    assert_eq!(per_item(b": heartbeat\n\n"), 1);
    assert_eq!(per_item(b"retry: 5\n\n"), 0);
    assert_eq!(per_item(b"foo: bar\n\n"), 0);
}

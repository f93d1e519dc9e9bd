//! What decoding and encoding cost, by the size of an event's data:
//! `cargo bench -p text-event-stream`.

use divan::{Bencher, black_box, counter::BytesCount};
use event_stream::{Decoder, Event};

fn main() {
    divan::main();
}

/// The data of an event, in bytes: a token, a line, a document.
const SIZES: [usize; 3] = [16, 256, 16 * 1024];

/// What a read from a socket may bring, in bytes.
const CHUNK: usize = 16 * 1024;

/// About a mebibyte of events, each with an ID.
fn stream(size: usize) -> Vec<u8> {
    let data = "x".repeat(size);
    let mut stream = Vec::new();
    let mut number = 0;
    while stream.len() < 1024 * 1024 {
        number += 1;
        stream.extend(format!("id: {number}\ndata: {data}\n\n").into_bytes());
    }
    stream
}

#[divan::bench(args = SIZES)]
fn decode_borrowed(bencher: Bencher<'_, '_>, size: usize) {
    let stream = stream(size);
    bencher.counter(BytesCount::of_slice(&stream)).bench_local(|| {
        let mut decoder = Decoder::new();
        for chunk in black_box(&stream).chunks(CHUNK) {
            let mut items = decoder.items(chunk);
            while let Ok(Some(item)) = items.next() {
                black_box(item);
            }
        }
    });
}

#[divan::bench(args = SIZES)]
fn decode_owned(bencher: Bencher<'_, '_>, size: usize) {
    let stream = stream(size);
    bencher.counter(BytesCount::of_slice(&stream)).bench_local(|| {
        let mut decoder = Decoder::new();
        for chunk in black_box(&stream).chunks(CHUNK) {
            let mut items = decoder.items(chunk);
            while let Ok(Some(item)) = items.next() {
                black_box(item.to_owned());
            }
        }
    });
}

#[divan::bench(args = SIZES)]
fn encode(bencher: Bencher<'_, '_>, size: usize) {
    let event = Event::new("x".repeat(size));
    let mut out = Vec::with_capacity(2 * size + 64);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        out.clear();
        black_box(&event).encode(&mut out);
        black_box(&out);
    });
}

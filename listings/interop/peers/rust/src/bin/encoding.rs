//! How long an event takes to become bytes, and how long each further reader
//! of it: lines for `bench`, which makes a table of them.

use allocation_counter::measure;
use axum::{
    body::HttpBody,
    response::{IntoResponse, sse},
};
use bytes::Bytes;
use event_stream::Event;
use futures::stream;
use peers::version;
use sse_stream::Sse;
use std::{
    convert::Infallible,
    env,
    hint::black_box,
    pin::pin,
    process::ExitCode,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// How many events are timed together.
const COUNT: u16 = 10_000;

type Encode = fn(&'static [String], &mut dyn FnMut(&[u8]));

/// Who is timed: it shows what it made of each text.
const CONTESTANTS: [(&str, Encode); 6] = [
    ("memcpy", copy),
    ("event-stream", encode),
    ("event-stream, Bytes", encode_to_share),
    ("a further reader", share),
    ("axum", axum),
    ("sse-stream", sse_stream),
];

fn encoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    Event::new(text).encode(&mut bytes);
    bytes
}

/// Bytes that are there already, into the same room.
fn copy(texts: &'static [String], see: &mut dyn FnMut(&[u8])) {
    let bytes = encoded(&texts[0]);
    let mut room = Vec::new();
    for _ in texts {
        room.clear();
        room.extend_from_slice(black_box(&bytes));
        see(&room);
    }
}

// ANCHOR: encode
/// One event after the other, into the same room.
fn encode(texts: &'static [String], see: &mut dyn FnMut(&[u8])) {
    let mut room = Vec::new();
    for text in texts {
        room.clear();
        Event::new(text).encode(&mut room);
        see(&room);
    }
}

/// Each into bytes of its own, which many readers can share.
fn encode_to_share(texts: &'static [String], see: &mut dyn FnMut(&[u8])) {
    for text in texts {
        see(&Bytes::from(encoded(text)));
    }
}

/// What each of those readers costs.
fn share(texts: &'static [String], see: &mut dyn FnMut(&[u8])) {
    let bytes = Bytes::from(encoded(&texts[0]));
    for _ in texts {
        see(&black_box(&bytes).clone());
    }
}

/// What each reader costs where each has events of its own.
fn axum(texts: &'static [String], see: &mut dyn FnMut(&[u8])) {
    let events = texts
        .iter()
        .map(|text| Ok::<_, Infallible>(sse::Event::default().data(text)));
    let response = sse::Sse::new(stream::iter(events)).into_response();
    let mut body = pin!(response.into_body());
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) =
        body.as_mut().poll_frame(&mut context)
    {
        if let Some(bytes) = frame.data_ref() {
            see(bytes);
        }
    }
}
// ANCHOR_END: encode

fn sse_stream(texts: &'static [String], see: &mut dyn FnMut(&[u8])) {
    for text in texts {
        if let Ok(bytes) = Sse::default().data(text).encode() {
            see(&bytes);
        }
    }
}

/// Times everybody once, round by round, and counts what it allocates.
fn race(name: &str, size: usize, rounds: u32) -> Result<(), String> {
    let texts: &'static [String] = vec!["x".repeat(size); COUNT.into()].leak();
    let expected = encoded(&texts[0]);
    let mut samples = [const { Vec::new() }; CONTESTANTS.len()];
    for (name, encode) in CONTESTANTS {
        let mut count = 0;
        encode(texts, &mut |bytes| count += usize::from(bytes == expected));
        if count != usize::from(COUNT) {
            return Err(format!("{name} wrote {count} of {COUNT} events"));
        }
    }
    for _ in 0..rounds {
        for ((_, encode), samples) in CONTESTANTS.iter().zip(&mut samples) {
            let start = Instant::now();
            encode(black_box(texts), &mut |bytes| {
                black_box(bytes);
            });
            samples.push(start.elapsed());
        }
    }
    for ((who, encode), samples) in CONTESTANTS.iter().zip(samples) {
        let samples: Vec<_> =
            samples.iter().map(|time| each(*time).to_string()).collect();
        println!("times\t{name}\t{who}\t{}", samples.join(" "));
        let used = measure(|| {
            encode(texts, &mut |bytes| {
                black_box(bytes);
            });
        });
        // What is made once for all of them is no allocation an event.
        let allocations = used.count_total / u64::from(COUNT);
        println!("allocates\t{name}\t{who}\t{allocations}");
    }
    Ok(())
}

/// Nanoseconds an event.
fn each(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(COUNT)
}

fn main() -> ExitCode {
    let mut args = env::args().skip(1).map(|arg| arg.parse());
    let (Some(Ok(rounds)), None) = (args.next(), args.next()) else {
        eprintln!("usage: encoding ROUNDS");
        return ExitCode::FAILURE;
    };
    for name in ["axum", "sse-stream"] {
        println!("version\t{name}\t{}", version(name));
    }
    for (name, size) in [("64 bytes", 64), ("1 KiB", 1024)] {
        if let Err(error) = race(name, size, rounds) {
            eprintln!("encoding: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

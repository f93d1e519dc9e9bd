//! How long each crate takes to read the same bytes, beside two floors: lines
//! for `bench`, which makes a table of them.
//!
//! Nobody is timed before what it read was held against what is to be read,
//! event by event. Then everybody is timed once, round by round.

use allocation_counter::measure;
use bytes::Bytes;
use event_stream::{Decoder, Item};
use peers::{Reader, Seen, Visitor, for_each_reader};
use std::{
    env,
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

/// What came out of a stream: how many events, and a number made of all the
/// bytes of their data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Events {
    count: u64,
    sum: u64,
}

impl Events {
    fn add(&mut self, data: &[u8]) {
        self.count += 1;
        // FNV-1a, with a byte that no data has before each event.
        for byte in [0xFF].iter().chain(data) {
            self.sum ^= u64::from(*byte);
            self.sum = self.sum.wrapping_mul(0x0100_0000_01B3);
        }
    }
}

// ANCHOR: inputs
/// A stream, and the events in it.
struct Input {
    name: &'static str,
    stream: Vec<u8>,
    events: Events,
}

const SIZE: usize = 1024 * 1024;

impl Input {
    /// A mebibyte of blocks, and what is left of the last one.
    fn new(
        name: &'static str,
        mut block: impl FnMut(&mut Words) -> Block,
    ) -> Self {
        let mut words = Words(1);
        let (mut stream, mut events) = (Vec::new(), Events::default());
        while stream.len() < SIZE {
            match block(&mut words) {
                Block::Heartbeat => stream.extend(b": heartbeat\n\n"),
                Block::Data(data) => {
                    stream.extend(b"data: ");
                    stream.extend(data.as_bytes());
                    stream.extend(b"\n\n");
                    events.add(data.as_bytes());
                }
            }
        }
        Self { name, stream, events }
    }
}

enum Block {
    Data(String),
    Heartbeat,
}

fn inputs() -> [Input; 4] {
    let mut blocks = 0;
    [
        // What a language model's server sends for each token.
        Input::new("tokens", |words| {
            let id = words.next();
            let text = words.text(14, 154);
            Block::Data(format!(
                "{{\"id\":\"{id:016x}\",\"delta\":{{\"text\":\"{text}\"}}}}"
            ))
        }),
        Input::new("1 KiB", |words| Block::Data(words.text(1024, 1024))),
        Input::new("1 MiB", |words| Block::Data(words.text(SIZE, SIZE))),
        Input::new("heartbeats", |words| {
            blocks += 1;
            match blocks % 20 {
                0 => Block::Data(words.text(60, 200)),
                _ => Block::Heartbeat,
            }
        }),
    ]
}
// ANCHOR_END: inputs

/// The same numbers each time, by the generator splitmix64.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Letters and spaces, at least and at most so many.
    fn text(&mut self, least: usize, most: usize) -> String {
        const LETTERS: &[u8] = b"etaoin shrdlu cmfwyp vbgkqjxz,. ";
        let more = self.next() % (most - least + 1) as u64;
        let length = least + usize::try_from(more).unwrap_or(0);
        let letter = |n: u64| char::from(LETTERS[(n % 32) as usize]);
        (0..length).map(|_| letter(self.next() >> 32)).collect()
    }
}

/// Whoever is timed: what it reads, and what it does with it when it is.
struct Contestant {
    name: &'static str,
    events: fn(&[Bytes]) -> Result<Events, String>,
    run: fn(&[Bytes]) -> u64,
}

/// The contestants in the order of the table.
struct Contestants(Vec<Contestant>);

impl Visitor for Contestants {
    fn visit<R: Reader>(&mut self) {
        if takes_part::<R>() {
            self.add::<R>(R::CRATE);
        }
    }
}

impl Contestants {
    fn add<R: Reader>(&mut self, name: &'static str) {
        let (events, run) = (events::<R>, run::<R>);
        self.0.push(Contestant { name, events, run });
    }
}

/// One form of each crate; of the book's own, those below.
fn takes_part<R: Reader>() -> bool {
    R::CRATE != "event-stream"
        && (R::CRATE, R::FORM) != ("sse-core", "SseStream")
}

fn events<R: Reader>(chunks: &[Bytes]) -> Result<Events, String> {
    let mut events = Events::default();
    R::read(chunks, |seen| {
        if let Some(data) = seen.data() {
            events.add(data);
        }
    })?;
    Ok(events)
}

/// Reads, and has the compiler believe that each item is looked at.
#[inline(never)]
fn run<R: Reader>(chunks: &[Bytes]) -> u64 {
    let mut seen = 0;
    let read = R::read(chunks, |item| {
        black_box(&item);
        seen += 1;
    });
    black_box(read.is_ok());
    seen
}

/// Its items borrowed, a chunk at a time.
struct Borrowed;

impl Reader for Borrowed {
    const CRATE: &'static str = "event-stream";
    const FORM: &'static str = "Decoder::items";

    fn read(
        chunks: &[Bytes],
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        let mut decoder = Decoder::new();
        for chunk in chunks {
            let mut items = decoder.items(chunk);
            while let Some(item) = items.next().map_err(|e| e.to_string())? {
                each(seen(&item));
            }
        }
        Ok(())
    }
}

/// The same, with comments skipped.
struct Skipping;

impl Reader for Skipping {
    const CRATE: &'static str = "event-stream";
    const FORM: &'static str = "Decoder::items, without_comments";

    fn read(
        chunks: &[Bytes],
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        let mut decoder = Decoder::new().without_comments();
        for chunk in chunks {
            let mut items = decoder.items(chunk);
            while let Some(item) = items.next().map_err(|e| e.to_string())? {
                each(seen(&item));
            }
        }
        Ok(())
    }
}

/// The same, and a copy made of each event: what the other crates do.
struct Owned;

impl Reader for Owned {
    const CRATE: &'static str = "event-stream";
    const FORM: &'static str = "Decoder::items, without_comments, to_owned";

    fn read(
        chunks: &[Bytes],
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        let mut decoder = Decoder::new().without_comments();
        for chunk in chunks {
            let mut items = decoder.items(chunk);
            while let Some(item) = items.next().map_err(|e| e.to_string())? {
                each(seen(&item.to_owned().as_deref()));
            }
        }
        Ok(())
    }
}

/// Borrowed, an item at a time.
struct OneByOne;

impl Reader for OneByOne {
    const CRATE: &'static str = "event-stream";
    const FORM: &'static str = "Decoder::next";

    fn read(
        chunks: &[Bytes],
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        let mut decoder = Decoder::new();
        for mut chunk in chunks.iter().map(AsRef::as_ref) {
            while let Some(item) =
                decoder.next(&mut chunk).map_err(|e| e.to_string())?
            {
                each(seen(&item));
            }
        }
        Ok(())
    }
}

fn seen<'a>(item: &Item<&'a str>) -> Seen<'a> {
    match *item {
        Item::Event(event) => Seen::Event {
            event_type: event.event_type,
            data: event.data.as_bytes(),
            last_event_id: event.last_event_id,
        },
        Item::Comment(comment) => Seen::Comment(comment),
        Item::ReconnectionTime(time) => Seen::ReconnectionTime(time),
        Item::LastEventId(id) => Seen::LastEventId(id),
    }
}

// ANCHOR: floors
/// Where each line ends, and nothing else.
fn scan(chunks: &[Bytes]) -> u64 {
    let ends = |chunk: &Bytes| {
        memchr::memchr2_iter(b'\n', b'\r', chunk).map(black_box).count() as u64
    };
    chunks.iter().map(ends).sum()
}

/// Each chunk copied into the same room.
fn copy(chunks: &[Bytes]) -> u64 {
    let mut room = Vec::new();
    for chunk in chunks {
        room.clear();
        room.extend_from_slice(chunk);
        black_box(&room);
    }
    room.len() as u64
}
// ANCHOR_END: floors

// As a decoder that finds no events.
#[allow(clippy::unnecessary_wraps)]
fn nothing(_: &[Bytes]) -> Result<Events, String> {
    Ok(Events::default())
}

fn contestants() -> Vec<Contestant> {
    let floor = |name, run| Contestant { name, events: nothing, run };
    let mut contestants =
        Contestants(vec![floor("memchr2", scan), floor("memcpy", copy)]);
    contestants.add::<Borrowed>("event-stream");
    contestants.add::<Skipping>("event-stream, skips");
    contestants.add::<Owned>("event-stream, owned");
    contestants.add::<OneByOne>("event-stream, next");
    for_each_reader(&mut contestants);
    contestants.0
}

fn is_floor(contestant: &Contestant) -> bool {
    contestant.name.starts_with("mem")
}

/// Why there is nothing to time; or how long it took to look.
fn look(
    contestant: &Contestant,
    chunks: &[Bytes],
    expected: Events,
) -> Result<Duration, String> {
    let start = Instant::now();
    let events = (contestant.events)(chunks)?;
    let took = start.elapsed();
    if is_floor(contestant) || events == expected {
        return Ok(took);
    }
    Err(match events.count {
        count if count == expected.count => "other data".to_owned(),
        count => format!("{count} of {} events", expected.count),
    })
}

/// Who took longer than this to look is timed only once.
const LONG: Duration = Duration::from_millis(200);

fn race(input: &Input, size: usize, rounds: u32) {
    let chunks: Vec<Bytes> =
        input.stream.chunks(size).map(Bytes::copy_from_slice).collect();
    let contestants = contestants();
    let looked: Vec<_> = contestants
        .iter()
        .map(|contestant| look(contestant, &chunks, input.events))
        .collect();
    let mut samples = vec![Vec::new(); contestants.len()];
    for round in 0..rounds {
        for ((contestant, looked), samples) in
            contestants.iter().zip(&looked).zip(&mut samples)
        {
            let is_long = looked.as_ref().is_ok_and(|took| *took > LONG);
            if looked.is_ok() && (round == 0 || !is_long) {
                let start = Instant::now();
                black_box((contestant.run)(black_box(&chunks)));
                samples.push(start.elapsed().as_nanos().to_string());
            }
        }
    }
    let twice = [&chunks[..], &chunks[..]].concat();
    for ((contestant, looked), samples) in
        contestants.iter().zip(looked).zip(samples)
    {
        let here = format!("{}\t{size}\t{}", input.name, contestant.name);
        match looked {
            Err(why) => println!("fails\t{here}\t{why}"),
            Ok(took) => {
                println!("times\t{here}\t{}", samples.join(" "));
                if took <= LONG && !is_floor(contestant) {
                    let count = |chunks| {
                        measure(|| {
                            black_box((contestant.run)(chunks));
                        })
                        .count_total
                    };
                    let (first, both) = (count(&chunks), count(&twice));
                    println!("allocates\t{here}\t{}", both - first);
                }
            }
        }
    }
}

struct Versions;

impl Visitor for Versions {
    fn visit<R: Reader>(&mut self) {
        if takes_part::<R>() {
            println!("version\t{}\t{}", R::CRATE, R::version());
        }
    }
}

/// Reads a stream once, for a profiler that looks at `run` only.
fn once(input: &str, size: &str, decoder: &str) -> Option<()> {
    let inputs = inputs();
    let input = inputs.iter().find(|it| it.name == input)?;
    let size = size.parse().ok().filter(|size| *size > 0)?;
    let chunks: Vec<Bytes> =
        input.stream.chunks(size).map(Bytes::copy_from_slice).collect();
    let contestants = contestants();
    let contestant = contestants.iter().find(|it| it.name == decoder)?;
    black_box((contestant.run)(&chunks));
    println!("input\t{}\t{}", input.name, input.stream.len());
    Some(())
}

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        [rounds] => rounds.parse().ok().map(all),
        [input, size, decoder] => once(input, size, decoder),
        _ => None,
    };
    if done.is_some() {
        return ExitCode::SUCCESS;
    }
    eprintln!("usage: decoding ROUNDS | decoding INPUT CHUNK DECODER");
    ExitCode::FAILURE
}

fn all(rounds: u32) {
    for_each_reader(&mut Versions);
    for input in inputs() {
        let Input { name, stream, events } = &input;
        println!("input\t{name}\t{}\t{}", stream.len(), events.count);
        for size in [64, 1460, 16_384] {
            race(&input, size, rounds);
        }
    }
}

//! Who is timed reading a stream, and in which form.

use crate::{
    Reader, Seen, Visitor,
    clock::Around,
    for_each_reader,
    inputs::Event,
    readers::{Body, drain, seen, text},
};
use bytes::Bytes;
use event_stream::{Decoder, Items};
use std::{convert::Infallible, hint::black_box, pin::Pin};

type Look = fn(&[Bytes]) -> Result<Vec<Event>, String>;

/// Who is timed.
#[derive(Clone, Copy, Debug)]
pub struct Contestant {
    /// What it is called.
    pub name: &'static str,
    /// `None` for one that reads no events: it is there to compare with.
    look: Option<Look>,
    run: fn(&[Bytes], Around<'_>) -> Result<(), String>,
}

impl Contestant {
    /// Whether it reads events.
    #[must_use]
    pub const fn is_decoder(&self) -> bool {
        self.look.is_some()
    }

    /// Holds what it reads against what is to be read: type, data and ID of
    /// each event.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(
        &self,
        chunks: &[Bytes],
        expected: &[Event],
    ) -> Result<(), String> {
        let Some(look) = self.look else { return Ok(()) };
        let events = look(chunks)?;
        if events.len() != expected.len() {
            let (count, of) = (events.len(), expected.len());
            return Err(format!("{count} of {of} events"));
        }
        for (at, (event, expected)) in events.iter().zip(expected).enumerate() {
            let what = match event {
                it if it.data != expected.data => "data",
                it if it.event_type != expected.event_type => "type",
                it if it.id != expected.id => "ID",
                _ => continue,
            };
            return Err(format!("other {what} in event {}", at + 1));
        }
        Ok(())
    }

    /// Prepares it, and hands over what is left to do.
    ///
    /// # Errors
    /// If the crate does not take the chunks.
    pub fn run(
        &self,
        chunks: &[Bytes],
        around: Around<'_>,
    ) -> Result<(), String> {
        (self.run)(chunks, around)
    }
}

/// All of them, in the order of a table.
#[must_use]
pub fn contestants() -> Vec<Contestant> {
    let yardstick = |name, run| Contestant { name, look: None, run };
    let mut all = Contestants(vec![
        yardstick("memchr2", |chunks, around| {
            around(&mut || scan(chunks));
            Ok(())
        }),
        yardstick("memcpy", |chunks, around| {
            let mut room = Vec::new();
            around(&mut || copy(chunks, &mut room));
            Ok(())
        }),
    ]);
    all.add::<Borrowed>("event-stream");
    all.add::<Skipping>("event-stream, skips");
    all.add::<crate::EventStream>("event-stream, next");
    all.add::<Owned>("event-stream, owned");
    all.add::<Streamed>("event-stream, Items");
    for_each_reader(&mut all);
    all.0
}

// ANCHOR: yardsticks
/// Where each line ends, and nothing else.
#[inline(never)]
fn scan(chunks: &[Bytes]) {
    for chunk in chunks {
        for end in memchr::memchr2_iter(b'\n', b'\r', chunk) {
            black_box(end);
        }
    }
}

/// Each chunk copied into the same room.
#[inline(never)]
fn copy(chunks: &[Bytes], room: &mut Vec<u8>) {
    for chunk in chunks {
        room.clear();
        room.extend_from_slice(chunk);
        black_box(&room);
    }
}
// ANCHOR_END: yardsticks

struct Contestants(Vec<Contestant>);

impl Visitor for Contestants {
    fn visit<R: Reader>(&mut self) {
        match (R::CRATE, R::FORM) {
            // Those are in the list.
            ("event-stream", _) => {}
            ("sse-core", "SseStream") => self.add::<R>("sse-core, SseStream"),
            (name, _) => self.add::<R>(name),
        }
    }
}

impl Contestants {
    fn add<R: Reader>(&mut self, name: &'static str) {
        self.0.push(Contestant { name, look: Some(look::<R>), run: run::<R> });
    }
}

fn look<R: Reader>(chunks: &[Bytes]) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    R::read(chunks, |seen| events.extend(event(&seen)))?;
    Ok(events)
}

/// A copy of an event. Of a block it is the type and the ID that it names.
fn event(seen: &Seen<'_>) -> Option<Event> {
    let (event_type, data, id) = match *seen {
        Seen::Event { event_type, data, last_event_id } => {
            (event_type, data, last_event_id)
        }
        Seen::Block { event, data, id, .. } => {
            (event.unwrap_or("message"), data?, id.unwrap_or_default())
        }
        _ => return None,
    };
    let [event_type, id] = [event_type, id].map(ToOwned::to_owned);
    Some(Event { event_type, data: data.to_vec(), id })
}

fn run<R: Reader>(chunks: &[Bytes], around: Around<'_>) -> Result<(), String> {
    let mut input = R::prepare(chunks)?;
    around(&mut || read::<R>(&mut input));
    Ok(())
}

/// Reads, and has the compiler believe that each item is looked at. That
/// there is no error was seen before.
#[inline(never)]
fn read<R: Reader>(input: &mut R::Input) {
    let read = R::run(input, |item| {
        black_box(&item);
    });
    black_box(read.is_ok());
}

fn read_items(
    (decoder, chunks): &mut (Decoder, Vec<Bytes>),
    mut each: impl FnMut(Seen<'_>),
) -> Result<(), String> {
    for chunk in chunks {
        let mut items = decoder.items(chunk);
        while let Some(item) = items.next().map_err(text)? {
            each(seen(&item));
        }
    }
    Ok(())
}

/// Its items borrowed, a chunk at a time.
struct Borrowed;

impl Reader for Borrowed {
    const CRATE: &'static str = "event-stream";
    const FORM: &'static str = "Decoder::items";

    type Input = (Decoder, Vec<Bytes>);

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        Ok((Decoder::new(), chunks.to_vec()))
    }

    #[inline]
    fn run(
        input: &mut Self::Input,
        each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        read_items(input, each)
    }
}

/// The same, with comments skipped.
struct Skipping;

impl Reader for Skipping {
    const CRATE: &'static str = "event-stream";
    const FORM: &'static str = "Decoder::items, without_comments";

    type Input = (Decoder, Vec<Bytes>);

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        Ok((Decoder::new().without_comments(), chunks.to_vec()))
    }

    #[inline]
    fn run(
        input: &mut Self::Input,
        each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        read_items(input, each)
    }
}

/// The same, and a copy made of each event: what the other crates do.
struct Owned;

impl Reader for Owned {
    const CRATE: &'static str = "event-stream";
    const FORM: &'static str = "Decoder::items, without_comments, to_owned";

    type Input = (Decoder, Vec<Bytes>);

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        Skipping::prepare(chunks)
    }

    fn run(
        (decoder, chunks): &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        for chunk in chunks {
            let mut items = decoder.items(chunk);
            while let Some(item) = items.next().map_err(text)? {
                each(seen(&item.to_owned().as_deref()));
            }
        }
        Ok(())
    }
}

/// A stream of events, owned, over a stream of chunks.
struct Streamed;

impl Reader for Streamed {
    const CRATE: &'static str = "event-stream";
    const FORM: &'static str = "Items, without_comments";

    type Input = Pin<Box<Items<Body<Infallible>>>>;

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        let decoder = Decoder::new().without_comments();
        Ok(Box::pin(Items::new(Body::new(chunks), decoder)))
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        drain(input, |item| {
            each(seen(&item.map_err(text)?.as_deref()));
            Ok(())
        })
    }
}

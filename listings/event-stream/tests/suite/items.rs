//! `Items`: what the decoder says, out of a stream of chunks.

use crate::{
    fixtures::fixtures,
    said::{self, Said},
};
use event_stream::{
    Decoder, EventStreamExt, Events, Item, Items, ItemsError, LimitExceeded,
};
use futures::{FutureExt, Stream, StreamExt, stream};
use serde_json::Value;
use std::{
    collections::VecDeque,
    convert::Infallible,
    error::Error,
    fmt,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// What a body does when it is polled.
#[derive(Clone, Debug)]
enum Step {
    Pending,
    Chunk(Vec<u8>),
    Fail(&'static str),
}

use Step::{Chunk, Fail, Pending};

/// A body that follows a script, then ends. It must not be polled again.
struct Body {
    steps: VecDeque<Step>,
    has_ended: bool,
    /// Shared with the test, which sees the body dropped.
    alive: Rc<()>,
    /// The waker of the last poll that was pending.
    waker: Rc<std::cell::RefCell<Option<Waker>>>,
}

impl Stream for Body {
    type Item = Result<Vec<u8>, &'static str>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        assert!(!self.has_ended, "polled after its end");
        match self.steps.pop_front() {
            Some(Pending) => {
                *self.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
            Some(Chunk(chunk)) => Poll::Ready(Some(Ok(chunk))),
            Some(Fail(error)) => Poll::Ready(Some(Err(error))),
            None => {
                self.has_ended = true;
                Poll::Ready(None)
            }
        }
    }
}

fn body(steps: impl IntoIterator<Item = Step>) -> Body {
    Body {
        steps: steps.into_iter().collect(),
        has_ended: false,
        alive: Rc::default(),
        waker: Rc::default(),
    }
}

fn chunk(text: &str) -> Step {
    Chunk(text.as_bytes().to_vec())
}

fn said(item: &Item) -> Said {
    item.as_deref().into()
}

/// Every item of chunks that come without waiting and without an error.
fn collect<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Said> {
    let chunks = chunks.into_iter().map(Ok::<_, Infallible>);
    Items::new(stream::iter(chunks), Decoder::new())
        .map(|item| said(&item.unwrap()))
        .collect()
        .now_or_never()
        .expect("nothing to wait for")
}

/// The next item; `None` if it is not there yet. What was asked for it is
/// dropped, as the branches of a `select!` are that come too late.
#[expect(clippy::option_option, reason = "pending, ended, or an item")]
fn poll(items: &mut Items<Body>) -> Option<Option<ItemOr<&'static str>>> {
    items.next().now_or_never()
}

type ItemOr<E> = Result<Item, ItemsError<E>>;

fn json(said: &[Said]) -> Vec<Value> {
    said.iter().map(Said::to_json).collect()
}

#[test]
fn fixtures_say_the_same_whole_and_byte_by_byte() {
    for fixture in fixtures() {
        let whole = collect([&*fixture.stream]);
        assert_eq!(json(&whole), fixture.expected, "{}, whole", fixture.name);
        let bytes = collect(fixture.stream.chunks(1));
        assert_eq!(bytes, whole, "{}, byte by byte", fixture.name);
    }
}

#[test]
fn fixtures_say_the_same_cut_at_every_point() {
    for fixture in fixtures() {
        for at in 0..=fixture.stream.len() {
            let (front, back) = fixture.stream.split_at(at);
            let said = collect([front, &[], back]);
            let name = &fixture.name;
            assert_eq!(json(&said), fixture.expected, "{name}, cut at {at}");
        }
    }
}

#[test]
fn a_dropped_next_loses_nothing() {
    for fixture in fixtures() {
        let steps = fixture
            .stream
            .chunks(1)
            .flat_map(|byte| [Pending, Chunk(byte.to_vec())])
            .chain([Pending]);
        let mut items = Items::new(body(steps), Decoder::new());
        let (mut received, mut pending) = (Vec::new(), 0);
        loop {
            match poll(&mut items) {
                None => pending += 1,
                Some(Some(item)) => received.push(said(&item.unwrap())),
                Some(None) => break,
            }
        }
        assert_eq!(pending, fixture.stream.len() + 1, "{}", fixture.name);
        assert_eq!(json(&received), fixture.expected, "{}", fixture.name);
    }
}

#[test]
fn an_item_comes_before_the_next_chunk_is_asked_for() {
    let mut items = Items::new(
        body([chunk("data: a\n\ndata: b\n\nda"), Pending, chunk("ta: c\n\n")]),
        Decoder::new(),
    );
    let mut data = Vec::new();
    while let Some(Some(Ok(Item::Event(event)))) = poll(&mut items) {
        data.push(event.data);
    }
    assert_eq!(data, ["a", "b"], "and then it waits for bytes");
    let Some(Some(Ok(Item::Event(event)))) = poll(&mut items) else {
        panic!("an event");
    };
    assert_eq!(event.data, "c");
}

#[test]
fn bytes_that_come_wake_who_waits_for_items() {
    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let body = body([chunk("data: "), Pending, chunk("a\n\n")]);
    let waker = Rc::clone(&body.waker);
    let mut items = Items::new(body, Decoder::new());
    let count = Arc::new(Count(AtomicU32::new(0)));
    let mine = Waker::from(Arc::clone(&count));
    let context = &mut Context::from_waker(&mine);
    assert!(Pin::new(&mut items).poll_next(context).is_pending());
    waker.borrow_mut().take().expect("a waker").wake();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(Pin::new(&mut items).poll_next(context).is_ready());
}

/// Asks on after the end.
#[track_caller]
fn has_ended(items: &mut Items<Body>) {
    for _ in 0..3 {
        assert_eq!(poll(items), Some(None));
    }
}

#[test]
fn the_end_drops_the_body_and_half_an_event() {
    let body = body([chunk("data: a\n\ndata: half\n")]);
    let alive = Rc::clone(&body.alive);
    let mut items = Items::new(body, Decoder::new());
    assert!(matches!(poll(&mut items), Some(Some(Ok(Item::Event(_))))));
    assert_eq!(Rc::strong_count(&alive), 2, "there may be more");
    assert_eq!(poll(&mut items), Some(None));
    assert_eq!(Rc::strong_count(&alive), 1, "the connection is given back");
    has_ended(&mut items);
}

#[test]
fn an_error_of_the_body_comes_behind_what_was_read_and_is_the_last() {
    let body = body([
        chunk("data: a\n\nretry: 5\ndata: half"),
        Fail("connection reset"),
        chunk("\n\ndata: b\n\n"),
    ]);
    let alive = Rc::clone(&body.alive);
    let mut items = Items::new(body, Decoder::new());
    assert!(matches!(poll(&mut items), Some(Some(Ok(Item::Event(_))))));
    assert!(matches!(
        poll(&mut items),
        Some(Some(Ok(Item::ReconnectionTime(_))))
    ));
    let error = ItemsError::Bytes("connection reset");
    assert_eq!(poll(&mut items), Some(Some(Err(error))));
    assert_eq!(Rc::strong_count(&alive), 1, "the connection is given back");
    has_ended(&mut items);
}

#[test]
fn the_limit_comes_behind_what_was_read_and_is_the_last() {
    let body = body([chunk("data: a\n\ndata: 12345\n\n"), chunk(": c\n")]);
    let alive = Rc::clone(&body.alive);
    let mut items = Items::new(body, Decoder::with_limit(10));
    assert!(matches!(poll(&mut items), Some(Some(Ok(Item::Event(_))))));
    let error = ItemsError::Limit(LimitExceeded { limit: 10, offset: 9 + 10 });
    assert_eq!(poll(&mut items), Some(Some(Err(error))));
    assert_eq!(Rc::strong_count(&alive), 1, "the connection is given back");
    has_ended(&mut items);
}

#[test]
fn the_decoder_carries_the_id_of_the_connection_before() {
    let decoder = Decoder::new().with_last_event_id("7");
    let mut items = Items::new(body([chunk("data: a\n\n")]), decoder);
    let Some(Some(Ok(Item::Event(event)))) = poll(&mut items) else {
        panic!("an event");
    };
    assert_eq!(event.last_event_id, "7");
}

#[test]
fn a_stream_of_any_bytes_will_do() {
    let whole =
        |item: Option<ItemOr<Infallible>>| said(&item.unwrap().unwrap());
    let expected = Said::event("message", "a", "");
    let text = "data: a\n\n";
    let strs = stream::iter([Ok(text)]);
    let vecs = stream::iter([Ok(text.as_bytes().to_vec())]);
    let bytes = stream::iter([Ok(bytes::Bytes::from_static(text.as_bytes()))]);
    let mut strs = Items::new(strs, Decoder::new());
    let mut vecs = Items::new(vecs, Decoder::new());
    let mut bytes = Items::new(bytes, Decoder::new());
    assert_eq!(whole(strs.next().now_or_never().unwrap()), expected);
    assert_eq!(whole(vecs.next().now_or_never().unwrap()), expected);
    assert_eq!(whole(bytes.next().now_or_never().unwrap()), expected);
}

#[test]
fn it_goes_where_its_body_goes() {
    fn is_send<T: Send + 'static>(_: &T) {}
    let chunks = stream::iter([Ok::<_, Infallible>("")]);
    is_send(&Items::new(chunks.clone(), Decoder::new()));
    is_send(&chunks.events());
}

#[test]
fn the_extension_gives_items_or_events() {
    for fixture in fixtures() {
        for size in [1, fixture.stream.len().max(1)] {
            let chunks = || {
                stream::iter(fixture.stream.chunks(size))
                    .map(Ok::<_, Infallible>)
            };
            let all: Vec<_> = chunks()
                .items()
                .map(Result::unwrap)
                .collect()
                .now_or_never()
                .unwrap();
            let said: Vec<_> = all.iter().map(said).collect();
            assert_eq!(json(&said), fixture.expected, "{}", fixture.name);
            let events = chunks()
                .events()
                .map(|event| Item::Event(event.unwrap()))
                .collect::<Vec<_>>()
                .now_or_never()
                .unwrap();
            let is_event = |item: &Item| matches!(item, Item::Event(_));
            let wanted: Vec<_> = all.into_iter().filter(is_event).collect();
            assert_eq!(events, wanted, "{}", fixture.name);
        }
    }
}

/// The data of the next event; `None` if it is not there yet.
#[expect(clippy::option_option, reason = "pending, ended, or an event")]
fn poll_event(
    events: &mut Events<Body>,
) -> Option<Option<Result<String, ItemsError<&'static str>>>> {
    let event = events.next().now_or_never()?;
    Some(event.map(|event| event.map(|event| event.data)))
}

#[test]
fn events_wait_end_and_fail_as_items_do() {
    let first = body([
        chunk(": a\nretry: 5\nid: 7\n\ndata: a\n\nid: 8\n\nda"),
        Pending,
        chunk("ta: b\n\n: c\ndata: half\n"),
    ]);
    let alive = Rc::clone(&first.alive);
    let decoder = Decoder::new().with_last_event_id("6");
    let mut events = Items::new(first, decoder).events();
    assert_eq!(events.last_event_id(), "6");
    assert_eq!(poll_event(&mut events), Some(Some(Ok("a".into()))));
    assert_eq!(events.last_event_id(), "7");
    assert_eq!(poll_event(&mut events), None, "and what came is kept");
    assert_eq!(events.last_event_id(), "8", "though no event has it yet");
    assert_eq!(poll_event(&mut events), Some(Some(Ok("b".into()))));
    assert!(!events.is_unfinished());
    for _ in 0..3 {
        assert_eq!(poll_event(&mut events), Some(None));
    }
    assert!(events.is_unfinished());
    assert_eq!(Rc::strong_count(&alive), 1, "the connection is given back");

    let mut events = body([chunk("data: a\n\n"), Fail("reset")]).events();
    assert_eq!(poll_event(&mut events), Some(Some(Ok("a".into()))));
    let error = ItemsError::Bytes("reset");
    assert_eq!(poll_event(&mut events), Some(Some(Err(error))));
    assert_eq!(poll_event(&mut events), Some(None));
}

#[test]
fn events_of_a_long_comment_hold_none_of_it() {
    let comment = [b": ", &[b'x'; 100][..]].concat();
    let steps = [Chunk(comment), chunk("\ndata: a\n\n")];
    let mut events = body(steps.clone()).events();
    assert_eq!(poll_event(&mut events), Some(Some(Ok("a".into()))));
    // A decoder of one's own may be one that holds comments.
    let decoder = Decoder::with_limit(10);
    let mut events = Items::new(body(steps), decoder).events();
    let limit = LimitExceeded { limit: 10, offset: 10 };
    let error = ItemsError::Limit(limit);
    assert_eq!(poll_event(&mut events), Some(Some(Err(error))));
}

/// An error with one below it.
#[derive(Debug)]
struct Outer(fmt::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body broke")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn an_error_says_what_happened_once() {
    let error = ItemsError::Bytes(Outer(fmt::Error));
    assert_eq!(error.to_string(), "the body broke");
    assert_eq!(error.source().unwrap().to_string(), fmt::Error.to_string());
    let limit = LimitExceeded { limit: 1, offset: 2 };
    let error = ItemsError::<Outer>::Limit(limit);
    assert_eq!(error.to_string(), limit.to_string());
    assert!(error.source().is_none());
}

#[test]
fn an_owned_item_is_the_borrowed_one() {
    for fixture in fixtures() {
        let borrowed = said::items([&*fixture.stream]);
        let (mut decoder, mut rest) = (Decoder::new(), &*fixture.stream);
        let mut owned = Vec::new();
        while let Some(item) = decoder.next(&mut rest).unwrap() {
            let copy = item.to_owned();
            assert_eq!(copy.as_deref(), item);
            owned.push(said(&copy));
        }
        assert_eq!(owned, borrowed, "{}", fixture.name);
    }
}

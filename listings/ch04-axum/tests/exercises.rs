//! Solutions to the exercises of chapter 4.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

#[allow(dead_code, unreachable_pub, reason = "the example has a `main`")]
#[path = "../examples/board.rs"]
mod board;

use axum::{
    Router,
    body::Body,
    extract::{Extension, Query, Request, State},
    http::{HeaderValue, Method, StatusCode, header::RETRY_AFTER},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use board::{Board, Snapshot};
use bytes::Bytes;
use ch03_hyper::connections::Peer;
use ch04_axum::{
    client::{self, Update},
    feed::{Feed, FeedError, Post},
    reply::Problem,
    routes,
    server::{App, Options, Seat},
};
use common::{NEVER, Running, quiet, request, silent, soon};
use event_client::{GivenUp, Options as Reading};
use event_log::{
    History,
    hub::{self, Block, Hub, Says},
};
use event_stream::{Decoder, Event, Item, Items, MessageEvent};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

fn posted(text: &str) -> Feed {
    Feed::Posted(Post { author: "Ada".into(), text: text.into() })
}

/// The items of a response's body.
fn items(
    response: Response,
) -> Pin<Box<impl Stream<Item = Result<Item, impl std::fmt::Debug>>>> {
    assert_eq!(response.status(), StatusCode::OK);
    let bytes = response.into_body().into_data_stream();
    Box::pin(Items::new(bytes, Decoder::new()))
}

// ANCHOR: types
#[derive(Deserialize)]
struct Wanted {
    /// Event types, with commas between them; all if it is not there.
    types: Option<String>,
}

async fn some_events(
    Query(Wanted { types }): Query<Wanted>,
    seat: Seat,
) -> Result<Response, Problem> {
    let is_wanted = move |event_type: &str| {
        let types = types.as_deref();
        types.is_none_or(|t| t.split(',').any(|wanted| wanted == event_type))
    };
    let Some(reader) = seat.reader() else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let blocks = reader.into_stream();
    Ok(seat.stream(blocks.map(move |block| only(&is_wanted, block))))
}

/// The block, or in place of an event that is not wanted its ID alone. That
/// events are missing is for every reader.
fn only(is_wanted: impl Fn(&str) -> bool, block: Block) -> Block {
    if let Says::Event(_) = block.says
        && let Ok(Some(Item::Event(event))) =
            Decoder::new().next(&mut &*block.encoded)
        && !is_wanted(event.event_type)
    {
        let encoded = format!("id: {}\n\n", event.last_event_id).into();
        return Block { says: Says::Nothing, encoded };
    }
    block
}
// ANCHOR_END: types

#[tokio::test]
async fn a_reader_may_choose_among_the_types() {
    let app = silent(Options { kept_events: 3, ..quiet() });
    let routes = Router::new()
        .route("/events", get(some_events))
        .with_state(app.clone());
    // What a connection has until `id`, one word an item.
    let read = async |last_event_id: &str, id: &str| {
        let fields = [("Last-Event-ID", last_event_id)];
        let ask = request("GET", "/events?types=posted", &fields, "");
        let mut items = items(routes.clone().oneshot(ask).await.unwrap());
        let mut seen = Vec::new();
        loop {
            let item = soon("an item", items.next()).await.unwrap().unwrap();
            let (what, at) = match item {
                Item::ReconnectionTime(_) => continue,
                Item::LastEventId(at) => ("-".into(), at),
                Item::Event(event) => (event.event_type, event.last_event_id),
                Item::Comment(_) => panic!("a comment"),
            };
            seen.push(what);
            if at == id {
                break seen;
            }
        }
    };
    let greet = || app.publish(&Feed::Greeting("Hello!".into())).unwrap();
    let post = || app.publish(&posted("Hi")).unwrap();
    let first = greet();
    let zero = first.replace("-1", "-0");
    let (_, third) = (post(), greet());
    assert_eq!(read(&zero, &third).await, ["-", "posted", "-"]);
    // It comes back with the ID of a greeting, for what came since.
    let fourth = post();
    assert_eq!(read(&third, &fourth).await, ["posted"]);
    // Events 1 and 2 are gone, and it is told, though it did not ask.
    let fifth = greet();
    assert_eq!(read(&zero, &fifth).await, ["missed", "-", "posted", "-"]);
}

// ANCHOR: quota
/// So many posts in so much time from one address.
struct Quota {
    posts: u32,
    time: Duration,
    /// When the time began, and how many have come since, from where.
    counts: Mutex<(Instant, HashMap<IpAddr, u32>)>,
}

/// The most addresses that are counted; whoever else comes must wait.
const MAX_ADDRESSES: usize = 10_000;

impl Quota {
    /// Counts one post; the time to wait if that is too many.
    fn take(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        // Whoever has one address of version 6 has 2^64 of them.
        let from = match from.to_canonical() {
            IpAddr::V6(ip) => {
                Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into()
            }
            ip @ IpAddr::V4(_) => ip,
        };
        let mut counts =
            self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, counts) = &mut *counts;
        let mut later = self.time.saturating_sub(now - *began);
        if later.is_zero() {
            (*began, later) = (now, self.time);
            counts.clear();
        }
        if counts.len() >= MAX_ADDRESSES && !counts.contains_key(&from) {
            return Err(later);
        }
        let count = counts.entry(from).or_default();
        if *count == self.posts {
            return Err(later);
        }
        *count += 1;
        Ok(())
    }
}

async fn within_quota(
    State(quota): State<Arc<Quota>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::POST
        && let Err(later) = quota.take(peer.ip(), Instant::now())
    {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut response =
            Problem::new(status, "Too many posts: slow down.").into_response();
        let seconds = HeaderValue::from(later.as_secs() + 1);
        response.headers_mut().insert(RETRY_AFTER, seconds);
        return response;
    }
    next.run(request).await
}
// ANCHOR_END: quota

#[tokio::test]
async fn past_the_quota_429() {
    let began = Instant::now();
    let counts = Mutex::new((began, HashMap::new()));
    let quota = Arc::new(Quota { posts: 2, time: NEVER, counts });
    let app = silent(quiet());
    let routes = |from: [u8; 4]| {
        let layer =
            middleware::from_fn_with_state(Arc::clone(&quota), within_quota);
        routes::router(app.clone())
            .layer(layer)
            .layer(Extension(Peer(SocketAddr::from((from, 50_000)))))
    };
    let post = || {
        let json = [("Content-Type", "application/json")];
        let body = r#"{"author":"Ada","text":"Hi"}"#;
        request("POST", "/messages", &json, Body::from(body))
    };
    let (one, other) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    for (from, status) in [(one, 202), (one, 202), (one, 429), (other, 202)] {
        let response = routes(from).oneshot(post()).await.unwrap();
        assert_eq!(response.status(), status);
        if status == 429 {
            let seconds = response.headers()[RETRY_AFTER].to_str().unwrap();
            assert!(seconds.parse::<u64>().unwrap() <= NEVER.as_secs() + 1);
        }
    }
    let network = |ip: &str| ip.parse::<IpAddr>().unwrap();
    for (from, is_taken) in [
        ("2001:db8:0:1::1", true),
        ("2001:db8:0:1::2", true),
        ("2001:db8:0:1:ffff::", false),
        ("2001:db8:0:2::1", true),
        ("::ffff:127.0.0.1", false),
    ] {
        let took = quota.take(network(from), began);
        assert_eq!(took.is_ok(), is_taken, "{from}");
    }
    // Reading is no posting, and time heals.
    let head = request("HEAD", "/events", &[], "");
    assert_eq!(routes(one).oneshot(head).await.unwrap().status(), 200);
    quota.take(IpAddr::from(one), began + NEVER).unwrap();
}

// ANCHOR: presence
/// How many readers there are: not what happened, but how things stand. Only
/// the newest value counts, so there is nothing to replay.
#[derive(Clone)]
struct Presence(watch::Sender<usize>);

/// One reader; it is counted for as long as this lives.
struct Present(watch::Sender<usize>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Presence {
    /// An event of type `presence` now, and at each change.
    fn events(&self) -> impl Stream<Item = Block> + use<> {
        self.0.send_modify(|count| *count += 1);
        let present = Present(self.0.clone());
        let mut counts = self.0.subscribe();
        counts.mark_changed();
        stream::unfold((present, counts), async |(present, mut counts)| {
            counts.changed().await.ok()?;
            let count = counts.borrow_and_update().to_string();
            // No ID: the reader keeps that of the last event it may ask after.
            let event = Event::new(count).with_type("presence").ok()?;
            let encoded = event.to_string().into();
            let block = Block { says: Says::Nothing, encoded };
            Some((block, (present, counts)))
        })
    }
}

async fn events_and_presence(
    Extension(presence): Extension<Presence>,
    seat: Seat,
) -> Result<Response, Problem> {
    let Some(reader) = seat.reader() else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let events = reader.into_stream();
    Ok(seat.stream(stream::select(events, presence.events())))
}
// ANCHOR_END: presence

#[tokio::test]
async fn presence_is_told_and_never_replayed() {
    let stop = CancellationToken::new();
    let app = App::new(quiet(), stop.clone(), Arc::new(|_| ()));
    let presence = Presence(watch::Sender::new(0));
    let routes = Router::new()
        .route("/events", get(events_and_presence))
        .layer(Extension(presence.clone()))
        .with_state(app.clone());
    let open = async |last_event_id: &str| {
        let fields = [("Last-Event-ID", last_event_id)];
        let ask = request("GET", "/events", &fields, "");
        items(routes.clone().oneshot(ask).await.unwrap())
    };
    let mut first = open("").await;
    let mut event = async |wanted: &str| loop {
        let item = soon(wanted, first.next()).await.unwrap().unwrap();
        match item {
            Item::Event(event) if event.event_type == wanted => break event,
            _ => {}
        }
    };
    assert_eq!(event("presence").await.data, "1");
    let id = app.publish(&posted("Hi")).unwrap();
    assert_eq!(event("posted").await.last_event_id, id);

    let second = open("").await;
    let MessageEvent { data, last_event_id, .. } = event("presence").await;
    assert_eq!((&*data, &last_event_id), ("2", &id));
    drop(second);
    assert_eq!(event("presence").await.data, "1");
    let Err(error) = Feed::try_from(&MessageEvent {
        event_type: "presence".into(),
        data,
        last_event_id,
    }) else {
        panic!("known");
    };
    assert!(matches!(error, FeedError::Unknown(_)));

    // One that comes back has what it lacks, and how things stand now.
    let next = app.publish(&posted("Still there?")).unwrap();
    let mut again = open(&id).await;
    let mut seen = HashMap::new();
    while seen.len() < 2 {
        let item = soon("an event", again.next()).await.unwrap().unwrap();
        if let Item::Event(event) = item {
            seen.insert(event.event_type, event.data);
        }
    }
    assert!(seen["posted"].contains("Still there?"), "{next}");
    assert_eq!(seen["presence"], "2");
    // And an end, though the counts have none.
    stop.cancel();
    while soon("the end", again.next()).await.is_some() {}
}

// ANCHOR: posts
/// The posts at `url`, whatever else comes and however often the connection
/// is made anew.
fn posts(
    url: &str,
) -> Result<impl Stream<Item = Result<Post, GivenUp>>, GivenUp> {
    let feed = client::feed(url, Reading::default())?;
    Ok(feed.try_filter_map(async |update| {
        Ok(match update {
            Update::Event { feed: Ok(Feed::Posted(post)), .. } => Some(post),
            Update::Event { .. } | Update::Notice(_) => None,
        })
    }))
}
// ANCHOR_END: posts

#[tokio::test]
async fn only_the_posts() {
    let every = Duration::from_millis(1);
    let mut server = Running::start(Options { every, ..quiet() }).await;
    let url = format!("http://{}/events", server.addr);
    let mut posts = pin!(posts(&url).unwrap());
    let read = async {
        let mut texts = Vec::new();
        for _ in 0..2 {
            texts.push(posts.next().await.unwrap().unwrap().text);
        }
        texts
    };
    let post = async {
        // The reader is there, and gets greetings.
        server.lines.after("Sent event ").await;
        for text in ["one", "two"] {
            server.post("Ada", text).await;
        }
    };
    let (texts, ()) = tokio::join!(soon("two posts", read), post);
    assert_eq!(texts, ["one", "two"]);
}

// ANCHOR: notes
type Table = BTreeMap<u64, String>;

/// Notes in a table that knows nothing of the stream: no lock holds both.
struct Notes {
    table: Mutex<Table>,
    hub: Hub,
}

/// The number is the note's own, and not that of an event.
#[derive(Serialize, Deserialize)]
struct Note {
    number: u64,
    text: String,
}

impl Notes {
    /// First the table, then the stream: what the stream tells of is in the
    /// table. `told` is called when the event has its ID.
    fn add(
        &self,
        text: &str,
        told: impl FnOnce(),
    ) -> Result<(), Box<dyn Error>> {
        let number = {
            let mut table = self.table();
            let number = table.last_key_value().map_or(1, |(last, _)| last + 1);
            table.insert(number, text.to_owned());
            number
        };
        let event = Event::from_json(&Note { number, text: text.into() })?;
        self.hub.publish(event, |_| told())?;
        Ok(())
    }

    /// First the stream, then the table: what is added in between is in both.
    fn snapshot(&self) -> (String, Table) {
        let last_event_id = self.hub.position();
        (last_event_id, self.table().clone())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comes twice is there once, and the order is that of the numbers.
fn apply(copy: &mut Table, note: Note) {
    copy.insert(note.number, note.text);
}
// ANCHOR_END: notes

fn notes(kept: usize) -> Notes {
    let history = History::new(0x5eed, kept, usize::MAX);
    let hub = Hub::new(history, 16, hub::missed);
    Notes { table: Mutex::default(), hub }
}

/// What a copy is, when the stream has come to `end`.
async fn followed(
    notes: &Notes,
    (mut at, mut copy): (String, Table),
    end: &str,
) -> Table {
    let mut reader = notes.hub.subscribe(Some(&*at)).unwrap();
    while at != end {
        let block = soon("an event", reader.next()).await.unwrap();
        let mut decoder = Decoder::new();
        let item = decoder.next(&mut &*block.encoded).unwrap().unwrap();
        let Item::Event(event) = item else {
            panic!("{item:?}");
        };
        event.last_event_id.clone_into(&mut at);
        apply(&mut copy, event.json().unwrap());
    }
    copy
}

#[tokio::test]
async fn what_comes_between_the_two_steps_is_never_missing() {
    let notes = notes(10);
    let (before, _) = notes.snapshot();
    // Somebody looks between the two steps of `add`: the event is before the
    // position, so the note must be in the table.
    let mut between = None;
    notes.add("one", || between = Some(notes.snapshot())).unwrap();
    let (position, table) = between.unwrap();
    assert_eq!((&*position, &*table[&1]), ("5eed-1", "one"));
    // It is added between the two steps of `snapshot`: it comes once more.
    let copy = followed(&notes, (before, table), &position).await;
    assert_eq!(copy, *notes.table());
}

#[tokio::test]
async fn whoever_looks_while_others_add_has_all_in_the_end() {
    const EACH: usize = 200;
    let notes = notes(2 * EACH);
    let (start, snapshots) = (Barrier::new(4), Mutex::new(Vec::new()));
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                start.wait();
                for number in 0..EACH {
                    notes.add(&number.to_string(), || ()).unwrap();
                    thread::yield_now();
                }
            });
            threads.spawn(|| {
                start.wait();
                let mut due = 0;
                loop {
                    let (position, table) = notes.snapshot();
                    let number = position.strip_prefix("5eed-").unwrap();
                    let number: usize = number.parse().unwrap();
                    assert!(number <= table.len(), "{number} {}", table.len());
                    if number >= due {
                        due = number + EACH / 10;
                        snapshots.lock().unwrap().push((position, table));
                    }
                    if number == 2 * EACH {
                        break;
                    }
                }
            });
        }
    });
    let (end, table) = notes.snapshot();
    assert_eq!(table.len(), 2 * EACH);
    for snapshot in snapshots.into_inner().unwrap() {
        assert_eq!(followed(&notes, snapshot, &end).await, table);
    }
}

// ANCHOR: loads
/// A board that is encoded once for all who load it between two events.
struct Loads {
    app: App,
    board: Board,
    /// The newest that was encoded, and up to which event it is.
    newest: Mutex<Option<(String, Bytes)>>,
}

impl Loads {
    /// The lock is held while the board is encoded: whoever comes meanwhile
    /// waits for these bytes and makes none.
    fn json(&self) -> Result<Bytes, serde_json::Error> {
        let newest = self.newest.lock();
        let mut newest = newest.unwrap_or_else(PoisonError::into_inner);
        let position = self.app.position();
        if let Some((id, json)) = &*newest
            && *id == position
        {
            return Ok(json.clone());
        }
        // It may be newer than `position`, and says itself what it is.
        let snapshot = self.board.snapshot();
        let json = Bytes::from(serde_json::to_vec(&snapshot)?);
        *newest = Some((snapshot.last_event_id, json.clone()));
        Ok(json)
    }
}
// ANCHOR_END: loads

#[tokio::test]
async fn a_board_is_encoded_once_for_all_who_load_it() {
    let app = silent(quiet());
    let board = Board::new(app.clone());
    let newest = Mutex::default();
    let loads = Loads { app: app.clone(), board: board.clone(), newest };
    let post = |text: &str| {
        let post = Post { author: "Ada".into(), text: text.into() };
        board.post(post).unwrap();
    };
    post("one");
    let start = Barrier::new(8);
    let load = || {
        start.wait();
        loads.json().unwrap()
    };
    let all: Vec<_> = thread::scope(|threads| {
        let threads: Vec<_> = (0..8).map(|_| threads.spawn(load)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(all.iter().all(|json| json.as_ptr() == all[0].as_ptr()));
    let is_the_board = || {
        let json = loads.json().unwrap();
        let loaded: Snapshot = serde_json::from_slice(&json).unwrap();
        assert_eq!(loaded, board.snapshot());
    };
    is_the_board();
    post("two");
    is_the_board();
    // No post, and the position moves all the same.
    app.publish(&Feed::Greeting("Hello!".into())).unwrap();
    is_the_board();
}

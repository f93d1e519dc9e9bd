//! Solutions to the exercises of chapter 4.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use axum::{
    Router,
    body::Body,
    extract::{Extension, Query, Request, State},
    http::{HeaderValue, Method, StatusCode, header::RETRY_AFTER},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
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
use event_log::hub::{Block, Says};
use event_stream::{Decoder, Event, Item, Items, MessageEvent};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
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

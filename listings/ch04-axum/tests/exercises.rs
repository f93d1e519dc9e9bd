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
use bytes::Bytes;
use ch03_hyper::{client::GivenUp, connections::Peer};
use ch04_axum::{
    client::{self, Update},
    feed::{Feed, FeedError, Post},
    reply::{EventStream, Problem},
    server::{self, App},
};
use common::{NEVER, Running, quiet, request, silent, soon};
use event_stream::{Decoder, Event, Item, Items, MessageEvent};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tower::ServiceExt;

fn posted(text: &str) -> impl FnOnce(u64) -> Feed {
    let post = Post { author: "Ada".into(), text: text.into() };
    |_| Feed::Posted(post)
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
    State(app): State<App>,
    Query(Wanted { types }): Query<Wanted>,
) -> Result<impl IntoResponse, Problem> {
    let is_wanted = move |event_type: &str| {
        let types = types.as_deref();
        types.is_none_or(|t| t.split(',').any(|wanted| wanted == event_type))
    };
    let events = app.hub.subscribe(None)?.into_stream();
    let encoded = events.map_ok(move |encoded| only(&is_wanted, encoded));
    Ok(EventStream { encoded, heartbeat: Duration::from_secs(15) })
}

/// The event, or its ID alone.
fn only(is_wanted: impl Fn(&str) -> bool, encoded: Bytes) -> Bytes {
    match Decoder::new().next(&mut &*encoded) {
        Ok(Some(Item::Event(event))) if !is_wanted(event.event_type) => {
            format!("id: {}\n\n", event.last_event_id).into()
        }
        _ => encoded,
    }
}
// ANCHOR_END: types

#[tokio::test]
async fn a_reader_may_choose_among_the_types() {
    let app = silent(quiet());
    let routes = Router::new()
        .route("/events", get(some_events))
        .with_state(app.clone());
    let path = "/events?types=posted,missed";
    let response = routes.oneshot(request("GET", path, &[], "")).await;
    let mut items = items(response.unwrap());
    app.hub.publish(|_| Feed::Greeting("Hello!".into())).unwrap();
    let id = app.hub.publish(posted("Hi")).unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(soon("an item", items.next()).await.unwrap().unwrap());
    }
    // Its place; that of the greeting; the post.
    assert!(
        matches!(&seen[0], Item::LastEventId(place) if place.ends_with("-0"))
    );
    assert!(
        matches!(&seen[1], Item::LastEventId(place) if place.ends_with("-1"))
    );
    let Item::Event(event) = &seen[2] else { panic!("{seen:?}") };
    assert_eq!((&*event.event_type, &event.last_event_id), ("posted", &id));
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
        server::router(app.clone())
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
    fn events(&self) -> impl Stream<Item = Result<Bytes, FeedError>> + use<> {
        self.0.send_modify(|count| *count += 1);
        let present = Present(self.0.clone());
        let mut counts = self.0.subscribe();
        counts.mark_changed();
        stream::unfold((present, counts), async |(present, mut counts)| {
            counts.changed().await.ok()?;
            let count = counts.borrow_and_update().to_string();
            // No ID: the reader keeps that of the last event it may ask after.
            let event = Event::new(count).with_type("presence");
            let encoded = event.map(|event| event.to_string().into());
            Some((encoded.map_err(FeedError::Field), (present, counts)))
        })
    }
}

async fn events_and_presence(
    State(app): State<App>,
    Extension(presence): Extension<Presence>,
) -> Result<impl IntoResponse, Problem> {
    let events = app.hub.subscribe(None)?.into_stream();
    let encoded = stream::select(events, presence.events());
    Ok(EventStream { encoded, heartbeat: Duration::from_secs(15) })
}
// ANCHOR_END: presence

#[tokio::test]
async fn presence_is_told_and_never_replayed() {
    let app = silent(quiet());
    let presence = Presence(watch::Sender::new(0));
    let routes = Router::new()
        .route("/events", get(events_and_presence))
        .layer(Extension(presence.clone()))
        .with_state(app.clone());
    let open = async || {
        let ask = request("GET", "/events", &[], "");
        items(routes.clone().oneshot(ask).await.unwrap())
    };
    let mut first = open().await;
    let mut event = async |wanted: &str| loop {
        let item = soon(wanted, first.next()).await.unwrap().unwrap();
        match item {
            Item::Event(event) if event.event_type == wanted => break event,
            _ => {}
        }
    };
    assert_eq!(event("presence").await.data, "1");
    let id = app.hub.publish(posted("Hi")).unwrap();
    assert_eq!(event("posted").await.last_event_id, id);

    let second = open().await;
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
}

// ANCHOR: posts
/// The posts at `url`, whatever else comes and however often the connection
/// is made anew.
fn posts(
    url: &str,
) -> Result<impl Stream<Item = Result<Post, GivenUp>>, GivenUp> {
    let feed = client::feed(url)?;
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
    let mut server = Running::start(server::Options { every, ..quiet() }).await;
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

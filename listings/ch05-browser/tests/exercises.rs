//! The solutions of the exercises that are in Rust; those in JavaScript are
//! in `page/exercises.test.mjs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use axum::{
    Router,
    extract::{Query, Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::post,
};
use ch05_browser::lab;
use common::{answer, quiet, request, silent, text};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

// ANCHOR: tickets
/// Tickets that nobody has used yet, and until when they can be.
#[derive(Clone, Default)]
struct Tickets(Arc<Mutex<HashMap<String, Instant>>>);

/// The most tickets that wait, and how long each does.
const MOST: usize = 1_000;
const GOOD_FOR: Duration = Duration::from_secs(10);

impl Tickets {
    /// A ticket; none if too many wait.
    fn sell(&self, now: Instant) -> Option<String> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, until| now < *until);
        if waiting.len() >= MOST {
            return None;
        }
        let ticket = lab::id().ok()?;
        waiting.insert(ticket.clone(), now + GOOD_FOR);
        Some(ticket)
    }

    /// Whether it is good; it is not any more.
    fn take(&self, ticket: &str, now: Instant) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(ticket).is_some_and(|until| now < until)
    }
}

async fn sell(State(tickets): State<Tickets>, head: HeaderMap) -> Response {
    // Whatever the application knows its users by.
    if head.get(AUTHORIZATION).is_none_or(|token| token != "Bearer ada") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match tickets.sell(Instant::now()) {
        Some(ticket) => ([(CACHE_CONTROL, "no-store")], ticket).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[derive(Deserialize)]
struct Shown {
    ticket: Option<String>,
}

/// Around the routes that need one.
async fn look(
    State(tickets): State<Tickets>,
    Query(Shown { ticket }): Query<Shown>,
    request: Request,
    next: Next,
) -> Response {
    let is_good = |ticket: String| tickets.take(&ticket, Instant::now());
    if ticket.is_some_and(is_good) {
        return next.run(request).await;
    }
    StatusCode::UNAUTHORIZED.into_response()
}
// ANCHOR_END: tickets

fn guarded(tickets: &Tickets) -> Router {
    silent(&quiet()).layer(from_fn_with_state(tickets.clone(), look)).merge(
        Router::new().route("/tickets", post(sell)).with_state(tickets.clone()),
    )
}

#[tokio::test]
async fn a_ticket_is_good_once() {
    let routes = guarded(&Tickets::default());
    let events = async |path: &str| {
        answer(&routes, request("GET", path, &[], "")).await.status()
    };
    assert_eq!(events("/events").await, 401);
    assert_eq!(events("/events?ticket=").await, 401);
    assert_eq!(events("/events?ticket=5eed").await, 401);

    let post = request("POST", "/tickets", &[], "");
    assert_eq!(answer(&routes, post).await.status(), 401);
    let who = [("Authorization", "Bearer ada")];
    let sold = answer(&routes, request("POST", "/tickets", &who, "")).await;
    assert_eq!(sold.status(), 200);
    let path = format!("/events?ticket={}", text(sold).await);
    assert_eq!(events(&path).await, 200);
    assert_eq!(events(&path).await, 401);
}

#[test]
fn a_ticket_that_nobody_shows_is_gone_in_time() {
    let tickets = Tickets::default();
    let now = Instant::now();
    let late = tickets.sell(now).unwrap();
    let last = GOOD_FOR.saturating_sub(Duration::from_millis(1));
    let other = tickets.sell(now).unwrap();
    assert_ne!(late, other);
    assert!(tickets.take(&other, now + last));
    assert!(!tickets.take(&late, now + GOOD_FOR));

    for _ in 0..MOST {
        tickets.sell(now).unwrap();
    }
    assert_eq!(tickets.sell(now), None);
    assert!(tickets.sell(now + GOOD_FOR).is_some());
    assert_eq!(tickets.0.lock().unwrap().len(), 1);
}

/// Type, data, last event ID.
type Event = (&'static str, &'static str, &'static str);

#[test]
fn four_streams() {
    // ANCHOR: four
    let streams: [(&[u8], &[Event]); 4] = [
        // CR ends a line, so there are two of data; then CRLF is the blank.
        (b"data: a\rdata: b\n\r\n", &[("message", "a\nb", "")]),
        // An empty line of data is data; a comment is nothing.
        (b": hi\n\ndata\n\n", &[("message", "", "")]),
        // The second block sets an ID and says nothing; it is kept.
        (
            b"event: t\ndata: a\n\nid: 7\n\ndata: b\n\n",
            &[("t", "a", ""), ("message", "b", "7")],
        ),
        // A NUL spoils the ID, not the event. Nothing ends the last one.
        (b"id: 1\0\ndata: x\n\ndata: y\n", &[("message", "x", "")]),
    ];
    // ANCHOR_END: four
    for (bytes, expected) in streams {
        let reading = lab::read(bytes);
        assert_eq!(reading.error, None);
        let events = reading.items.iter().filter_map(|said| match said {
            lab::Said::Event { event_type, data, id } => {
                Some((&**event_type, &**data, &**id))
            }
            _ => None,
        });
        let events: Vec<_> = events.collect();
        assert_eq!(events, expected, "{}", bytes.escape_ascii());
    }
}

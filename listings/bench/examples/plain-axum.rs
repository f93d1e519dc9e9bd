//! A server as axum's documentation builds one: its own `Sse` with
//! `KeepAlive`, a `broadcast` channel for all readers, `axum::serve`. What is
//! posted to `/messages` is published as it is.
//!
//! It is less than chapter 4: nothing is kept for a reader that comes back,
//! and one that stalls is not cut off. What a reader missed it is not told.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;
use std::{env, io};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::time::{Instant, interval_at};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

/// How many events a reader may be behind.
const BEHIND: usize = 256;

// ANCHOR: plain
type Events = broadcast::Sender<Event>;

async fn events(
    State(events): State<Events>,
    Extension(heartbeat): Extension<Duration>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // Of what a reader missed nothing is said.
    let events = BroadcastStream::new(events.subscribe());
    let events = events.filter_map(|event| event.ok().map(Ok));
    Sse::new(events).keep_alive(KeepAlive::new().interval(heartbeat))
}

async fn publish(State(events): State<Events>, data: String) -> StatusCode {
    // The error says that nobody reads.
    let _ = events.send(Event::default().data(data));
    StatusCode::ACCEPTED
}
// ANCHOR_END: plain

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(option("--addr")?).await?;
    let addr = listener.local_addr()?;
    let (every, heartbeat) = (time("--every")?, time("--heartbeat")?);
    println!("Server running at http://{addr}/events");
    let sender = Events::new(BEHIND);
    let routes = Router::new()
        .route("/events", get(events))
        .route("/messages", post(publish))
        .layer(Extension(heartbeat))
        .with_state(sender.clone());
    tokio::select! {
        () = greet(&sender, every) => Ok(()),
        ended = serve(listener, routes) => Ok(ended?),
    }
}

async fn serve(listener: TcpListener, routes: Router) -> io::Result<()> {
    // Nagle's algorithm would hold back the second of two events until the
    // first is acknowledged. If it does, that is slower and no worse.
    let listener = listener.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    axum::serve(listener, routes).await
}

async fn greet(events: &Events, every: Duration) {
    let mut ticks = interval_at(Instant::now() + every, every);
    let mut number: u64 = 0;
    loop {
        ticks.tick().await;
        number += 1;
        let data = format!("Hello! This is event {number}");
        let event = Event::default().id(number.to_string()).data(data);
        // The error says that nobody reads.
        let _ = events.send(event);
    }
}

/// The argument behind this one. `bench` gives others, too.
fn option(name: &str) -> Result<String, String> {
    let mut args = env::args().skip_while(|arg| arg != name);
    args.nth(1).ok_or_else(|| format!("{name} is missing"))
}

fn time(name: &str) -> Result<Duration, Box<dyn Error>> {
    Ok(humantime::parse_duration(&option(name)?)?)
}

//! Blocking code behind an async server: a thread for each stream, and a
//! channel with few places between the two.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use ch01_sockets::server::first_event;
use event_stream::{Event, HEARTBEAT};
use futures::{Stream, StreamExt, stream};
use std::{error::Error, io, sync::Arc, thread, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// From one event to the next.
const EVERY: Duration = Duration::from_millis(100);
/// The longest silence (§9.2.7).
const SILENCE: Duration = Duration::from_secs(15);
/// Threads at once: one for each stream.
const MOST: usize = 250;

// ANCHOR: work
/// What the work says of its end.
pub(crate) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Work that blocks: it waits, and tells what it has.
fn greet(first: u64, sink: &Sink) -> Outcome {
    for number in first.. {
        thread::sleep(EVERY);
        let event = Event::new(format!("Hello! This is event {number}"));
        sink.tell(&event.with_id(number.to_string())?)?;
    }
    Ok(())
}
// ANCHOR_END: work

// ANCHOR: bridge
/// How many events may wait for a reader that is slow.
pub(crate) const PLACES: usize = 16;

/// Where the work tells its events.
pub(crate) struct Sink(mpsc::Sender<Bytes>);

impl Sink {
    /// Waits for a place.
    ///
    /// # Errors
    /// If the reader has left: then the work should end.
    pub(crate) fn tell(&self, event: &Event<'_>) -> io::Result<()> {
        let mut block = Vec::new();
        event.encode(&mut block);
        self.0
            .blocking_send(block.into())
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// Begins the work in a thread of its own. The stream has what it tells, and
/// ends when the work has ended well. Otherwise it ends with an error.
///
/// # Errors
/// If the system has no thread left.
pub(crate) fn in_a_thread(
    work: impl FnOnce(&Sink) -> Outcome + Send + 'static,
) -> io::Result<impl Stream<Item = io::Result<Bytes>>> {
    let (sender, blocks) = mpsc::channel(PLACES);
    let (ended, end) = oneshot::channel();
    thread::Builder::new().spawn(move || {
        let outcome = work(&Sink(sender));
        // Nobody asks for it when the reader has left.
        let _ = ended.send(outcome);
    })?;
    Ok(stream::unfold(Some((blocks, end)), async |state| {
        let (mut blocks, end) = state?;
        let block = match timeout(SILENCE, blocks.recv()).await {
            Err(_) => Bytes::from_static(HEARTBEAT.as_bytes()),
            Ok(Some(block)) => block,
            Ok(None) => {
                let error = match end.await {
                    Ok(Ok(())) => return None,
                    Ok(Err(error)) => io::Error::other(error),
                    // It was dropped on the way: a panic.
                    Err(_) => io::Error::other("the work panicked"),
                };
                return Some((Err(error), None));
            }
        };
        Some((Ok(block), Some((blocks, end))))
    }))
}
// ANCHOR_END: bridge

// ANCHOR: serve
#[derive(Clone)]
struct App {
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

const HEAD: [(&str, &str); 3] = [
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache, no-transform"),
    ("x-accel-buffering", "no"),
];

async fn events(State(app): State<App>, fields: HeaderMap) -> Response {
    let id = fields.get("last-event-id").and_then(|id| id.to_str().ok());
    let first = first_event(id);
    let Ok(place) = app.places.try_acquire_owned() else {
        let later = [("retry-after", "5")];
        return (StatusCode::SERVICE_UNAVAILABLE, later).into_response();
    };
    let stream = in_a_thread(move |sink| {
        let outcome = greet(first, sink);
        // Free when the thread is, and not when the reader has left.
        drop(place);
        outcome
    });
    match stream {
        Ok(stream) => {
            let stream = stream.take_until(app.stop.cancelled_owned());
            (HEAD, Body::from_stream(stream)).into_response()
        }
        Err(error) => {
            eprintln!("No thread for a stream: {error}");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("Server running at http://{}/events", listener.local_addr()?);
    let places = Arc::new(Semaphore::new(MOST));
    let app = App { places, stop: CancellationToken::new() };
    // HEAD must not begin any work.
    let route = get(events).head(async || HEAD);
    let routes = Router::new().route("/events", route);
    let stop = app.stop.clone();
    // Ctrl-C, or what a service manager sends.
    ctrlc::set_handler(move || stop.cancel())?;
    let stopped = app.stop.clone().cancelled_owned();
    axum::serve(listener, routes.with_state(app))
        .with_graceful_shutdown(stopped)
        .await?;
    Ok(())
}
// ANCHOR_END: serve

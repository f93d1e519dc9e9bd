// ANCHOR: all
use std::{
    convert::Infallible,
    env,
    error::Error,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use event_log::{
    History, Hub,
    event_stream::Event,
    hub::{missed, with_heartbeats},
};
use futures_util::StreamExt;
use tokio::{
    net::TcpListener,
    signal::{
        self,
        unix::{Signal, SignalKind, signal},
    },
    time,
};
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
struct App {
    hub: Arc<Hub>,
    stop: CancellationToken,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let listener = TcpListener::bind(addr).await?;
    println!("Server running at http://{}/events", listener.local_addr()?);
    // A thousand events or a mebibyte, for readers that come back.
    let run = RandomState::new().hash_one(());
    let history = History::new(run, 1000, 1024 * 1024);
    let hub = Arc::new(Hub::new(history, 256, missed));
    let app = App { hub, stop: CancellationToken::new() };
    tokio::spawn(publish(app.hub.clone()));
    tokio::spawn(stop(app.stop.clone(), signal(SignalKind::terminate())?));
    let routes = Router::new().route("/events", get(events));
    let serve = axum::serve(listener, routes.with_state(app.clone()))
        .with_graceful_shutdown(app.stop.clone().cancelled_owned());
    tokio::select! {
        ended = serve.into_future() => ended?,
        // Who has sent half a request would hold up the end.
        () = async {
            app.stop.cancelled().await;
            time::sleep(Duration::from_secs(2)).await;
        } => {}
    }
    Ok(())
}

async fn events(State(app): State<App>, fields: HeaderMap) -> Response {
    let id = fields.get("last-event-id").and_then(|id| id.to_str().ok());
    let Some(reader) = app.hub.subscribe(id.filter(|id| !id.is_empty())) else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let blocks = reader.into_stream().map(|it| Ok::<_, Infallible>(it.encoded));
    let stream = with_heartbeats(blocks, Duration::from_secs(15))
        .take_until(app.stop.cancelled_owned());
    let head = [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
    ];
    (head, Body::from_stream(stream)).into_response()
}

/// In place of what your program has to tell.
async fn publish(hub: Arc<Hub>) {
    let mut ticks = time::interval(Duration::from_secs(1));
    for number in 1.. {
        ticks.tick().await;
        let event = Event::new(format!("Hello! This is event {number}"));
        if hub.publish(event, |_| ()).is_err() {
            return;
        }
    }
}

/// Ctrl-C, or what a service manager sends.
async fn stop(stop: CancellationToken, mut terminated: Signal) {
    tokio::select! {
        _ = signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
    stop.cancel();
}
// ANCHOR_END: all

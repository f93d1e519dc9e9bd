//! The server: routes, what they share, and the layers around them.

use crate::{
    docs,
    feed::{Feed, Post},
    hub::Hub,
    reply::{EventStream, Problem},
};
use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, Extension, FromRequestParts, Request, State,
        rejection::JsonRejection,
    },
    http::{
        HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE,
        request::Parts,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use ch03_hyper::connections::{self, Limits, Log, Peer};
use event_stream::{Decoder, History, Item, MIME_TYPE};
use futures::{StreamExt, TryStreamExt, stream};
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use std::{
    convert::Infallible,
    hash::{BuildHasher, RandomState},
    io,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, interval_at},
};
use tokio_util::sync::CancellationToken;
use tower_http::{
    compression::CompressionLayer, cors::CorsLayer, timeout::TimeoutLayer,
};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The times and the limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// From one greeting to the next.
    pub every: Duration,
    /// A comment is sent when nothing else was sent for this long.
    pub heartbeat: Duration,
    /// The most readers at once; the next one is answered 503.
    pub max_readers: usize,
    /// The most events that are kept for readers that come back.
    pub kept_events: usize,
    /// The most bytes that those events may have.
    pub kept_bytes: usize,
    /// How many events a reader may be behind before it has to go back to
    /// what is kept.
    pub behind: usize,
    /// A request must be read and a response begun within this time.
    pub timeout: Duration,
    /// What each connection may take; their number is `max_readers` and some
    /// more.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            heartbeat: Duration::from_secs(15),
            max_readers: 10_000,
            kept_events: 1_000,
            kept_bytes: 1024 * 1024,
            behind: 256,
            timeout: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

/// Connections beyond the readers: for those that post, ask for the
/// description, or are refused.
const SPARE_CONNECTIONS: usize = 64;

/// What the body of a request may have. A post is smaller, even if every
/// character of it is escaped.
const MAX_BODY: usize = 8 * 1024;

/// What every request has in common; a clone is the same.
#[derive(Clone)]
pub struct App {
    /// Where events are published.
    pub hub: Arc<Hub>,
    options: Options,
    places: Arc<Semaphore>,
    stop: CancellationToken,
    log: Log,
}

impl App {
    /// An app without events, which serves until `stop` is cancelled.
    #[must_use]
    pub fn new(options: Options, stop: CancellationToken, log: Log) -> Self {
        // Another number each time, so that an ID from before a restart is
        // known to be one.
        let run = RandomState::new().hash_one(());
        let history =
            History::new(run, options.kept_events, options.kept_bytes);
        // A semaphore has more places than any system has sockets.
        let places = options.max_readers.min(Semaphore::MAX_PERMITS);
        Self {
            hub: Arc::new(Hub::new(history, options.behind)),
            options,
            places: Arc::new(Semaphore::new(places)),
            stop,
            log,
        }
    }
}

// ANCHOR: run
/// Serves until the app's stop; then ends every stream and returns.
///
/// # Errors
/// If the listener's address cannot be read.
pub async fn run(listener: TcpListener, app: App) -> io::Result<()> {
    let addr = listener.local_addr()?;
    (app.log)(format_args!("Server running at http://{addr}/events"));
    let options = app.options;
    let connections = options.max_readers.saturating_add(SPARE_CONNECTIONS);
    let limits = Limits { connections, ..options.limits };
    let (stop, log) = (app.stop.clone(), Arc::clone(&app.log));
    let service = TowerToHyperService::new(router(app.clone()));
    tokio::select! {
        never = greet(&app) => match never {},
        () = connections::serve(listener, service, limits, stop, log) => {}
    }
    Ok(())
}

/// The source: publishes a greeting at every tick, whether or not anybody
/// reads.
async fn greet(app: &App) -> Infallible {
    let every = app.options.every;
    let mut ticks = interval_at(Instant::now() + every, every);
    loop {
        ticks.tick().await;
        let greeting =
            |number| Feed::Greeting(format!("Hello! This is event {number}"));
        if let Err(error) = app.hub.publish(greeting) {
            (app.log)(format_args!("Cannot publish: {error}"));
        }
    }
}
// ANCHOR_END: run

// ANCHOR: router
/// The routes, which are also what `/openapi.json` describes.
pub fn router(app: App) -> Router {
    let (routes, api) = OpenApiRouter::with_openapi(docs::Api::openapi())
        .routes(routes!(events))
        .routes(routes!(publish))
        .split_for_parts();
    let routes = routes
        .route("/openapi.json", get(Json(api)))
        .merge(docs::page())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method);
    layered(routes, &app).with_state(app)
}

async fn not_found() -> Problem {
    let what_is = "The stream is at /events, a description at /docs.";
    Problem::new(StatusCode::NOT_FOUND, what_is)
}

async fn wrong_method() -> Problem {
    let what_is = "The methods that work here are in Allow.";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, what_is)
}
// ANCHOR_END: router

// ANCHOR: layers
/// From the inside out: a request passes the last of these first.
fn layered(routes: Router<App>, app: &App) -> Router<App> {
    let origins = ["http://127.0.0.1:3000", "http://localhost:3000"];
    let fields = [CONTENT_TYPE, LAST_EVENT_ID];
    routes
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // Until the head of the response: a body may take as long as it does.
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            app.options.timeout,
        ))
        // Not what is an event stream, nor what is small.
        .layer(CompressionLayer::new())
        .layer(
            CorsLayer::new()
                .allow_origin(origins.map(HeaderValue::from_static))
                .allow_methods([Method::GET, Method::POST])
                .allow_headers(fields),
        )
        .layer(middleware::from_fn_with_state(app.clone(), tell))
}
// ANCHOR_END: layers

/// Refuses what has no good `Host`, and says what becomes of a request: the
/// outermost layer sees what the others have made of the response.
async fn tell(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let response = if connections::has_good_host(&request) {
        next.run(request).await
    } else {
        let why = "The request must name its host, once.";
        Problem::new(StatusCode::BAD_REQUEST, why).into_response()
    };
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE);
    if content_type.is_some_and(|value| value == MIME_TYPE) {
        (app.log)(format_args!("{:?} {status}", response.version()));
        for (name, value) in response.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            (app.log)(format_args!("{name}: {value}"));
        }
    }
    if status.is_client_error() || status.is_server_error() {
        (app.log)(format_args!("Refused {peer}: {status}"));
    }
    response
}

// ANCHOR: events
/// The stream
///
/// Greetings, what is posted, and what this reader missed. A reader that
/// sends the ID of the last event that it has gets all that came after it.
#[utoipa::path(
    get,
    path = "/events",
    params(("Last-Event-ID" = Option<String>, Header,
        description = "The ID of the last event that the reader has")),
    responses(
        (status = 200, description = "Events, without end",
            content_type = "text/event-stream", item_schema = Feed),
        (status = 503, description = "All places are taken", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn events(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    LastEventId(last_event_id): LastEventId,
    method: Method,
) -> Result<Response, Problem> {
    let heartbeat = app.options.heartbeat;
    if method == Method::HEAD {
        let encoded = stream::empty::<Result<_, Infallible>>();
        return Ok(EventStream { encoded, heartbeat }.into_response());
    }
    let place = Arc::clone(&app.places).try_acquire_owned().map_err(|_| {
        let why = "All places are taken: come back later.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)
    })?;
    let reader = app.hub.subscribe(last_event_id.as_deref())?;
    let stopped = app.stop.clone().cancelled_owned();
    let watch = Watch { app, peer, _place: place };
    let encoded = reader
        .into_stream()
        .inspect_ok(move |encoded| watch.sent(encoded))
        .take_until(stopped);
    Ok(EventStream { encoded, heartbeat }.into_response())
}

/// The ID of the last event that a reader has, if it says so. What is no
/// UTF-8 is an ID that no event has.
struct LastEventId(Option<String>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Self, Infallible> {
        let id = parts.headers.get(LAST_EVENT_ID);
        let id = id.filter(|id| !id.is_empty());
        Ok(Self(id.map(|id| String::from_utf8_lossy(id.as_bytes()).into())))
    }
}
// ANCHOR_END: events

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Says what a reader is sent, and that it left.
struct Watch {
    app: App,
    peer: Peer,
    /// Its place among the readers, given back when dropped.
    _place: OwnedSemaphorePermit,
}

impl Watch {
    fn sent(&self, mut encoded: &[u8]) {
        // Every reader has the same bytes; what they say is in them.
        if let Ok(Some(Item::Event(event))) = Decoder::new().next(&mut encoded)
        {
            let id = event.last_event_id;
            let number = id.rsplit('-').next().unwrap_or(id);
            let (peer, data) = (self.peer, event.data);
            (self.app.log)(format_args!(
                "Sent event {number} to {peer}: {data}"
            ));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.app.stop.is_cancelled() {
            (self.app.log)(format_args!("Client disconnected: {}", self.peer));
        }
    }
}

// ANCHOR: publish
/// Publish
///
/// Every reader of the stream gets it.
#[utoipa::path(
    post,
    path = "/messages",
    responses(
        (status = 202, description = "On its way", body = Published),
        (status = 400, description = "No JSON", body = Problem,
            content_type = "application/problem+json"),
        (status = 413, description = "Too long", body = Problem,
            content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Not a post", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
async fn publish(
    State(app): State<App>,
    post: Result<Json<Post>, JsonRejection>,
) -> Result<(StatusCode, Json<Published>), Problem> {
    let Json(post) = post?;
    post.check()?;
    let id = app.hub.publish(|_| Feed::Posted(post))?;
    Ok((StatusCode::ACCEPTED, Json(Published { id })))
}

/// What became of a post.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// The ID of the event that carries it.
    pub id: String,
}
// ANCHOR_END: publish

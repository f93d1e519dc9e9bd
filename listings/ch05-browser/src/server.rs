//! The server behind the page: its files, a stream for it to read, a way to
//! cut that stream, and the wire lab. Seats, layers and connections are
//! chapter 4's.

use crate::{
    clock::{Clock, Moment},
    lab::{self, Bounds, Lab, Reading, Turn},
};
use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, FromRef, Path, Query, State,
        rejection::{BytesRejection, PathRejection, QueryRejection},
    },
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{
            ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
            CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::{from_fn_with_state, map_response_with_state},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use bytes::Bytes;
use ch03_hyper::connections::{self, Limits, Log};
use ch04_axum::{
    reply::Problem,
    server::{
        self, App, LAST_EVENT_ID, Seat, guard, in_time, tell, wrong_method,
    },
};
use event_log::hub::{Block, Says};
use event_stream::{Event, MIME_TYPE};
use futures::{StreamExt, stream};
use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::BTreeMap,
    future::ready,
    io::{self, ErrorKind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{Any, CorsLayer};

/// The times and the limits of a server, and whose pages may use it.
#[derive(Clone, Debug)]
pub struct Options {
    /// From one event to the next.
    pub every: Duration,
    /// A comment is sent when nothing else was sent for this long.
    pub heartbeat: Duration,
    /// The most readers at once; the next one is answered 503.
    pub max_readers: usize,
    /// The most events that a reader gets which it lacks.
    pub kept_events: u64,
    /// The origins of the book, such as `http://127.0.0.1:3000`: its pages
    /// may show ours in a frame.
    pub book: Vec<String>,
    /// As in chapter 4: the names under which this server is reached, beside
    /// `localhost` and every address.
    pub hosts: Vec<String>,
    /// As in chapter 4: the origins of our own pages, where a proxy in front
    /// passes another host on than theirs.
    pub origins: Vec<HeaderValue>,
    /// What the lab may take.
    pub lab: Bounds,
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
            book: Vec::new(),
            hosts: Vec::new(),
            origins: Vec::new(),
            lab: Bounds::default(),
            timeout: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

/// What every request has in common; a clone is the same.
#[derive(Clone)]
pub struct Site {
    /// Chapter 4's: the seats, the stop, and what its layers need.
    app: App,
    clock: Clock,
    readers: Readers,
    lab: Arc<Mutex<Lab>>,
    shared: Arc<Shared>,
}

struct Shared {
    policy: HeaderValue,
    lab: Bounds,
    log: Log,
}

/// So that [`Seat`] and the layers of chapter 4 work here.
impl FromRef<Site> for App {
    fn from_ref(site: &Site) -> Self {
        site.app.clone()
    }
}

impl Site {
    /// A site that serves until `stop` is cancelled.
    ///
    /// # Errors
    /// If an origin of the book is none.
    pub fn new(
        options: &Options,
        stop: CancellationToken,
        log: Log,
    ) -> io::Result<Self> {
        options.book.iter().try_for_each(|text| is_origin(text))?;
        let policy = policy(&options.book);
        let policy = HeaderValue::from_str(&policy)
            .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let app = server::Options {
            heartbeat: options.heartbeat,
            max_readers: options.max_readers,
            timeout: options.timeout,
            hosts: options.hosts.clone(),
            origins: options.origins.clone(),
            limits: options.limits,
            ..server::Options::default()
        };
        let shared = Shared { policy, lab: options.lab, log };
        Ok(Self {
            app: App::new(app, stop, Arc::clone(&shared.log)),
            clock: Clock::new(
                options.every,
                options.kept_events,
                Moment::now(),
            ),
            readers: Readers::default(),
            lab: Arc::new(Mutex::new(Lab::new(options.lab))),
            shared: Arc::new(shared),
        })
    }
}

/// An origin as a browser writes it: one that is written otherwise would
/// never be equal to any, and might be another directive of the policy.
fn is_origin(text: &str) -> io::Result<()> {
    let is_origin = text.parse::<Uri>().is_ok_and(|uri| {
        let parts = uri.scheme_str().zip(uri.authority());
        parts.is_some_and(|(s, a)| text == format!("{s}://{a}"))
    });
    if is_origin {
        return Ok(());
    }
    let why = format!("{text:?} is no origin like http://127.0.0.1:3000");
    Err(io::Error::new(ErrorKind::InvalidInput, why))
}

/// Serves until `stop` is cancelled; then ends every stream and returns.
///
/// # Errors
/// If an origin of the book is none, or the listener's address cannot be
/// read.
pub async fn run(
    listener: TcpListener,
    options: Options,
    stop: CancellationToken,
    log: Log,
) -> io::Result<()> {
    let site = Site::new(&options, stop, Arc::clone(&log))?;
    let addr = connections::announce(listener.local_addr()?, &log);
    log(format_args!("The page is at http://{addr}/"));
    let app = site.app.clone();
    server::serve(listener, &app, router(site)).await;
    Ok(())
}

// ANCHOR: router
/// The routes by who may read them, and chapter 4's layers around them.
pub fn router(site: Site) -> Router {
    // Greetings are for everybody: there is nothing in them that depends on
    // who asks. A stream that knows its reader by a cookie must not say this.
    let anybody = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET])
        .allow_headers([LAST_EVENT_ID]);
    let stream = Router::new().route("/events", get(events));
    // For our own pages, in a frame or out of it. Others may read the page's
    // files, but not what comes of the rest, and `guard` lets them change
    // nothing.
    let page = Router::new()
        .route("/", get(async || html("index")))
        .route("/{name}", get(page))
        .route("/readers/{name}", delete(cut))
        .route("/lab", get(async || html("lab")).post(post))
        .route("/lab/cases", get(async || Json(&*lab::CASES)))
        .route("/lab/{id}", get(read));

    let app = site.app.clone();
    let stream = stream.method_not_allowed_fallback(wrong_method);
    page.method_not_allowed_fallback(wrong_method)
        .merge(stream.layer(anybody))
        .fallback(async || nothing_here())
        .layer(DefaultBodyLimit::max(site.shared.lab.bytes))
        .layer(from_fn_with_state(app.clone(), in_time))
        .layer(from_fn_with_state(app.clone(), guard))
        .layer(map_response_with_state(site.clone(), protect))
        .layer(from_fn_with_state(app, tell))
        .with_state(site)
}
// ANCHOR_END: router

// ANCHOR: policy
/// What our pages may do, and who may frame them: they run no script and no
/// style but the server's own, and talk to this machine only.
fn policy(book: &[String]) -> String {
    let frames = [&["'self'".into()], book, &["file:".into()]].concat();
    let frames = frames.join(" ");
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; \
         img-src 'self' data:; \
         connect-src 'self' http://127.0.0.1:* http://localhost:*; \
         base-uri 'none'; form-action 'none'; \
         frame-ancestors {frames}"
    )
}

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// What is in `Content-Type` is what it is: no browser shall find HTML or a
/// script in something else. The policy is for whatever may be shown as a
/// page; a stream has its own, or needs none.
async fn protect(State(site): State<Site>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if headers.get(CONTENT_TYPE).is_none_or(|value| value != MIME_TYPE) {
        let policy = site.shared.policy.clone();
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}
// ANCHOR_END: policy

fn nothing_here() -> Problem {
    let what_is = "The page is at /, the stream at /events.";
    Problem::new(StatusCode::NOT_FOUND, what_is)
}

static PAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/page");

/// `/NAME` is a page, `/NAME.js` a file of it.
async fn page(
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|fault| bad_path(&fault))?;
    match name.rsplit_once('.') {
        None => html(&name),
        Some((_, "css")) => file(&name, "text/css; charset=utf-8"),
        Some((_, "js")) => file(&name, "text/javascript; charset=utf-8"),
        Some((_, "svg")) => file(&name, "image/svg+xml"),
        Some(_) => Err(nothing_here()),
    }
}

fn html(name: &str) -> Result<Response, Problem> {
    file(&format!("{name}.html"), "text/html; charset=utf-8")
}

fn file(name: &str, content_type: &str) -> Result<Response, Problem> {
    let file = PAGE.get_file(name).ok_or_else(nothing_here)?;
    let head = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-cache"),
        // A page that is opened as a file may have its modules from here.
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    Ok((head, file.contents()).into_response())
}

fn bad_path(rejection: &PathRejection) -> Problem {
    Problem::new(rejection.status(), rejection.body_text())
}

// ANCHOR: events
/// What a stream may be called, to be cut by that name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_good =
            |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if (1..=64).contains(&name.len()) && name.bytes().all(is_good) {
            return Ok(Self(name));
        }
        Err("a name is 1 to 64 of A-Z, a-z, 0-9, _ and -")
    }
}

#[derive(Debug, Deserialize)]
struct Wanted {
    reader: Option<Name>,
}

/// Half a block, which no line end ends: whoever reads it must drop it.
const CUT: &str = "data: this line has no en";

async fn events(
    State(site): State<Site>,
    query: Result<Query<Wanted>, QueryRejection>,
    seat: Seat,
) -> Result<Response, Problem> {
    let Query(Wanted { reader }) = query.map_err(|rejection| {
        Problem::new(rejection.status(), rejection.body_text())
    })?;
    let ticks = site.clock.clone().ticks(seat.last_event_id());
    let Some(name) = reader else { return Ok(seat.stream(ticks)) };
    let entry = site.readers.enter(name);
    let half = Block { says: Says::Nothing, encoded: CUT.into() };
    // The entry is in the stream, so that it goes when the stream goes.
    let until_cut = ticks.take_until(async move { entry.cut().await });
    Ok(seat.stream(until_cut.chain(stream::once(ready(half)))))
}

async fn cut(
    State(site): State<Site>,
    path: Result<Path<Name>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(name) = path.map_err(|fault| bad_path(&fault))?;
    let count = site.readers.cut(&name);
    if count == 0 {
        let why = "No stream that is open has this name.";
        return Err(Problem::new(StatusCode::NOT_FOUND, why));
    }
    (site.shared.log)(format_args!("Cut {}: {count} open", name.0));
    Ok(StatusCode::NO_CONTENT)
}
// ANCHOR_END: events

/// The open streams that have a name. Several may have the same.
#[derive(Clone, Debug, Default)]
struct Readers(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    /// The number tells apart those of one name.
    streams: BTreeMap<(String, u64), CancellationToken>,
    next: u64,
}

/// A stream's place among them, for as long as this lives.
#[derive(Debug)]
struct Entry {
    key: (String, u64),
    readers: Readers,
    token: CancellationToken,
}

impl Readers {
    fn enter(&self, Name(name): Name) -> Entry {
        let mut open = lock(&self.0);
        let key = (name, open.next);
        open.next += 1;
        let token = CancellationToken::new();
        open.streams.insert(key.clone(), token.clone());
        Entry { key, readers: self.clone(), token }
    }

    /// Cuts the streams of that name, and says how many there were.
    fn cut(&self, Name(name): &Name) -> usize {
        let of_name = (name.clone(), 0)..=(name.clone(), u64::MAX);
        let open = lock(&self.0);
        let streams = open.streams.range(of_name);
        let uncut = streams.filter(|(_, token)| !token.is_cancelled());
        uncut.map(|(_, token)| token.cancel()).count()
    }
}

impl Entry {
    async fn cut(&self) {
        self.token.cancelled().await;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.readers.0).streams.remove(&self.key);
    }
}

/// Never held across an `await`. A thread that panicked left what is in it as
/// whole as it found it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What became of a post to the lab.
#[derive(Debug, Serialize)]
struct Posted {
    /// Where an `EventSource` can read it.
    url: String,
    #[serde(flatten)]
    reading: Reading,
}

/// Takes bytes, and says what our decoder reads in them.
async fn post(
    State(site): State<Site>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    // No form can send this type: a browser asks before it does.
    let content_type = headers.get(CONTENT_TYPE);
    if content_type.is_none_or(|value| value != "application/octet-stream") {
        let why = "Send application/octet-stream.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, why).into_response());
    }
    let bytes = body.map_err(|rejection| {
        let why = rejection.body_text();
        Problem::new(rejection.status(), why).into_response()
    })?;
    let id = lab::id().map_err(|error| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, error.to_string()).into_response()
    })?;
    let url = format!("/lab/{id}");
    let taken = lock(&site.lab).post(id, bytes.clone(), Instant::now());
    taken.map_err(|lab::TooMany| {
        let why = "Too many posts in this second.";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, why);
        ([(RETRY_AFTER, "1")], problem).into_response()
    })?;
    let posted = Posted { url, reading: lab::read(&bytes) };
    let head = [(CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, head, Json(posted)).into_response())
}

/// What was posted, once; what the browser says when it comes back; the end.
async fn read(
    State(site): State<Site>,
    method: Method,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = path.map_err(|fault| bad_path(&fault))?;
    let now = Instant::now();
    let turn = if method == Method::HEAD {
        lock(&site.lab).look(&id, now)
    } else {
        lock(&site.lab).take(&id, now)
    };
    let bytes = match turn {
        Some(Turn::Bytes(bytes)) => bytes,
        Some(Turn::Back) => back(headers.get(LAST_EVENT_ID))?,
        Some(Turn::Stop) => return Ok(StatusCode::NO_CONTENT.into_response()),
        None => {
            let why = "Nothing is here, or no longer.";
            return Err(Problem::new(StatusCode::NOT_FOUND, why));
        }
    };
    let head = [
        (CONTENT_TYPE, MIME_TYPE),
        (CACHE_CONTROL, "no-store, no-transform"),
        // Should it ever be shown as a page, then as one that can do nothing.
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ];
    Ok((head, bytes).into_response())
}

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// The event that tells what the browser sent.
fn back(last_event_id: Option<&HeaderValue>) -> Result<Bytes, Problem> {
    let id = last_event_id.map(|id| String::from_utf8_lossy(id.as_bytes()));
    let data = json!({ "lastEventId": id }).to_string();
    let event = Event::new(data).with_type("back").map_err(|error| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, error.to_string())
    })?;
    Ok(event.to_string().into())
}

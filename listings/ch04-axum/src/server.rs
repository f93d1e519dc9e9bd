//! The server: what all routes share, and the layers around them.

use crate::{
    feed::{Feed, FeedError, Missed},
    reply::{EventStream, Problem},
};
use axum::{
    Router,
    extract::{FromRef, FromRequestParts, Request, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, HOST, ORIGIN},
        request::Parts,
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use ch03_hyper::connections::{self, Limits, Log, Peer, Stopped};
use event_log::{
    History,
    hub::{Block, Hub, Reader, Says, missed},
};
use event_stream::{Event, MIME_TYPE, Retry};
use futures::{Stream, StreamExt, stream};
use hyper_util::service::TowerToHyperService;
use std::{
    convert::Infallible,
    future::ready,
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Connections beyond the readers: for those that post, ask for the
/// description, or are refused.
const SPARE_CONNECTIONS: usize = 64;

/// Who sent a request that did not come over a connection.
const NOBODY: Peer =
    Peer(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));

/// Within which bounds a reconnection time is drawn, in milliseconds.
const RECONNECTION: Range<u64> = 2_000..5_000;

/// What a reader that comes back has taken last.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The same in the query of a URL, for a reader that cannot set the field.
pub const LAST_EVENT_ID_IN_URL: &str = "lastEventId";

// ANCHOR: app
/// The times and the limits of a server.
#[derive(Clone, Debug)]
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
    /// The names under which this server is reached, without a port, beside
    /// `localhost` and every address.
    pub hosts: Vec<String>,
    /// Whose pages may read and post, beside those of a host that is ours. As
    /// a browser writes them: `https://chat.example`.
    pub origins: Vec<HeaderValue>,
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
            hosts: Vec::new(),
            origins: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// These origins, as [`Options::origins`] has them.
///
/// # Errors
/// If one of them can be no value of a header field.
pub fn origins(texts: &[String]) -> io::Result<Vec<HeaderValue>> {
    let parsed = texts.iter().map(|text| text.parse());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))
}

/// What every request has in common; a clone is the same.
#[derive(Clone)]
pub struct App {
    hub: Arc<Hub>,
    pub(crate) options: Arc<Options>,
    seats: Arc<Semaphore>,
    stop: CancellationToken,
    pub(crate) log: Log,
}
// ANCHOR_END: app

impl App {
    /// An app without events, which serves until `stop` is cancelled.
    #[must_use]
    pub fn new(options: Options, stop: CancellationToken, log: Log) -> Self {
        // Another number each time, so that an ID from before a restart is
        // known to be one.
        let run = RandomState::new().hash_one(());
        let history =
            History::new(run, options.kept_events, options.kept_bytes);
        // A semaphore has more permits than any system has sockets.
        let seats = options.max_readers.min(Semaphore::MAX_PERMITS);
        Self {
            hub: Arc::new(Hub::new(history, options.behind, missed)),
            options: Arc::new(options),
            seats: Arc::new(Semaphore::new(seats)),
            stop,
            log,
        }
    }

    /// Publishes an event, says so, and returns its ID.
    ///
    /// # Errors
    /// If the event cannot be written, or the stream has ended; then it has
    /// not been published.
    pub fn publish(&self, feed: &Feed) -> Result<String, FeedError> {
        let event = Event::try_from(feed)?;
        let data = event.data().to_owned();
        let id = self.hub.publish(event, |number| {
            (self.log)(format_args!("Published event {number}: {data}"));
        })?;
        Ok(id)
    }

    /// Ends the stream: see [`Hub::end`].
    pub fn end(&self) {
        self.hub.end();
    }

    /// Where the stream stands: see [`Hub::position`].
    #[must_use]
    pub fn position(&self) -> String {
        self.hub.position()
    }

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.hub.readers()
    }
}

// ANCHOR: serve
/// Serves any routes on chapter 3's connections, until the app's stop.
pub async fn serve(listener: TcpListener, app: &App, routes: Router) {
    let options = &app.options;
    let connections = options.max_readers.saturating_add(SPARE_CONNECTIONS);
    let limits = Limits { connections, ..options.limits };
    let (stop, log) = (app.stop.clone(), Arc::clone(&app.log));
    let service = TowerToHyperService::new(routes);
    connections::serve(listener, service, limits, stop, log).await;
}
// ANCHOR_END: serve

// ANCHOR: seat
/// A reader's seat, taken for as long as this lives. A handler that streams
/// asks for one as for any other argument, in any router whose state has an
/// [`App`] in it.
pub struct Seat {
    app: App,
    peer: Peer,
    last_event_id: Option<String>,
    is_streaming: bool,
    _permit: OwnedSemaphorePermit,
}

impl<S> FromRequestParts<S> for Seat
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let seats = Arc::clone(&app.seats);
        let permit = seats.try_acquire_owned().map_err(|_| {
            let why = "All seats are taken: come back later.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)
        })?;
        Ok(Self {
            app,
            peer: parts.extensions.get().copied().unwrap_or(NOBODY),
            last_event_id: last_event_id(parts),
            is_streaming: false,
            _permit: permit,
        })
    }
}

impl Seat {
    /// A reader of what comes after the event that the request names; `None`
    /// if nothing will: see [`Hub::subscribe`].
    #[must_use]
    pub fn reader(&self) -> Option<Reader> {
        self.app.hub.subscribe(self.last_event_id())
    }

    /// What the request says that its reader has, if anything.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    /// The response: `blocks`, from a [`Reader`] or made of what it gives,
    /// until the app stops.
    pub fn stream(
        mut self,
        blocks: impl Stream<Item = Block> + Send + 'static,
    ) -> Response {
        // A time of its own for each: readers that lose a server together
        // must not come back together.
        let Range { start, end } = RECONNECTION;
        let time = start + RandomState::new().hash_one(()) % (end - start);
        let retry = Retry::new(Duration::from_millis(time));
        let encoded = retry.to_string().into();
        let retry = Block { says: Says::Nothing, encoded };

        let heartbeat = self.app.options.heartbeat;
        let stopped = Stopped::new(self.app.stop.clone());
        let encoded = stream::once(ready(retry))
            .chain(blocks)
            .map(move |block| Ok::<_, Infallible>(self.sent(block)))
            .take_until(stopped);
        EventStream { encoded, heartbeat }.into_response()
    }

    fn sent(&mut self, block: Block) -> Bytes {
        self.is_streaming = true;
        let (peer, log) = (self.peer, &self.app.log);
        match block.says {
            Says::Event(number) => {
                log(format_args!("Sent event {number} to {peer}"));
            }
            Says::Missed(missed) => {
                let missed = Missed::from(missed);
                log(format_args!("Told {peer} that it missed {missed}"));
            }
            _ => {}
        }
        block.encoded
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The body of a HEAD is dropped before anybody asked for a block.
        if self.is_streaming && !self.app.stop.is_cancelled() {
            (self.app.log)(format_args!("Client disconnected: {}", self.peer));
        }
    }
}
// ANCHOR_END: seat

// ANCHOR: last_event_id
/// What the request says that its reader has. The field comes first: an
/// `EventSource` that reconnects asks for the URL that it was made with, and
/// has in the field what came since. The limit of a head bounds both. What is
/// no UTF-8 is an ID that no event has.
fn last_event_id(parts: &Parts) -> Option<String> {
    let field = parts.headers.get(LAST_EVENT_ID);
    let field = field.map(|id| String::from_utf8_lossy(id.as_bytes()).into());
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let in_url = || {
        let mut pairs = form_urlencoded::parse(query);
        let (_, id) = pairs.find(|(name, _)| name == LAST_EVENT_ID_IN_URL)?;
        Some(id.into_owned())
    };
    let is_set = |id: &String| !id.is_empty();
    field.filter(is_set).or_else(in_url).filter(is_set)
}
// ANCHOR_END: last_event_id

/// The fallback for a path that is there, but not with that method.
#[allow(clippy::unused_async, reason = "a handler returns a future")]
pub async fn wrong_method() -> Problem {
    let what_is = "The methods that work here are in Allow.";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, what_is)
}

// ANCHOR: layers
/// Limits the time until a response has its head. The body may take as long
/// as it does.
///
/// # Errors
/// 408 if there is none in time.
pub async fn in_time(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let response = timeout(app.options.timeout, next.run(request)).await;
    response.map_err(|_| {
        let why = "The request was not complete in time.";
        Problem::new(StatusCode::REQUEST_TIMEOUT, why)
    })
}

/// Whether a request for that host is meant for us. A page of another site
/// whose name leads here says that name (DNS rebinding). An address is no
/// name, and no DNS server is asked for `localhost`.
fn is_ours(host: &str, hosts: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut hosts = hosts.iter().map(String::as_str).chain(["localhost"]);
    address.is_ok() || hosts.any(|host| name.eq_ignore_ascii_case(host))
}

/// Lets pass what a browser may send for one of our pages, and what comes
/// from no browser. It looks at the request alone, so it holds whatever
/// serves the routes.
///
/// # Errors
/// 400 without a good host, 421 for a host that is not ours, 403 for a page
/// of another origin that would change something.
pub async fn guard(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !connections::has_good_host(&request) {
        let why = "The request must name its host, once.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, why));
    }
    let Options { hosts, origins, .. } = &*app.options;
    let host = request.headers().get(HOST);
    let host = host.map_or("", |host| host.to_str().unwrap_or_default());
    // HTTP/1.0 may name none, but no browser speaks that.
    if !host.is_empty() && !is_ours(host, hosts) {
        let why = format!(
            "{host} is no name of this server. If it should be, list it: \
             Options::hosts, or --host."
        );
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, why));
    }
    // A proxy in front may have ended the TLS, so either scheme is ours.
    let own = [format!("http://{host}"), format!("https://{host}")];
    let may_change = |origin: &HeaderValue| {
        own.iter().any(|own| origin == own) || origins.contains(origin)
    };
    let mut from = request.headers().get_all(ORIGIN).iter();
    if !request.method().is_safe() && !from.all(may_change) {
        let why = "Pages of that origin may not change anything here. If \
                   they should, list it: Options::origins, or --origin.";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    Ok(next.run(request).await)
}
// ANCHOR_END: layers

/// Says what becomes of a request: the outermost layer sees what the others
/// have made of the response.
pub async fn tell(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let peer = Peer::of(&request);
    let response = next.run(request).await;
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

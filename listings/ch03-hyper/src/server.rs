//! The server: a service function, and a body that is a stream.

use crate::connections::{self, Limits, Log, Peer, Stopped};
use bytes::Bytes;
use event_stream::{Event, EventBody, FieldError, HEARTBEAT, MIME_TYPE};
use futures::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONNECTION,
        CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    },
    service::service_fn,
};
use std::{convert::Infallible, future::ready, io, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// The times and the limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// From one event to the next.
    pub every: Duration,
    /// A comment is sent when nothing else was sent for this long.
    pub heartbeat: Duration,
    /// The most readers at once; the next one is answered 503.
    pub max_readers: usize,
    /// What each connection may take; their number is `max_readers` and some
    /// more, for those that are refused.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            heartbeat: Duration::from_secs(15),
            max_readers: 10_000,
            limits: Limits::default(),
        }
    }
}

/// Connections beyond the readers: those that are still sending a request or
/// are being refused.
const SPARE_CONNECTIONS: usize = 64;

/// A response's body, whatever it is made of.
pub type Body = UnsyncBoxBody<Bytes, FieldError>;

/// What the tasks share.
struct Server {
    options: Options,
    places: Arc<Semaphore>,
    stop: CancellationToken,
    log: Log,
}

// ANCHOR: run
/// Serves until `stop` is cancelled; then ends every stream and returns, all
/// tasks and sockets gone, within the grace and a little more:
/// [`Limits::grace`].
///
/// # Errors
/// If the listener's address cannot be read.
pub async fn run(
    listener: TcpListener,
    options: Options,
    stop: CancellationToken,
    log: Log,
) -> io::Result<()> {
    connections::announce(listener.local_addr()?, &log);
    // A semaphore has more places than any system has sockets.
    let places = options.max_readers.min(Semaphore::MAX_PERMITS);
    let server = Arc::new(Server {
        options,
        places: Arc::new(Semaphore::new(places)),
        stop: stop.clone(),
        log: Arc::clone(&log),
    });
    let service = service_fn(move |request| {
        ready(Ok::<_, Infallible>(server.answer(&request)))
    });
    let connections = options.max_readers.saturating_add(SPARE_CONNECTIONS);
    let limits = Limits { connections, ..options.limits };
    connections::serve(listener, service, limits, stop, log).await;
    Ok(())
}
// ANCHOR_END: run

impl Server {
    // ANCHOR: answer
    /// The response to a request: its head, and a body that does nothing yet.
    fn answer<B>(self: &Arc<Self>, request: &Request<B>) -> Response<Body> {
        let peer = Peer::of(request);
        if !connections::has_good_host(request) {
            return self.refuse(peer, StatusCode::BAD_REQUEST, None, "");
        }
        match (request.uri().path(), request.method()) {
            ("/events", &Method::GET) => {}
            ("/events", &Method::HEAD) => {
                return stream_head(Empty::new().map_err(never).boxed_unsync());
            }
            ("/events", _) => {
                let allow = (ALLOW, "GET, HEAD");
                let status = StatusCode::METHOD_NOT_ALLOWED;
                return self.refuse(peer, status, Some(allow), "");
            }
            _ => {
                let hint = "The stream is at /events.\n";
                return self.refuse(peer, StatusCode::NOT_FOUND, None, hint);
            }
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let later = (RETRY_AFTER, "5");
            let why = "All places are taken: come back later.\n";
            return self.refuse(peer, status, Some(later), why);
        };
        let reader = Reader {
            server: Arc::clone(self),
            peer,
            next: Some(first_event(request)),
            event_sent: None,
            last_sent: Instant::now(),
            _place: place,
        };
        let body = EventBody::new(reader.into_stream());
        let response = stream_head(body.boxed_unsync());
        self.log_head(&response);
        response
    }
    // ANCHOR_END: answer

    fn refuse(
        &self,
        peer: Peer,
        status: StatusCode,
        field: Option<(HeaderName, &'static str)>,
        hint: &str,
    ) -> Response<Body> {
        (self.log)(format_args!("Refused {peer}: {status}"));
        let text = Full::from(format!("{status}\n{hint}"));
        let mut response = Response::new(text.map_err(never).boxed_unsync());
        *response.status_mut() = status;
        let text_type = (CONTENT_TYPE, "text/plain; charset=utf-8");
        // What stands behind the head of this request was not read.
        let close = (CONNECTION, "close");
        for (name, value) in [text_type, close].into_iter().chain(field) {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }

    fn log_head(&self, response: &Response<Body>) {
        let (version, status) = (response.version(), response.status());
        (self.log)(format_args!("{version:?} {status}"));
        for (name, value) in response.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            (self.log)(format_args!("{name}: {value}"));
        }
    }
}

// ANCHOR: reader
/// One reader of the stream, for as long as its response has a body.
struct Reader {
    server: Arc<Server>,
    peer: Peer,
    /// The number of its next event; `None` behind the last there is.
    next: Option<u64>,
    event_sent: Option<Instant>,
    last_sent: Instant,
    /// Its place among the readers, given back when dropped.
    _place: OwnedSemaphorePermit,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Self { server, peer, next, .. } = self;
        if next.is_some() && !server.stop.is_cancelled() {
            (server.log)(format_args!("Client disconnected: {peer}"));
        }
    }
}

impl Reader {
    /// What the reader gets, piece by piece. Each piece is made when it is
    /// asked for: who does not ask has nothing made for it.
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, FieldError>> {
        let stopped = Stopped::new(self.server.stop.clone());
        stream::unfold(self, async |mut reader| {
            let piece = reader.piece().await?;
            Some((piece, reader))
        })
        .take_until(stopped)
    }

    /// Waits for the next event, or for the time of a heartbeat; `None` after
    /// the last event.
    async fn piece(&mut self) -> Option<Result<Bytes, FieldError>> {
        let Options { every, heartbeat, .. } = self.server.options;
        let until_event = self.event_sent.map_or(Duration::ZERO, |sent| {
            every.saturating_sub(sent.elapsed())
        });
        let until_idle = heartbeat.saturating_sub(self.last_sent.elapsed());
        let wait = until_event.min(until_idle);
        if !wait.is_zero() {
            sleep(wait).await;
        }
        self.last_sent = Instant::now();
        if until_idle < until_event {
            return Some(Ok(Bytes::from_static(HEARTBEAT.as_bytes())));
        }
        self.event_sent = Some(self.last_sent);
        let number = self.next?;
        self.next = number.checked_add(1);
        Some(self.event(number))
    }
    // ANCHOR_END: reader

    fn event(&self, number: u64) -> Result<Bytes, FieldError> {
        let greeting = format!("Hello! This is event {number}");
        let event = Event::new(&*greeting).with_id(number.to_string())?;
        let mut out = Vec::new();
        event.encode(&mut out);
        let peer = self.peer;
        (self.server.log)(format_args!(
            "Sent event {number} to {peer}: {greeting}"
        ));
        Ok(out.into())
    }
}

/// The head of the stream's response. hyper adds `Date` and the framing.
fn stream_head(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    for (name, value) in [
        (CONTENT_TYPE, MIME_TYPE),
        (CACHE_CONTROL, "no-cache, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// The event after the one that the reader had last, or the first if it had
/// none or names one that this server cannot have sent.
fn first_event<B>(request: &Request<B>) -> u64 {
    request
        .headers()
        .get("last-event-id")
        .and_then(|id| str::from_utf8(id.as_bytes()).ok())
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|id| id.parse::<u64>().ok())
        .and_then(|number| number.checked_add(1))
        .unwrap_or(1)
}

fn never(never: Infallible) -> FieldError {
    match never {}
}

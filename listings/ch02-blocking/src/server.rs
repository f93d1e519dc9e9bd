//! The server: chapter 1's threads, and in each of them the framework, which
//! serves one connection.

pub use crate::peer::Options;

use crate::{greetings::Greetings, guard::Refusal, peer::Peer};
use ch01_sockets::{
    connections::{self, Log, Places},
    request::is_host,
    server::first_event,
};
use event_stream::MIME_TYPE;
use std::{
    error::Error,
    io::{self, ErrorKind},
    iter,
    net::TcpListener,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, mpsc::Receiver},
    time::Duration,
};
use touche::{
    Body, HttpBody, Method, Request, Response, Server, StatusCode, Version,
    header::{self, HeaderName},
};

/// Connections beyond the readers: those that are still sending a request or
/// are being refused. When all are taken, the next connection waits in the
/// listener's backlog.
const SPARE_CONNECTIONS: usize = 64;
/// What one read of the framework may take. All that it reads before it asks
/// us is there when it begins.
const READ_TIMEOUT: Duration = Duration::from_millis(10);

/// Serves until `stop` yields a message or its other end is gone; then ends
/// every stream and returns, all threads and sockets gone, within a second.
///
/// # Errors
/// If the listener's address cannot be read.
pub fn run(
    listener: &TcpListener,
    options: &Options,
    stop: &Receiver<()>,
    log: Log,
) -> io::Result<()> {
    connections::announce(listener.local_addr()?, &log);
    let places = Places::new(options.max_readers);
    let most = options.max_readers.saturating_add(SPARE_CONNECTIONS);
    connections::serve(listener, most, stop, log, |connection| {
        Arc::new(Peer::new(connection, *options)).serve(&places);
    })
}

/// What the framework is given for a request.
type Answer = Result<Response<Body>, Box<dyn Error + Send + Sync>>;

impl Peer {
    // ANCHOR: serve
    fn serve(self: &Arc<Self>, places: &Places) {
        let peer = self.connection.peer();
        self.say(format_args!("Connected by {peer}"));
        let served = match self.await_request() {
            Ok(()) => self.hand_over(places),
            Err(Refusal::Status(status)) => self.refuse(status),
            Err(Refusal::Gone) => Err(ErrorKind::UnexpectedEof.into()),
        };
        match served {
            Ok(()) if self.is_lost() => {}
            Ok(()) => self.connection.close(),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.say(format_args!("Client disconnected: {peer}"));
            }
            Err(error) => self.say(format_args!("Lost {peer}: {error}")),
        }
    }

    /// Lets the framework serve this connection, here, in this thread.
    fn hand_over(self: &Arc<Self>, places: &Places) -> io::Result<()> {
        let socket = self.connection.socket();
        socket.set_write_timeout(Some(self.options.write_timeout))?;
        let Ok(socket) = socket.try_clone() else {
            return self.refuse(StatusCode::SERVICE_UNAVAILABLE);
        };
        let mut is_answered = false;
        // It panics when no descriptor is left for a clone of its own.
        let served = panic::catch_unwind(AssertUnwindSafe(|| {
            Server::builder()
                .nodelay(true)
                .read_timeout(READ_TIMEOUT)
                .from_connections([socket])
                .serve_single_thread(|request| {
                    is_answered = true;
                    self.answer(request, places)
                })
        }));
        match served {
            // It has no word for what it cannot read.
            Ok(_) if !is_answered => self.refuse(StatusCode::BAD_REQUEST),
            Err(_) if !is_answered => {
                self.refuse(StatusCode::SERVICE_UNAVAILABLE)
            }
            Ok(served) => served,
            Err(_) => Err(io::Error::other("a panic while it was answered")),
        }
    }
    // ANCHOR_END: serve

    // ANCHOR: answer
    fn answer(
        self: &Arc<Self>,
        request: Request<Body>,
        places: &Places,
    ) -> Answer {
        let (request, body) = request.into_parts();
        // A body reads itself to its end when it is dropped, however long
        // that takes. As an iterator it does not.
        drop(body.into_chunks());
        let hosts = request.headers.get_all(header::HOST);
        let is_right = match *hosts.iter().collect::<Vec<_>>() {
            [] => request.version == Version::HTTP_10,
            [host] => is_host(host.as_bytes()),
            _ => false,
        };
        if !is_right {
            return self.decline(StatusCode::BAD_REQUEST, &[], "");
        }
        match (request.uri.path(), request.method) {
            ("/events", Method::GET) => {}
            ("/events", Method::HEAD) => {
                return stream(Body::from_iter(iter::empty::<Vec<u8>>()));
            }
            ("/events", _) => {
                let status = StatusCode::METHOD_NOT_ALLOWED;
                let allow = [(header::ALLOW, "GET, HEAD")];
                return self.decline(status, &allow, "");
            }
            _ => {
                let hint = "The stream is at /events.\n";
                return self.decline(StatusCode::NOT_FOUND, &[], hint);
            }
        }
        let Some(place) = places.take() else {
            let later = [(header::RETRY_AFTER, "5")];
            let why = "All places are taken: come back later.\n";
            return self.decline(StatusCode::SERVICE_UNAVAILABLE, &later, why);
        };
        let id = request.headers.get("last-event-id");
        let first = first_event(id.and_then(|id| id.to_str().ok()));
        let greetings = Greetings::new(Arc::clone(self), place, first);
        let response = stream(Body::from_iter(greetings))?;
        self.say(format_args!("{:?} {}", request.version, response.status()));
        for (name, value) in response.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            self.say(format_args!("{name}: {value}"));
        }
        Ok(response)
    }
    // ANCHOR_END: answer

    fn decline(
        &self,
        status: StatusCode,
        fields: &[(HeaderName, &str)],
        hint: &str,
    ) -> Answer {
        let peer = self.connection.peer();
        self.say(format_args!("Refused {peer}: {status}"));
        let mut response = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(header::CONNECTION, "close");
        for (name, value) in fields {
            response = response.header(name, *value);
        }
        Ok(response.body(format!("{status}\n{hint}").into())?)
    }
}

// ANCHOR: stream
/// The stream's response. The framework closes the connection behind it, and
/// would not send chunks then unless told to.
fn stream(body: Body) -> Answer {
    Ok(Response::builder()
        .header(header::CONTENT_TYPE, MIME_TYPE)
        .header(header::CACHE_CONTROL, "no-cache, no-transform")
        .header("x-accel-buffering", "no")
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
        .header(header::TRANSFER_ENCODING, "chunked")
        .header(header::CONNECTION, "close")
        .body(body)?)
}
// ANCHOR_END: stream

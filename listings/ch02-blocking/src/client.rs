//! The client: connects, reads events, and connects again as the standard
//! says. reqwest follows redirects, takes the body out of its framing and
//! keeps the time; when to connect, and with what, stays ours.

use ch01_sockets::client::{pause, seed};
use event_client::{redacted, tls};
use event_stream::{
    Decoder, Failure, Item, LimitExceeded, Reconnection, Refusal, Verdict,
};
use reqwest::{
    Url,
    blocking::{Client, Request, Response},
    header::{ACCEPT_ENCODING, LOCATION},
    redirect::Policy,
};
use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind, Read},
    iter,
    ops::ControlFlow,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// The most redirects in a row, as a browser's fetch has it.
const MAX_REDIRECTS: usize = 20;
/// What connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What reading the body of a refusal may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);
/// What this client reaches.
const SCHEMES: &[&str] =
    if cfg!(feature = "tls") { &["http", "https"] } else { &["http"] };
/// How long [`read`] waits for a response head, and for the next piece of its
/// body. A server that sends a heartbeat every 15 seconds has missed four.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// What happens while a stream is read, in the order it happens.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A connection is about to be made.
    Connecting(&'a Url),
    /// A head goes out or came in: the request's, without what reqwest adds to
    /// it, or the response's. What may be a secret is not in it.
    Head(&'a str),
    /// The response is an event stream.
    Open,
    /// An event arrived, or something less: see [`Item`].
    Item(Item<&'a str>),
    /// The connection is gone; there will be another after `wait`.
    Lost {
        /// What happened.
        why: Lost,
        /// How long until the next connection.
        wait: Duration,
    },
    /// Nothing happens: asked once a second while waiting to connect, so that
    /// the caller can break off.
    Waiting,
}

/// Why the client gave up.
#[derive(Debug)]
pub enum GivenUp {
    /// The text, or what it was redirected to, is not a URL that this client
    /// can read.
    Url(String),
    /// The response is not an event stream.
    Refused(Refusal),
    /// The response is not HTTP/1, or its framing cannot be read; nor would
    /// that of the next.
    Malformed(Box<dyn Error + Send + Sync>),
    /// An event is too large; it would be the next time, too.
    Limit(LimitExceeded),
    /// More than 20 redirects, or one without a `Location`.
    Redirects,
    /// reqwest could not start, or refused to send the request, or does not
    /// trust the server.
    Client(reqwest::Error),
}

/// As [`read_with`], from the beginning, with the usual rules and
/// [`IDLE_TIMEOUT`].
///
/// # Errors
/// If it gave up.
///
/// # Panics
/// As [`read_with`].
pub fn read(
    url: &str,
    on: impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<(), GivenUp> {
    read_with(url, Reconnection::new(seed()), Some(IDLE_TIMEOUT), on)
}

/// Reads the stream at `url` until `on` breaks off, the server says to stop
/// (204), or there is no point in going on. Sleeps between connections. The
/// rules may begin with a last event ID. `timeout` is for a response head, and
/// for the next piece of its body: reqwest's blocking client knows one time
/// for both. `None` is for any time.
///
/// # Errors
/// If it gave up.
///
/// # Panics
/// In a debug build, where it is called from async code: reqwest's blocking
/// client does.
pub fn read_with(
    url: &str,
    mut rules: Reconnection,
    timeout: Option<Duration>,
    mut on: impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<(), GivenUp> {
    // Not the text: it may hold a password.
    let url = Url::parse(url)
        .map_err(|error| GivenUp::Url(format!("the URL: {error}")))?;
    check_scheme(&url)?;
    let http = http_client(timeout).map_err(GivenUp::Client)?;
    let started = Instant::now();
    loop {
        let end = connect(&http, &url, &mut rules, started, &mut on)?;
        let now = started.elapsed();
        let (why, wait) = match end {
            End::Stopped => return Ok(()),
            End::Refused(refusal, wait) => (Lost::Refused(refusal), wait),
            End::Lost(why @ (Lost::Ended | Lost::Unfinished)) => {
                (why, rules.ended(now))
            }
            End::Lost(why) => (why, rules.lost(now)),
        };
        if on(Notice::Lost { why, wait }).is_break()
            || pause(wait, || on(Notice::Waiting)).is_break()
        {
            return Ok(());
        }
    }
}

enum End {
    Lost(Lost),
    Refused(Refusal, Duration),
    Stopped,
}

// ANCHOR: http_client
fn http_client(timeout: Option<Duration>) -> reqwest::Result<Client> {
    let http = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // Set here, it is for the head and then for each read. Set on a
        // request, it would be for the whole response.
        .timeout(timeout)
        // They are followed below, which shows each.
        .redirect(Policy::none())
        .referer(false)
        // Each connection is one stream: none is kept for a second request.
        .pool_max_idle_per_host(0)
        // Streams of this machine are not to go through a proxy.
        .no_proxy()
        // A value that goes on in the next line: a client must read it
        // (RFC 9112 §5.2).
        .http1_allow_obsolete_multiline_headers_in_responses(true);
    #[cfg(feature = "tls")]
    let http = http.tls_backend_preconfigured(tls::config());
    http.build()
}

fn check_scheme(url: &Url) -> Result<(), GivenUp> {
    let scheme = url.scheme();
    if SCHEMES.contains(&scheme) {
        return Ok(());
    }
    let needs = match scheme {
        "https" => "; it is built without its feature \"tls\"",
        _ => "",
    };
    let known = SCHEMES.join(":// and ");
    let why = format!(
        "{scheme:?} is not {known}://, which is all that this client reads\
         {needs}"
    );
    Err(GivenUp::Url(why))
}
// ANCHOR_END: http_client

// ANCHOR: connect
/// One connection, redirects and all, from the request to its end.
fn connect(
    http: &Client,
    url: &Url,
    rules: &mut Reconnection,
    started: Instant,
    on: &mut impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<End, GivenUp> {
    let mut url = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let mut request =
            http.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        for (name, value) in rules.headers() {
            // As bytes: a `str` beyond ASCII is refused.
            request = request.header(name, value.as_bytes());
        }
        let mut request = request.build().map_err(GivenUp::Client)?;
        // reqwest has made a field of the user that the URL may name, unless
        // it is not text.
        set_user(request.url_mut(), "", None);
        let head = request_head(&request);
        if on(Notice::Connecting(request.url())).is_break()
            || on(Notice::Head(&head)).is_break()
        {
            return Ok(End::Stopped);
        }
        let response = match http.execute(request) {
            Ok(response) => response,
            Err(error) => return not_answered(error).map(End::Lost),
        };
        if on(Notice::Head(&response_head(&response))).is_break() {
            return Ok(End::Stopped);
        }
        let status = response.status().as_u16();
        if matches!(status, 301 | 302 | 303 | 307 | 308) {
            url = redirected(&url, &response)?;
            continue;
        }
        let now = started.elapsed();
        return match rules.response(status, response.headers(), now) {
            Verdict::Read => stream(response, rules, on),
            Verdict::Stop => Ok(End::Stopped),
            Verdict::Fail(failure) => {
                Err(GivenUp::Refused(refusal(failure, response)))
            }
            Verdict::Retry { failure, wait } => {
                Ok(End::Refused(refusal(failure, response), wait))
            }
        };
    }
    Err(GivenUp::Redirects)
}
// ANCHOR_END: connect

/// Where a redirect leads. The user of a URL stays with its origin.
fn redirected(from: &Url, response: &Response) -> Result<Url, GivenUp> {
    let location = response.headers().get(LOCATION);
    let location = location.ok_or(GivenUp::Redirects)?.as_bytes();
    let mut url = from
        .join(&String::from_utf8_lossy(location))
        .map_err(|error| GivenUp::Url(format!("redirected: {error}")))?;
    check_scheme(&url)?;
    let (user, password) = if url.origin() == from.origin() {
        (from.username(), from.password())
    } else {
        ("", None)
    };
    set_user(&mut url, user, password);
    Ok(url)
}

fn set_user(url: &mut Url, user: &str, password: Option<&str>) {
    // Where there is no host there is no user.
    let _ = url.set_username(user);
    let _ = url.set_password(password);
}

/// Why no response came; an error where none would come the next time.
fn not_answered(error: reqwest::Error) -> Result<Lost, GivenUp> {
    let hyper = causes(&error).find_map(|cause| cause.downcast_ref());
    if error.is_builder() || tls::is_untrusted(&error) {
        Err(GivenUp::Client(error))
    } else if hyper.is_some_and(hyper::Error::is_parse) {
        Err(GivenUp::Malformed(error.into()))
    } else {
        Ok(Lost::Failed(error.into()))
    }
}

/// The failure with the first of the body that explains it: as much as a
/// [`Refusal`] keeps, and what comes in time. reqwest's reads know one time
/// only, which is longer: so a thread reads, and may be left behind in one.
fn refusal(failure: Failure, mut response: Response) -> Refusal {
    let mut body = Vec::new();
    if failure.is_explained() {
        let (piece, pieces) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let mut buffer = [0; Refusal::MAX_BODY];
            while let Ok(length @ 1..) = response.read(&mut buffer) {
                if piece.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let started = Instant::now();
        while body.len() <= Refusal::MAX_BODY {
            let left = REFUSAL_TIMEOUT.saturating_sub(started.elapsed());
            // What came of a body that stalls or breaks is told all the same.
            let Ok(bytes) = pieces.recv_timeout(left) else { break };
            body.extend_from_slice(&bytes);
        }
    }
    Refusal::new(failure, &body)
}

// ANCHOR: stream
/// Reads the body to its end, and takes it apart into events.
fn stream(
    mut response: Response,
    rules: &mut Reconnection,
    on: &mut impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<End, GivenUp> {
    if on(Notice::Open).is_break() {
        return Ok(End::Stopped);
    }
    let id = rules.last_event_id();
    let mut decoder = Decoder::new().with_last_event_id(id);
    let mut buffer = [0; 16 * 1024];
    loop {
        let mut bytes = match response.read(&mut buffer) {
            Ok(0) if decoder.is_unfinished() => {
                return Ok(End::Lost(Lost::Unfinished));
            }
            Ok(0) => return Ok(End::Lost(Lost::Ended)),
            Ok(length) => &buffer[..length],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                // Without the wrapper it says more.
                let why = error.downcast::<reqwest::Error>();
                let why = why.map_or_else(Into::into, Into::into);
                let why = Lost::of_body(why);
                return match why {
                    // A framing that was good and broke may be good again.
                    Lost::Malformed(why) if !rules.has_spoken() => {
                        Err(GivenUp::Malformed(why))
                    }
                    why => Ok(End::Lost(why)),
                };
            }
        };
        while let Some(item) = decoder.next(&mut bytes)? {
            rules.item(&item);
            if on(Notice::Item(item)).is_break() {
                return Ok(End::Stopped);
            }
        }
    }
}
// ANCHOR_END: stream

fn request_head(request: &Request) -> String {
    let url = request.url();
    let query = url.query().map(|query| format!("?{query}"));
    let (path, query) = (url.path(), query.unwrap_or_default());
    let fields = redacted(request.headers());
    format!("{} {path}{query} HTTP/1.1\n{fields}\n", request.method())
}

fn response_head(response: &Response) -> String {
    let fields = redacted(response.headers());
    format!("{:?} {}\n{fields}\n", response.version(), response.status())
}

// ANCHOR: lost
/// Why a connection is over. The client reconnects.
#[derive(Debug)]
pub enum Lost {
    /// The server ended the stream.
    Ended,
    /// The server ended the stream within an event, which is dropped.
    Unfinished,
    /// The framing of the body broke.
    Malformed(Box<dyn Error + Send + Sync>),
    /// The connection could not be made, or broke, or fell silent.
    Failed(Box<dyn Error + Send + Sync>),
    /// The response is not an event stream, and its status is one to come back
    /// from: [`Reconnection::with_retried_statuses`].
    Refused(Refusal),
}

impl Lost {
    /// Why a body that had begun is over.
    fn of_body(error: Box<dyn Error + Send + Sync>) -> Self {
        let is_broken = causes(&*error).any(|cause| {
            let io = cause.downcast_ref::<io::Error>();
            let kind = io.map(io::Error::kind);
            // hyper's, for chunks that are none.
            matches!(
                kind,
                Some(ErrorKind::InvalidInput | ErrorKind::InvalidData)
            )
        });
        if is_broken { Self::Malformed(error) } else { Self::Failed(error) }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Self::Ended => return write!(f, "the server ended the stream"),
            Self::Unfinished => {
                return write!(
                    f,
                    "the server ended the stream within an event, which is \
                     dropped"
                );
            }
            Self::Refused(refusal) => return write!(f, "{refusal}"),
            Self::Malformed(error) => {
                write!(f, "the response is malformed: ")?;
                return write_last(&**error, f);
            }
            Self::Failed(error) => &**error,
        };
        for cause in causes(error) {
            let io = cause.downcast_ref::<io::Error>();
            if io.is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof) {
                return write!(f, "the stream was cut");
            }
            let http = cause.downcast_ref::<reqwest::Error>();
            if http.is_some_and(reqwest::Error::is_timeout) {
                return write!(f, "nothing came in time");
            }
        }
        write_last(error, f)
    }
}

/// An error and what caused it. reqwest says where it happened; what happened
/// is further down, said by hyper or by the system.
fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        // An I/O error leaves what it wraps out of its sources.
        let io = error.downcast_ref::<io::Error>();
        match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

fn write_last(
    error: &(dyn Error + 'static),
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    causes(error).last().map_or(Ok(()), |last| write!(f, "{last}"))
}
// ANCHOR_END: lost

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "{why}"),
            Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::Malformed(error) => {
                write!(f, "the response is malformed: ")?;
                write_last(&**error, f)
            }
            Self::Limit(error) => write!(f, "{error}"),
            Self::Redirects => {
                write!(f, "redirected without end or without a Location")
            }
            Self::Client(error) => write_last(error, f),
        }
    }
}

impl Error for GivenUp {}

impl From<LimitExceeded> for GivenUp {
    fn from(error: LimitExceeded) -> Self {
        Self::Limit(error)
    }
}

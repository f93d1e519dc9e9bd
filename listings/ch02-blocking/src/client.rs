//! The client: connects, reads events, and connects again as the standard
//! says. reqwest follows redirects, takes the body out of its framing and
//! keeps the time; when to connect, and with what, stays ours.

use ch01_sockets::client::pause;
use event_stream::{
    Decoder, Failure, Item, LimitExceeded, Reconnection, Verdict,
};
use reqwest::{
    Url,
    blocking::{Client, Request, Response},
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap},
    redirect::Policy,
};
use std::{
    error::Error,
    fmt::{self, Write as _},
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind, Read},
    iter,
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// The most redirects in a row, as a browser's fetch has it.
const MAX_REDIRECTS: usize = 20;
/// What connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long [`read`] waits for a response head, and for the next piece of its
/// body. A server that sends a heartbeat every 15 seconds has missed four.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// What happens while a stream is read, in the order it happens.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A connection is about to be made.
    Connecting(&'a Url),
    /// A head goes out or came in: the request's, without what reqwest adds to
    /// it, or the response's.
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
    /// The text is not a URL that this client can read.
    Url(String),
    /// The response is not an event stream.
    Failure(Failure),
    /// An event is too large; it would be the next time, too.
    Limit(LimitExceeded),
    /// More than 20 redirects, or one to a URL that cannot be read.
    Redirect(reqwest::Error),
    /// The body has a content coding, though `identity` was asked for.
    Encoded,
    /// reqwest could not start, or refused to send the request.
    Client(reqwest::Error),
}

/// As [`read_within`], from the beginning, with [`IDLE_TIMEOUT`].
///
/// # Errors
/// If it gave up.
///
/// # Panics
/// As [`read_within`].
pub fn read(
    url: &str,
    on: impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<(), GivenUp> {
    read_within(url, "", IDLE_TIMEOUT, on)
}

/// Reads the stream at `url` until `on` breaks off, the server says to stop
/// (204), or there is no point in going on. Sleeps between connections. It
/// begins behind the event with the last event ID, if that is not empty.
/// `timeout` is for a response head, and for the next piece of its body.
///
/// # Errors
/// If it gave up.
///
/// # Panics
/// In a debug build, where it is called from async code: reqwest's blocking
/// client does.
pub fn read_within(
    url: &str,
    last_event_id: &str,
    timeout: Duration,
    mut on: impl FnMut(Notice<'_>) -> ControlFlow<()>,
) -> Result<(), GivenUp> {
    let url = Url::parse(url)
        .map_err(|error| GivenUp::Url(format!("{url:?}: {error}")))?;
    check_scheme(&url).map_err(GivenUp::Url)?;
    let http = http_client(timeout).map_err(GivenUp::Client)?;
    let started = Instant::now();
    let mut rules = Reconnection::new(RandomState::new().hash_one(()));
    rules.item(&Item::LastEventId(last_event_id));
    loop {
        let end = connect(&http, &url, &mut rules, started, &mut on)?;
        let End::Lost(why) = end else { return Ok(()) };
        let wait = rules.lost(started.elapsed());
        if on(Notice::Lost { why, wait }).is_break()
            || pause(wait, || on(Notice::Waiting)).is_break()
        {
            return Ok(());
        }
    }
}

enum End {
    Lost(Lost),
    Stopped,
}

// ANCHOR: http_client
fn http_client(timeout: Duration) -> reqwest::Result<Client> {
    let redirects = Policy::custom(|attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error("redirected without end");
        }
        match check_scheme(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(error) => attempt.error(error),
        }
    });
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // Set here, it is for the head and then for each read. Set on a
        // request, it would be for the whole response.
        .timeout(timeout)
        .redirect(redirects)
        .referer(false)
        // Each connection is one stream: none is kept for a second request.
        .pool_max_idle_per_host(0)
        // Streams of this machine are not to go through a proxy.
        .no_proxy()
        .build()
}

/// This reqwest is built without TLS.
fn check_scheme(url: &Url) -> Result<(), String> {
    match url.scheme() {
        "http" => Ok(()),
        "https" => Err(format!(
            "{url} needs TLS, which this client is built without: it takes \
             reqwest's feature `rustls` or `native-tls`"
        )),
        _ => Err(format!("{url} is not an http:// URL")),
    }
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
    let mut request = http.get(url.clone()).header(ACCEPT_ENCODING, "identity");
    for (name, value) in rules.headers() {
        // As bytes: a `str` beyond ASCII is refused.
        request = request.header(name, value.as_bytes());
    }
    let request = request.build().map_err(GivenUp::Client)?;
    let head = request_head(&request);
    if on(Notice::Connecting(url)).is_break()
        || on(Notice::Head(&head)).is_break()
    {
        return Ok(End::Stopped);
    }
    let response = match http.execute(request) {
        Ok(response) => response,
        Err(error) if error.is_redirect() => {
            return Err(GivenUp::Redirect(error));
        }
        Err(error) => return Ok(End::Lost(Lost::Failed(error.into()))),
    };
    if on(Notice::Head(&response_head(&response))).is_break() {
        return Ok(End::Stopped);
    }
    let field = |name| response.headers().get(name)?.to_str().ok();
    let status = response.status().as_u16();
    match rules.response(status, field(CONTENT_TYPE), started.elapsed()) {
        Verdict::Read
            if field(CONTENT_ENCODING).is_some_and(|c| c != "identity") =>
        {
            Err(GivenUp::Encoded)
        }
        Verdict::Read => stream(response, rules, on),
        Verdict::Stop => Ok(End::Stopped),
        Verdict::Fail(failure) => Err(GivenUp::Failure(failure)),
    }
}
// ANCHOR_END: connect

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
            Ok(0) => return Ok(End::Lost(Lost::Ended)),
            Ok(length) => &buffer[..length],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                // Without the wrapper it says more.
                let why = error.downcast::<reqwest::Error>();
                let why = why.map_or_else(Into::into, Into::into);
                return Ok(End::Lost(Lost::Failed(why)));
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
    let start = format!("{} {path}{query} HTTP/1.1", request.method());
    head(start, request.headers())
}

fn response_head(response: &Response) -> String {
    let start = format!("{:?} {}", response.version(), response.status());
    head(start, response.headers())
}

/// A head as text, with a blank line at its end.
fn head(mut text: String, fields: &HeaderMap) -> String {
    for (name, value) in fields {
        let value = String::from_utf8_lossy(value.as_bytes());
        // A `String` takes whatever is written to it.
        let _ = write!(text, "\n{name}: {value}");
    }
    text + "\n\n"
}

// ANCHOR: lost
/// Why a connection is over. The client reconnects.
#[derive(Debug)]
pub enum Lost {
    /// The server ended the stream.
    Ended,
    /// The connection could not be made, or broke, or fell silent, or what
    /// came is not HTTP.
    Failed(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Failed(error) = self else {
            return write!(f, "the server ended the stream");
        };
        for cause in causes(&**error) {
            let io = cause.downcast_ref::<io::Error>();
            if io.is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof) {
                return write!(f, "the stream was cut");
            }
            let http = cause.downcast_ref::<reqwest::Error>();
            if http.is_some_and(reqwest::Error::is_timeout) {
                return write!(f, "nothing came in time");
            }
        }
        write_last(&**error, f)
    }
}

/// An error and what caused it. reqwest says where it happened; what happened
/// is further down, said by hyper or by the system.
fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
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
            Self::Failure(failure) => write!(f, "{failure}"),
            Self::Limit(error) => write!(f, "{error}"),
            Self::Redirect(error) | Self::Client(error) => write_last(error, f),
            Self::Encoded => write!(f, "the response is compressed, unasked"),
        }
    }
}

impl Error for GivenUp {}

impl From<LimitExceeded> for GivenUp {
    fn from(error: LimitExceeded) -> Self {
        Self::Limit(error)
    }
}

//! The client: one stream of what happens, over as many connections as it
//! takes.

use bytes::Bytes;
use event_stream::{
    Decoder, Failure, Item, Items, ItemsError, LimitExceeded, Reconnection,
    Verdict,
};
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use reqwest::{
    Client, ClientBuilder, Request, RequestBuilder, Response, Url,
    header::{
        ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
        HeaderMap,
    },
    redirect::{Attempt, Policy},
};
use std::{
    error::Error,
    fmt,
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind},
    mem, str,
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// The most redirects in a row, as a browser's fetch has it.
const MAX_REDIRECTS: usize = 20;
/// What connecting to a host may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What reqwest can reach as it is built here. With its feature `rustls` it
/// reaches `https` too.
const SCHEMES: &[&str] = &["http"];

/// How long [`read_within`] waits for a server.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the request to the head of its response: connecting, redirects
    /// and interim responses included.
    pub head: Duration,
    /// From one piece of the body to the next.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// 30 seconds for a head, and a minute of silence: a server that sends a
    /// heartbeat every 15 seconds has missed four.
    fn default() -> Self {
        Self { head: Duration::from_secs(30), idle: Duration::from_mins(1) }
    }
}

/// What happens while a stream is read, in the order it happens.
#[derive(Debug)]
pub enum Notice {
    /// A connection is about to be made.
    Connecting(Url),
    /// A head is about to go out, or came in: the request's, as far as it is
    /// known here, or the response's.
    Head(String),
    /// The response is an event stream.
    Open,
    /// An event arrived, or something less: see [`Item`].
    Item(Item),
    /// The connection is gone; there will be another after `wait`.
    Lost {
        /// What happened.
        why: Lost,
        /// How long until the next connection.
        wait: Duration,
    },
}

/// Why a connection is over. The client reconnects.
#[derive(Debug)]
pub enum Lost {
    /// The server ended the stream.
    Ended,
    /// The connection was closed before the body was complete.
    Cut,
    /// Nothing came in time: see [`Timeouts`].
    Silent,
    /// The connection broke, or could not be made, or did not speak HTTP/1.
    Failed(reqwest::Error),
}

/// Why the client gave up.
#[derive(Debug)]
pub enum GivenUp {
    /// There is no request to send: the URL cannot be read, for one.
    Request(reqwest::Error),
    /// The request starts from a `Last-Event-ID` that is not UTF-8.
    LastEventId,
    /// The request has a body that cannot be sent again.
    Once,
    /// The URL has a scheme that this client is built without.
    Scheme(String),
    /// The response is not an event stream.
    Failure(Failure),
    /// An event is too large; it would be the next time, too.
    Limit(LimitExceeded),
    /// Redirected too often, or to where this client cannot go.
    Redirect(reqwest::Error),
    /// The body has a content coding, though `identity` was asked for.
    Encoded,
}

// ANCHOR: http
/// An HTTP client fit for event streams: it limits what connecting takes, and
/// not what a response takes.
pub fn http() -> ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(Policy::custom(|attempt: Attempt| {
            let scheme = attempt.url().scheme();
            if !SCHEMES.contains(&scheme) {
                let error = GivenUp::Scheme(scheme.to_owned());
                attempt.error(error)
            } else if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error("redirected without end")
            } else {
                attempt.follow()
            }
        }))
        .referer(false)
        // The next connection is seconds away: nothing is gained by keeping
        // this one.
        .pool_max_idle_per_host(0)
        // Not by a proxy that the environment happens to name: it may hold
        // back what comes in small pieces.
        .no_proxy()
}
// ANCHOR_END: http

/// The stream that `request` asks for, as what happens while it is read:
/// connects when it is first polled, and again as the standard says. It ends
/// when the server says to stop (204), or after the error that made it give
/// up. To leave, drop it.
///
/// To go on from an event of an earlier program, give the request that
/// event's ID as `Last-Event-ID`.
///
/// ```no_run
/// use ch03_hyper::client;
/// use futures::StreamExt;
/// use std::pin::pin;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let http = client::http().build()?;
/// let request = http.get("http://127.0.0.1:9003/events");
/// let mut notices = pin!(client::read(request)?);
/// while let Some(notice) = notices.next().await {
///     if let client::Notice::Item(item) = notice? {
///         println!("{item:?}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the request cannot be sent, or could not be sent again.
pub fn read(
    request: RequestBuilder,
) -> Result<impl Stream<Item = Result<Notice, GivenUp>> + Send, GivenUp> {
    read_within(request, Timeouts::default())
}

// ANCHOR: read
/// As [`read`], for a server that may be silent for longer, or for less long.
///
/// # Errors
/// As [`read`].
pub fn read_within(
    request: RequestBuilder,
    timeouts: Timeouts,
) -> Result<impl Stream<Item = Result<Notice, GivenUp>> + Send, GivenUp> {
    let (http, request) = request.build_split();
    let mut request = request.map_err(GivenUp::Request)?;
    let scheme = request.url().scheme();
    if !SCHEMES.contains(&scheme) {
        return Err(GivenUp::Scheme(scheme.to_owned()));
    }
    let mut rules = Reconnection::new(RandomState::new().hash_one(()));
    // What each connection sends in these fields is for the rules to say.
    let fields = request.headers_mut();
    if let Some(id) = fields.remove("last-event-id") {
        let id = str::from_utf8(id.as_bytes());
        let id = id.map_err(|_| GivenUp::LastEventId)?;
        rules.item(&Item::LastEventId(id));
    }
    for field in [ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL] {
        fields.remove(field);
    }
    let source = Source {
        http,
        request,
        timeouts,
        rules,
        started: Instant::now(),
        next: State::Connect { after: Duration::ZERO },
    };
    source.request()?;
    Ok(stream::unfold(source, async |mut source| {
        let notice = source.step().await.transpose()?;
        Some((notice, source))
    }))
}
// ANCHOR_END: read

struct Source {
    http: Client,
    request: Request,
    timeouts: Timeouts,
    rules: Reconnection,
    /// The origin of the clock that the rules are told.
    started: Instant,
    next: State,
}

/// What is to be done next.
enum State {
    Connect { after: Duration },
    Ask(Request),
    Send(Request),
    Judge(Response),
    Read(Items<BoxStream<'static, Result<Bytes, Lost>>>),
    End,
}

impl Source {
    // ANCHOR: step
    /// What happens next; `None` if the server said to stop.
    async fn step(&mut self) -> Result<Option<Notice>, GivenUp> {
        // Whoever drops this future half-way has lost the state.
        let state = mem::replace(&mut self.next, State::End);
        let (next, notice) = match state {
            State::Connect { after } => {
                sleep(after).await;
                let request = self.request()?;
                let url = request.url().clone();
                (State::Ask(request), Notice::Connecting(url))
            }
            State::Ask(request) => {
                let head = request_head(&request);
                (State::Send(request), Notice::Head(head))
            }
            State::Send(request) => {
                let response = self.http.execute(request);
                match timeout(self.timeouts.head, response).await {
                    Ok(Ok(response)) => {
                        let head = response_head(&response);
                        (State::Judge(response), Notice::Head(head))
                    }
                    Ok(Err(error)) if error.is_redirect() => {
                        return Err(GivenUp::Redirect(error));
                    }
                    Ok(Err(error)) => self.lost(error.into()),
                    Err(_) => self.lost(Lost::Silent),
                }
            }
            State::Judge(response) => match self.judge(&response) {
                Verdict::Read if is_encoded(&response) => {
                    return Err(GivenUp::Encoded);
                }
                Verdict::Read => {
                    let id = self.rules.last_event_id();
                    let decoder = Decoder::new().with_last_event_id(id);
                    let bytes = with_idle_timeout(response, self.timeouts.idle);
                    let items = Items::new(bytes, decoder);
                    (State::Read(items), Notice::Open)
                }
                Verdict::Stop => return Ok(None),
                Verdict::Fail(failure) => {
                    return Err(GivenUp::Failure(failure));
                }
            },
            State::Read(mut items) => match items.next().await {
                Some(Ok(item)) => {
                    self.rules.item(&item.as_deref());
                    (State::Read(items), Notice::Item(item))
                }
                Some(Err(ItemsError::Bytes(why))) => self.lost(why),
                Some(Err(ItemsError::Limit(error))) => {
                    return Err(GivenUp::Limit(error));
                }
                None => self.lost(Lost::Ended),
            },
            State::End => return Ok(None),
        };
        self.next = next;
        Ok(Some(notice))
    }
    // ANCHOR_END: step

    /// The request, as the rules have it this time.
    fn request(&self) -> Result<Request, GivenUp> {
        let request = self.request.try_clone().ok_or(GivenUp::Once)?;
        let mut request =
            RequestBuilder::from_parts(self.http.clone(), request)
                .header(ACCEPT_ENCODING, "identity");
        for (name, value) in self.rules.headers() {
            // As bytes: a value that is given as text must be ASCII, and an
            // ID need not be.
            request = request.header(name, value.as_bytes());
        }
        request.build().map_err(GivenUp::Request)
    }

    fn judge(&mut self, response: &Response) -> Verdict {
        let content_type = response.headers().get(CONTENT_TYPE);
        self.rules.response(
            response.status().as_u16(),
            content_type.and_then(|value| value.to_str().ok()),
            self.started.elapsed(),
        )
    }

    fn lost(&mut self, why: Lost) -> (State, Notice) {
        let wait = self.rules.lost(self.started.elapsed());
        (State::Connect { after: wait }, Notice::Lost { why, wait })
    }
}

// ANCHOR: idle
/// The bytes of a body; [`Lost::Silent`] if the next do not come in time.
fn with_idle_timeout(
    response: Response,
    idle: Duration,
) -> BoxStream<'static, Result<Bytes, Lost>> {
    let bytes = response.bytes_stream().boxed();
    stream::unfold(bytes, move |mut bytes| async move {
        // The clock starts when somebody asks, and what has come is looked at
        // before the clock: a caller that was busy loses nothing.
        let next = match timeout(idle, bytes.next()).await {
            Ok(next) => next?.map_err(Lost::from),
            Err(_) => Err(Lost::Silent),
        };
        Some((next, bytes))
    })
    .boxed()
}
// ANCHOR_END: idle

fn is_encoded(response: &Response) -> bool {
    let coding = response.headers().get(CONTENT_ENCODING);
    coding.is_some_and(|coding| coding != "identity")
}

/// What is known of the request before it is sent: reqwest adds `Host` and
/// what the client was built with.
fn request_head(request: &Request) -> String {
    let url = request.url();
    let mut head = format!("{} {}", request.method(), url.path());
    if let Some(query) = url.query() {
        head.extend(["?", query]);
    }
    head.push_str(" HTTP/1.1\n");
    append_fields(head, request.headers())
}

fn response_head(response: &Response) -> String {
    let (version, status) = (response.version(), response.status());
    append_fields(format!("{version:?} {status}\n"), response.headers())
}

fn append_fields(mut head: String, fields: &HeaderMap) -> String {
    for (name, value) in fields {
        let value = String::from_utf8_lossy(value.as_bytes());
        head.extend([name.as_str(), ": ", &value, "\n"]);
    }
    head.push('\n');
    head
}

/// The error at the bottom: those above it say where, and not what.
fn root<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

fn is_about_url(error: &reqwest::Error) -> bool {
    type ParseError = <Url as str::FromStr>::Err;
    error.url().is_some() || root(error).is::<ParseError>()
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => write!(f, "the server ended the stream"),
            Self::Cut => write!(f, "the stream was cut"),
            Self::Silent => write!(f, "nothing came in time"),
            Self::Failed(error) if error.is_connect() && error.is_timeout() => {
                write!(f, "could not connect in time")
            }
            Self::Failed(error) => write!(f, "{}", root(error)),
        }
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) if is_about_url(error) => {
                write!(f, "{}; a URL starts with http://", root(error))
            }
            Self::LastEventId => {
                write!(f, "the request's Last-Event-ID is not UTF-8")
            }
            Self::Request(error) | Self::Redirect(error) => {
                write!(f, "{}", root(error))
            }
            Self::Once => {
                write!(f, "the request has a body that can be sent only once")
            }
            Self::Scheme(scheme) => write!(
                f,
                "cannot connect to {scheme}://, only to http://: for https \
                 build reqwest with its feature \"rustls\""
            ),
            Self::Failure(failure) => write!(f, "{failure}"),
            Self::Limit(error) => write!(f, "{error}"),
            Self::Encoded => {
                write!(f, "the response is compressed, unasked")
            }
        }
    }
}

impl Error for GivenUp {}

impl From<reqwest::Error> for Lost {
    fn from(error: reqwest::Error) -> Self {
        let io = root(&error).downcast_ref::<io::Error>();
        let kind = io.map(io::Error::kind);
        if error.is_timeout() && !error.is_connect() {
            Self::Silent
        } else if kind == Some(ErrorKind::UnexpectedEof) {
            Self::Cut
        } else {
            Self::Failed(error)
        }
    }
}

//! The client: one stream of what happens, over as many connections as it
//! takes.

use bytes::Bytes;
use event_stream::{
    Decoder, Failure, Item, Items, ItemsError, LimitExceeded, Reconnection,
    Refusal, Verdict,
};
use futures::{
    FutureExt, Stream, StreamExt, TryStreamExt,
    future::{BoxFuture, ready},
    stream::{self, BoxStream},
};
use reqwest::{
    Client, ClientBuilder, Method, Request, RequestBuilder, Response,
    StatusCode, Url,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL,
        CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap,
        HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION, SET_COOKIE,
    },
    redirect::Policy,
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
/// What reading the body of a refusal may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);
/// What this client reaches.
const SCHEMES: &[&str] =
    if cfg!(feature = "tls") { &["http", "https"] } else { &["http"] };
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long [`read_with`] waits for a server.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the request to the head of its response: connecting and interim
    /// responses included; `None` for any time.
    pub head: Option<Duration>,
    /// From one piece of the body to the next; `None` for any time.
    pub idle: Option<Duration>,
}

impl Default for Timeouts {
    /// 30 seconds for a head, and a minute of silence: a server that sends a
    /// heartbeat every 15 seconds has missed four.
    fn default() -> Self {
        Self {
            head: Some(Duration::from_secs(30)),
            idle: Some(Duration::from_mins(1)),
        }
    }
}

// ANCHOR: options
/// How a stream is read, where that is the caller's choice.
pub struct Options {
    /// How long to wait for the server.
    pub timeouts: Timeouts,
    /// When to come back, from which statuses, and behind which event. A
    /// `Last-Event-ID` of the request itself comes before the rules'.
    pub rules: Reconnection,
    /// Whether the request may be sent again if its method is not `GET`: an
    /// answer that was complete, or lost, is then asked for once more. Say so
    /// only of a request that does nothing, or that the server knows to be the
    /// same (RFC 9110 §9.2.2).
    pub is_idempotent: bool,
    /// Whether an event that lacks its blank line when the server ends the
    /// stream is given out all the same. The standard drops it (§9.2.6), and
    /// some servers of language models leave the line out. Of a stream that
    /// was cut, nothing more is given out either way.
    pub keeps_unfinished: bool,
    /// Header fields that are new for each connection.
    pub fields: Option<Box<dyn Fields>>,
}

/// What gives the header fields of a connection that is about to be made,
/// such as a token that is still good: called with the last event ID, each
/// time. Its fields replace those of the request. An error is final.
///
/// Any `FnMut(String) -> impl Future<Output = Result<HeaderMap, _>>` does.
pub trait Fields: Send {
    /// The fields of the next connection.
    fn next(
        &mut self,
        last_event_id: &str,
    ) -> BoxFuture<'static, Result<HeaderMap, Box<dyn Error + Send + Sync>>>;
}
// ANCHOR_END: options

impl Default for Options {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            rules: Reconnection::new(RandomState::new().hash_one(())),
            is_idempotent: false,
            keeps_unfinished: false,
            fields: None,
        }
    }
}

impl<F, A, E> Fields for F
where
    F: FnMut(String) -> A + Send,
    A: Future<Output = Result<HeaderMap, E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn next(
        &mut self,
        last_event_id: &str,
    ) -> BoxFuture<'static, Result<HeaderMap, Box<dyn Error + Send + Sync>>>
    {
        self(last_event_id.to_owned()).map(|it| it.map_err(Into::into)).boxed()
    }
}

/// What happens while a stream is read, in the order it happens.
#[derive(Debug)]
pub enum Notice {
    /// A connection is about to be made.
    Connecting(Url),
    /// A head is about to go out, or came in: the request's, as far as it is
    /// known here, or the response's. What may be a secret is not in it.
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
    /// The server ended the stream, and the request is not one to send again:
    /// nothing follows.
    Ended {
        /// It ended within an event, which is dropped.
        is_unfinished: bool,
    },
}

/// Why a connection is over. The client reconnects.
#[derive(Debug)]
pub enum Lost {
    /// The server ended the stream.
    Ended,
    /// The server ended the stream within an event, which is dropped.
    Unfinished,
    /// The connection was closed before the body was complete.
    Cut,
    /// No response head came in time: see [`Timeouts`].
    NoHead,
    /// The stream was silent for too long: see [`Timeouts`].
    Silent,
    /// The framing of the body broke.
    Malformed(reqwest::Error),
    /// The connection broke, or could not be made.
    Failed(reqwest::Error),
    /// The response is not an event stream, and its status is one to come back
    /// from: [`Reconnection::with_retried_statuses`].
    Refused(Refusal),
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
    /// The caller's [`Fields`] failed.
    Fields(Box<dyn Error + Send + Sync>),
    /// The response is not an event stream.
    Refused(Refusal),
    /// The response is not HTTP/1, or its framing cannot be read; nor would
    /// that of the next.
    Malformed(reqwest::Error),
    /// The server has a certificate that is not to be trusted.
    Certificate(reqwest::Error),
    /// An event is too large; it would be the next time, too.
    Limit(LimitExceeded),
    /// More than 20 redirects, or one that leads nowhere.
    Redirect(&'static str),
    /// A redirect asks for the request once more elsewhere, and it is not one
    /// to send again.
    RedirectedOnce(StatusCode),
    /// The stream was lost, and the request is not one to send again.
    LostOnce(Lost),
}

// ANCHOR: http
/// An HTTP client fit for event streams: it limits what connecting takes, and
/// not what a response takes, and leaves redirects to [`read`]. Fields that
/// its caller makes a default of it go to every server that it talks to:
/// secrets belong on the request.
pub fn http() -> ClientBuilder {
    let http = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // reqwest would send a POST once more, and a header field of the
        // caller's own to another origin.
        .redirect(Policy::none())
        .referer(false)
        // The next connection is seconds away: nothing is gained by keeping
        // this one.
        .pool_max_idle_per_host(0)
        // Not by a proxy that the environment happens to name: it may hold
        // back what comes in small pieces.
        .no_proxy();
    #[cfg(feature = "tls")]
    let http = http.tls_backend_preconfigured(crate::tls::config());
    http
}
// ANCHOR_END: http

/// The stream that `request` asks for, as what happens while it is read:
/// connects when it is first polled, and again as the standard says. It ends
/// when the server says to stop (204), or after the error that made it give
/// up. To leave, drop it.
///
/// A request whose method is not `GET` is sent once, and its stream ends when
/// the response does: see [`Options::is_idempotent`]. To go on from an event
/// of an earlier program, give the request that event's ID as `Last-Event-ID`.
///
/// The request's header fields are the caller's, but for three: `Accept` is
/// completed where it lacks `text/event-stream`, `Accept-Encoding` is
/// `identity`, and `Last-Event-ID` follows the stream. None of the caller's
/// goes along when a redirect leads to another origin.
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
    read_with(request, Options::default())
}

// ANCHOR: read
/// As [`read`], with other [`Options`] than the usual ones.
///
/// # Errors
/// As [`read`].
pub fn read_with(
    request: RequestBuilder,
    options: Options,
) -> Result<impl Stream<Item = Result<Notice, GivenUp>> + Send, GivenUp> {
    let Options {
        timeouts,
        mut rules,
        is_idempotent,
        keeps_unfinished,
        fields,
    } = options;
    let (http, request) = request.build_split();
    let mut request = request.map_err(GivenUp::Request)?;
    check_scheme(request.url())?;
    without_user(request.url_mut());
    if let Some(id) = request.headers_mut().remove(LAST_EVENT_ID) {
        let id = str::from_utf8(id.as_bytes());
        let id = id.map_err(|_| GivenUp::LastEventId)?;
        rules = rules.with_last_event_id(id);
    }
    let is_repeated = is_idempotent || request.method() == Method::GET;
    if is_repeated && request.try_clone().is_none() {
        return Err(GivenUp::Once);
    }
    let source = Source {
        http,
        request: Some(request),
        is_repeated,
        keeps_unfinished,
        fields,
        timeouts,
        rules,
        started: Instant::now(),
        next: State::Connect { after: Duration::ZERO },
    };
    Ok(stream::unfold(source, async |mut source| {
        let notice = source.step().await.transpose()?;
        Some((notice, source))
    }))
}
// ANCHOR_END: read

struct Source {
    http: Client,
    /// Each connection's, or the only one's, until that is made.
    request: Option<Request>,
    is_repeated: bool,
    keeps_unfinished: bool,
    fields: Option<Box<dyn Fields>>,
    timeouts: Timeouts,
    rules: Reconnection,
    /// The origin of the clock that the rules are told.
    started: Instant,
    next: State,
}

/// What is to be done next.
enum State {
    Connect { after: Duration },
    Ask(Hop),
    Send(Hop),
    Judge(Response, Hop),
    Read(Items<BoxStream<'static, Result<Bytes, Lost>>>),
    End,
}

/// A request on its way: the first, or the one behind a redirect.
struct Hop {
    request: Request,
    redirects: usize,
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
                let request = self.request().await?;
                let url = request.url().clone();
                let hop = Hop { request, redirects: 0 };
                (State::Ask(hop), Notice::Connecting(url))
            }
            State::Ask(hop) => {
                let head = request_head(&hop.request);
                (State::Send(hop), Notice::Head(head))
            }
            State::Send(hop) => {
                let (sent, hop) = hop.split();
                let response = self.http.execute(sent);
                match within(self.timeouts.head, response).await {
                    Some(Ok(response)) => {
                        let head = response_head(&response);
                        (State::Judge(response, hop), Notice::Head(head))
                    }
                    Some(Err(error)) => self.lost(Lost::try_from(error)?)?,
                    None => self.lost(Lost::NoHead)?,
                }
            }
            State::Judge(response, hop) if is_redirect(response.status()) => {
                let hop = hop.follow(&response, self.is_repeated)?;
                let url = hop.request.url().clone();
                (State::Ask(hop), Notice::Connecting(url))
            }
            State::Judge(response, _) => match self.judge(&response) {
                Verdict::Read => {
                    let id = self.rules.last_event_id();
                    let decoder = Decoder::new().with_last_event_id(id);
                    let mut bytes =
                        with_idle_timeout(response, self.timeouts.idle);
                    if self.keeps_unfinished {
                        bytes = with_blank_line(bytes);
                    }
                    let items = Items::new(bytes, decoder);
                    (State::Read(items), Notice::Open)
                }
                Verdict::Stop => return Ok(None),
                Verdict::Retry { failure, wait } if self.is_repeated => {
                    let why = Lost::Refused(refusal(failure, response).await);
                    let next = State::Connect { after: wait };
                    (next, Notice::Lost { why, wait })
                }
                Verdict::Retry { failure, .. } | Verdict::Fail(failure) => {
                    let refusal = refusal(failure, response).await;
                    return Err(GivenUp::Refused(refusal));
                }
            },
            State::Read(mut items) => match items.next().await {
                Some(Ok(item)) => {
                    self.rules.item(&item.as_deref());
                    (State::Read(items), Notice::Item(item))
                }
                // A framing that was good and broke may be good again.
                Some(Err(ItemsError::Bytes(Lost::Malformed(error))))
                    if !self.rules.has_spoken() =>
                {
                    return Err(GivenUp::Malformed(error));
                }
                Some(Err(ItemsError::Bytes(why))) => self.lost(why)?,
                Some(Err(ItemsError::Limit(error))) => {
                    return Err(GivenUp::Limit(error));
                }
                None => self.ended(items.is_unfinished()),
            },
            State::End => return Ok(None),
        };
        self.next = next;
        Ok(Some(notice))
    }
    // ANCHOR_END: step

    /// The request, as the rules and the caller have it this time.
    async fn request(&mut self) -> Result<Request, GivenUp> {
        let request = match &self.request {
            Some(request) if self.is_repeated => request.try_clone(),
            _ => self.request.take(),
        };
        let mut request = request.ok_or(GivenUp::Once)?;
        let fields = request.headers_mut();
        if let Some(fresh) = &mut self.fields {
            let id = self.rules.last_event_id();
            fields.extend(fresh.next(id).await.map_err(GivenUp::Fields)?);
            fields.remove(LAST_EVENT_ID);
        }
        let identity = HeaderValue::from_static("identity");
        fields.insert(ACCEPT_ENCODING, identity);
        for (name, value) in self.rules.headers() {
            // As bytes: a value that is given as text must be ASCII, and an
            // ID need not be.
            let name = HeaderName::try_from(name);
            let value = HeaderValue::from_bytes(value.as_bytes());
            let (Ok(name), Ok(value)) = (name, value) else { continue };
            if name != ACCEPT {
                fields.entry(name).or_insert(value);
            } else if !accepts_streams(fields) {
                accept_too(fields, &value);
            }
        }
        Ok(request)
    }

    fn judge(&mut self, response: &Response) -> Verdict {
        let now = self.started.elapsed();
        let status = response.status().as_u16();
        self.rules.response(status, response.headers(), now)
    }

    fn lost(&mut self, why: Lost) -> Result<(State, Notice), GivenUp> {
        if !self.is_repeated {
            return Err(GivenUp::LostOnce(why));
        }
        let wait = self.rules.lost(self.started.elapsed());
        Ok((State::Connect { after: wait }, Notice::Lost { why, wait }))
    }

    fn ended(&mut self, is_unfinished: bool) -> (State, Notice) {
        if !self.is_repeated {
            return (State::End, Notice::Ended { is_unfinished });
        }
        let why = if is_unfinished { Lost::Unfinished } else { Lost::Ended };
        let wait = self.rules.ended(self.started.elapsed());
        (State::Connect { after: wait }, Notice::Lost { why, wait })
    }
}

// ANCHOR: redirect
fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl Hop {
    /// The request to send, and what a redirect needs of it. A body that can
    /// be sent only once is not in that, and is not asked for there.
    fn split(self) -> (Request, Self) {
        let Self { request, redirects } = self;
        let again = request.try_clone().unwrap_or_else(|| {
            let method = request.method().clone();
            let mut again = Request::new(method, request.url().clone());
            again.headers_mut().clone_from(request.headers());
            again
        });
        (request, Self { request: again, redirects })
    }

    /// The request that a redirect asks for, as Fetch has it ("HTTP-redirect
    /// fetch"); but what is sent once is not sent again, and what the caller
    /// sends to one origin is not sent to another.
    fn follow(
        mut self,
        response: &Response,
        is_repeated: bool,
    ) -> Result<Self, GivenUp> {
        if self.redirects == MAX_REDIRECTS {
            return Err(GivenUp::Redirect("redirected without end"));
        }
        let location = response
            .headers()
            .get(LOCATION)
            .ok_or(GivenUp::Redirect("redirected without a Location"))?;
        let location = String::from_utf8_lossy(location.as_bytes());
        let mut url = response.url().join(&location).map_err(|_| {
            GivenUp::Redirect("redirected to what is not a URL")
        })?;
        check_scheme(&url)?;
        without_user(&mut url);
        let (status, method) = (response.status(), self.request.method());
        let becomes_get = status == StatusCode::SEE_OTHER
            || *method == Method::POST && status.as_u16() < 303;
        if *method != Method::GET {
            if becomes_get {
                *self.request.method_mut() = Method::GET;
                *self.request.body_mut() = None;
                for field in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
                    self.request.headers_mut().remove(field);
                }
            } else if !is_repeated {
                return Err(GivenUp::RedirectedOnce(status));
            }
        }
        if url.origin() != self.request.url().origin() {
            let fields = mem::take(self.request.headers_mut());
            let kept = [
                ACCEPT,
                ACCEPT_ENCODING,
                CACHE_CONTROL,
                CONTENT_TYPE,
                LAST_EVENT_ID,
            ];
            for name in kept {
                let values = fields.get_all(&name).iter().cloned();
                for value in values {
                    self.request.headers_mut().append(&name, value);
                }
            }
        }
        *self.request.url_mut() = url;
        Ok(Self { request: self.request, redirects: self.redirects + 1 })
    }
}
// ANCHOR_END: redirect

fn check_scheme(url: &Url) -> Result<(), GivenUp> {
    if SCHEMES.contains(&url.scheme()) {
        return Ok(());
    }
    Err(GivenUp::Scheme(url.scheme().to_owned()))
}

/// Takes a user and a password out of a URL: reqwest makes a field of those
/// that the caller gave, and those of a redirect are for nobody.
fn without_user(url: &mut Url) {
    // Where there is no host there is no user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

/// Whether an `Accept` lists event streams.
fn accepts_streams(fields: &HeaderMap) -> bool {
    fields.get_all(ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|list| {
            list.split(',').any(|range| {
                let range = range.split(';').next().unwrap_or_default();
                range.trim().eq_ignore_ascii_case(event_stream::MIME_TYPE)
            })
        })
    })
}

/// Adds a media range to `Accept`, in one field: some servers read the first.
fn accept_too(fields: &mut HeaderMap, range: &HeaderValue) {
    let mut list = Vec::new();
    for given in fields.get_all(ACCEPT) {
        list.extend_from_slice(given.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(range.as_bytes());
    // What was made of values is one.
    let value = HeaderValue::from_bytes(&list);
    fields.insert(ACCEPT, value.unwrap_or_else(|_| range.clone()));
}

/// What comes of it in time, if anything does.
async fn within<T>(
    limit: Option<Duration>,
    what: impl Future<Output = T>,
) -> Option<T> {
    match limit {
        Some(limit) => timeout(limit, what).await.ok(),
        None => Some(what.await),
    }
}

/// The failure with the first of the body that explains it: as much as a
/// [`Refusal`] keeps, and what comes in time.
async fn refusal(failure: Failure, response: Response) -> Refusal {
    let mut body = Vec::new();
    if failure.is_explained() {
        let mut bytes = response.bytes_stream();
        let read = async {
            while let Ok(Some(piece)) = bytes.try_next().await {
                body.extend_from_slice(&piece);
                if body.len() > Refusal::MAX_BODY {
                    break;
                }
            }
        };
        // What came of a body that stalls or breaks is told all the same.
        let _ = timeout(REFUSAL_TIMEOUT, read).await;
    }
    Refusal::new(failure, &body)
}

// ANCHOR: idle
/// The bytes of a body; [`Lost::Silent`] if the next do not come in time.
fn with_idle_timeout(
    response: Response,
    idle: Option<Duration>,
) -> BoxStream<'static, Result<Bytes, Lost>> {
    let bytes = response.bytes_stream().boxed();
    stream::unfold(bytes, move |mut bytes| async move {
        // The clock starts when somebody asks, and what has come is looked at
        // before the clock: a caller that was busy loses nothing.
        let next = match within(idle, bytes.next()).await {
            Some(next) => next?.map_err(Lost::of_body),
            None => Err(Lost::Silent),
        };
        Some((next, bytes))
    })
    .boxed()
}
// ANCHOR_END: idle

// ANCHOR: blank_line
/// The same bytes with a blank line behind their end: the decoder gives out
/// what was unfinished. After an error nobody asks for it.
fn with_blank_line(
    bytes: BoxStream<'static, Result<Bytes, Lost>>,
) -> BoxStream<'static, Result<Bytes, Lost>> {
    let blank_line = Bytes::from_static(b"\n\n");
    bytes.chain(stream::once(ready(Ok(blank_line)))).boxed()
}
// ANCHOR_END: blank_line

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
        let value = shown(name, value);
        head.extend([name.as_str(), ": ", &value, "\n"]);
    }
    head.push('\n');
    head
}

/// A field's value, unless it lets whoever reads it in: what is printed is
/// often kept.
fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    let secret = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE];
    if value.is_sensitive() || secret.contains(name) {
        return "(not shown)".to_owned();
    }
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    // The user of a URL, in full or without its scheme.
    match text.split_once("//") {
        Some((scheme, rest)) if *name == LOCATION => {
            let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
            let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}//{}", &rest[start..])
        }
        _ => text,
    }
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
            Self::Unfinished => write!(
                f,
                "the server ended the stream within an event, which is dropped"
            ),
            Self::Cut => write!(f, "the stream was cut"),
            Self::NoHead => write!(f, "no response came in time"),
            Self::Silent => write!(f, "nothing came in time"),
            Self::Malformed(error) => malformed(error, f),
            Self::Failed(error) if error.is_connect() && error.is_timeout() => {
                write!(f, "could not connect in time")
            }
            Self::Failed(error) => write!(f, "{}", root(error)),
            Self::Refused(refusal) => write!(f, "{refusal}"),
        }
    }
}

fn malformed(
    error: &reqwest::Error,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "the response is malformed: {}", root(error))
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
            Self::Request(error) | Self::Certificate(error) => {
                write!(f, "{}", root(error))
            }
            Self::Once => {
                write!(f, "the request has a body that can be sent only once")
            }
            Self::Scheme(scheme) if SCHEMES.contains(&"https") => write!(
                f,
                "cannot connect to {scheme}://, only to http:// and https://"
            ),
            Self::Scheme(scheme) => write!(
                f,
                "cannot connect to {scheme}://, only to http://: for https \
                 build this with its feature \"tls\""
            ),
            Self::Fields(error) => write!(f, "{error}"),
            Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::Malformed(error) => malformed(error, f),
            Self::Limit(error) => write!(f, "{error}"),
            Self::Redirect(why) => write!(f, "{why}"),
            Self::RedirectedOnce(status) => write!(
                f,
                "redirected with status {}, which asks for the request once \
                 more: only a GET is sent again",
                status.as_u16()
            ),
            Self::LostOnce(why) => {
                write!(f, "{why}; only a GET is sent again")
            }
        }
    }
}

impl Error for GivenUp {}

// ANCHOR: final
impl TryFrom<reqwest::Error> for Lost {
    type Error = GivenUp;

    /// Why no response came; an error where none would come the next time.
    fn try_from(error: reqwest::Error) -> Result<Self, GivenUp> {
        let hyper = root(&error).downcast_ref::<hyper::Error>();
        if error.is_builder() {
            Err(GivenUp::Request(error))
        } else if hyper.is_some_and(hyper::Error::is_parse) {
            Err(GivenUp::Malformed(error))
        } else if is_untrusted(&error) {
            Err(GivenUp::Certificate(error))
        } else {
            Ok(Self::Failed(error))
        }
    }
}
// ANCHOR_END: final

impl Lost {
    /// Why a body that had begun is over.
    fn of_body(error: reqwest::Error) -> Self {
        let io = root(&error).downcast_ref::<io::Error>();
        match io.map(io::Error::kind) {
            Some(ErrorKind::UnexpectedEof) => Self::Cut,
            // hyper's, for chunks that are none.
            Some(ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
                Self::Malformed(error)
            }
            _ => Self::Failed(error),
        }
    }
}

/// Whether the server's certificate is wrong, and not only too early or late:
/// that is mended while a program runs.
#[cfg(feature = "tls")]
fn is_untrusted(error: &reqwest::Error) -> bool {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidYet, NotValidYetContext,
    };
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(why)) =
            error.downcast_ref()
        {
            return !matches!(
                why,
                Expired
                    | ExpiredContext { .. }
                    | NotValidYet
                    | NotValidYetContext { .. }
            );
        }
        // An I/O error leaves what it wraps out of its sources.
        let io = error.downcast_ref::<io::Error>();
        cause = match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

#[cfg(not(feature = "tls"))]
fn is_untrusted(_: &reqwest::Error) -> bool {
    false
}

//! The streams of what happens, and of events alone.

use crate::{
    head::{request_head, response_head},
    hop::{Hop, LAST_EVENT_ID, accept_too, accepts_streams, is_redirect},
    http::{check_scheme, without_user},
    notice::{GivenUp, Lost, Notice},
    options::{Fields, Options, Timeouts},
};
use bytes::Bytes;
use event_stream::{
    Decoder, Failure, Item, Items, ItemsError, MessageEvent, Reconnection,
    Refusal, Verdict,
};
use futures_util::{
    Stream, StreamExt, TryStreamExt,
    future::ready,
    ready,
    stream::{self, BoxStream, FusedStream},
};
use reqwest::{
    Client, Method, Request, RequestBuilder, Response,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue},
};
use std::{
    fmt, mem,
    pin::Pin,
    str,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// What reading the body of a refusal may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

// ANCHOR: read
/// What happens while a stream is read, over as many connections as it takes.
///
/// It connects when it is first polled, and again as the standard says
/// (§9.2.3). It ends when the server says to stop (204), or after the error
/// that made it give up. To leave, drop it. Nothing is lost when the future of
/// a `next()` is dropped before it is done: so it may stand in a `select!`.
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
/// use event_client::{Notice, RequestBuilderExt};
/// use futures::StreamExt;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let http = event_client::http().build()?;
/// let mut notices = http.get("http://127.0.0.1:9003/events").notices()?;
/// while let Some(notice) = notices.next().await {
///     match notice? {
///         Notice::Item(item) => println!("{item:?}"),
///         Notice::Lost { why, wait } => eprintln!("{why}: back in {wait:?}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
// `None` once it has ended: the connection is given back then, not when the
// reader gets round to dropping this.
pub struct Notices(Option<BoxStream<'static, Result<Notice, GivenUp>>>);

impl Notices {
    pub(crate) fn new(
        request: RequestBuilder,
        options: Options,
    ) -> Result<Self, GivenUp> {
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
        let notices = stream::unfold(source, async |mut source| {
            let notice = source.step().await.transpose()?;
            Some((notice, source))
        });
        Ok(Self(Some(notices.boxed())))
    }
}
// ANCHOR_END: read

impl Stream for Notices {
    type Item = Result<Notice, GivenUp>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let Some(notices) = &mut self.0 else { return Poll::Ready(None) };
        let next = ready!(notices.poll_next_unpin(context));
        if !matches!(next, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(next)
    }
}

impl FusedStream for Notices {
    fn is_terminated(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_terminated = self.is_terminated();
        f.debug_struct("Notices")
            .field("is_terminated", &is_terminated)
            .finish_non_exhaustive()
    }
}

/// The events of a stream, and nothing else: [`Notices`] for who wants no
/// more.
///
/// What was lost on the way is asked for again by `Last-Event-ID`. That the
/// connection broke, and when it comes back, nobody is told; that it will not
/// come back is the error at the end. Who must know that a server is away
/// reads [`Notices`].
///
/// The answer to a request that is sent once ends here as it ends there, but
/// for an answer that ended within an event: that is an error,
/// [`GivenUp::LostOnce`] of [`Lost::Unfinished`].
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Events(pub(crate) Notices);

impl Stream for Events {
    type Item = Result<MessageEvent, GivenUp>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        loop {
            let event = match ready!(self.0.poll_next_unpin(context)) {
                Some(Ok(Notice::Item(Item::Event(event)))) => Ok(event),
                Some(Ok(Notice::Ended { is_unfinished: true })) => {
                    Err(GivenUp::LostOnce(Lost::Unfinished))
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => Err(error),
                None => return Poll::Ready(None),
            };
            return Poll::Ready(Some(event));
        }
    }
}

impl FusedStream for Events {
    fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }
}

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
                (State::Ask(Hop::first(request)), Notice::Connecting(url))
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
                    Some(Err(error)) => self.lost(Lost::of_request(error)?)?,
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

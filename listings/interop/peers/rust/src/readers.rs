//! One adaptor a crate, and one more where a crate has two forms.

use crate::{Reader, Seen, version};
use bytes::Bytes;
use event_stream::{Decoder, Item, Items};
use eventsource_client::{
    BoxStream, Client, ClientBuilder, Error as ClientError, ReconnectOptions,
    SSE,
};
use eventsource_stream::Eventsource;
use futures::{
    FutureExt, Stream, StreamExt, TryStreamExt, future, stream::IntoAsyncRead,
};
use http::{Request, Response};
use launchdarkly_sdk_transport::{
    ByteStream, HttpTransport, ResponseFuture, TransportError,
};
use reqwest_sse::EventSource;
use std::{
    convert::Infallible,
    io,
    marker::PhantomData,
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
    vec,
};

/// The chunks, as the body of a response that never waits.
#[derive(Debug)]
pub struct Body<E> {
    chunks: vec::IntoIter<Bytes>,
    error: PhantomData<fn() -> E>,
}

impl<E> Body<E> {
    pub(crate) fn new(chunks: &[Bytes]) -> Self {
        // A list of its own: it hands its chunks on.
        let chunks = Vec::from(chunks).into_iter();
        Self { chunks, error: PhantomData }
    }
}

impl<E> Stream for Body<E> {
    type Item = Result<Bytes, E>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.chunks.next().map(Ok))
    }
}

/// Polls a stream to its end. Nothing here waits, so no runtime is needed.
pub(crate) fn drain<S: Stream + ?Sized>(
    stream: &mut Pin<Box<S>>,
    mut each: impl FnMut(S::Item) -> Result<(), String>,
) -> Result<(), String> {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match stream.as_mut().poll_next(&mut context) {
            Poll::Ready(Some(item)) => each(item)?,
            Poll::Ready(None) => return Ok(()),
            Poll::Pending => return Err("waits for more".to_owned()),
        }
    }
}

// As `map_err` calls it.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn text(error: impl ToString) -> String {
    error.to_string()
}

pub(crate) fn seen<'a>(item: &Item<&'a str>) -> Seen<'a> {
    match *item {
        Item::Event(event) => Seen::Event {
            event_type: event.event_type,
            data: event.data.as_bytes(),
            last_event_id: event.last_event_id,
        },
        Item::Comment(comment) => Seen::Comment(comment),
        Item::ReconnectionTime(time) => Seen::ReconnectionTime(time),
        Item::LastEventId(id) => Seen::LastEventId(id),
    }
}

/// The package of the book's decoder, whose library is `event_stream`.
const PACKAGE: &str = "text-event-stream";

/// The book's decoder; its items borrow.
#[derive(Debug)]
pub struct EventStream;

impl Reader for EventStream {
    const CRATE: &'static str = "event-stream";
    const FORM: &'static str = "Decoder";

    fn version() -> &'static str {
        version(PACKAGE)
    }

    type Input = (Decoder, Vec<Bytes>);

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        Ok((Decoder::new(), chunks.to_vec()))
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        let (decoder, chunks) = input;
        for mut chunk in chunks.iter().map(AsRef::as_ref) {
            while let Some(item) = decoder.next(&mut chunk).map_err(text)? {
                each(seen(&item));
            }
        }
        Ok(())
    }

    fn last_event_id(chunks: &[Bytes]) -> Option<String> {
        let mut decoder = Decoder::new();
        for mut chunk in chunks.iter().map(AsRef::as_ref) {
            while decoder.next(&mut chunk).ok()?.is_some() {}
        }
        Some(decoder.last_event_id().to_owned())
    }
}

/// The book's decoder over a stream of chunks; its items are owned.
#[derive(Debug)]
pub struct EventStreamItems;

impl Reader for EventStreamItems {
    const CRATE: &'static str = "event-stream";
    const FORM: &'static str = "Items";

    fn version() -> &'static str {
        version(PACKAGE)
    }

    type Input = Pin<Box<Items<Body<Infallible>>>>;

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        Ok(Box::pin(Items::new(Body::new(chunks), Decoder::new())))
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        drain(input, |item| {
            each(seen(&item.map_err(text)?.as_deref()));
            Ok(())
        })
    }
}

/// `async_sse::decode`, over a buffered reader.
#[derive(Debug)]
pub struct AsyncSse;

impl Reader for AsyncSse {
    const CRATE: &'static str = "async-sse";
    const FORM: &'static str = "decode";

    type Input = Pin<Box<async_sse::Decoder<IntoAsyncRead<Body<io::Error>>>>>;

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        let reader = Body::new(chunks).into_async_read();
        Ok(Box::pin(async_sse::decode(reader)))
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        drain(input, |event| {
            each(match &event.map_err(text)? {
                async_sse::Event::Retry(time) => Seen::ReconnectionTime(*time),
                async_sse::Event::Message(message) => Seen::Event {
                    event_type: message.name(),
                    data: message.data(),
                    last_event_id: message.id().as_deref().unwrap_or(""),
                },
            });
            Ok(())
        })
    }
}

/// `eventsource_client`'s client, over a transport that has the response.
#[derive(Debug)]
pub struct EventsourceClient;

/// Answers the first request with the chunks, and any other with nothing.
#[derive(Clone)]
struct Canned {
    chunks: Arc<Mutex<Option<Body<TransportError>>>>,
    /// The `Last-Event-ID` of the newest request.
    asked_from: Arc<Mutex<Option<String>>>,
}

impl Canned {
    fn new(chunks: &[Bytes]) -> Self {
        Self {
            chunks: Arc::new(Mutex::new(Some(Body::new(chunks)))),
            asked_from: Arc::default(),
        }
    }
}

impl HttpTransport for Canned {
    fn request(&self, request: Request<Option<Bytes>>) -> ResponseFuture {
        let id = request.headers().get("Last-Event-ID");
        let id = id.map(|id| String::from_utf8_lossy(id.as_bytes()).into());
        *self.asked_from.lock().unwrap_or_else(PoisonError::into_inner) = id;
        let mut chunks =
            self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let body: ByteStream =
            Box::pin(chunks.take().unwrap_or(Body::new(&[])));
        Box::pin(future::ready(Ok(Response::new(body))))
    }
}

fn client(transport: Canned, reconnect: bool) -> Result<impl Client, String> {
    let options = ReconnectOptions::reconnect(reconnect).build();
    let builder = ClientBuilder::for_url("http://127.0.0.1/").map_err(text)?;
    Ok(builder.reconnect(options).build_with_transport(transport))
}

impl Reader for EventsourceClient {
    const CRATE: &'static str = "eventsource-client";
    const FORM: &'static str = "Client";

    type Input = BoxStream<Result<SSE, ClientError>>;

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        Ok(client(Canned::new(chunks), false)?.stream())
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        drain(input, |item| {
            match item {
                Ok(SSE::Event(event)) => {
                    if let Some(retry) = event.retry {
                        let time = Duration::from_millis(retry);
                        each(Seen::ReconnectionTime(time));
                    }
                    each(Seen::Event {
                        event_type: &event.event_type,
                        data: event.data.as_bytes(),
                        last_event_id: event.id.as_deref().unwrap_or(""),
                    });
                }
                Ok(SSE::Comment(comment)) => each(Seen::Comment(&comment)),
                Ok(SSE::Connected(_))
                | Err(ClientError::Eof | ClientError::UnexpectedEof) => {}
                Err(error) => return Err(text(error)),
            }
            Ok(())
        })
    }

    /// Lets the client reconnect, in a runtime whose clock runs ahead.
    fn last_event_id(chunks: &[Bytes]) -> Option<String> {
        let transport = Canned::new(chunks);
        let client = client(transport.clone(), true).ok()?;
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .ok()?
            .block_on(async {
                let mut items = client.stream();
                let mut connected = 0;
                while connected < 2 {
                    let item = items.next().await?;
                    connected +=
                        usize::from(matches!(item, Ok(SSE::Connected(_))));
                }
                Some(())
            })?;
        let asked_from = transport.asked_from.lock();
        let id = asked_from.unwrap_or_else(PoisonError::into_inner).clone();
        Some(id.unwrap_or_default())
    }
}

/// `eventsource_stream::EventStream`.
#[derive(Debug)]
pub struct EventsourceStream;

impl Reader for EventsourceStream {
    const CRATE: &'static str = "eventsource-stream";
    const FORM: &'static str = "EventStream";

    type Input = Pin<Box<eventsource_stream::EventStream<Body<Infallible>>>>;

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        Ok(Box::pin(Body::new(chunks).eventsource()))
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        drain(input, |event| {
            let event = event.map_err(text)?;
            if let Some(time) = event.retry {
                each(Seen::ReconnectionTime(time));
            }
            each(Seen::Event {
                event_type: &event.event,
                data: event.data.as_bytes(),
                last_event_id: &event.id,
            });
            Ok(())
        })
    }

    fn last_event_id(chunks: &[Bytes]) -> Option<String> {
        let mut events = Self::prepare(chunks).ok()?;
        drain(&mut events, |event| event.map(drop).map_err(text)).ok()?;
        Some(events.last_event_id().to_owned())
    }
}

/// `eventsrc::FrameStream`.
#[derive(Debug)]
pub struct Eventsrc;

impl Reader for Eventsrc {
    const CRATE: &'static str = "eventsrc";
    const FORM: &'static str = "FrameStream";

    type Input = Pin<Box<eventsrc::FrameStream<Body<Infallible>>>>;

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        Ok(Box::pin(eventsrc::FrameStream::new(Body::new(chunks))))
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        drain(input, |frame| {
            each(match &frame.map_err(text)? {
                eventsrc::Frame::Retry(time) => Seen::ReconnectionTime(*time),
                eventsrc::Frame::Event(event) => Seen::Event {
                    event_type: event.event(),
                    data: event.data().as_bytes(),
                    last_event_id: event.id(),
                },
            });
            Ok(())
        })
    }

    fn last_event_id(chunks: &[Bytes]) -> Option<String> {
        let mut frames = Self::prepare(chunks).ok()?;
        drain(&mut frames, |frame| frame.map(drop).map_err(text)).ok()?;
        Some(frames.last_event_id().to_owned())
    }
}

/// `reqwest_sse`'s events of a response, whose body is the chunks.
#[derive(Debug)]
pub struct ReqwestSse;

impl Reader for ReqwestSse {
    const CRATE: &'static str = "reqwest-sse";
    const FORM: &'static str = "events";

    type Input = reqwest_sse::ServerSentEvents;

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        let body = reqwest::Body::wrap_stream(Body::<Infallible>::new(chunks));
        let response = Response::builder()
            .header("Content-Type", "text/event-stream")
            .body(body)
            .map_err(text)?;
        // It looks at the head, and that is there.
        reqwest::Response::from(response)
            .events()
            .now_or_never()
            .ok_or("waits for the head")?
            .map_err(text)
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        drain(input, |event| {
            let event = event.map_err(text)?;
            if let Some(time) = event.retry {
                each(Seen::ReconnectionTime(time));
            }
            each(Seen::Event {
                event_type: &event.event_type,
                data: event.data.as_bytes(),
                last_event_id: event.last_event_id.as_deref().unwrap_or(""),
            });
            Ok(())
        })
    }
}

/// `sse_codec::decode_stream`, over a reader.
#[derive(Debug)]
pub struct SseCodec;

impl Reader for SseCodec {
    const CRATE: &'static str = "sse-codec";
    const FORM: &'static str = "decode_stream";

    type Input =
        Pin<Box<sse_codec::DecodeStream<IntoAsyncRead<Body<io::Error>>>>>;

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        let reader = Body::new(chunks).into_async_read();
        Ok(Box::pin(sse_codec::decode_stream(reader)))
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        drain(input, |event| {
            each(match &event.map_err(text)? {
                sse_codec::Event::Retry { retry } => {
                    Seen::ReconnectionTime(Duration::from_millis(*retry))
                }
                sse_codec::Event::Message { id, event, data } => Seen::Event {
                    event_type: event,
                    data: data.as_bytes(),
                    last_event_id: id.as_deref().unwrap_or(""),
                },
            });
            Ok(())
        })
    }
}

/// `sse_core::SseDecoder`, with the book's limit: its own is 512 KiB.
#[derive(Debug)]
pub struct SseCore;

fn sse_core_decoder() -> Result<sse_core::SseDecoder, String> {
    let limit = NonZeroUsize::new(Decoder::DEFAULT_LIMIT).ok_or("no limit")?;
    Ok(sse_core::SseDecoder::with_limit(limit))
}

fn sse_core_seen(event: &sse_core::SseEvent) -> Seen<'_> {
    match event {
        sse_core::SseEvent::Retry(retry) => {
            Seen::ReconnectionTime(Duration::from_millis((*retry).into()))
        }
        sse_core::SseEvent::Message(event) => Seen::Event {
            event_type: &event.event,
            data: event.data.as_bytes(),
            last_event_id: event.last_event_id.as_deref().unwrap_or(""),
        },
    }
}

impl Reader for SseCore {
    const CRATE: &'static str = "sse-core";
    const FORM: &'static str = "SseDecoder";

    type Input = (sse_core::SseDecoder, Vec<Bytes>);

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        Ok((sse_core_decoder()?, chunks.to_vec()))
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        let (decoder, chunks) = input;
        for mut chunk in chunks.iter().map(AsRef::<[u8]>::as_ref) {
            while let Some(event) = decoder.next(&mut chunk) {
                each(sse_core_seen(&event.map_err(text)?));
            }
        }
        Ok(())
    }

    fn last_event_id(chunks: &[Bytes]) -> Option<String> {
        let mut decoder = sse_core_decoder().ok()?;
        for mut chunk in chunks.iter().map(AsRef::<[u8]>::as_ref) {
            while let Some(event) = decoder.next(&mut chunk) {
                event.ok()?;
            }
        }
        let id = decoder.last_event_id();
        Some(id.map(ToString::to_string).unwrap_or_default())
    }
}

/// `sse_core::SseStream`, with the same limit.
#[derive(Debug)]
pub struct SseCoreStream;

impl Reader for SseCoreStream {
    const CRATE: &'static str = "sse-core";
    const FORM: &'static str = "SseStream";

    type Input = Pin<Box<sse_core::SseStream<Body<Infallible>>>>;

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        let mut events = sse_core::SseStream::with_decoder(sse_core_decoder()?);
        events.attach(Body::new(chunks));
        Ok(Box::pin(events))
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        drain(input, |event| {
            each(sse_core_seen(&event.map_err(text)?));
            Ok(())
        })
    }
}

// ANCHOR: sse-stream
/// `sse_stream::SseByteStream`, which hands out blocks.
#[derive(Debug)]
pub struct SseStream;

impl Reader for SseStream {
    const CRATE: &'static str = "sse-stream";
    const FORM: &'static str = "SseByteStream";

    type Input = Pin<Box<sse_stream::SseByteStream<Body<Infallible>>>>;

    fn prepare(chunks: &[Bytes]) -> Result<Self::Input, String> {
        Ok(Box::pin(sse_stream::SseByteStream::new(Body::new(chunks))))
    }

    fn run(
        input: &mut Self::Input,
        mut each: impl FnMut(Seen<'_>),
    ) -> Result<(), String> {
        drain(input, |block| {
            let block = block.map_err(text)?;
            each(Seen::Block {
                event: block.event.as_deref(),
                data: block.data.as_deref().map(str::as_bytes),
                id: block.id.as_deref(),
                retry: block.retry.map(Duration::from_millis),
            });
            Ok(())
        })
    }
}
// ANCHOR_END: sse-stream

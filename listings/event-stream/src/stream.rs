//! From a stream of chunks to a stream of items or events, for async readers.

use crate::{Decoder, Item, LimitExceeded, MessageEvent};
use core::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use futures_core::{Stream, TryStream};
use pin_project_lite::pin_project;

/// What makes events of a stream of chunks: the body of a response, such as
/// reqwest's `bytes_stream()`.
///
/// ```
/// use event_stream::EventStreamExt;
/// use futures::{StreamExt, executor::block_on, stream};
/// # use std::convert::Infallible;
///
/// let chunks = [Ok::<_, Infallible>("id: 7\ndata: He"), Ok("llo\n\n")];
/// let mut events = stream::iter(chunks).events();
/// block_on(async {
///     while let Some(event) = events.next().await {
///         let event = event?;
///         assert_eq!((&*event.last_event_id, &*event.data), ("7", "Hello"));
///     }
///     # Ok::<(), event_stream::ItemsError<Infallible>>(())
/// })?;
/// # Ok::<(), event_stream::ItemsError<Infallible>>(())
/// ```
///
/// A decoder that goes on from an ID, or has another limit, is given to
/// [`Items::new`].
pub trait EventStreamExt: TryStream<Ok: AsRef<[u8]>> + Sized {
    /// The events in these chunks, and nothing else.
    fn events(self) -> Events<Self> {
        Items::new(self, Decoder::new().without_comments()).events()
    }

    /// All that these chunks say: events, comments, reconnection times, IDs.
    fn items(self) -> Items<Self> {
        Items::new(self, Decoder::new())
    }
}

impl<S: TryStream<Ok: AsRef<[u8]>>> EventStreamExt for S {}

// ANCHOR: items
pin_project! {
    /// The items of an event stream whose bytes come from another stream, such
    /// as the body of a response.
    ///
    /// Nothing is lost when the future of a `next()` is dropped before it is
    /// done: all that was read is in here. So it may stand in a `select!`.
    ///
    /// It ends with the bytes. What stands behind the last blank line is an
    /// event that never arrived (§9.2.6). After an error it has ended too.
    #[derive(Debug)]
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Items<S: TryStream> {
        // `None` once it has ended: the connection is given back then, not
        // when the reader gets round to dropping this.
        #[pin]
        bytes: Option<S>,
        decoder: Decoder,
        // The newest chunk, while there are items in it.
        chunk: Option<S::Ok>,
        // How much of it was decoded.
        decoded: usize,
    }
}

/// Why there will be no more items. There is no third way: a match of both
/// stays complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemsError<E> {
    /// The stream of bytes failed.
    Bytes(E),
    /// An event is larger than the decoder may hold.
    Limit(LimitExceeded),
}
// ANCHOR_END: items

impl<S: TryStream> Items<S> {
    /// Decodes `bytes` with a decoder that has read nothing yet.
    ///
    /// ```
    /// use event_stream::{Decoder, Item, Items};
    /// use futures::{StreamExt, executor::block_on, stream};
    /// # use std::{convert::Infallible, time::Duration};
    ///
    /// let chunks = stream::iter([Ok::<_, Infallible>("retry: 50"), Ok("0\n")]);
    /// // A connection that goes on behind event 7.
    /// let decoder = Decoder::new().with_last_event_id("7");
    /// let mut items = Items::new(chunks, decoder);
    /// let item = block_on(items.next());
    /// let time = Duration::from_millis(500);
    /// assert_eq!(item, Some(Ok(Item::ReconnectionTime(time))));
    /// assert_eq!(items.last_event_id(), "7");
    /// ```
    pub const fn new(bytes: S, decoder: Decoder) -> Self {
        Self { bytes: Some(bytes), decoder, chunk: None, decoded: 0 }
    }

    /// The events among them, without the rest.
    pub const fn events(self) -> Events<S> {
        Events { items: self }
    }

    /// The last event ID so far, which a reconnection sends:
    /// [`Decoder::last_event_id`].
    pub fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// Whether the bytes ended within an event, once this has ended:
    /// [`Decoder::is_unfinished`].
    pub fn is_unfinished(&self) -> bool {
        self.decoder.is_unfinished()
    }
}

// ANCHOR: poll
impl<S> Stream for Items<S>
where
    S: TryStream,
    S::Ok: AsRef<[u8]>,
{
    type Item = Result<Item, ItemsError<S::Error>>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if let Some(chunk) = this.chunk {
                let mut rest = &chunk.as_ref()[*this.decoded..];
                let before = rest.len();
                let item = this.decoder.next(&mut rest);
                *this.decoded += before - rest.len();
                match item {
                    Ok(Some(item)) => {
                        return Poll::Ready(Some(Ok(item.to_owned())));
                    }
                    Ok(None) => *this.chunk = None,
                    Err(error) => {
                        *this.chunk = None;
                        this.bytes.set(None);
                        let error = ItemsError::Limit(error);
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
            let Some(bytes) = this.bytes.as_mut().as_pin_mut() else {
                return Poll::Ready(None);
            };
            match ready!(bytes.try_poll_next(context)) {
                Some(Ok(chunk)) => {
                    *this.chunk = Some(chunk);
                    *this.decoded = 0;
                }
                Some(Err(error)) => {
                    this.bytes.set(None);
                    let error = ItemsError::Bytes(error);
                    return Poll::Ready(Some(Err(error)));
                }
                None => this.bytes.set(None),
            }
        }
    }
}
// ANCHOR_END: poll

pin_project! {
    /// The events of an event stream whose bytes come from another stream:
    /// what [`Items`] gives, less what is no event. All that is said of
    /// `Items` goes for this as well.
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Events<S: TryStream> {
        #[pin]
        items: Items<S>,
    }
}

impl<S> fmt::Debug for Events<S>
where
    S: TryStream + fmt::Debug,
    S::Ok: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("items", &self.items).finish()
    }
}

impl<S: TryStream> Events<S> {
    /// The last event ID so far, which a reconnection sends. A block without
    /// data may have set it: then no event has it.
    pub fn last_event_id(&self) -> &str {
        self.items.last_event_id()
    }

    /// Whether the bytes ended within an event, once this has ended:
    /// [`Decoder::is_unfinished`].
    pub fn is_unfinished(&self) -> bool {
        self.items.is_unfinished()
    }
}

impl<S> Stream for Events<S>
where
    S: TryStream,
    S::Ok: AsRef<[u8]>,
{
    type Item = Result<MessageEvent, ItemsError<S::Error>>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let mut items = self.project().items;
        loop {
            let item = match ready!(items.as_mut().poll_next(context)) {
                Some(Ok(Item::Event(event))) => Some(Ok(event)),
                Some(Ok(_)) => continue,
                Some(Err(error)) => Some(Err(error)),
                None => None,
            };
            return Poll::Ready(item);
        }
    }
}

impl<E: fmt::Display> fmt::Display for ItemsError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(error) => write!(f, "{error}"),
            Self::Limit(error) => write!(f, "{error}"),
        }
    }
}

impl<E: Error + 'static> Error for ItemsError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bytes(error) => error.source(),
            Self::Limit(_) => None,
        }
    }
}

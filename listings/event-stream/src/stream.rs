//! From a stream of chunks to a stream of items, for async readers.

use crate::{Decoder, Item, LimitExceeded};
use core::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use futures_core::{Stream, TryStream};
use pin_project_lite::pin_project;

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

/// Why there will be no more items.
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
    pub const fn new(bytes: S, decoder: Decoder) -> Self {
        Self { bytes: Some(bytes), decoder, chunk: None, decoded: 0 }
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

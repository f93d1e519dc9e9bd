//! The body of a response that streams events, for servers that await.

use crate::{Comment, Event, Retry};
use alloc::vec::Vec;
use bytes::Bytes;
use core::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use futures_core::TryStream;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

pin_project! {
    /// A stream of encoded pieces as the body of a response: hyper takes it,
    /// and so does whatever takes an [`http_body::Body`], such as axum's
    /// `Body::new`.
    ///
    /// A piece is anything that turns into [`Bytes`]: an [`Event`], a
    /// [`Comment`], a [`Retry`], or what was encoded before and is shared by
    /// many readers. Text is taken as it is: to send it, make an [`Event`] of
    /// it.
    ///
    /// The stream decides when a piece comes, and so when a
    /// [`HEARTBEAT`](crate::HEARTBEAT) does. An error of the stream breaks
    /// the response off.
    ///
    /// ```
    /// use event_stream::{Event, EventBody};
    /// use futures::stream;
    /// use std::convert::Infallible;
    ///
    /// let events = stream::iter(["one", "two"]);
    /// let events = futures::StreamExt::map(events, |data| {
    ///     Ok::<_, Infallible>(Event::new(data))
    /// });
    /// let body = EventBody::new(events);
    /// // axum: ([(CONTENT_TYPE, MIME_TYPE)], Body::new(body)).into_response()
    /// // hyper: Response::builder().header(CONTENT_TYPE, MIME_TYPE).body(body)
    /// # use http_body_util::BodyExt;
    /// # let sent = futures::executor::block_on(body.collect())?;
    /// # assert_eq!(&*sent.to_bytes(), b"data: one\n\ndata: two\n\n");
    /// # Ok::<(), Infallible>(())
    /// ```
    #[derive(Clone, Debug)]
    #[must_use = "a body does nothing unless it is polled"]
    pub struct EventBody<S> {
        #[pin]
        pieces: S,
    }
}

impl<S> EventBody<S> {
    /// The body that these pieces make.
    pub const fn new(pieces: S) -> Self {
        Self { pieces }
    }
}

impl<S> Body for EventBody<S>
where
    S: TryStream,
    S::Ok: Into<Bytes>,
{
    type Data = Bytes;
    type Error = S::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, S::Error>>> {
        let piece = ready!(self.project().pieces.try_poll_next(context));
        Poll::Ready(
            piece.map(|piece| piece.map(|encoded| Frame::data(encoded.into()))),
        )
    }
}

/// The event as it goes over the wire.
impl From<Event<'_>> for Bytes {
    fn from(event: Event<'_>) -> Self {
        encoded(|out| event.encode(out))
    }
}

/// The comment as it goes over the wire.
impl From<Comment<'_>> for Bytes {
    fn from(comment: Comment<'_>) -> Self {
        encoded(|out| comment.encode(out))
    }
}

/// The reconnection time as it goes over the wire.
impl From<Retry> for Bytes {
    fn from(retry: Retry) -> Self {
        encoded(|out| retry.encode(out))
    }
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::new();
    encode(&mut out);
    out.into()
}

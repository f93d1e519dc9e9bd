//! What the handlers have in common.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use event_stream::{Event, FieldError, MIME_TYPE};
use futures::stream::Stream;
use tokio::sync::{Semaphore, watch};

use crate::page::Page;
use crate::programs::Programs;
use crate::render::Edition;

/// Live runs at once, each of two programs.
pub const RUNS: u32 = 4;

/// What every request may need.
#[derive(Debug)]
pub struct Site {
    /// The newest edition.
    pub editions: watch::Receiver<Edition>,
    /// Becomes true when the server is to end.
    pub stop: watch::Receiver<bool>,
    /// Where the page of chapter 5 is.
    pub page: watch::Receiver<Page>,
    /// What the chapters' panels run.
    pub programs: Arc<Programs>,
    /// How long a live run may last.
    pub run_limit: Duration,
    pub(crate) port: u16,
    pub(crate) tabs: Arc<Semaphore>,
    pub(crate) runs: Arc<Semaphore>,
}

/// Waits until the server is to end.
pub(crate) async fn told(mut stop: watch::Receiver<bool>) {
    // An error means that the server is gone, which ends things as well.
    let _: Result<_, _> = stop.wait_for(|stop| *stop).await;
}

/// One event, as it goes over the wire.
pub(crate) fn encode(
    event_type: &'static str,
    data: &str,
) -> Result<Bytes, FieldError> {
    let mut bytes = Vec::new();
    Event::new(data).with_type(event_type)?.encode(&mut bytes);
    Ok(bytes.into())
}

/// An answer that lasts as long as `chunks` does.
pub(crate) fn event_stream(
    chunks: impl Stream<Item = Bytes> + Send + 'static,
) -> Response {
    use futures::StreamExt;
    let head = [
        (header::CONTENT_TYPE, MIME_TYPE),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (head, Body::from_stream(chunks.map(Ok::<_, Infallible>))).into_response()
}

//! What the routes answer: an event stream, or what is wrong, each a type
//! that axum turns into a response.
//!
//! [`EventStream`] needs nothing else of this chapter. A job's progress, under
//! plain `axum::serve`:
//!
//! ```
//! use axum::{
//!     Router,
//!     extract::State,
//!     http::{HeaderMap, StatusCode},
//!     response::{IntoResponse, Response},
//!     routing::get,
//! };
//! use ch04_axum::reply::EventStream;
//! use event_log::hub::{Hub, Start};
//! use futures::StreamExt;
//! use std::{convert::Infallible, sync::Arc, time::Duration};
//!
//! async fn progress(
//!     State(job): State<Arc<Hub>>,
//!     headers: HeaderMap,
//! ) -> Response {
//!     let id = headers.get("last-event-id");
//!     // What is no ASCII is an ID that no event has.
//!     let id = id.map(|id| id.to_str().unwrap_or("?"));
//!     let start = id.map_or(Start::Oldest, Start::After);
//!     let Some(reader) = job.subscribe(start) else {
//!         // It is over, and this reader has all of it.
//!         return StatusCode::NO_CONTENT.into_response();
//!     };
//!     let blocks = reader.into_stream();
//!     let encoded = blocks.map(|block| Ok::<_, Infallible>(block.encoded));
//!     let heartbeat = Duration::from_secs(15);
//!     EventStream { encoded, heartbeat }.into_response()
//! }
//!
//! let routes = Router::<Arc<Hub>>::new().route("/events", get(progress));
//! ```

use axum::{
    BoxError, Json,
    body::Body,
    extract::rejection::JsonRejection,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use event_log::hub::with_heartbeats;
use event_stream::MIME_TYPE;
use futures::Stream;
use serde::Serialize;
use std::time::Duration;

use crate::feed::{Fault, FeedError};

// ANCHOR: event_stream
/// A response that streams events which are encoded already.
#[derive(Clone, Debug)]
pub struct EventStream<S> {
    /// Encoded events, in whatever pieces.
    pub encoded: S,
    /// A comment is sent when nothing else was sent for this long.
    pub heartbeat: Duration,
}

impl<S, E> IntoResponse for EventStream<S>
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    fn into_response(self) -> Response {
        let Self { encoded, heartbeat } = self;
        let body = Body::from_stream(with_heartbeats(encoded, heartbeat));
        let head = [
            (CONTENT_TYPE, MIME_TYPE),
            (CACHE_CONTROL, "no-cache, no-transform"),
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (head, body).into_response()
    }
}
// ANCHOR_END: event_stream

/// Why a request is refused, as RFC 9457 writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "routes",
    derive(utoipa::ToResponse, utoipa::ToSchema),
    response(
        description = "Refused; `detail` says why",
        content_type = "application/problem+json"
    )
)]
pub struct Problem {
    /// The status of the response.
    #[cfg_attr(feature = "routes", schema(example = 422))]
    pub status: u16,
    /// The status in words.
    #[cfg_attr(feature = "routes", schema(example = "Unprocessable Entity"))]
    pub title: String,
    /// What to change.
    #[cfg_attr(
        feature = "routes",
        schema(example = "author: nothing is in it")
    )]
    pub detail: String,
}

impl Problem {
    /// A problem of that status.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        Self {
            status: status.as_u16(),
            title: title.to_owned(),
            detail: detail.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let head = [
            (CONTENT_TYPE, "application/problem+json"),
            // What stands behind the head of this request was not read.
            (CONNECTION, "close"),
        ];
        let mut response = (status, head, Json(self)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("5");
            response.headers_mut().insert(RETRY_AFTER, soon);
        }
        response
    }
}

impl From<JsonRejection> for Problem {
    /// axum knows each fault: 400 for what is no JSON, 413 for too much of
    /// it, 415 for another type, 422 for JSON of another shape.
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, fault.to_string())
    }
}

impl From<FeedError> for Problem {
    fn from(error: FeedError) -> Self {
        let status = match error {
            FeedError::Ended => StatusCode::GONE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

//! A request, and where redirects lead it.

use crate::{
    http::{check_scheme, without_user},
    notice::GivenUp,
};
use reqwest::{
    Method, Request, Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING,
        CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
        LOCATION,
    },
};
use std::mem;

/// The most redirects in a row, as a browser's fetch has it.
const MAX_REDIRECTS: usize = 20;

pub(crate) const LAST_EVENT_ID: HeaderName =
    HeaderName::from_static("last-event-id");

/// A request on its way: the first, or the one behind a redirect.
pub(crate) struct Hop {
    pub(crate) request: Request,
    redirects: usize,
}

// ANCHOR: redirect
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl Hop {
    pub(crate) const fn first(request: Request) -> Self {
        Self { request, redirects: 0 }
    }

    /// The request to send, and what a redirect needs of it. A body that can
    /// be sent only once is not in that, and is not asked for there.
    pub(crate) fn split(self) -> (Request, Self) {
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
    pub(crate) fn follow(
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

/// Whether an `Accept` lists event streams.
pub(crate) fn accepts_streams(fields: &HeaderMap) -> bool {
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
pub(crate) fn accept_too(fields: &mut HeaderMap, range: &HeaderValue) {
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

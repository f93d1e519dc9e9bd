//! What happens while a stream is read.

use crate::{
    causes::{causes, root},
    tls,
};
use event_stream::{Item, LimitExceeded, Refusal};
use reqwest::{StatusCode, Url};
use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    str,
    time::Duration,
};

/// What happens while a stream is read, in the order it happens.
#[derive(Debug)]
#[non_exhaustive]
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
#[non_exhaustive]
pub enum Lost {
    /// The server ended the stream.
    Ended,
    /// The server ended the stream within an event, which is dropped.
    Unfinished,
    /// The connection was closed before the body was complete.
    Cut,
    /// No response head came in time: see [`Timeouts`](crate::Timeouts).
    NoHead,
    /// The stream was silent for too long: see [`Timeouts`](crate::Timeouts).
    Silent,
    /// The framing of the body broke.
    Malformed(reqwest::Error),
    /// The connection broke, or could not be made.
    Failed(reqwest::Error),
    /// The response is not an event stream, and its status is one to come back
    /// from: [`Options::with_retried_statuses`].
    ///
    /// [`Options::with_retried_statuses`]: crate::Options::with_retried_statuses
    Refused(Refusal),
}

/// Why the client gave up.
#[derive(Debug)]
#[non_exhaustive]
pub enum GivenUp {
    /// There is no request to send: the URL cannot be read, for one; or the
    /// caller's client refused to send it.
    Request(reqwest::Error),
    /// The request starts from a `Last-Event-ID` that is not UTF-8.
    LastEventId,
    /// The request has a body that cannot be sent again.
    Once,
    /// The URL has a scheme that this client is built without.
    Scheme(String),
    /// The caller's [`Fields`](crate::Fields) failed.
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
            // By a limit of the caller's own client.
            Self::Failed(error) if error.is_timeout() => {
                write!(f, "nothing came in time")
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
            Self::Request(error)
                if error.is_builder() && is_about_url(error) =>
            {
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
            Self::Scheme(scheme) if tls::is_built_in() => write!(
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

// Their texts are those of the lowest error, so they name none below.
impl Error for Lost {}

impl Error for GivenUp {}

// ANCHOR: final
impl Lost {
    /// Why no response came; an error where none would come the next time.
    pub(crate) fn of_request(error: reqwest::Error) -> Result<Self, GivenUp> {
        let hyper: Option<&hyper::Error> =
            causes(&error).find_map(|cause| cause.downcast_ref());
        // A client of the caller's may follow redirects, and have had enough.
        if error.is_builder() || error.is_redirect() {
            Err(GivenUp::Request(error))
        } else if hyper.is_some_and(hyper::Error::is_parse) {
            Err(GivenUp::Malformed(error))
        } else if tls::is_untrusted(&error) {
            Err(GivenUp::Certificate(error))
        } else {
            Ok(Self::Failed(error))
        }
    }
}
// ANCHOR_END: final

impl Lost {
    /// Why a body that had begun is over.
    pub(crate) fn of_body(error: reqwest::Error) -> Self {
        let io = causes(&error)
            .filter_map(|cause| cause.downcast_ref::<io::Error>());
        match io.last().map(io::Error::kind) {
            Some(ErrorKind::UnexpectedEof) => Self::Cut,
            // hyper's, for chunks that are none.
            Some(ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
                Self::Malformed(error)
            }
            _ => Self::Failed(error),
        }
    }
}

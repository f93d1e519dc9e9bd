//! reqwest, told what a stream is.

use crate::{notice::GivenUp, tls};
use reqwest::{Client, ClientBuilder, Url, redirect::Policy};
use std::time::Duration;

/// What connecting to a host may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

// ANCHOR: http
/// An HTTP client fit for event streams: it limits what connecting takes, and
/// not what a response takes, and leaves redirects to
/// [`RequestBuilderExt`](crate::RequestBuilderExt). Fields that its caller
/// makes a default of it go to every server that it talks to: secrets belong
/// on the request.
///
/// It passes by a proxy that the environment names; one that is wanted is
/// set with [`ClientBuilder::proxy`].
///
/// A client of another making works, too, and is used as it is: the
/// [crate's page](crate) says what follows from that.
///
/// ```
/// let http = event_client::http().user_agent("example/1.0").build()?;
/// # Ok::<_, reqwest::Error>(())
/// ```
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
        .no_proxy()
        // A value that goes on in the next line: a client must read it
        // (RFC 9112 §5.2).
        .http1_allow_obsolete_multiline_headers_in_responses(true);
    #[cfg(feature = "tls")]
    let http = http.tls_backend_preconfigured(tls::config());
    http
}
// ANCHOR_END: http

pub(crate) fn check_scheme(url: &Url) -> Result<(), GivenUp> {
    match url.scheme() {
        "http" => Ok(()),
        "https" if tls::is_built_in() => Ok(()),
        scheme => Err(GivenUp::Scheme(scheme.to_owned())),
    }
}

/// Takes a user and a password out of a URL: reqwest makes a field of those
/// that the caller gave, and those of a redirect are for nobody.
pub(crate) fn without_user(url: &mut Url) {
    // Where there is no host there is no user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

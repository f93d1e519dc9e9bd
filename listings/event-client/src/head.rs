//! Heads, as people may see them.

use reqwest::{
    Request, Response,
    header::{
        AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION,
        PROXY_AUTHORIZATION, SET_COOKIE,
    },
};
use std::fmt::{self, Display};

/// What is known of the request before it is sent: reqwest adds `Host` and
/// what the client was built with.
pub(crate) fn request_head(request: &Request) -> String {
    let url = request.url();
    let query = url.query().map(|query| format!("?{query}"));
    let (path, query) = (url.path(), query.unwrap_or_default());
    let fields = redacted(request.headers());
    format!("{} {path}{query} HTTP/1.1\n{fields}\n", request.method())
}

pub(crate) fn response_head(response: &Response) -> String {
    let (version, status) = (response.version(), response.status());
    let fields = redacted(response.headers());
    format!("{version:?} {status}\n{fields}\n")
}

/// Header fields for people to read, a line each: what is printed is often
/// kept, so the values that let whoever reads them in are left out. These are
/// `Authorization`, `Cookie`, `Set-Cookie`, `Proxy-Authorization`, whatever is
/// [marked as sensitive](HeaderValue::set_sensitive), and the user in a
/// `Location`.
///
/// ```
/// use event_client::redacted;
/// use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
///
/// let fields = HeaderMap::from_iter([
///     (ACCEPT, HeaderValue::from_static("text/event-stream")),
///     (AUTHORIZATION, HeaderValue::from_static("Bearer secret")),
/// ]);
/// let shown = redacted(&fields).to_string();
/// assert!(shown.contains("accept: text/event-stream\n"));
/// assert!(shown.contains("authorization: (not shown)\n"));
/// ```
#[must_use]
pub fn redacted(fields: &HeaderMap) -> impl Display + '_ {
    Redacted(fields)
}

struct Redacted<'a>(&'a HeaderMap);

impl Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.0 {
            writeln!(f, "{name}: {}", shown(name, value))?;
        }
        Ok(())
    }
}

fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    let secret = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE];
    if value.is_sensitive() || secret.contains(name) {
        return "(not shown)".to_owned();
    }
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    // The user of a URL, in full or without its scheme.
    match text.split_once("//") {
        Some((scheme, rest)) if *name == LOCATION => {
            let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
            let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}//{}", &rest[start..])
        }
        _ => text,
    }
}

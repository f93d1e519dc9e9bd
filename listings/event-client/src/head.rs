//! Heads as text, without the secrets in them.

use reqwest::{
    Request, Response,
    header::{
        AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION,
        PROXY_AUTHORIZATION, SET_COOKIE,
    },
};

/// What is known of the request before it is sent: reqwest adds `Host` and
/// what the client was built with.
pub(crate) fn request_head(request: &Request) -> String {
    let url = request.url();
    let mut head = format!("{} {}", request.method(), url.path());
    if let Some(query) = url.query() {
        head.extend(["?", query]);
    }
    head.push_str(" HTTP/1.1\n");
    append_fields(head, request.headers())
}

pub(crate) fn response_head(response: &Response) -> String {
    let (version, status) = (response.version(), response.status());
    append_fields(format!("{version:?} {status}\n"), response.headers())
}

/// The head with a line for each field, and a blank line at its end.
#[must_use]
pub fn append_fields(mut head: String, fields: &HeaderMap) -> String {
    for (name, value) in fields {
        let value = shown(name, value);
        head.extend([name.as_str(), ": ", &value, "\n"]);
    }
    head.push('\n');
    head
}

/// A field's value, unless it lets whoever reads it in: what is printed is
/// often kept.
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

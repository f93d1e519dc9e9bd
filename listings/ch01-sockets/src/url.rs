//! The part of a URL that a client of plain HTTP needs.

use std::{
    error::Error,
    fmt::{self, Write as _},
};

/// An `http` URL: whom to connect to and what to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The host and, if it is not 80, the port: the `Host` header field.
    pub authority: String,
    /// The path and the query: the request target.
    pub target: String,
}

/// Why a text is no URL that this client can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Something other than `http`; empty if there is no scheme.
    Scheme(String),
    /// There is no host, or the port is not a number.
    Authority(String),
    /// There is a user name, perhaps with a password, which is not repeated.
    User,
    /// A character that must be percent-encoded; on the wire a space or a
    /// line end would become part of the request.
    Character(char),
}

impl Url {
    /// Reads an absolute URL. A fragment is dropped: it is never sent.
    ///
    /// # Errors
    /// If this client cannot connect to it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(UrlError::Character(bad));
        }
        let text = text.split('#').next().unwrap_or_default();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError::Scheme(String::new()));
        };
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(UrlError::Scheme(scheme.into()));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        if !is_authority(authority) {
            return Err(UrlError::Authority(authority.into()));
        }
        // RFC 3986 §3.2.3: a colon without a port is none.
        let authority = authority.strip_suffix(':').unwrap_or(authority);
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            authority: authority.into(),
            target: format!("{slash}{target}"),
        })
    }

    /// What a `Location` header field refers to, seen from this URL, RFC 3986
    /// §5.2. A space and what is not ASCII is percent-encoded first, as
    /// browsers do with what servers forget to encode.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn join(&self, location: &[u8]) -> Result<Self, UrlError> {
        let Self { authority, target } = self;
        let mut encoded = String::new();
        for &byte in location {
            if byte == b' ' || !byte.is_ascii() {
                // A `String` takes whatever is written to it.
                let _ = write!(encoded, "%{byte:02X}");
            } else {
                encoded.push(byte.into());
            }
        }
        let location = &*encoded;
        let path = target.split('?').next().unwrap_or_default();
        let location = location.split('#').next().unwrap_or_default();
        let first = location.split(['/', '?']).next().unwrap_or_default();
        let absolute = if location.is_empty() {
            self.to_string()
        } else if first.contains(':') {
            location.into()
        } else if location.starts_with("//") {
            format!("http:{location}")
        } else if location.starts_with('?') {
            format!("http://{authority}{path}{location}")
        } else if location.starts_with('/') {
            format!("http://{authority}{location}")
        } else {
            let folder = path.rfind('/').map_or("", |at| &path[..at]);
            format!("http://{authority}{folder}/{location}")
        };
        let mut url = Self::parse(&absolute)?;
        url.target = without_dots(&url.target);
        Ok(url)
    }

    /// The host and the port, as `ToSocketAddrs` wants them.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        match port(&self.authority) {
            Some(_) => self.authority.clone(),
            None => format!("{}:80", self.authority),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.target)
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Not the text: what stands in front of an `@` may be a secret.
            Self::Scheme(scheme) if scheme.is_empty() => {
                write!(f, "the URL does not start with http://")
            }
            Self::Scheme(scheme) => write!(
                f,
                "{scheme:?} is not http://; this client speaks plain HTTP only"
            ),
            Self::User => write!(
                f,
                "the URL has a user name, which this client does not send"
            ),
            Self::Authority(authority) => {
                write!(f, "{authority:?} is not a host or a host and a port")
            }
            Self::Character(character) => {
                write!(f, "{character:?} must be percent-encoded in a URL")
            }
        }
    }
}

impl Error for UrlError {}

/// The port, if there is one; a colon inside `[::1]` is none.
fn port(authority: &str) -> Option<&str> {
    let host_end = authority.rfind(']').unwrap_or(0);
    let colon = authority[host_end..].find(':')?;
    Some(&authority[host_end + colon + 1..])
}

fn is_authority(authority: &str) -> bool {
    let port = port(authority);
    let host_length = authority.len() - port.map_or(0, |port| port.len() + 1);
    let is_host =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte);
    host_length > 0
        && authority[..host_length].bytes().all(is_host)
        && port.is_none_or(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && (port.is_empty() || port.parse::<u16>().is_ok())
        })
}

/// RFC 3986 §5.2.4, for the path in front of the query.
fn without_dots(target: &str) -> String {
    let (path, query) =
        target.split_at(target.find('?').unwrap_or(target.len()));
    let mut kept = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // A path that ends with dots names a folder.
                if segments.peek().is_none() {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

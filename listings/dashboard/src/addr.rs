//! Where a server is to listen, and under which names it is reached, as
//! people type it.

use std::fmt::{self, Display};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use crate::report::visible;

/// What `--addr` takes: `127.0.0.1:9001`, `[::1]:9001`, `localhost:9001`, and
/// `:9001` or `9001`, which is that port where the chapter's own address is:
/// nobody opens a server to the network by leaving something out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addr {
    /// A name, an IPv4 address, an IPv6 address without its brackets, or
    /// nothing.
    host: String,
    port: u16,
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_string(), port: addr.port() }
    }
}

/// Written so that it can be read again.
impl Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl FromStr for Addr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.rsplit_once(':') {
            Some(parts) => parts,
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                ("", text)
            }
            None => {
                let text = visible(text);
                return Err(format!("a port is missing: {text}:9001"));
            }
        };
        let in_brackets =
            host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_good = |c: char| c.is_alphanumeric() || "-._".contains(c);
        let host = match in_brackets {
            Some(inner) if inner.contains(':') => inner,
            None if host.chars().all(is_good) => host,
            None if text.parse::<Ipv6Addr>().is_ok() => {
                return Err(format!(
                    "an IPv6 address stands in brackets, before a port: \
                     [{text}]:9001"
                ));
            }
            _ => {
                return Err("not like 127.0.0.1:9001, [::1]:9001, \
                            localhost:9001 or :9001"
                    .into());
            }
        };
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if is_number => Ok(Self { host: host.into(), port }),
            _ => Err("the port must be a number from 0 to 65535".into()),
        }
    }
}

impl Addr {
    /// Every address that this stands for, IPv4 first: `localhost` has one of
    /// each kind on most systems, and the URLs of the chapters have IPv4.
    ///
    /// # Errors
    /// If the name has none, or nobody can be asked.
    pub(crate) fn resolve(&self, own: IpAddr) -> io::Result<Vec<SocketAddr>> {
        if self.host.is_empty() {
            return Ok(vec![SocketAddr::new(own, self.port)]);
        }
        let found = (self.host.as_str(), self.port).to_socket_addrs()?;
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        Ok(found)
    }
}

/// The address at which this machine reaches a server that listens on `addr`.
/// An unspecified one, such as `0.0.0.0`, is every address of this machine,
/// and no address to connect to.
#[must_use]
pub fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}

/// A name under which a server is reached: no port, no scheme.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let is_good =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_good) {
        return Ok(text.into());
    }
    Err("must be a name alone, such as chat.example".into())
}

/// An origin as a browser writes it: one that is written otherwise would
/// never be equal to any.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").map(|rest| (rest, ":443"));
    let rest =
        rest.or_else(|| text.strip_prefix("http://").map(|rest| (rest, ":80")));
    let is_good = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || b"-._:[]".contains(&byte)
    };
    if let Some((authority, default)) = rest
        && !authority.is_empty()
        && authority.bytes().all(is_good)
        && !authority.ends_with(default)
    {
        return Ok(text.into());
    }
    Err("must be as a browser writes it: https://chat.example, in lower case, \
         with the port if it is not the scheme's own, and without a path"
        .into())
}

//! Checking the origin of the page that connects (RFC 6454, RFC 6455 10.2).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::Upgrade;
use crate::http::Authority;

/// The origins that may connect.
///
/// A browser lets a script on any page open a WebSocket to any server, sends the user's cookies
/// with the request, and names the page in `Origin`. The server has to check it. Other clients send
/// no `Origin`, or one of their choice, so every variant accepts a request without it: this check
/// protects users of browsers, but does not authenticate clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origins {
    /// Any page may connect.
    Any,
    /// Pages from the same host and port that they connect to.
    ///
    /// A proxy may have terminated TLS, unknown to the server, so the scheme is not compared. It
    /// only determines the default port.
    #[default]
    SameHost,
    /// Pages of exactly these origins. Suffixes and wildcards are not supported.
    List(Vec<Origin>),
}

impl Origins {
    /// Allows the given origins, each written as `scheme://host[:port]`.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidOrigin`] if one of them is not an origin.
    ///
    /// ```
    /// use sockeye_core::handshake::server::Origins;
    ///
    /// let origins = Origins::list(["https://example.com", "http://localhost:3000"])?;
    /// assert!(Origins::list(["https://example.com/"]).is_err());
    /// # Ok::<(), sockeye_core::handshake::server::InvalidOrigin>(())
    /// ```
    pub fn list<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidOrigin> {
        origins.into_iter().map(str::parse).collect::<Result<_, _>>().map(Origins::List)
    }

    pub(super) fn allow(&self, upgrade: &Upgrade) -> bool {
        if matches!(self, Origins::Any) {
            return true;
        }
        let origin = match upgrade.request().headers().at_most_one("origin") {
            Ok(None) => return true,
            Ok(Some(origin)) => core::str::from_utf8(origin).ok().and_then(|text| text.parse().ok()),
            Err(_) => None,
        };
        // "null" (RFC 6454 7.1: a sandboxed frame, a file, a redirect) does not parse as an origin.
        let Some(origin) = origin else { return false };
        match self {
            Origins::Any => true,
            Origins::SameHost => is_same_host(&origin, upgrade.host()),
            Origins::List(list) => list.contains(&origin),
        }
    }
}

/// The origin of a page: a scheme, a host and a port (RFC 6454 4).
///
/// Scheme and host are stored in lower case, and the scheme's default port is omitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Parses `scheme://host[:port]` (RFC 6454 6.2). Nothing may follow it.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let (scheme, authority) = text.split_once("://").ok_or(InvalidOrigin)?;
        // RFC 3986 3.2.2 allows a star in a host, but real hosts have none. In a list it would be
        // meant as a wildcard, and would silently never match.
        let authority = Some(authority).filter(|text| !text.contains('*'));
        let authority = authority.and_then(|text| Authority::parse(text.as_bytes())).ok_or(InvalidOrigin)?;
        // RFC 3986 3.1.
        let mut bytes = scheme.bytes();
        if !bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
            || !bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        {
            return Err(InvalidOrigin);
        }
        let scheme = scheme.to_ascii_lowercase();
        let port = authority.port.filter(|&port| Some(port) != default_port(&scheme));
        Ok(Origin { scheme, host: authority.host.to_ascii_lowercase(), port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The error for a text that is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOrigin;

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an origin must be scheme://host or scheme://host:port, without wildcard, path or trailing slash",
        )
    }
}

impl core::error::Error for InvalidOrigin {}

/// Compares host and port. If either names no port, it means the default port of the origin's
/// scheme.
fn is_same_host(origin: &Origin, host: &str) -> bool {
    let Some(default) = default_port(&origin.scheme) else { return false };
    Authority::parse(host.as_bytes()).is_some_and(|host| {
        host.host.eq_ignore_ascii_case(&origin.host)
            && host.port.unwrap_or(default) == origin.port.unwrap_or(default)
    })
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

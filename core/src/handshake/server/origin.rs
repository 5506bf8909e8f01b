//! Checking the origin of the page that connects (RFC 6454, RFC 6455 10.2).

use alloc::string::{String, ToString};
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
    /// only determines the default port. Some clients that are not browsers send the URL that they
    /// connect to, such as `wss://example.com/`. It counts as the same host.
    ///
    /// This does not protect from DNS rebinding: see
    /// [`Policy::allowed_hosts`](super::Policy::allowed_hosts).
    ///
    /// A proxy that replaces `Host` hides the host that the page connects to. Name it with
    /// [`Policy::public_hosts`](super::Policy::public_hosts).
    #[default]
    SameHost,
    /// Pages of exactly these origins. Suffixes and wildcards are not supported.
    List(Vec<Origin>),
}

impl Origins {
    /// Allows the given origins, each written as `scheme://host[:port]`.
    ///
    /// `null` stands for pages without an origin of their own, such as sandboxed frames. Any site
    /// can create such a page, so a list with `null` protects no user. `file://` stands for local
    /// files.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidOrigin`] if one of them is not an origin.
    ///
    /// ```
    /// use sockeye_core::handshake::server::Origins;
    ///
    /// let origins = Origins::list(["https://example.com", "http://localhost:3000", "file://"])?;
    /// assert!(Origins::list(["https://example.com/"]).is_err());
    /// # Ok::<(), sockeye_core::handshake::server::InvalidOrigin>(())
    /// ```
    pub fn list<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidOrigin> {
        origins.into_iter().map(str::parse).collect::<Result<_, _>>().map(Origins::List)
    }

    /// Returns whether the page of this handshake may connect. `public_hosts` are the server's own
    /// hosts; if there are none, its own host is the requested one.
    pub(super) fn allow(&self, upgrade: &Upgrade, public_hosts: &[String]) -> bool {
        if matches!(self, Origins::Any) {
            return true;
        }
        let origin = match upgrade.request().headers().at_most_one("origin") {
            Ok(None) => return true,
            Ok(Some(origin)) => core::str::from_utf8(origin).ok().and_then(Origin::parse_received),
            Err(_) => None,
        };
        let Some(origin) = origin else { return false };
        match self {
            Origins::Any => true,
            Origins::SameHost if public_hosts.is_empty() => is_same_host(&origin, upgrade.host()),
            Origins::SameHost => public_hosts.iter().any(|host| is_same_host(&origin, host)),
            Origins::List(list) => list.contains(&origin),
        }
    }
}

/// The origin of a page: a scheme, a host and a port (RFC 6454 4).
///
/// Scheme and host are stored in lower case, and the scheme's default port is omitted. The opaque
/// origin `null` (RFC 6454 7.1) has no scheme, and `file://` no host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Parses `scheme://host[:port]` (RFC 6454 6.2), `null` or `file://`. Nothing may follow it.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == NULL {
            return Ok(Origin { scheme: String::new(), host: text.to_string(), port: None });
        }
        let (scheme, authority) = text.split_once("://").ok_or(InvalidOrigin)?;
        if scheme.eq_ignore_ascii_case("file") && authority.is_empty() {
            return Ok(Origin { scheme: scheme.to_ascii_lowercase(), host: String::new(), port: None });
        }
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

/// RFC 6454 7.1: an opaque origin is sent as this text.
const NULL: &str = "null";

impl Origin {
    /// Parses the value of a received header. One slash may follow an origin: some clients that are
    /// not browsers send a URL.
    fn parse_received(text: &str) -> Option<Self> {
        let without_slash = || text.strip_suffix('/').filter(|text| text.contains("://"))?.parse().ok();
        text.parse().ok().or_else(without_slash)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme.is_empty() {
            return f.write_str(NULL);
        }
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
            "an origin must be scheme://host, scheme://host:port, file:// or null, without wildcard, path or \
             trailing slash",
        )
    }
}

impl core::error::Error for InvalidOrigin {}

/// The error for a text that is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHost;

impl InvalidHost {
    /// Checks that the text is a host with an optional port.
    pub(super) fn check(host: &str) -> Result<(), Self> {
        Authority::parse(host.as_bytes()).map(|_| ()).ok_or(InvalidHost)
    }
}

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host must be a name or an address with an optional port, without scheme or path")
    }
}

impl core::error::Error for InvalidHost {}

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
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

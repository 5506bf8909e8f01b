//! Which pages may connect (RFC 6454, RFC 6455 10.2).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::Upgrade;
use crate::http::Authority;

/// Which origins may connect.
///
/// A browser lets the script of any page open a WebSocket to any server, sends the user's cookies along, and
/// says in `Origin` which page it was. It is the server that has to look. Clients that are no browsers send no
/// `Origin` (or any they like), so none is allowed by all three: this protects users, it does not authenticate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origins {
    /// Every page.
    Any,
    /// Pages that came from the host which they connect to.
    ///
    /// The server does not know whether a proxy took TLS off in front of it, so the scheme is not compared; it
    /// only says which port is meant where none is written.
    #[default]
    SameHost,
    /// Pages of these origins, compared as a whole: no suffixes, no wildcards.
    List(Vec<Origin>),
}

impl Origins {
    /// The origins written as `scheme://host[:port]`.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] for the first one that is not.
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
        let origin = match upgrade.request().headers().only("origin") {
            Ok(None) => return true,
            Ok(Some(origin)) => core::str::from_utf8(origin).ok().and_then(|text| text.parse().ok()),
            Err(_) => None,
        };
        // "null" (RFC 6454 7.1: a sandboxed frame, a file, a redirect) is no origin and has no host.
        let Some(origin) = origin else { return false };
        match self {
            Origins::Any => true,
            Origins::SameHost => is_same_host(&origin, upgrade.host()),
            Origins::List(list) => list.contains(&origin),
        }
    }
}

/// An origin: a scheme, a host, and a port that is not the scheme's default (RFC 6454 4). In lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// RFC 6454 6.2: `scheme://host[:port]`, and nothing behind it.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let (scheme, authority) = text.split_once("://").ok_or(InvalidOrigin)?;
        // A star may stand in a host (RFC 3986 3.2.2) and never does; who lists one means a wildcard, and would wait
        // in vain for it to match.
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

/// Not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOrigin;

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an origin is scheme://host or scheme://host:port, without wildcard or path, and no slash at its end")
    }
}

impl core::error::Error for InvalidOrigin {}

/// Where one of the two names no port, the default of the origin's scheme is meant.
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

//! The address of a proxy, and the credentials for it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use core::str::FromStr;

use super::percent;
use crate::handshake::client::url::{parse_host, split_port};

/// A proxy that connects a client to servers: by HTTP CONNECT (RFC 9110 9.3.6) or SOCKS5 (RFC 1928).
///
/// The proxy resolves the server's name. `socks5` and `socks5h` mean the same.
///
/// ```
/// use sockeye_core::dial::Proxy;
///
/// let proxy = Proxy::parse("http://proxy.example:3128")?;
/// assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 3128));
/// // User name and password are percent-decoded. They are never displayed.
/// let proxy = Proxy::parse("socks5://me:p%40ss@[::1]")?;
/// assert_eq!(proxy.to_string(), "socks5://[::1]:1080");
/// assert_eq!(proxy, Proxy::parse("socks5h://[::1]")?.credentials("me", "p@ss")?);
/// # Ok::<(), sockeye_core::dial::InvalidProxy>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(super) scheme: Scheme,
    /// In brackets if it is an IPv6 address.
    host: String,
    zone: String,
    port: u16,
    pub(super) credentials: Option<Credentials>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Socks5,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Vec<u8>,
    pub(super) password: Vec<u8>,
}

impl Proxy {
    /// Parses `http://host:port` or `socks5://host:port`, with `user:password@` before the host if
    /// the proxy requires it. Without a scheme it is `http`. The default ports are 80 and 1080.
    ///
    /// # Errors
    ///
    /// Returns an error that says what is wrong. It does not contain the text, which may have a
    /// password in it.
    pub fn parse(text: &str) -> Result<Self, InvalidProxy> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Scheme::Http, 80),
            "socks5" | "socks5h" => (Scheme::Socks5, 1080),
            "https" => return Err(InvalidProxy::Tls),
            _ => return Err(InvalidProxy::Scheme),
        };
        let (userinfo, authority) = match rest.rsplit_once('@') {
            Some((userinfo, authority)) => (Some(userinfo), authority),
            None => (None, rest),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = split_port(authority, default_port).map_err(|_| InvalidProxy::Port)?;
        let (host, zone) = parse_host(host).map_err(|_| InvalidProxy::Host)?;
        let proxy = Proxy { scheme, host, zone, port, credentials: None };
        let Some(userinfo) = userinfo else { return Ok(proxy) };
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let decode = |text| percent::decode(text).ok_or(InvalidProxy::Credentials);
        proxy.credentials(decode(user)?, decode(password)?)
    }

    /// Sets the user name and the password.
    ///
    /// # Errors
    ///
    /// Returns an error if one is longer than 255 bytes, or for an HTTP proxy if the name has a
    /// colon or either has a control character (RFC 7617 2).
    pub fn credentials(
        mut self,
        user: impl AsRef<[u8]>,
        password: impl AsRef<[u8]>,
    ) -> Result<Self, InvalidProxy> {
        let (user, password) = (user.as_ref(), password.as_ref());
        let is_control = |text: &[u8]| text.iter().any(u8::is_ascii_control);
        let is_ambiguous = user.contains(&b':') || is_control(user) || is_control(password);
        // RFC 1929 2: the length of each is one byte.
        let is_long = user.len() > 255 || password.len() > 255;
        if user.is_empty() || is_long || (self.scheme == Scheme::Http && is_ambiguous) {
            return Err(InvalidProxy::Credentials);
        }
        self.credentials = Some(Credentials { user: user.to_vec(), password: password.to_vec() });
        Ok(self)
    }

    /// Returns the host, in lower case. An IPv6 address has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    /// Returns the zone of an IPv6 address, like [`Url::zone`](crate::handshake::client::Url::zone).
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        (!self.zone.is_empty()).then_some(self.zone.as_str())
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        Proxy::parse(text)
    }
}

impl TryFrom<&str> for Proxy {
    type Error = InvalidProxy;

    fn try_from(text: &str) -> Result<Self, InvalidProxy> {
        Proxy::parse(text)
    }
}

impl TryFrom<&String> for Proxy {
    type Error = InvalidProxy;

    fn try_from(text: &String) -> Result<Self, InvalidProxy> {
        Proxy::parse(text)
    }
}

/// For the conversion of a [`Proxy`] into itself, which cannot fail.
impl From<Infallible> for InvalidProxy {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<&Proxy> for Proxy {
    fn from(proxy: &Proxy) -> Self {
        proxy.clone()
    }
}

/// Displays the proxy without its credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Shows the proxy without its credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.to_string())
            .field("has_credentials", &self.credentials.is_some())
            .finish()
    }
}

/// The reason why a text is not a proxy. It does not contain the text, which may have a password in
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidProxy {
    /// The scheme is neither `http` nor `socks5` nor `socks5h`.
    Scheme,
    /// The scheme is `https`: TLS to the proxy itself is not supported.
    Tls,
    /// The host is missing, or is neither a name nor an address.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
    /// The user name or the password is not valid.
    Credentials,
}

impl fmt::Display for InvalidProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidProxy::Scheme => "a proxy must begin with http://, socks5:// or socks5h://",
            InvalidProxy::Tls => "TLS to the proxy itself is not supported; use http://",
            InvalidProxy::Host => {
                "the host of the proxy must be a name or an address, and nothing may follow it"
            }
            InvalidProxy::Port => "the port of the proxy must be a number from 1 to 65535",
            InvalidProxy::Credentials => {
                "the user name and the password of the proxy must be percent-encoded and at most 255 bytes \
                 long, without control characters, and the name must not be empty"
            }
        })
    }
}

impl core::error::Error for InvalidProxy {}

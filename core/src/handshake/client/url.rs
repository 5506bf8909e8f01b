//! `ws://` and `wss://` URLs.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use crate::http::Authority;

/// A WebSocket URL (RFC 6455 3).
///
/// Parsing is strict: it returns an error rather than repairing or guessing.
///
/// ```
/// use sockeye_core::handshake::client::Url;
///
/// let url = Url::parse("wss://[::1]:8443/chat?room=7")?;
/// assert!(url.is_secure());
/// assert_eq!((url.host(), url.port()), ("::1", 8443));
/// assert_eq!((url.authority(), url.target()), ("[::1]:8443", "/chat?room=7"));
/// # Ok::<(), sockeye_core::handshake::client::UrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    secure: bool,
    /// The value of `Host`: in lower case, with brackets around an IPv6 address, and with the port
    /// only if it is not the default.
    authority: String,
    host_len: usize,
    /// The zone of an IPv6 address, or an empty string.
    zone: String,
    port: u16,
    target: String,
}

impl Url {
    /// Parses a `ws://` or `wss://` URL.
    ///
    /// # Errors
    ///
    /// Returns a [`UrlError`], which says what is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some((at, char)) = text.char_indices().find(|(_, char)| !char.is_ascii_graphic()) {
            return Err(UrlError::Character { at, char });
        }
        // RFC 6455 3: "ws-URI = "ws:" "//" host [ ":" port ] path [ "?" query ]".
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        // RFC 3986 3.1: schemes are case-insensitive.
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("ws") => false,
            _ if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return Err(UrlError::Scheme),
        };
        // RFC 6455 3: "Fragment identifiers are meaningless in the context of WebSocket URIs and
        // MUST NOT be used".
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (authority, target) =
            rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len())).unwrap_or((rest, ""));
        check_target(target, text.len().saturating_sub(target.len()))?;
        // RFC 6455 3: "/" if the path component is empty.
        let slash = if target.starts_with('/') { "" } else { "/" };
        let default = if secure { 443 } else { 80 };
        let (host, port) = split_port(authority, default)?;
        let (host, zone) = parse_host(host)?;
        let host_len = host.len();
        let mut authority = host;
        if port != default {
            authority.push(':');
            authority.push_str(&port.to_string());
        }
        Ok(Url { secure, authority, host_len, zone, port, target: format!("{slash}{target}") })
    }

    /// Returns whether the scheme is `wss`, which means TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the host to connect to, in lower case. An IPv6 address has no brackets and no
    /// [`zone`](Url::zone).
    #[must_use]
    pub fn host(&self) -> &str {
        self.bracketed_host().trim_matches(['[', ']'])
    }

    /// Returns the zone of an IPv6 address, such as `eth0` for `ws://[fe80::1%25eth0]/` (RFC 6874):
    /// the interface to connect through. It has a meaning on this computer only, so it is neither
    /// in [`authority`](Url::authority) nor sent.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        (!self.zone.is_empty()).then_some(self.zone.as_str())
    }

    /// Returns the port to connect to. The default is 80 for `ws` and 443 for `wss`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the value for `Host`, which has the port only if it is not the default (RFC 6455
    /// 4.1, item 4).
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the target for the request: the path, at least `/`, and the query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns whether a URL has the same scheme, host and port, so that it may see the same
    /// credentials (RFC 6454 5).
    #[must_use]
    pub fn is_same_origin(&self, other: &Url) -> bool {
        (self.secure, &self.authority, &self.zone) == (other.secure, &other.authority, &other.zone)
    }

    /// Returns a URL of the same origin. The target begins with a slash.
    pub(crate) fn with_target(&self, target: &str) -> Result<Self, UrlError> {
        if let Some((at, char)) = target.char_indices().find(|(_, char)| !char.is_ascii_graphic()) {
            return Err(UrlError::Character { at, char });
        }
        check_target(target, 0)?;
        Ok(Url { target: target.to_string(), ..self.clone() })
    }

    fn bracketed_host(&self) -> &str {
        self.authority.get(..self.host_len).unwrap_or_default()
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Url::parse(text)
    }
}

impl TryFrom<&str> for Url {
    type Error = UrlError;

    fn try_from(text: &str) -> Result<Self, UrlError> {
        Url::parse(text)
    }
}

impl TryFrom<String> for Url {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        Url::parse(&text)
    }
}

impl TryFrom<&String> for Url {
    type Error = UrlError;

    fn try_from(text: &String) -> Result<Self, UrlError> {
        Url::parse(text)
    }
}

macro_rules! from_display {
    ($(#[$attribute:meta] $type:ty),*) => {$(
        #[$attribute]
        impl TryFrom<$type> for Url {
            type Error = UrlError;

            fn try_from(url: $type) -> Result<Self, UrlError> {
                Url::parse(&url.to_string())
            }
        }

        #[$attribute]
        impl TryFrom<&$type> for Url {
            type Error = UrlError;

            fn try_from(url: &$type) -> Result<Self, UrlError> {
                Url::parse(&url.to_string())
            }
        }
    )*};
}

from_display!(
    #[cfg(feature = "http")]
    http::Uri,
    #[cfg(feature = "url")]
    url::Url
);

impl From<&Url> for Url {
    fn from(url: &Url) -> Self {
        url.clone()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        let (authority, target) = (&self.authority, &self.target);
        match (self.zone(), authority.split_once(']')) {
            (Some(zone), Some((address, port))) => write!(f, "{scheme}://{address}%25{zone}]{port}{target}"),
            _ => write!(f, "{scheme}://{authority}{target}"),
        }
    }
}

/// The reason why a text is not a WebSocket URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// The text does not begin with `ws://` or `wss://`.
    Scheme,
    /// A character is not allowed in a URL.
    Character {
        /// The position in bytes.
        at: usize,
        /// The character.
        char: char,
    },
    /// A `%` is not followed by two hexadecimal digits.
    Percent {
        /// The position in bytes.
        at: usize,
    },
    /// The URL has a user name or password, which WebSocket URLs do not allow (RFC 6455 3).
    UserInfo,
    /// The host is missing, or is neither a name nor an address.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
    /// The URL has a fragment, which WebSocket URLs do not allow (RFC 6455 3).
    Fragment,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::Scheme => "a WebSocket URL must begin with ws:// or wss://",
            UrlError::Character { at, char } => {
                return write!(
                    f,
                    "{char:?} at position {at} is not allowed in a URL; percent-encode it, or use punycode in a host"
                );
            }
            UrlError::Percent { at } => {
                return write!(
                    f,
                    "the % at position {at} must be followed by two hexadecimal digits; write % itself as %25"
                );
            }
            UrlError::UserInfo => {
                "a WebSocket URL must not have a user name or password; send an Authorization header instead"
            }
            UrlError::Host => "the host must be a name of letters, digits, '-', '.' and '_', or an address",
            UrlError::Port => "the port must be a number from 1 to 65535",
            UrlError::Fragment => {
                "a WebSocket URL must not have a #fragment; write # in a path or query as %23"
            }
        })
    }
}

impl core::error::Error for UrlError {}

/// Splits an authority into the host, in brackets if it is an IPv6 address, and the port.
pub(crate) fn split_port(authority: &str, default: u16) -> Result<(&str, u16), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = match authority.rsplit_once(':') {
        // The last colon may belong to an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    // RFC 3986 3.2.3: an empty port means the default.
    let port = match port {
        "" => default,
        _ if !port.bytes().all(|b| b.is_ascii_digit()) => return Err(UrlError::Port),
        _ => port.parse().ok().filter(|&port| port != 0).ok_or(UrlError::Port)?,
    };
    Ok((host, port))
}

/// Returns a host in lower case, and the zone of an IPv6 address.
pub(crate) fn parse_host(host: &str) -> Result<(String, String), UrlError> {
    // RFC 6874 2: "IPv6address "%25" ZoneID".
    let (host, zone) = match host.split_once("%25").zip(host.strip_suffix(']')) {
        Some(((address, _), whole)) if host.starts_with('[') => {
            let zone = whole.get(address.len().saturating_add("%25".len())..).unwrap_or_default();
            (format!("{address}]"), check_zone(zone)?.to_string())
        }
        _ => (host.to_ascii_lowercase(), String::new()),
    };
    let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !is_name && !host.starts_with('[') {
        return Err(UrlError::Host);
    }
    match Authority::parse(host.as_bytes()) {
        // Nothing may stand between the bracket of an IPv6 address and the colon of the port.
        Some(Authority { host: whole, port: None }) if whole == host => Ok((host.to_ascii_lowercase(), zone)),
        _ => Err(UrlError::Host),
    }
}

/// RFC 6874 2: `ZoneID = 1*( unreserved / pct-encoded )`. The names of interfaces need no
/// percent-encoding.
fn check_zone(zone: &str) -> Result<&str, UrlError> {
    let is_zone = !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    is_zone.then_some(zone).ok_or(UrlError::Host)
}

/// Checks that the target has only the characters of RFC 3986 3.3 and 3.4 (pchar, `/` and `?`).
/// Other visible ASCII characters must be percent-encoded.
fn check_target(target: &str, offset: usize) -> Result<(), UrlError> {
    let mut rest = target.as_bytes();
    while let [byte, tail @ ..] = rest {
        let at = offset.saturating_add(target.len().saturating_sub(rest.len()));
        match byte {
            b'%' => match tail {
                [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {}
                _ => return Err(UrlError::Percent { at }),
            },
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'[' | b']' => {
                return Err(UrlError::Character { at, char: char::from(*byte) });
            }
            _ => {}
        }
        rest = tail;
    }
    Ok(())
}

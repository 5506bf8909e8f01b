//! `ws://` and `wss://` URLs.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use crate::http::Authority;

/// A WebSocket URL (RFC 6455 3), parsed strictly: what would have to be repaired or guessed is an error.
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
    /// In lower case, and as `Host` has it: brackets around IPv6, the port only if it is not the default.
    authority: String,
    host_len: usize,
    port: u16,
    target: String,
}

impl Url {
    /// Parses it.
    ///
    /// # Errors
    ///
    /// [`UrlError`], which says what is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some((at, char)) = text.char_indices().find(|(_, char)| !char.is_ascii_graphic()) {
            return Err(UrlError::Character { at, char });
        }
        // RFC 6455 3: "ws-URI = "ws:" "//" host [ ":" port ] path [ "?" query ]".
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        // RFC 3986 3.1: schemes compare without case.
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("ws") => false,
            _ if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return Err(UrlError::Scheme),
        };
        // RFC 6455 3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used".
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (authority, target) =
            rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len())).unwrap_or((rest, ""));
        check_target(target, text.len().saturating_sub(target.len()))?;
        // RFC 6455 3: "/" if the path component is empty.
        let slash = if target.starts_with('/') { "" } else { "/" };
        let (authority, host_len, port) = parse_authority(authority, secure)?;
        Ok(Url { secure, authority, host_len, port, target: format!("{slash}{target}") })
    }

    /// Whether it is `wss`, that is, over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host to connect to, in lower case; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.bracketed_host().trim_matches(['[', ']'])
    }

    /// The port to connect to; by default 80, and 443 for `wss`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of `Host`: the port is there only if it is not the default (RFC 6455 4.1, item 4).
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path and query, which are the target of the request; at least `/`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
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

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority, self.target)
    }
}

/// Why a text is no WebSocket URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with `ws://` or `wss://`.
    Scheme,
    /// A character that a URL has not.
    Character {
        /// Where, in bytes.
        at: usize,
        /// The character.
        char: char,
    },
    /// A `%` that is not followed by two hexadecimal digits.
    Percent {
        /// Where, in bytes.
        at: usize,
    },
    /// A user name or password; a WebSocket URL has none (RFC 6455 3).
    UserInfo,
    /// The host is missing, or neither a name nor an address.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
    /// A fragment; a WebSocket URL has none (RFC 6455 3).
    Fragment,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::Scheme => "a WebSocket URL begins with ws:// or wss://",
            UrlError::Character { at, char } => {
                return write!(
                    f,
                    "{char:?} at {at} cannot stand in a URL; percent-encode it (in a host: write it as punycode)"
                );
            }
            UrlError::Percent { at } => {
                return write!(f, "the % at {at} must be followed by two hexadecimal digits; % itself is %25");
            }
            UrlError::UserInfo => "a WebSocket URL has no user name; send an Authorization header instead",
            UrlError::Host => "the host must be a name of letters, digits, '-', '.' and '_', or an address",
            UrlError::Port => "the port must be a number from 1 to 65535",
            UrlError::Fragment => "a WebSocket URL has no #fragment; in a path or query write # as %23",
        })
    }
}

impl core::error::Error for UrlError {}

/// The value of `Host`, the length of the host in it, and the port to connect to.
fn parse_authority(text: &str, secure: bool) -> Result<(String, usize, u16), UrlError> {
    if text.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = match text.rsplit_once(':') {
        // The last colon may be one of an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, ""),
    };
    let default = if secure { 443 } else { 80 };
    // RFC 3986 3.2.3: an empty port is the default.
    let port = match port {
        "" => default,
        _ if !port.bytes().all(|b| b.is_ascii_digit()) => return Err(UrlError::Port),
        _ => port.parse().ok().filter(|&port| port != 0).ok_or(UrlError::Port)?,
    };
    let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !is_name && !host.starts_with('[') {
        return Err(UrlError::Host);
    }
    match Authority::parse(host.as_bytes()) {
        // The whole of it: nothing stands between the bracket of an address and the colon of its port.
        Some(Authority { host: whole, port: None }) if whole == host => {
            let mut authority = host.to_ascii_lowercase();
            if port != default {
                authority.push(':');
                authority.push_str(&port.to_string());
            }
            Ok((authority, host.len(), port))
        }
        _ => Err(UrlError::Host),
    }
}

/// RFC 3986 3.3, 3.4: pchar, `/` and `?`; what else is visible in ASCII has to be percent-encoded.
fn check_target(target: &str, offset: usize) -> Result<(), UrlError> {
    let mut rest = target.as_bytes();
    while let [byte, behind @ ..] = rest {
        let at = offset.saturating_add(target.len().saturating_sub(rest.len()));
        match byte {
            b'%' => match behind {
                [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {}
                _ => return Err(UrlError::Percent { at }),
            },
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'[' | b']' => {
                return Err(UrlError::Character { at, char: char::from(*byte) });
            }
            _ => {}
        }
        rest = behind;
    }
    Ok(())
}

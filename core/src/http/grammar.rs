//! The grammar of HTTP: tokens, field values, authorities.

use core::net::Ipv6Addr;

/// Returns whether the text is a token (RFC 9110 5.6.2: `token = 1*tchar`).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_tchar)
}

/// Returns whether the byte may appear in a token (RFC 9110 5.6.2: "any VCHAR, except delimiters").
pub(crate) const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Returns whether the byte may appear in a field value (RFC 9110 5.5): visible characters,
/// obs-text, SP and HTAB, but no other control character.
pub(crate) const fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Returns whether the byte is optional whitespace (RFC 9110 5.6.3: `OWS = *( SP / HTAB )`).
pub(crate) const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

/// A host with an optional port, as in `Host`, an origin or a URL (RFC 3986 3.2, without userinfo).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// The host; an IPv6 address has its brackets.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(text).ok()?;
        // An IPv6 address contains colons, so it ends at its bracket.
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => {
                let _: Ipv6Addr = address.parse().ok()?;
                let host = text.get(..address.len().saturating_add(2))?;
                (host, if port.is_empty() { "" } else { port.strip_prefix(':')? })
            }
            None => {
                let (host, port) = text.split_once(':').unwrap_or((text, ""));
                is_reg_name(host).then_some(())?;
                (host, port)
            }
        };
        // RFC 3986 3.2.3: `port = *DIGIT`; an empty port means the default.
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
        Some(Authority { host, port })
    }
}

/// Returns whether the host is a `reg-name` (RFC 3986 3.2.2) that is not empty (RFC 9110 4.2.1).
fn is_reg_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&b))
}

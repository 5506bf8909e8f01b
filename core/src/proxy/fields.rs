//! The elements of `Forwarded` (RFC 7239 4) and `X-Forwarded-For`.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::http::{is_tchar, trim};

/// The peer of one proxy, as that proxy names it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hop<'h> {
    /// The peer's address; `None` if the proxy hides it or does not name it.
    pub(super) node: Option<SocketAddr>,
    /// The host that the peer asked for, not validated.
    pub(super) host: Option<&'h [u8]>,
}

/// Parses the address of a node (RFC 7239 6): an IP address, with brackets around IPv6, and an
/// optional port. Returns `None` for `unknown`, an obfuscated name (`_hidden`) and anything else.
///
/// `X-Forwarded-For` has no specification, so IPv6 without brackets is an address too.
pub(super) fn parse_node(text: &[u8]) -> Option<SocketAddr> {
    let text = core::str::from_utf8(text).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip.to_canonical(), 0));
    }
    let (ip, port): (IpAddr, _) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']')?;
            (ip.parse::<Ipv6Addr>().ok()?.into(), port.strip_prefix(':').or(port.is_empty().then_some("0"))?)
        }
        None => {
            let (ip, port) = text.split_once(':')?;
            (IpAddr::V4(ip.parse().ok()?), port)
        }
    };
    let is_number = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    // RFC 7239 6: `node-port = port / obfport`,
    // `obfport = "_" 1*(ALPHA / DIGIT / "." / "_" / "-")`.
    let port = match port.strip_prefix('_') {
        Some(name) if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) => 0,
        None if is_number(port) => port.parse().ok()?,
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// Parses one line of `Forwarded`. Returns `None` if any part of it is malformed: a client could
/// otherwise open a quotation that swallows what a proxy appends.
pub(super) fn forwarded_elements(line: &[u8]) -> Option<Vec<Hop<'_>>> {
    let (mut elements, mut rest) = (Vec::new(), trim(line));
    let (mut hop, mut has_for, mut has_host) = (Hop::default(), false, false);
    let mut is_empty = true;
    loop {
        // RFC 7239 4: `forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )`.
        if !matches!(rest.first(), None | Some(b',' | b';')) {
            let (name, value, tail) = forwarded_pair(rest)?;
            (rest, is_empty) = (trim(tail), false);
            let repeated = if name.eq_ignore_ascii_case(b"for") {
                hop.node = parse_node(value);
                core::mem::replace(&mut has_for, true)
            } else if name.eq_ignore_ascii_case(b"host") {
                hop.host = Some(value);
                core::mem::replace(&mut has_host, true)
            } else {
                false
            };
            // "Each parameter MUST NOT occur more than once per forwarded-element."
            if repeated {
                return None;
            }
        }
        let delimiter = rest.split_first();
        match delimiter {
            Some((b';', tail)) => rest = trim(tail),
            Some((b',', _)) | None => {
                // Empty elements of a list are ignored (RFC 9110 5.6.1.2).
                if !is_empty {
                    elements.push(hop);
                }
                (hop, has_for, has_host, is_empty) = (Hop::default(), false, false, true);
                let Some((_, tail)) = delimiter else { return Some(elements) };
                rest = trim(tail);
            }
            Some(_) => return None,
        }
    }
}

/// Splits off `token "=" ( token / quoted-string )`. Returns the name, the value and the rest.
///
/// An unquoted value may also contain the colon and brackets of an address, which some proxies do
/// not quote.
fn forwarded_pair(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = split_while(text, is_tchar);
    let rest = rest.strip_prefix(b"=").filter(|_| !name.is_empty())?;
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let end = quoted.iter().position(|&byte| byte == b'"' || byte == b'\\')?;
        let (value, rest) = quoted.split_at_checked(end)?;
        // An address or a host needs no escape, so a value with one is not worth an allocation.
        return Some((name, value, rest.strip_prefix(b"\"")?));
    }
    let (value, rest) = split_while(rest, |byte| is_tchar(byte) || b":[]".contains(&byte));
    (!value.is_empty()).then_some((name, value, rest))
}

fn split_while(text: &[u8], is_part: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| !is_part(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

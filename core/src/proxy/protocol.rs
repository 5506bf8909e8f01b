//! The PROXY protocol, versions 1 and 2 (the specification is HAProxy's `proxy-protocol.txt`).

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::v2;
use crate::RecvBuf;

/// Section 2.1: "a 108-byte buffer is always enough to store all the line and a trailing zero".
const V1_MAX: usize = 107;

const V1_START: &[u8] = b"PROXY ";

/// A PROXY protocol header: the ends of the connection that the proxy accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyHeader {
    /// The client's address. `None` if the proxy connects on its own behalf, as for a health check
    /// (`LOCAL`), or does not say (`UNKNOWN`, a Unix socket): the peer itself is the client.
    pub source: Option<SocketAddr>,
    /// The address that the client connected to.
    pub destination: Option<SocketAddr>,
}

/// A reader for the PROXY protocol header at the beginning of a connection.
///
/// The header may arrive in pieces of any size. The reader stops after its last byte, and leaves
/// the request that follows in the input. It fails at the first byte that cannot belong to a
/// header, and holds at most 4 KiB.
///
/// Read a header only from a trusted proxy that is configured to send one. "The receiver MUST be
/// configured to only receive the protocol described in this specification and MUST not try to
/// guess whether the protocol header is present or not." (section 2)
///
/// ```
/// use sockeye_core::RecvBuf;
/// use sockeye_core::proxy::ProxyHeaderReader;
///
/// let mut bytes = *b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\nGET / HTTP/1.1\r\n";
/// let mut input = RecvBuf::new(&mut bytes);
/// let header = ProxyHeaderReader::new().poll(&mut input)?.expect("a whole header");
/// assert_eq!(header.source, Some("203.0.113.7:56324".parse()?));
/// assert_eq!(input.remaining(), b"GET / HTTP/1.1\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ProxyHeaderReader {
    received: Vec<u8>,
}

impl ProxyHeaderReader {
    /// Returns a reader that has received nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of the header from the input. Returns `None` until it is complete.
    ///
    /// # Errors
    ///
    /// Returns a [`ProxyHeaderError`] if the input is not a PROXY protocol header. Close the
    /// connection then.
    pub fn poll(&mut self, input: &mut RecvBuf<'_>) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
        loop {
            let wanted = match self.received.first() {
                None => 1,
                Some(b'P') => {
                    self.check_start(V1_START)?;
                    if self.received.ends_with(b"\n") {
                        return parse_v1(&self.received).map(Some);
                    }
                    if self.received.len() >= V1_MAX {
                        return Err(ProxyHeaderError::TooLong);
                    }
                    // Up to the end of the line, which nothing announces.
                    let room = V1_MAX.saturating_sub(self.received.len());
                    let rest = input.remaining().iter().take(room);
                    rest.take_while(|&&byte| byte != b'\n').count().saturating_add(1).min(room)
                }
                Some(_) => {
                    self.check_start(v2::SIGNATURE)?;
                    let missing = v2::missing(&self.received)?;
                    if missing == 0 {
                        return v2::parse(&self.received).map(Some);
                    }
                    missing
                }
            };
            if input.is_empty() {
                return Ok(None);
            }
            self.received.extend_from_slice(input.take(wanted));
        }
    }

    /// Checks the received bytes against the bytes that begin every header of a version.
    fn check_start(&self, start: &[u8]) -> Result<(), ProxyHeaderError> {
        let matches = self.received.iter().zip(start).all(|(received, expected)| received == expected);
        if matches { Ok(()) } else { Err(ProxyHeaderError::Missing) }
    }
}

/// Section 2.1: `PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n`.
fn parse_v1(line: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let line = line.strip_prefix(V1_START).and_then(|rest| rest.strip_suffix(b"\r\n"));
    let line = line.and_then(|line| core::str::from_utf8(line).ok()).ok_or(ProxyHeaderError::Version1)?;
    let mut words = line.split(' ');
    let protocol = words.next().unwrap_or_default();
    // "the receiver must ignore anything presented before the CRLF is found".
    if protocol == "UNKNOWN" {
        return Ok(ProxyHeader::default());
    }
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match protocol {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let addresses = (address(), address());
    let ports = (words.next().and_then(port), words.next().and_then(port));
    let ((Some(source), Some(destination)), (Some(from), Some(to)), None) = (addresses, ports, words.next())
    else {
        return Err(ProxyHeaderError::Version1);
    };
    Ok(ProxyHeader {
        source: Some(SocketAddr::new(source.to_canonical(), from)),
        destination: Some(SocketAddr::new(destination.to_canonical(), to)),
    })
}

/// Parses a port. "Heading zeroes are not permitted".
fn port(text: &str) -> Option<u16> {
    let is_canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_canonical)
}

/// The reason why bytes are not a PROXY protocol header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// The first bytes do not begin a header: the proxy does not send one.
    Missing,
    /// The line of version 1 is malformed.
    Version1,
    /// The header of version 2 is malformed.
    Version2,
    /// The header is longer than 107 bytes in version 1 or 4 KiB in version 2.
    TooLong,
    /// The header does not match its checksum.
    Checksum,
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyHeaderError::Missing => {
                "this port expects a PROXY protocol header from this proxy, and found none"
            }
            ProxyHeaderError::Version1 => "the PROXY protocol header (version 1) is malformed",
            ProxyHeaderError::Version2 => "the PROXY protocol header (version 2) is malformed",
            ProxyHeaderError::TooLong => "the PROXY protocol header is too long",
            ProxyHeaderError::Checksum => "the PROXY protocol header does not match its checksum",
        })
    }
}

impl core::error::Error for ProxyHeaderError {}

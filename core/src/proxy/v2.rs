//! Version 2 of the PROXY protocol, which is binary (section 2.2).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{ProxyHeader, ProxyHeaderError};

/// The bytes that begin every header. No HTTP request begins with them.
pub(crate) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, the version and command, the family and transport, and the length of the rest.
const FIXED: usize = 16;

/// The longest accepted header. Addresses take 216 bytes at most, and certificates may follow them.
const MAX: usize = 4096;

/// `PP2_TYPE_CRC32C`.
const CHECKSUM: u8 = 3;

/// Returns how many bytes are missing from a header whose signature is right.
pub(super) fn missing(received: &[u8]) -> Result<usize, ProxyHeaderError> {
    let Some([_, _, high, low]) = received.get(SIGNATURE.len()..FIXED) else {
        return Ok(FIXED.saturating_sub(received.len()));
    };
    let len = FIXED.saturating_add(usize::from(u16::from_be_bytes([*high, *low])));
    if len > MAX {
        return Err(ProxyHeaderError::TooLong);
    }
    Ok(len.saturating_sub(received.len()))
}

/// Parses a complete header.
pub(super) fn parse(header: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let (Some([command, family, ..]), Some(rest)) = (header.get(SIGNATURE.len()..), header.get(FIXED..))
    else {
        return Err(ProxyHeaderError::Version2);
    };
    match command {
        // "LOCAL: the connection was established on purpose by the proxy without being relayed. […]
        // the receiver must use the real connection endpoints and must discard the protocol block".
        0x20 => return Ok(ProxyHeader::default()),
        0x21 => {}
        _ => return Err(ProxyHeaderError::Version2),
    }
    // The length of the addresses, by family.
    let len = match family >> 4 {
        1 => 12,
        2 => 36,
        3 => 216,
        _ => 0,
    };
    let (addresses, extensions) = rest.split_at_checked(len).ok_or(ProxyHeaderError::Version2)?;
    check_extensions(header, extensions)?;
    Ok(match family {
        // TCP over IPv4.
        0x11 => ends::<4>(addresses, |ip| Ipv4Addr::from(ip).into()),
        // TCP over IPv6.
        0x21 => ends::<16>(addresses, |ip| Ipv6Addr::from(ip).to_canonical()),
        // A Unix socket, a datagram, or unspecified: "the receiver should ignore address
        // information".
        _ => ProxyHeader::default(),
    })
}

/// Reads two addresses of `N` bytes, then two ports.
fn ends<const N: usize>(addresses: &[u8], ip: impl Fn([u8; N]) -> IpAddr) -> ProxyHeader {
    let Some((source, rest)) = addresses.split_first_chunk::<N>() else { return ProxyHeader::default() };
    let Some((destination, ports)) = rest.split_first_chunk::<N>() else { return ProxyHeader::default() };
    let [from_high, from_low, to_high, to_low] = ports else { return ProxyHeader::default() };
    let (from, to) = (u16::from_be_bytes([*from_high, *from_low]), u16::from_be_bytes([*to_high, *to_low]));
    ProxyHeader {
        source: Some(SocketAddr::new(ip(*source), from)),
        destination: Some(SocketAddr::new(ip(*destination), to)),
    }
}

/// Skips the extensions (type, length and value, section 2.2.7), and verifies a checksum among
/// them.
fn check_extensions(header: &[u8], extensions: &[u8]) -> Result<(), ProxyHeaderError> {
    let mut rest = extensions;
    while let [kind, high, low, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, tail) = tail.split_at_checked(len).ok_or(ProxyHeaderError::Version2)?;
        rest = tail;
        if *kind == CHECKSUM {
            let Ok(expected) = <[u8; 4]>::try_from(value) else { return Err(ProxyHeaderError::Version2) };
            let after = rest.len();
            let before = header.len().saturating_sub(after).saturating_sub(expected.len());
            // "The field is set to zero while the checksum is computed."
            let covered = header.get(..before).into_iter().flatten().chain(&[0; 4]).chain(rest);
            if crc32c(covered) != u32::from_be_bytes(expected) {
                return Err(ProxyHeaderError::Checksum);
            }
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(ProxyHeaderError::Version2) }
}

/// CRC32c (RFC 4960 appendix B), bit by bit: a table is not worth it for one short header per
/// connection.
fn crc32c<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |crc: u32, _| (crc >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(crc & 1));
    !bytes.fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

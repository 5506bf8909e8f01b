//! PROXY protocol headers, versions 1 and 2 (H16).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;

use proptest::prelude::*;
use sockeye_core::RecvBuf;
use sockeye_core::proxy::{ProxyHeader, ProxyHeaderError, ProxyHeaderReader};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Reads a header at once. Returns the result and the number of bytes that it took.
fn read(bytes: &[u8]) -> (Result<Option<ProxyHeader>, ProxyHeaderError>, usize) {
    let mut bytes = bytes.to_vec();
    let mut input = RecvBuf::new(&mut bytes);
    let result = ProxyHeaderReader::new().poll(&mut input);
    (result, input.consumed())
}

/// Reads a header in pieces. Returns the result and the number of bytes that it took.
fn read_pieces<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> (Result<Option<ProxyHeader>, ProxyHeaderError>, usize) {
    let (mut reader, mut taken) = (ProxyHeaderReader::new(), 0);
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = RecvBuf::new(&mut piece);
        let result = reader.poll(&mut input);
        taken += input.consumed();
        if result != Ok(None) {
            return (result, taken);
        }
        assert!(input.is_empty(), "an incomplete header takes all bytes");
    }
    (Ok(None), taken)
}

fn source(bytes: &[u8]) -> Option<SocketAddr> {
    let (result, taken) = read(bytes);
    assert_eq!(taken, bytes.len());
    result.unwrap().unwrap().source
}

fn error(bytes: &[u8]) -> ProxyHeaderError {
    read(bytes).0.unwrap_err()
}

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

/// Builds a header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &len, rest].concat()
}

const V4_ENDS: &[u8] = &[203, 0, 113, 7, 192, 0, 2, 1, 0xdc, 0x04, 1, 187];

fn v6_ends() -> Vec<u8> {
    let ip = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    [&ip("2001:db8::7")[..], &ip("2001:db8::1"), &[0xdc, 0x04, 1, 187]].concat()
}

#[test]
fn h16_a_line_of_version_1_names_the_client() {
    assert_eq!(source(b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n"), address("203.0.113.7:56324"));
    assert_eq!(source(b"PROXY TCP6 2001:db8::7 2001:db8::1 0 65535\r\n"), address("[2001:db8::7]:0"));
    assert_eq!(source(b"PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"), address("1.2.3.4:1"));
    assert_eq!(source(b"PROXY UNKNOWN\r\n"), None);
    let ignored = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
    assert_eq!(source(ignored.as_bytes()), None);
    let (header, _) = read(b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n");
    assert_eq!(header.unwrap().unwrap().destination, address("192.0.2.1:443"));
}

#[test]
fn h16_a_malformed_line_of_version_1_is_refused() {
    let lines = [
        "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 \r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 1\r\n",
        "PROXY TCP4  203.0.113.7 192.0.2.1 56324 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 056324 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 +56324 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n",
        "PROXY TCP4 203.0.113.07 192.0.2.1 1 443\r\n",
        "PROXY TCP4 2001:db8::7 192.0.2.1 1 443\r\n",
        "PROXY TCP6 203.0.113.7 ::1 1 443\r\n",
        "PROXY UDP4 203.0.113.7 192.0.2.1 1 443\r\n",
        "PROXY tcp4 203.0.113.7 192.0.2.1 1 443\r\n",
        "PROXY TCP4 203.0.113.7 192.0.2.\u{e9} 1 443\r\n",
        "PROXY \r\n",
    ];
    for line in lines {
        assert_eq!(error(line.as_bytes()), ProxyHeaderError::Version1, "{line:?}");
    }
    assert_eq!(error(format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)).as_bytes()), ProxyHeaderError::TooLong);
    assert_eq!(source(format!("PROXY UNKNOWN {}\r\n", "x".repeat(91)).as_bytes()), None);
}

#[test]
fn h16_a_header_of_version_2_names_the_client() {
    assert_eq!(source(&v2(0x21, 0x11, V4_ENDS)), address("203.0.113.7:56324"));
    assert_eq!(source(&v2(0x21, 0x21, &v6_ends())), address("[2001:db8::7]:56324"));
    assert_eq!(source(&v2(0x20, 0x11, V4_ENDS)), None, "LOCAL");
    assert_eq!(source(&v2(0x20, 0, b"anything at all")), None, "LOCAL");
    assert_eq!(source(&v2(0x21, 0x31, &[b'/'; 216])), None, "a Unix socket");
    assert_eq!(source(&v2(0x21, 0x12, V4_ENDS)), None, "a datagram");
    assert_eq!(source(&v2(0x21, 0, b"")), None, "unspecified");
    // An extension of an unknown type, and one without a value.
    let extended = [V4_ENDS, &[0xea, 0, 2, 1, 2, 4, 0, 0]].concat();
    assert_eq!(source(&v2(0x21, 0x11, &extended)), address("203.0.113.7:56324"));
    let longest = [V4_ENDS, &[4, 0x0f, 0xe1], &[0; 4065]].concat();
    assert_eq!(source(&v2(0x21, 0x11, &longest)), address("203.0.113.7:56324"));
}

#[test]
fn h16_a_malformed_header_of_version_2_is_refused() {
    let malformed = [
        v2(0x11, 0x11, V4_ENDS),
        v2(0x22, 0x11, V4_ENDS),
        v2(0x21, 0x11, &V4_ENDS[..11]),
        v2(0x21, 0x21, V4_ENDS),
        v2(0x21, 0x31, V4_ENDS),
        v2(0x21, 0x11, &[V4_ENDS, &[4, 0]].concat()),
        v2(0x21, 0x11, &[V4_ENDS, &[4, 0, 2, 1]].concat()),
        v2(0x21, 0x11, &[V4_ENDS, &[3, 0, 2, 1, 1]].concat()),
    ];
    for header in malformed {
        assert_eq!(error(&header), ProxyHeaderError::Version2, "{}", header.escape_ascii());
    }
    assert_eq!(error(&v2(0x21, 0x11, &[0; 4081])[..16]), ProxyHeaderError::TooLong);
}

#[test]
fn h16_a_checksum_in_version_2_is_verified() {
    // CRC32c of these bytes, computed bit by bit here too, with the checksum's own field zeroed.
    let crc = |bytes: &[u8]| {
        let mut crc = !0u32;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            }
        }
        !crc
    };
    assert_eq!(crc(b"123456789"), 0xe306_9283, "the check value of CRC32c");
    let extended = [V4_ENDS, &[4, 0, 1, 9, 3, 0, 4, 0, 0, 0, 0, 4, 0, 0]].concat();
    let mut header = v2(0x21, 0x11, &extended);
    let checksum = crc(&header);
    let at = header.len() - 7;
    header[at..at + 4].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(source(&header), address("203.0.113.7:56324"));
    for damaged in [16, 17, at, at + 3, header.len() - 1] {
        let mut header = header.clone();
        header[damaged] ^= 1;
        assert!(read(&header).0.is_err(), "byte {damaged}");
    }
}

#[test]
fn h16_a_proxy_header_can_be_split_anywhere_and_the_request_is_left() {
    let headers = [
        b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2(0x21, 0x11, V4_ENDS),
        v2(0x21, 0x21, &v6_ends()),
        v2(0x20, 0, b""),
    ];
    for header in headers {
        let expected = read(&header);
        assert!(matches!(expected, (Ok(Some(_)), taken) if taken == header.len()));
        let with_request = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(read(&with_request), expected);
        for at in 0..with_request.len() {
            let (start, end) = with_request.split_at(at);
            assert_eq!(read_pieces([start, end]), expected, "at {at}");
        }
        assert_eq!(read_pieces(with_request.chunks(1)), expected);
    }
}

#[test]
fn h16_bytes_that_cannot_become_a_proxy_header_are_refused_at_once() {
    for bytes in [&b"G"[..], b"\0", b"PROX ", b"PROXY\t", b"\r\nG", b"\r\n\r\n\0\r\nQUIT\r", b"\x16\x03"] {
        assert_eq!(error(bytes), ProxyHeaderError::Missing, "{}", bytes.escape_ascii());
    }
}

proptest! {
    #[test]
    fn h16_no_bytes_make_the_reader_of_proxy_headers_panic(
        start in 0..4usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        piece in 1..40usize,
    ) {
        let starts = [&b""[..], b"PROXY ", b"PROXY TCP6 ", SIGNATURE];
        let bytes = [starts[start], &bytes].concat();
        prop_assert_eq!(read(&bytes).0, read_pieces(bytes.chunks(piece)).0);
    }
}

use alloc::vec;
use alloc::vec::Vec;

use super::*;

const HEAD: &[u8] = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nEmpty:\r\n\r\n";

fn reader() -> HeadReader {
    HeadReader::new(HeadKind::Request)
}

/// Feeds `bytes` in pieces of `piece` bytes until the reader returns a request or an error. Returns
/// that and the number of bytes consumed.
fn feed(
    reader: &mut HeadReader,
    bytes: &[u8],
    piece: usize,
    config: &Config,
) -> (Result<Option<Request>, HeadError>, usize) {
    let mut taken = 0;
    for part in bytes.chunks(piece) {
        let mut part = part.to_vec();
        let mut input = RecvBuf::new(&mut part);
        let polled = reader.poll_request(&mut input, config);
        taken += input.consumed();
        if !matches!(polled, Ok(None)) {
            return (polled, taken);
        }
        assert!(input.is_empty(), "an incomplete head consumes all input");
    }
    (Ok(None), taken)
}

#[test]
fn t3_each_byte_is_examined_twice_in_total_at_any_read_size() {
    for piece in [1, 2, 3, 7, HEAD.len(), HEAD.len() + 9] {
        let mut reader = reader();
        let bytes = [HEAD, b"not the head"].concat();
        let (request, taken) = feed(&mut reader, &bytes, piece, &Config::new());
        assert_eq!(request.unwrap().unwrap().path(), "/chat");
        assert_eq!(taken, HEAD.len());
        assert_eq!(reader.examined, 2 * HEAD.len(), "in pieces of {piece}");
    }
}

#[test]
fn t3_an_endless_head_is_refused_at_the_limit_with_each_byte_examined_once() {
    let config = Config::new();
    let mut megabyte = b"GET / HTTP/1.1\r\nX: ".to_vec();
    megabyte.resize(1 << 20, b'x');
    let mut reader = reader();
    let (refused, taken) = feed(&mut reader, &megabyte, 1, &config);
    assert_eq!(refused.unwrap_err(), HeadError::TooBig { limit: 16 << 10 });
    assert_eq!(taken, (16 << 10) - 1, "the byte that reaches the limit is refused");
    assert_eq!(reader.examined, 16 << 10);
    assert!(reader.buffered.capacity() <= 32 << 10);
}

#[test]
fn h6_a_head_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not() {
    for (size, fits) in [(199, true), (200, true), (201, false)] {
        for piece in [1, 64, 1000] {
            let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
            head.resize(size - 4, b'x');
            head.extend_from_slice(b"\r\n\r\n");
            let (polled, _) = feed(&mut reader(), &head, piece, &Config::new().max_head_size(200_usize));
            match polled {
                Ok(request) => assert!(fits && request.is_some(), "{size} in {piece}"),
                Err(error) => {
                    assert!(!fits && error == HeadError::TooBig { limit: 200 }, "{size} in {piece}: {error}");
                }
            }
        }
    }
}

#[test]
fn h12_as_many_fields_as_the_limit_are_accepted_and_one_more_is_refused_at_the_end_of_its_line() {
    for (fields, fits) in
        [(0, false), (31, true), (32, true), (33, true), (40, true), (41, false), (1000, false)]
    {
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        for n in 0..fields {
            head.extend_from_slice(if n == 0 { b"Host: a\r\n" } else { b"X: y\r\n" });
        }
        let before_the_end = head.len();
        head.extend_from_slice(b"\r\n");
        let (polled, taken) = feed(&mut reader(), &head, 1, &Config::new().max_headers(40_usize));
        match polled {
            Ok(request) => assert_eq!((fits, request.unwrap().headers().len()), (true, fields)),
            Err(HeadError::MissingHost) => assert_eq!(fields, 0),
            Err(error) => {
                assert_eq!((fits, error), (false, HeadError::TooManyFields { limit: 40 }));
                assert!(taken < before_the_end);
            }
        }
    }
}

#[test]
fn a_parsed_head_has_no_spare_capacity() {
    for piece in [1, 10, 1000] {
        let (request, _) = feed(&mut reader(), HEAD, piece, &Config::new());
        let request = request.unwrap().unwrap();
        // A head may live as long as its connection, so spare capacity would be wasted memory.
        assert_eq!(request.headers().capacity(), HEAD.len());
    }
}

#[test]
fn input_that_cannot_become_a_request_is_refused_at_its_first_wrong_byte() {
    let table: &[(&[u8], usize, HeadError)] = &[
        (b"\x16\x03\x01\x02\x00\x01", 0, HeadError::LooksLikeTls),
        (b"\x16", 0, HeadError::LooksLikeTls),
        (b"\x16\x04", 0, HeadError::Method),
        (b"\x00", 0, HeadError::Method),
        (b"\x81\x85", 0, HeadError::Method),
        (b" GET", 0, HeadError::Method),
        (b"\n", 0, HeadError::BareLf),
        (b"\r\r", 1, HeadError::BareCr),
        (b"\r\n\r\n\r\n\r\n\r", 8, HeadError::EmptyLines),
        (b"GE\x16\x03", 2, HeadError::Method),
        (b"GET\r\n", 3, HeadError::Method),
        (b"GET\t/", 3, HeadError::Method),
        (b"G(T", 1, HeadError::Method),
        (b"<html>", 0, HeadError::Method),
        (b"{\"a\":1}", 0, HeadError::Method),
    ];
    for &(bytes, at, error) in table {
        for piece in [1, 100] {
            // In one piece the reader sees both bytes; on its own, 0x16 counts as TLS.
            if bytes == b"\x16\x04" && piece == 1 {
                continue;
            }
            let (refused, taken) = feed(&mut reader(), bytes, piece, &Config::new());
            assert_eq!(refused.unwrap_err(), error, "{:?}", bytes.escape_ascii());
            assert_eq!(taken, if piece == 1 { at } else { 0 }, "{:?}", bytes.escape_ascii());
        }
    }
}

#[test]
fn input_that_cannot_become_a_response_is_refused_at_its_first_wrong_byte() {
    for (bytes, at, error) in [
        (&b"\x15\x03\x01"[..], 0, HeadError::TlsAlert),
        (b"HTTX", 3, HeadError::StatusLine),
        (b"HTTP/2", 5, HeadError::StatusLine),
        (b"\r\nHTTP/1.1", 0, HeadError::StatusLine),
        (b"SSH-", 0, HeadError::StatusLine),
    ] {
        let mut reader = HeadReader::new(HeadKind::Response);
        for (n, byte) in bytes.iter().enumerate() {
            let polled = reader.poll_response(&mut RecvBuf::new(&mut [*byte]), &Config::new());
            if n == at {
                assert_eq!(polled.unwrap_err(), error);
                break;
            }
            assert!(polled.unwrap().is_none());
        }
    }
}

#[test]
fn a_few_empty_lines_before_the_request_line_are_ignored() {
    for lines in 0..=4 {
        let bytes = [b"\r\n".repeat(lines), HEAD.to_vec()].concat();
        for piece in [1, 100] {
            let (request, _) = feed(&mut reader(), &bytes, piece, &Config::new());
            assert_eq!(request.unwrap().unwrap().method(), "GET");
        }
    }
}

#[test]
fn the_index_finds_each_field_at_every_split() {
    for split in 0..HEAD.len() {
        let mut reader = reader();
        let (mut first, mut second) = (HEAD[..split].to_vec(), HEAD[split..].to_vec());
        assert!(reader.poll_request(&mut RecvBuf::new(&mut first), &Config::new()).unwrap().is_none());
        let request = reader.poll_request(&mut RecvBuf::new(&mut second), &Config::new()).unwrap().unwrap();
        let fields: Vec<(&str, &[u8])> = request.headers().iter().collect();
        assert_eq!(
            fields,
            vec![("Host", &b"example.com"[..]), ("Upgrade", b"websocket"), ("Empty", b"")],
            "split at {split}"
        );
    }
}

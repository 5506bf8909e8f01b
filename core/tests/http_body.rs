//! Reading bodies: where they end, and their limits (RFC 9112 6, 7; H6).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use sockeye_core::RecvBuf;
use sockeye_core::http::{BodyError, BodyEvent, BodyLength, BodyReader};

/// Feeds `bytes` in pieces of `piece` bytes. Returns the data, whether the body has ended or the
/// error, and the number of bytes consumed.
fn read(
    length: BodyLength,
    limit: u64,
    bytes: &[u8],
    piece: usize,
) -> (Vec<u8>, Result<bool, BodyError>, usize) {
    let (mut reader, mut body, mut taken) = (BodyReader::new(length, limit), Vec::new(), 0);
    for part in bytes.chunks(piece).chain([&[][..]]) {
        let mut part = part.to_vec();
        let mut input = RecvBuf::new(&mut part);
        loop {
            let before = input.consumed();
            let event = reader.poll_event(&mut input);
            taken += input.consumed() - before;
            match event {
                Ok(None) => {
                    assert!(input.is_empty());
                    break;
                }
                Ok(Some(BodyEvent::Data(data))) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(data);
                }
                Ok(Some(BodyEvent::End)) => return (body, Ok(true), taken),
                Err(error) => {
                    assert_eq!(reader.poll_event(&mut input).unwrap_err(), error, "the error repeats");
                    return (body, Err(error), taken);
                }
            }
        }
    }
    (body, Ok(false), taken)
}

#[test]
fn each_kind_of_body_ends_where_it_should_at_any_read_size() {
    let chunked = b"5\r\nhello\r\n00A;x=\"y\"\r\n, world...\r\n0\r\nT: u\r\nV:\r\n\r\nNEXT";
    let table: &[(BodyLength, &[u8], &[u8], usize)] = &[
        (BodyLength::None, b"NEXT", b"", 0),
        (BodyLength::Length(0), b"NEXT", b"", 0),
        (BodyLength::Length(1), b"aNEXT", b"a", 1),
        (BodyLength::Length(5), b"helloNEXT", b"hello", 5),
        (BodyLength::Chunked, b"0\r\n\r\nNEXT", b"", 5),
        (BodyLength::Chunked, b"0000000000000001\r\nx\r\n0000\r\n\r\nNEXT", b"x", 29),
        (BodyLength::Chunked, b"a\r\n0123456789\r\n0;e\r\n\r\nNEXT", b"0123456789", 22),
        (BodyLength::Chunked, chunked, b"hello, world...", chunked.len() - 4),
    ];
    for &(length, bytes, body, end) in table {
        for piece in 1..=bytes.len() {
            let found = read(length, 100, bytes, piece);
            assert_eq!(found, (body.to_vec(), Ok(true), end), "{} in {piece}", bytes.escape_ascii());
        }
    }
}

#[test]
fn malformed_chunks_are_refused_at_any_read_size() {
    use BodyError::*;
    let long = |n: usize| [b"1;".to_vec(), vec![b'x'; n], b"\r\n".to_vec()].concat();
    let table: Vec<(Vec<u8>, BodyError)> = vec![
        (b"\r\n".to_vec(), ChunkSize),
        (b"\n".to_vec(), ChunkSize),
        (b"x".to_vec(), ChunkSize),
        (b"g\r\n".to_vec(), ChunkSize),
        (b"-1\r\n".to_vec(), ChunkSize),
        (b"+1\r\n".to_vec(), ChunkSize),
        (b"0x1\r\n".to_vec(), ChunkSize),
        (b" 1\r\n".to_vec(), ChunkSize),
        (b"1 \r\n".to_vec(), ChunkSize),
        (b"1 ;x\r\n".to_vec(), ChunkSize),
        (b"1\n".to_vec(), ChunkSize),
        (b"1\r\r\n".to_vec(), ChunkSize),
        (b"1\rx".to_vec(), ChunkSize),
        (b";x\r\n".to_vec(), ChunkSize),
        (b"00000000000000001\r\n".to_vec(), ChunkSize),
        (b"10000000000000000\r\n".to_vec(), ChunkSize),
        (b"fffffffffffffffff\r\n".to_vec(), ChunkSize),
        (b"1_0\r\n".to_vec(), ChunkSize),
        (b"\xef\xbc\x91\r\n".to_vec(), ChunkSize),
        (b"ffffffffffffffff\r\n".to_vec(), TooBig { limit: 100 }),
        (b"7fffffffffffffff\r\n".to_vec(), TooBig { limit: 100 }),
        (b"65\r\n".to_vec(), TooBig { limit: 100 }),
        (b"1;a\nb\r\n".to_vec(), ChunkExtension),
        (b"1;a\0\r\n".to_vec(), ChunkExtension),
        (long(1025), ChunkExtension),
        (b"1;xxxxxxxx\r\ny\r\n".repeat(150), TooBig { limit: 100 }),
        (b"1\r\nab".to_vec(), ChunkEnd),
        (b"1\r\na\n".to_vec(), ChunkEnd),
        (b"1\r\na\r0".to_vec(), ChunkEnd),
        (b"1\r\na0\r\n".to_vec(), ChunkEnd),
        (b"0\r\nT: u\n\r\n".to_vec(), Trailer),
        (b"0\r\nT: \0\r\n".to_vec(), Trailer),
        (b"0\r\n\rx".to_vec(), Trailer),
        (b"0\r\n\n".to_vec(), Trailer),
        ([b"0\r\n".to_vec(), vec![b'x'; 8193]].concat(), Trailer),
        ([b"0\r\n".to_vec(), b"x\r\n".repeat(8193)].concat(), Trailer),
    ];
    for (bytes, error) in table {
        for piece in [1, 2, 3, 1 << 20] {
            let (_, found, _) = read(BodyLength::Chunked, 100, &bytes, piece);
            assert_eq!(found, Err(error), "{} in {piece}", bytes[..bytes.len().min(40)].escape_ascii());
        }
    }
    assert_eq!(read(BodyLength::Chunked, 100, &long(1024), 7).1, Ok(false));
    let chunks = [b"1;xxxxxxxxxxxxx\r\ny\r\n".repeat(80)].concat();
    assert_eq!(
        read(BodyLength::Chunked, 100, &chunks, 7).1,
        Err(ChunkExtension),
        "the extensions of all chunks count"
    );
}

#[test]
fn h6_t5_trailer_fields_follow_the_rules_of_header_fields_at_every_split() {
    let many = |count: usize| "T: u\r\n".repeat(count);
    // With the empty line at the end, of this length.
    let long = |len: usize| format!("T:{}\r\n", "u".repeat(len - 6));
    let table: Vec<(String, bool)> = vec![
        (String::new(), true),
        ("X: y\r\n".into(), true),
        ("X:y\r\n".into(), true),
        ("X:\t y z \r\n".into(), true),
        ("X:\r\n".into(), true),
        ("X: a:b\r\nX-Y_!#$%&'*+-.^`|~0: \u{e9}\r\n".into(), true),
        ("X y\r\n".into(), false),
        ("X\r\n".into(), false),
        ("X : y\r\n".into(), false),
        ("X\t: y\r\n".into(), false),
        (": y\r\n".into(), false),
        (" X: y\r\n".into(), false),
        ("\tX: y\r\n".into(), false),
        // RFC 9112 5.2: a folded line.
        ("X: y\r\n z\r\n".into(), false),
        ("X: y\r\n\tz\r\n".into(), false),
        ("X: y\r\n \r\n".into(), false),
        ("X(: y\r\n".into(), false),
        ("X\u{e9}: y\r\n".into(), false),
        ("X\0: y\r\n".into(), false),
        ("X: \0\r\n".into(), false),
        ("X: \u{7f}\r\n".into(), false),
        ("X: y\n".into(), false),
        ("X: y\rZ: a\r\n".into(), false),
        ("X: y\r\r\n".into(), false),
        ("\n".into(), false),
        ("\r\r\n".into(), false),
        (many(100), true),
        (many(101), false),
        (long(8192), true),
        (long(8193), false),
    ];
    for (trailers, is_valid) in table {
        let bytes = format!("1\r\na\r\n0\r\n{trailers}\r\nNEXT").into_bytes();
        let end = bytes.len() - 4;
        let expected = if is_valid { Ok(true) } else { Err(BodyError::Trailer) };
        let pieces = if bytes.len() < 100 { 1..=bytes.len() } else { 7..=8 };
        for piece in pieces {
            let (body, found, taken) = read(BodyLength::Chunked, 100, &bytes, piece);
            let what = trailers[..trailers.len().min(40)].escape_debug();
            assert_eq!((&*body, found), (&b"a"[..], expected), "{what} in {piece}");
            assert!(taken == end || (!is_valid && taken <= end), "{what} in {piece}");
        }
        // In two pieces, split at every point.
        for cut in 0..bytes.len().min(100) {
            let mut reader = BodyReader::new(BodyLength::Chunked, 100);
            let mut found = Ok(None);
            for part in [&bytes[..cut], &bytes[cut..]] {
                let mut part = part.to_vec();
                let mut input = RecvBuf::new(&mut part);
                found = loop {
                    match reader.poll_event(&mut input) {
                        Ok(Some(BodyEvent::Data(_))) => {}
                        Ok(Some(BodyEvent::End)) => break Ok(Some(true)),
                        other => break other.map(|_| None),
                    }
                };
            }
            let expected = if is_valid { Ok(Some(true)) } else { Err(BodyError::Trailer) };
            assert_eq!(found, expected, "{} at {cut}", trailers[..trailers.len().min(40)].escape_debug());
        }
    }
}

#[test]
fn h6_a_body_above_the_limit_is_refused_as_soon_as_it_is_known() {
    for (limit, error) in [(9, true), (10, false), (u64::MAX, false)] {
        let expected = if error { Err(BodyError::TooBig { limit }) } else { Ok(true) };
        let (body, found, taken) = read(BodyLength::Length(10), limit, b"0123456789", 3);
        assert_eq!((found, taken), (expected, if error { 0 } else { 10 }));
        assert_eq!(body.len(), taken);
        let (body, found, _) = read(BodyLength::Chunked, limit, b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", 3);
        assert_eq!((body.len(), found), (if error { 5 } else { 10 }, expected));
    }
    let (_, found, _) = read(BodyLength::UntilClose, 9, b"0123456789", 3);
    assert_eq!(found, Err(BodyError::TooBig { limit: 9 }));
    assert_eq!(read(BodyLength::UntilClose, 10, b"0123456789", 3).1, Ok(false));
    assert_eq!((BodyError::TooBig { limit: 9 }.status(), BodyError::ChunkSize.status()), (413, 400));
}

#[test]
fn a_huge_announced_length_allocates_nothing() {
    let mut reader = BodyReader::new(BodyLength::Length(u64::MAX), u64::MAX);
    let mut bytes = *b"abc";
    assert_eq!(
        reader.poll_event(&mut RecvBuf::new(&mut bytes)),
        Ok(Some(BodyEvent::Data(&mut b"abc".to_vec())))
    );
}

#[test]
fn the_end_of_the_transport() {
    let whole = b"3\r\nabc\r\n0\r\n\r\n";
    for cut in 0..=whole.len() {
        let mut reader = BodyReader::new(BodyLength::Chunked, 100);
        let mut bytes = whole[..cut].to_vec();
        let mut input = RecvBuf::new(&mut bytes);
        while let Ok(Some(BodyEvent::Data(_))) = reader.poll_event(&mut input) {}
        let expected = if cut == whole.len() { Ok(()) } else { Err(BodyError::Eof) };
        assert_eq!(reader.handle_eof(), expected, "cut at {cut}");
        assert_eq!(reader.handle_eof(), expected, "the result repeats");
    }
    assert_eq!(BodyReader::new(BodyLength::Length(1), 9).handle_eof(), Err(BodyError::Eof));
    // The first fault is the one that counts.
    let mut reader = BodyReader::new(BodyLength::Chunked, 9);
    assert_eq!(reader.poll_event(&mut RecvBuf::new(&mut b"x".to_vec())), Err(BodyError::ChunkSize));
    assert_eq!(reader.handle_eof(), Err(BodyError::ChunkSize));
    assert_eq!(reader.poll_event(&mut RecvBuf::new(&mut [])), Err(BodyError::ChunkSize));
    let mut reader = BodyReader::new(BodyLength::Length(10), 9);
    assert_eq!(reader.handle_eof(), Err(BodyError::TooBig { limit: 9 }));
    assert_eq!(BodyReader::new(BodyLength::None, 9).handle_eof(), Ok(()));
    let mut reader = BodyReader::new(BodyLength::UntilClose, 9);
    assert_eq!(reader.handle_eof(), Ok(()));
    assert_eq!(reader.poll_event(&mut RecvBuf::new(&mut [])), Ok(Some(BodyEvent::End)));
}

//! Compressed data inside compressed data, and secrets that compression reveals (T16, T19 of
//! docs/requirements.md).
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deflate_support;

use deflate_support::*;
use sockeye_core::deflate::Deflate;
use sockeye_core::{Frame, Opcode, Payload, Prepared, ProtocolError};
use sockeye_testkit::deflate::*;
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// Long enough for compression to make it shorter; otherwise it would be sent uncompressed.
const SECRET: &str = "user=ann; user-session=ann; session=5f2c9d71e8";
const GUESS: &str = "session=5f2c9d71e8";
/// As long as the right guess, and as compressible on its own.
const WRONG: &str = "session=0ab46e38d2";

/// Returns a stored block of `bytes` (RFC 1951 3.2.4), then the first byte of the empty block that
/// the receiver completes.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    [&[0x00][..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes, &[0x00]].concat()
}

/// Returns the length on the wire of the messages, sent in turn by a server that compresses
/// everything.
fn sent(messages: &[Payload<'_>]) -> usize {
    let mut end = deflating(true, always());
    for message in messages {
        end.connection.send(message.clone()).unwrap();
    }
    end.write(usize::MAX).len()
}

#[test]
fn t16_a_message_is_inflated_only_once() {
    for server in [true, false] {
        let inner = stored(b"packed twice");
        let mut end = deflating(server, Deflate::new());
        end.feed(&frame(server, BINARY | RSV1, stored(&inner))).unwrap();
        assert_eq!(end.got, [Got::Binary(inner)]);
    }
}

/// RFC 7692 7.2.3.4: another block may follow a final one. Any bytes after a final block must form
/// such a block.
#[test]
fn t16_garbage_after_a_final_block_fails_with_1007() {
    for server in [true, false] {
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let mut end = deflating(server, Deflate::new());
        end.feed(&frame(server, BINARY | RSV1, [&last[..], &[0x06, 0xff, 0xff]].concat())).unwrap_err();
        assert_eq!(end.frames()[0].close_code(), 1007);
    }
}

/// Writes a deflate stream bit by bit (RFC 1951 3.1.1).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    /// Appends a number, its lowest bit first.
    fn number(mut self, value: u32, bits: u32) -> Self {
        for bit in 0..bits {
            if self.len.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().unwrap();
            *last |= ((value >> bit & 1) as u8) << (self.len % 8);
            self.len += 1;
        }
        self
    }

    /// Appends a Huffman code, its highest bit first.
    fn code(self, code: u32, bits: u32) -> Self {
        (0..bits).rev().fold(self, |stream, bit| stream.number(code >> bit & 1, 1))
    }

    /// Begins a block of this type, which is not the last.
    fn block(self, kind: u32) -> Self {
        self.number(kind << 1, 3)
    }

    /// Appends three bytes from `distance` back, in fixed codes.
    fn copy(self, distance: u32) -> Self {
        // RFC 1951 3.2.5: the code, and the extra bits, of a distance.
        let (code, extra) = match distance {
            1..=4 => (distance - 1, 0),
            _ => {
                let extra = (distance - 1).ilog2() - 1;
                (2 * (extra + 1) + ((distance - 1) >> extra & 1), extra)
            }
        };
        self.code(1, 7).code(code, 5).number((distance - 1) & ((1 << extra) - 1), extra)
    }

    /// Ends a block of fixed codes, and the message: the receiver completes the empty block.
    fn end(self) -> Vec<u8> {
        self.code(0, 7).block(0).bytes
    }
}

/// The window is what was negotiated, whichever decompressor the pool returns.
#[test]
fn t16_no_distance_reaches_beyond_the_negotiated_window() {
    for server in [true, false] {
        for bits in 8..=15u8 {
            for pool in [Pool::new().shared(), no_pool()] {
                let window = 1u32 << bits;
                let content: Vec<u8> = (0..window + 100).map(|n| (n * 7 % 251) as u8).collect();
                for (distance, is_valid) in
                    [(1, true), (window - 1, true), (window, true), (window + 1, false)]
                {
                    // The largest distance that deflate has.
                    if distance > 32_768 {
                        continue;
                    }
                    let mut end = deflating(server, Deflate::new().peer_window_bits(bits));
                    end.connection.set_codec_pool(&pool);
                    end.feed(&frame(server, BINARY | RSV1, stored(&content))).unwrap();
                    let copy = Bits::default().block(1).copy(distance).end();
                    let result = end.feed(&frame(server, BINARY | RSV1, copy));
                    if !is_valid {
                        assert_eq!(result, Err(ProtocolError::InvalidDeflate), "{bits} {distance}");
                        continue;
                    }
                    assert_eq!(result, Ok(()), "{bits} {distance}");
                    let back = distance as usize;
                    let last: Vec<u8> =
                        content.iter().rev().take(back).rev().cycle().take(3).copied().collect();
                    assert_eq!(end.got.pop(), Some(Got::Binary(last)), "{bits} {distance}");
                }
            }
        }
    }
}

#[test]
fn t16_malformed_streams_fail_with_1007_however_they_are_split() {
    let dynamic = |literals: u32, distances: u32, lengths: u32| {
        Bits::default().block(2).number(literals, 5).number(distances, 5).number(lengths, 4)
    };
    // The lengths of the codes for the symbols 16, 17, 18, 0, 8, 7, …: all 19 of `length`.
    let all = |stream: Bits, length: u32| (0..19).fold(stream, |stream, _| stream.number(length, 3));
    // Codes of one bit for the symbols 0 (11 is then `lengths[3]`) and 18.
    let two = |stream: Bits| {
        [0, 0, 1, 1].into_iter().chain([0; 15]).fold(stream, |stream, length| stream.number(length, 3))
    };
    let fixed = || Bits::default().block(1);
    let streams: Vec<(&str, Vec<u8>)> = vec![
        ("a reserved block type", Bits::default().block(3).number(0, 13).bytes),
        ("a stored length that does not match", vec![0x00, 0x01, 0x00, 0x00, 0x00, b'x', 0x00]),
        ("a stored length with one wrong bit", vec![0x00, 0x01, 0x00, 0xfe, 0x7f, b'x', 0x00]),
        ("287 literal codes", all(dynamic(30, 0, 15), 0).bytes),
        ("288 literal codes", all(dynamic(31, 0, 15), 0).bytes),
        ("31 distance codes", all(dynamic(0, 30, 15), 0).bytes),
        ("no code for code lengths", all(dynamic(0, 0, 15), 0).number(0, 16).bytes),
        ("too many codes of one bit", all(dynamic(0, 0, 15), 1).number(0, 16).bytes),
        ("too many codes of four bits", all(dynamic(0, 0, 15), 4).number(0, 16).bytes),
        ("too few codes of five bits", all(dynamic(0, 0, 15), 5).number(0, 16).bytes),
        (
            "no code for the end of the block",
            two(dynamic(0, 0, 15)).number(u32::MAX, 32).number(u32::MAX, 32).bytes,
        ),
        ("lengths beyond the last code", {
            // Symbol 18 repeats a zero 138 times: twice is more than 258.
            let stream = two(dynamic(0, 0, 15));
            (0..4).fold(stream, |stream, _| stream.code(1, 1).number(127, 7)).bytes
        }),
        ("the literal 286", fixed().code(0xc6, 8).end()),
        ("the literal 287", fixed().code(0xc7, 8).end()),
        ("the distance code 30", fixed().code(0x30, 8).code(1, 7).code(30, 5).end()),
        ("the distance code 31", fixed().code(0x30, 8).code(1, 7).code(31, 5).end()),
        ("a distance before the first byte", fixed().copy(1).end()),
        ("a distance of two after one byte", fixed().code(0x30, 8).copy(2).end()),
        ("the largest distance", fixed().code(0x30, 8).copy(32_768).end()),
    ];
    for (what, stream) in streams {
        for server in [true, false] {
            for cut in 0..=stream.len() {
                let mut end = deflating(server, Deflate::new());
                let (first, second) = stream.split_at(cut);
                let begun = end.feed(&frame(server, BINARY_START | RSV1, first));
                let ended = begun.and_then(|()| end.feed(&frame(server, LAST_CONTINUATION, second)));
                assert_eq!(ended, Err(ProtocolError::InvalidDeflate), "{what}, cut at {cut}");
                assert_eq!(end.frames()[0].close_code(), 1007);
            }
        }
    }
}

#[test]
fn t16_floods_of_one_byte_have_one_result_however_they_are_split() {
    let pool = Pool::new().shared();
    let result = |server: bool, payload: &[u8], piece: usize| {
        let mut end = deflating(server, Deflate::new());
        end.connection.set_codec_pool(&pool);
        let mut fragments = payload.chunks(piece).peekable();
        let mut first = BINARY_START | RSV1;
        while let Some(fragment) = fragments.next() {
            let fin = if fragments.peek().is_none() { 0x80 } else { 0 };
            if let Err(error) = end.feed(&frame(server, first | fin, fragment)) {
                assert_eq!(error, ProtocolError::InvalidDeflate);
                return None;
            }
            first = CONTINUATION;
        }
        end.got.pop()
    };
    for byte in 0..=u8::MAX {
        for len in [1, 2, 3, 7, 40] {
            let payload = vec![byte; len];
            let whole = result(true, &payload, len);
            assert_eq!(result(false, &payload, len), whole, "{byte:02x} x {len}");
            assert_eq!(result(true, &payload, 1), whole, "{byte:02x} x {len}");
        }
    }
    for byte in [0x00, 0x06, 0xff] {
        assert_eq!(result(true, &vec![byte; 100_000], 100_000), None, "{byte:02x}");
    }
}

/// The attack of CRIME and BREACH: the length on the wire reveals whether a guess is right.
#[test]
fn t19_compression_reveals_a_secret_by_the_length_of_a_message() {
    let together = |guess: &str| sent(&[Payload::from(format!("{SECRET} {guess}"))]);
    assert!(together(GUESS) < together(WRONG));
    let in_turn = |guess: &'static str| sent(&[Payload::from(SECRET), Payload::from(guess)]);
    assert!(in_turn(GUESS) < in_turn(WRONG), "context takeover refers back to earlier messages");
}

#[test]
fn t19_a_secret_sent_uncompressed_is_not_revealed() {
    let together = |guess: &str| sent(&[Payload::from(format!("{SECRET} {guess}")).compress(false)]);
    assert_eq!(together(GUESS), together(WRONG));
    let in_turn = |guess: &'static str| sent(&[Payload::from(SECRET).compress(false), Payload::from(guess)]);
    assert_eq!(in_turn(GUESS), in_turn(WRONG), "no later message refers back to it");
}

/// The same for every way to send a message, in both roles.
#[test]
fn t19_no_way_to_send_a_secret_uncompressed_reveals_it() {
    fn frame(text: &str, opcode: Opcode, finish: bool) -> Frame<'static> {
        Frame::new(opcode, text.as_bytes().to_vec()).finish(finish)
    }
    let ways: [fn(&mut End, &str); 4] = [
        |end, text| end.connection.send(Payload::from(text).compress(false)).unwrap(),
        |end, text| {
            let prepared = Prepared::deflated(Payload::from(text).compress(false), &always(), None);
            end.connection.send_prepared(&prepared).unwrap();
        },
        |end, text| end.connection.send_frame(frame(text, Opcode::Text, true).compress(false)).unwrap(),
        |end, text| {
            let (one, two) = text.split_at(text.len() / 2);
            end.connection.send_frame(frame(one, Opcode::Text, false).compress(false)).unwrap();
            end.connection.send_frame(&frame(two, Opcode::Continuation, true)).unwrap();
        },
    ];
    for server in [true, false] {
        for (at, send_uncompressed) in ways.iter().enumerate() {
            let length = |guess: &str| {
                let mut end = deflating(server, always());
                send_uncompressed(&mut end, &format!("{SECRET} {guess}"));
                end.connection.send(guess).unwrap();
                end.write(usize::MAX).len()
            };
            assert_eq!(length(GUESS), length(WRONG), "way {at}");
        }
    }
}

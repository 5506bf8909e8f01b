//! Receiving permessage-deflate (RFC 7692 6 and 7.2.2), including hostile input.
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod deflate_support;

use deflate_support::*;
use sockeye_core::deflate::Deflate;
use sockeye_core::{Config, Data, Event, Incoming, ProtocolError, RecvBuf};
use sockeye_testkit::deflate::*;
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// RFC 7692 7.2.3.1: "Hello" in one block.
const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn text(text: &str) -> Got {
    Got::Text(text.into())
}

#[test]
fn the_examples_of_rfc_7692_7_2_3_inflate() {
    let stored: &[u8] = &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    let last_block: &[u8] = &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two_blocks: &[u8] = &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    for server in [true, false] {
        for payload in [HELLO, stored, last_block, two_blocks] {
            let mut end = deflating(server, Deflate::new());
            end.feed(&frame(server, TEXT | RSV1, payload)).unwrap();
            // A message may follow a final block (7.2.3.4).
            end.feed(&frame(server, TEXT | RSV1, HELLO)).unwrap();
            assert_eq!(end.got, [text("Hello"), text("Hello")], "{payload:02x?}");
        }
        // 7.2.3.2: the second message refers to the first.
        let mut end = deflating(server, Deflate::new());
        end.feed(&frame(server, TEXT | RSV1, HELLO)).unwrap();
        end.feed(&frame(server, TEXT | RSV1, [0xf2, 0x00, 0x11, 0x00, 0x00])).unwrap();
        assert_eq!(end.got, [text("Hello"), text("Hello")]);
        // 7.2.3.6: an empty message.
        end.feed(&frame(server, TEXT | RSV1, [0x00])).unwrap();
        assert_eq!(end.got.pop(), Some(text("")));
    }
}

#[test]
fn compressed_fragments_inflate_at_any_read_size() {
    let bytes = [
        frame(true, TEXT_START | RSV1, &HELLO[..3]),
        frame(true, PING, "between"),
        frame(true, CONTINUATION, []),
        frame(true, CONTINUATION, &HELLO[3..6]),
        frame(true, LAST_CONTINUATION, &HELLO[6..]),
        frame(true, TEXT, "plain"),
        frame(true, BINARY | RSV1, HELLO),
    ]
    .concat();
    let ping = Got::Ping(b"between".to_vec());
    let expected = [ping, text("Hello"), text("plain"), Got::Binary(b"Hello".to_vec())];
    for size in 1..=bytes.len() {
        let mut end = deflating(true, Deflate::new());
        end.feed_in(size, &bytes).unwrap();
        assert_eq!(end.got, expected, "in pieces of {size}");
    }
}

#[test]
fn e2_a_message_says_whether_it_was_compressed() {
    let mut end = deflating(true, Deflate::new());
    for (first, payload, compressed) in [(TEXT | RSV1, HELLO, true), (TEXT, b"plain", false)] {
        for split in [false, true] {
            let mut bytes = match split {
                true => {
                    [frame(true, first & 0x7f, &payload[..2]), frame(true, LAST_CONTINUATION, &payload[2..])]
                        .concat()
                }
                false => frame(true, first, payload),
            };
            let mut input = RecvBuf::new(&mut bytes);
            let incoming = end.assembler.poll(&mut end.connection, &mut input).unwrap().unwrap();
            let Incoming::Message(message) = incoming else { panic!("{incoming:?}") };
            assert_eq!(message.is_compressed(), compressed);
        }
    }
}

#[test]
fn w2_rsv1_is_valid_only_on_the_first_frame_of_a_message_once_compression_is_negotiated() {
    for server in [true, false] {
        let plain = || End::of(server, Config::new());
        let agreed = || deflating(server, Deflate::new());
        let wrong = [
            (plain(), frame(server, TEXT | RSV1, HELLO)),
            (agreed(), frame(server, PING | RSV1, [])),
            (agreed(), frame(server, CLOSE | RSV1, [])),
            (
                agreed(),
                [frame(server, TEXT_START, "a"), frame(server, LAST_CONTINUATION | RSV1, "b")].concat(),
            ),
            (
                agreed(),
                [frame(server, TEXT_START | RSV1, HELLO), frame(server, LAST_CONTINUATION | RSV1, [])]
                    .concat(),
            ),
            (agreed(), frame(server, TEXT | RSV1 | 0x20, HELLO)),
            (agreed(), frame(server, TEXT | 0x10, HELLO)),
        ];
        for (mut end, bytes) in wrong {
            assert_eq!(end.feed(&bytes), Err(ProtocolError::ReservedBits), "{bytes:02x?}");
            assert_eq!(end.frames().last().unwrap().close_code(), 1002);
        }
    }
}

#[test]
fn x5_corrupt_data_fails_the_connection_with_1007() {
    let wrong: [&[u8]; 5] = [
        // A block type that does not exist.
        &[0x06],
        // A distance beyond the start of the data.
        &[0x02, 0x11, 0x00],
        // A stored block whose length and its complement differ.
        &[0x00, 0x05, 0x00, 0xfb, 0xff, b'a'],
        // Truncated inside a block, and inside a stored block, which would absorb the tail.
        &HELLO[..4],
        &[0x00, 0xff, 0x00, 0x00, 0xff, b'a'],
    ];
    for takeover in [true, false] {
        for payload in wrong {
            let mut end = deflating(true, Deflate::new().peer_context_takeover(takeover));
            let fault = end.feed(&frame(true, BINARY | RSV1, payload));
            assert_eq!(fault, Err(ProtocolError::InvalidDeflate), "{payload:02x?}");
            assert_eq!(end.frames()[0].close_code(), 1007);
            assert_eq!(end.feed(&frame(true, TEXT, "more")), fault, "the error repeats");
        }
    }
}

#[test]
fn without_context_takeover_a_message_cannot_refer_to_the_previous_one() {
    let mut end = deflating(true, Deflate::new().peer_context_takeover(false));
    end.feed(&frame(true, TEXT | RSV1, HELLO)).unwrap();
    let fault = end.feed(&frame(true, TEXT | RSV1, [0xf2, 0x00, 0x11, 0x00, 0x00]));
    assert_eq!(fault, Err(ProtocolError::InvalidDeflate));
}

#[test]
fn e4_text_is_checked_while_it_is_inflated() {
    // The bytes after the bad one are no deflate stream, so inflating stopped before them.
    let bad = [0x00, 0x04, 0x00, 0xfb, 0xff, b'a', 0xff, b'b', b'c', 0xff, 0xff];
    let mut end = deflating(true, Deflate::new());
    assert_eq!(end.feed(&frame(true, TEXT | RSV1, bad)), Err(ProtocolError::InvalidUtf8));
    // A message in fragments is inflated when its last one has arrived.
    let (first, last) = bad.split_at(7);
    let mut end = deflating(true, Deflate::new());
    end.feed(&frame(true, TEXT_START | RSV1, first)).unwrap();
    assert_eq!(end.feed(&frame(true, LAST_CONTINUATION, last)), Err(ProtocolError::InvalidUtf8));
    // Truncated at the end of the message.
    let mut end = deflating(true, Deflate::new());
    let cut = frame(true, TEXT | RSV1, [0x00, 0x01, 0x00, 0xfe, 0xff, 0xc3, 0x00]);
    assert_eq!(end.feed(&cut), Err(ProtocolError::InvalidUtf8));
}

#[test]
fn x6_a_message_may_inflate_to_the_limit_and_not_one_byte_further() {
    for limit in [1, 4095, 4096, 4097, 100_000] {
        for (size, fits) in [(limit, true), (limit + 1, false), (limit * 50, false)] {
            let mut sender = deflating(false, always());
            sender.connection.send(vec![0u8; size]).unwrap();
            let bytes = sender.write(usize::MAX);
            let config = Config::new().max_message_size(limit as u64).deflate(Deflate::new());
            let mut end = deflating_with(true, config);
            match end.feed(&bytes) {
                Ok(()) => assert!(fits && end.got == [Got::Binary(vec![0; size])]),
                Err(error) => {
                    assert_eq!(error, ProtocolError::MessageTooBig { limit: limit as u64 });
                    assert!(!fits && end.frames()[0].close_code() == 1009);
                }
            }
        }
    }
}

#[test]
fn the_window_does_not_depend_on_the_decompressor() {
    // 600 bytes in a stored block; then a byte and three bytes from 600 bytes back.
    let block: Vec<u8> = (0..600u32).map(|i| (i * 7 % 251) as u8).collect();
    let stored = [&[0x00, 0x58, 0x02, 0xa7, 0xfd][..], &block, &[0x00]].concat();
    let far = [0x0a, 0x07, 0xa6, 0x2b, 0x00, 0x00];
    for pool in [Pool::new().shared(), no_pool()] {
        for bits in [9, 10, 15] {
            let mut end = deflating(true, Deflate::new().peer_window_bits(bits));
            end.connection.set_codec_pool(&pool);
            end.feed(&frame(true, BINARY | RSV1, &stored)).unwrap();
            let result = end.feed(&frame(true, BINARY | RSV1, far));
            // 600 bytes back lies outside of a window of 9 bits.
            if bits == 9 {
                assert_eq!(result, Err(ProtocolError::InvalidDeflate));
            } else {
                assert_eq!(result, Ok(()), "{bits}");
                assert_eq!(end.got.pop(), Some(Got::Binary([b"W", &block[1..4]].concat())), "{bits}");
            }
        }
    }
}

#[test]
fn no_reference_reaches_beyond_a_final_block() {
    // "Hello" in a final block; then an "A" and four bytes from ten bytes back.
    let (last, far) = ([0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], [0x72, 0x04, 0xb1, 0x00, 0x00]);
    for bits in [9, 15] {
        for pool in [Pool::new().shared(), no_pool()] {
            let new = || {
                let mut end = deflating(true, Deflate::new().peer_window_bits(bits));
                end.connection.set_codec_pool(&pool);
                end
            };
            let mut end = new();
            for payload in [HELLO, HELLO, &far] {
                end.feed(&frame(true, TEXT | RSV1, payload)).unwrap();
            }
            assert_eq!(end.got.pop(), Some(text("Aello")));
            // The result is the same whether or not the pool returns the same decompressor.
            let mut end = new();
            for payload in [HELLO, &last] {
                end.feed(&frame(true, TEXT | RSV1, payload)).unwrap();
            }
            let fault = end.feed(&frame(true, TEXT | RSV1, far));
            assert_eq!(fault, Err(ProtocolError::InvalidDeflate), "{bits}");
        }
    }
}

#[test]
fn payloads_of_events_can_be_inflated_by_hand() {
    let mut end = deflating(true, Deflate::new());
    let mut bytes =
        [frame(true, TEXT_START | RSV1, &HELLO[..4]), frame(true, LAST_CONTINUATION, &HELLO[4..])].concat();
    let (mut input, mut inflated) = (RecvBuf::new(&mut bytes), Vec::new());
    while let Some(event) = end.connection.poll_event(&mut input).unwrap() {
        let Event::Data(Data { payload, compressed: true, last, .. }) = event else { panic!("{event:?}") };
        let take = |part: &[u8]| {
            inflated.extend_from_slice(part);
            Ok(())
        };
        end.connection.inflate(payload, last, take).unwrap();
    }
    assert_eq!(inflated, b"Hello");
    // A fault is answered with a Close, like any other.
    let mut bytes = frame(true, TEXT | RSV1, [0x06]);
    let mut input = RecvBuf::new(&mut bytes);
    let event = end.connection.poll_event(&mut input).unwrap();
    let Some(Event::Data(Data { payload, last, .. })) = event else { panic!("{event:?}") };
    assert_eq!(end.connection.inflate(payload, last, |_| Ok(())), Err(ProtocolError::InvalidDeflate));
    assert_eq!(end.frames()[0].close_code(), 1007);
}

#[test]
fn a_pooled_decompressor_reveals_nothing_of_its_previous_connection() {
    let pool = Pool::new();
    for takeover in [true, false] {
        let settings = Deflate::new().peer_context_takeover(takeover).peer_window_bits(9);
        for _ in 0..3 {
            let mut end = deflating(true, settings.clone());
            end.connection.set_codec_pool(&pool.shared());
            // A distance beyond the connection's own data.
            let fault = end.feed(&frame(true, TEXT | RSV1, [0xf2, 0x00, 0x11, 0x00, 0x00]));
            assert_eq!(fault, Err(ProtocolError::InvalidDeflate));
            let mut end = deflating(true, settings.clone());
            end.connection.set_codec_pool(&pool.shared());
            end.feed(&frame(true, TEXT | RSV1, HELLO)).unwrap();
        }
    }
    assert!(pool.taken() > 0);
}

#[cfg(feature = "std")]
#[test]
fn connections_use_the_pool_of_the_thread_by_default() {
    use sockeye_core::deflate::codec_pool;

    // A new thread, because this one may have run another test.
    let test = std::thread::spawn(|| {
        assert!(codec_pool().take_decompressor().is_none());
        let mut end = deflating(true, Deflate::new());
        end.feed(&frame(true, TEXT | RSV1, HELLO)).unwrap();
        assert!(codec_pool().take_decompressor().is_some());
    });
    test.join().unwrap();
}

//! Sending permessage-deflate (RFC 7692 7.2.1), and which messages are compressed.
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod deflate_support;

use std::sync::Arc;

use deflate_support::*;
use sockeye_core::deflate::{CompressionPolicy, Deflate, Memory};
use sockeye_core::{Config, Frame, Opcode, Payload, Prepared, SendError};
use sockeye_testkit::deflate::*;
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

const CONTINUATION_ENDS: u8 = LAST_CONTINUATION;

/// Returns text that is compressible and longer than the default threshold.
fn news(n: usize) -> String {
    format!("{{\"id\":{n},\"name\":\"sam\",\"tags\":[\"a\",\"b\",\"c\"],\"text\":\"{}\"}}", "la ".repeat(50))
}

/// Returns bytes that no compressor makes shorter.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn o5_the_policy_selects_the_messages_to_compress() {
    let long = news(1);
    let table = [
        (CompressionPolicy::Never, [false, false, false]),
        (CompressionPolicy::OnRequest, [false, true, false]),
        (CompressionPolicy::Always, [true, true, false]),
        (CompressionPolicy::Above(long.len()), [true, true, false]),
        (CompressionPolicy::Above(long.len() + 1), [false, true, false]),
    ];
    for server in [true, false] {
        for (policy, expected) in table {
            let mut end = deflating(server, Deflate::new().policy(policy));
            for (asked, compressed) in [None, Some(true), Some(false)].into_iter().zip(expected) {
                let payload = Payload::from(long.as_str());
                end.connection.send(asked.map_or(payload.clone(), |asked| payload.compress(asked))).unwrap();
                let wire = end.frames();
                assert_eq!(wire[0].first == TEXT | RSV1, compressed, "{policy:?} {asked:?}");
                assert_eq!(wire[0].payload.len() < long.len(), compressed);
            }
        }
    }
    // By default, messages of 128 bytes or more are compressed.
    let mut end = deflating(true, Deflate::new());
    for (len, first) in [(127, TEXT), (128, TEXT | RSV1)] {
        end.connection.send("a".repeat(len)).unwrap();
        assert_eq!(end.firsts(), [first]);
    }
}

#[test]
fn the_first_frame_of_a_message_requests_compression_or_its_absence() {
    let long = news(1);
    for (policy, by_default) in
        [(CompressionPolicy::OnRequest, TEXT), (CompressionPolicy::Always, TEXT | RSV1)]
    {
        let mut end = deflating(true, Deflate::new().policy(policy));
        let frame = Frame::text(&long);
        end.connection.send_frame(frame.compress(true)).unwrap();
        end.connection.send_frame(frame.compress(false)).unwrap();
        end.connection.send_frame(&frame).unwrap();
        // A control frame is never compressed (X8, RFC 7692 6).
        end.connection.send_frame(Frame::new(Opcode::Ping, b"p".to_vec()).compress(true)).unwrap();
        end.connection.send_frame(frame.clone().finish(false).compress(true)).unwrap();
        end.connection.send_frame(Frame::new(Opcode::Continuation, &b""[..]).compress(false)).unwrap();
        let begun = TEXT_START | RSV1;
        assert_eq!(end.firsts(), [TEXT | RSV1, TEXT, by_default, PING, begun, LAST_CONTINUATION]);
    }
}

#[test]
fn the_negotiated_parameters_are_known_to_the_connection_and_to_its_halves() {
    for server in [true, false] {
        let settings = Deflate::new().context_takeover(false).peer_window_bits(10);
        let (at_server, at_client) = match server {
            true => agree(&settings, &Deflate::new()),
            false => agree(&Deflate::new(), &settings),
        };
        let expected = if server { at_server } else { at_client };
        let end = deflating(server, settings);
        assert_eq!(end.connection.deflate(), Some(expected));
        assert_eq!(expected.peer.window_bits, 10);
        let (sender, _) = end.connection.split();
        assert_eq!(sender.deflate(), Some(expected));
    }
}

#[test]
fn nothing_is_compressed_unless_negotiated() {
    let mut end = End::server(Config::new().deflate(always()));
    end.connection.send(Payload::from(news(1)).compress(true)).unwrap();
    end.connection.send_prepared(&Prepared::deflated(news(1), &always(), None)).unwrap();
    assert_eq!(end.firsts(), [TEXT, TEXT]);
    assert_eq!(end.connection.deflate(), None);
}

#[test]
fn a_message_that_would_not_become_shorter_is_sent_uncompressed() {
    for takeover in [true, false] {
        let settings = always().context_takeover(takeover);
        let mut pair = deflating_pair(Config::new().deflate(settings), Config::new().deflate(Deflate::new()));
        let messages = [noise(1000, 1), b"x".to_vec(), Vec::new(), vec![7; 1000], noise(1000, 1)];
        for message in &messages {
            pair.server.connection.send(message).unwrap();
        }
        pair.drive();
        assert_eq!(pair.client.got, messages.map(Got::Binary));
        let firsts: Vec<u8> = pair.to_client.frames().iter().map(|frame| frame.first).collect();
        assert_eq!(firsts, [BINARY, BINARY, BINARY, BINARY | RSV1, BINARY]);
    }
}

#[test]
fn o5_a_requested_compression_does_not_depend_on_the_size_of_its_result() {
    for takeover in [true, false] {
        let settings = always().context_takeover(takeover);
        let client = Config::new().deflate(Deflate::new());
        let mut pair = deflating_pair(Config::new().deflate(settings.clone()), client);
        let messages = [noise(1000, 1), b"x".to_vec(), vec![7; 1000]];
        for message in &messages {
            let requested = || Payload::from(message).compress(true);
            pair.server.connection.send(requested()).unwrap();
            pair.server.connection.send_prepared(&Prepared::deflated(requested(), &settings, None)).unwrap();
        }
        pair.server.connection.send(Payload::from(b"".as_slice()).compress(true)).unwrap();
        pair.drive();
        let twice = messages.iter().flat_map(|message| [message.clone(), message.clone()]);
        assert_eq!(pair.client.got, twice.chain([Vec::new()]).map(Got::Binary).collect::<Vec<_>>());
        let frames = pair.to_client.frames();
        let (empty, compressed) = frames.split_last().unwrap();
        assert!(compressed.iter().all(|frame| frame.first == BINARY | RSV1));
        assert_eq!(empty.first, BINARY);
    }
}

#[test]
fn x3_messages_refer_to_earlier_ones_as_far_as_negotiated() {
    let length = |settings: Deflate| {
        let mut pair = deflating_pair(Config::new().deflate(settings), Config::new().deflate(Deflate::new()));
        // A pooled compressor may remember more than the settings keep.
        pair.server.connection.set_codec_pool(&no_pool());
        for n in 0..3 {
            pair.server.connection.send(news(n)).unwrap();
            pair.drive();
            assert_eq!(pair.client.got.pop(), Some(Got::Text(news(n))));
        }
        pair.to_client.frames().iter().map(|frame| frame.payload.len()).collect::<Vec<_>>()
    };
    let [own, history, short, none] = [
        length(always().memory(Memory::Compressor)),
        length(always()),
        length(always().memory(Memory::History(16))),
        length(always().context_takeover(false)),
    ];
    assert_eq!(own[0], history[0]);
    // Later messages can refer to all of the first one, or to none of it.
    assert!(own[2] * 3 < own[0] && history[2] * 3 < history[0], "{own:?} {history:?}");
    assert!(none[2] == none[0] && short[2] * 2 > short[0], "{none:?} {short:?}");
    // Without takeover, `memory` makes no difference.
    assert_eq!(none, length(always().context_takeover(false).memory(Memory::Compressor)));
}

#[test]
fn x8_a_message_in_parts_is_compressed_as_one() {
    for memory in [Memory::Compressor, Memory::History(4096)] {
        let settings = Deflate::new().memory(memory);
        let mut pair =
            deflating_pair(Config::new().deflate(settings.clone()), Config::new().deflate(Deflate::new()));
        for round in 0..3 {
            let all = news(round);
            let (a, b) = all.split_at(70);
            let parts: [(Opcode, &str, bool); 4] = [
                (Opcode::Text, a, false),
                (Opcode::Continuation, "", false),
                (Opcode::Continuation, b, round == 1),
                (Opcode::Continuation, "", true),
            ];
            for (opcode, part, finish) in parts {
                let frame = Frame::new(opcode, part.as_bytes()).finish(finish);
                pair.server.connection.send_frame(&frame).unwrap();
                if finish {
                    break;
                }
                // The peer can read the parts sent so far.
                pair.drive();
            }
            pair.drive();
            assert_eq!(pair.client.got.pop(), Some(Got::Text(all)), "round {round}");
        }
        let firsts: Vec<u8> = pair.to_client.frames().iter().map(|frame| frame.first).collect();
        assert_eq!(firsts[..4], [TEXT_START | RSV1, CONTINUATION, CONTINUATION, CONTINUATION_ENDS]);
    }
}

#[test]
fn a_refused_part_leaves_no_trace_in_the_compressor() {
    let mut pair = deflating_pair(Config::new().deflate(always()), Config::new().deflate(Deflate::new()));
    let text = |data: &'static [u8], finish| Frame::new(Opcode::Text, data).finish(finish);
    pair.server.connection.send_frame(&text(b"begun ", false)).unwrap();
    let more = |data: &'static [u8], finish| Frame::new(Opcode::Continuation, data).finish(finish);
    assert_eq!(pair.server.connection.send_frame(&more(b"\xff", false)), Err(SendError::InvalidUtf8));
    assert_eq!(pair.server.connection.send("inside"), Err(SendError::ExpectedContinuation));
    pair.server.connection.send_frame(&more(b"and done", true)).unwrap();
    pair.server.connection.send(news(1)).unwrap();
    pair.drive();
    assert_eq!(pair.client.got, [Got::Text("begun and done".into()), Got::Text(news(1))]);
}

#[test]
fn a_compressed_message_is_fragmented_if_configured() {
    let config = Config::new().fragment_size(10_usize).deflate(always());
    let mut pair = deflating_pair(config, Config::new().deflate(Deflate::new()));
    pair.server.connection.send(news(1)).unwrap();
    pair.server.connection.send_prepared(&Prepared::deflated(news(2), &always(), None)).unwrap();
    pair.drive();
    assert_eq!(pair.client.got, [Got::Text(news(1)), Got::Text(news(2))]);
    let frames = pair.to_client.frames();
    assert!(frames.len() > 10 && frames.iter().all(|frame| frame.payload.len() <= 10));
    assert_eq!(frames.iter().filter(|frame| frame.first & RSV1 != 0).count(), 2);
}

#[test]
fn a_prepared_message_is_compressed_once_for_all_connections_that_can_inflate_it() {
    let prepared = Prepared::deflated(news(7), &Deflate::new(), None);
    let mut first = None;
    for settings in
        [Deflate::new(), always().context_takeover(false), Deflate::new().memory(Memory::History(0))]
    {
        let mut pair = deflating_pair(Config::new().deflate(settings), Config::new().deflate(Deflate::new()));
        pair.server.connection.send_prepared(&prepared).unwrap();
        pair.server.connection.send(news(7)).unwrap();
        pair.drive();
        assert_eq!(pair.client.got, [Got::Text(news(7)), Got::Text(news(7))]);
        let wire = pair.to_client.frames().remove(0);
        assert_eq!(*first.get_or_insert_with(|| wire.clone()), wire);
    }
    // A connection with a smaller window, or that keeps its compressor, compresses the message
    // itself. Other policies send it uncompressed.
    for (settings, first) in [
        (Deflate::new().window_bits(9), TEXT | RSV1),
        (Deflate::new().memory(Memory::Compressor), TEXT | RSV1),
        (Deflate::new().policy(CompressionPolicy::Never), TEXT),
        (Deflate::new().policy(CompressionPolicy::OnRequest), TEXT),
    ] {
        let mut pair = deflating_pair(Config::new().deflate(settings), Config::new().deflate(Deflate::new()));
        for _ in 0..2 {
            pair.server.connection.send_prepared(&prepared).unwrap();
            pair.drive();
            assert_eq!(pair.client.got.pop(), Some(Got::Text(news(7))));
        }
        assert_eq!(pair.to_client.frames()[0].first, first);
    }
    // A client masks a copy of it.
    let mut pair =
        deflating_pair(Config::new().deflate(Deflate::new()), Config::new().deflate(Deflate::new()));
    pair.client.connection.send_prepared(&prepared).unwrap();
    pair.drive();
    assert_eq!(pair.server.got, [Got::Text(news(7))]);
    assert_eq!(pair.to_server.frames()[0].first, TEXT | RSV1);
}

#[test]
fn a_prepared_message_can_opt_out_of_compression() {
    let secret = Prepared::deflated(Payload::from(news(1)).compress(false), &always(), None);
    let noise = Prepared::deflated(noise(1000, 3), &always(), None);
    let mut end = deflating(true, always());
    end.connection.send_prepared(&secret).unwrap();
    end.connection.send_prepared(&noise).unwrap();
    assert_eq!(end.firsts(), [TEXT, BINARY]);
}

#[test]
fn idle_connections_hold_no_codec_unless_configured_to() {
    for (settings, compressors, decompressors) in [
        (Deflate::new().context_takeover(false).peer_context_takeover(false), 1, 1),
        (Deflate::new().peer_window_bits(12), 1, 1),
        (Deflate::new(), 1, 1),
        (Deflate::new().memory(Memory::Compressor), 0, 1),
    ] {
        let pool = Pool::new();
        let mut ends = [deflating(true, settings.clone()), deflating(false, settings)];
        for end in &mut ends {
            end.connection.set_codec_pool(&pool.shared());
        }
        let [server, client] = &mut ends;
        for n in 0..20 {
            server.connection.send(news(n)).unwrap();
            client.feed(&server.write(usize::MAX)).unwrap();
            assert_eq!(client.got.pop(), Some(Got::Text(news(n))));
            assert_eq!(pool.resting(), (compressors, decompressors));
        }
    }
}

#[test]
fn a_pooled_compressor_continues_only_after_its_own_last_message() {
    let pool = Pool::new();
    let mut pairs = [1, 2].map(|_| {
        let settings = || Config::new().deflate(always().memory(Memory::History(10)));
        let mut pair = deflating_pair(settings(), settings());
        pair.server.connection.set_codec_pool(&pool.shared());
        pair
    });
    let mut send = |at: usize, payload: Payload<'_>| {
        let pair = &mut pairs[at];
        let sent = payload.as_bytes().to_vec();
        pair.server.connection.send(payload).unwrap();
        pair.drive();
        assert_eq!(pair.client.got.pop(), Some(Got::Binary(sent)));
        pair.to_client.frames().pop().unwrap().payload.len()
    };
    let bytes = |n: usize| Payload::from(noise(2000, n as u64 + 1));
    // Incompressible on its own, short for a compressor that knows it.
    let message = |n: u64| [noise(600, n), vec![b'a'; 600]].concat();
    let text = |n: u64| Payload::from(message(n));
    let first = send(0, text(1));
    // The compressor knows all of the previous message, which is far more than the history.
    assert!(send(0, text(1)) * 4 < first);
    // After a message that was compressed but sent uncompressed, the compressor must be reset: the
    // receiver's window lacks that message.
    assert_eq!(send(0, bytes(1)), 2000);
    assert!(send(0, text(1)) * 2 > first);
    // The same after another connection has used the compressor.
    assert_eq!(send(1, text(1)), first);
    assert!(send(0, text(1)) * 2 > first);
    assert!(send(0, text(1)) * 4 < first);
    // A prepared message advances the receiver's window, but not the compressor's.
    let prepared = Prepared::deflated(message(3), &always(), None);
    pairs[0].server.connection.send_prepared(&prepared).unwrap();
    pairs[0].server.connection.send(message(1)).unwrap();
    pairs[0].drive();
    assert_eq!(pairs[0].client.got, [message(3), message(1)].map(Got::Binary));
    assert!(pairs[0].to_client.frames().pop().unwrap().payload.len() * 2 > first);
}

#[test]
fn a_pool_that_returns_the_wrong_compressor_does_no_harm() {
    let pool = Pool::new();
    let mut pairs: Vec<Pair> = (8..=15)
        .map(|bits| {
            let settings = always().window_bits(bits).level(bits - 6);
            deflating_pair(Config::new().deflate(settings), Config::new().deflate(Deflate::new()))
        })
        .collect();
    for round in 0..4 {
        for pair in &mut pairs {
            pair.server.connection.set_codec_pool(&pool.shared());
            let message: Vec<u8> =
                news(round).bytes().chain(noise(700, 5)).chain(news(round).bytes()).collect();
            pair.server.connection.send(&message).unwrap();
            pair.drive();
            assert_eq!(pair.client.got.pop(), Some(Got::Binary(message)));
        }
    }
}

#[test]
fn x2_all_windows_and_contexts_round_trip_in_both_directions() {
    let all = |settings: Deflate| Arc::new(Config::new().deflate(settings));
    for (own, peer) in (8..=15).flat_map(|own| [8, 11, 12, 13, 15].map(|peer| (own, peer))) {
        for takeover in [(true, true), (true, false), (false, true)] {
            for memory in [Memory::Compressor, Memory::History(700)] {
                let settings = always().window_bits(own).peer_window_bits(peer).memory(memory);
                let settings = settings.context_takeover(takeover.0).peer_context_takeover(takeover.1);
                let mut pair = deflating_pair((*all(settings)).clone(), (*all(always())).clone());
                for n in 0..4 {
                    let text = news(n).repeat(n * 7 % 5 + 1);
                    pair.server.connection.send(&text).unwrap();
                    pair.client.connection.send(&text).unwrap();
                    pair.drive();
                    assert_eq!(pair.client.got.pop(), Some(Got::Text(text.clone())), "{own} {peer}");
                    assert_eq!(pair.server.got.pop(), Some(Got::Text(text)), "{own} {peer}");
                }
            }
        }
    }
}

#[test]
fn o5_a_prepared_message_keeps_the_request_for_compression_when_a_connection_compresses_it() {
    for requested in [true, false] {
        let mut end = deflating(true, Deflate::new().policy(CompressionPolicy::OnRequest));
        // It is encoded without compression, so the connection compresses it.
        let message = Prepared::new(Payload::from(news(1)).compress(requested));
        end.connection.send_prepared(&message).unwrap();
        assert_eq!(end.frames()[0].first == TEXT | RSV1, requested);
    }
}

//! Sending: refusals, backpressure, and the bytes on the wire (M1-M4, T22, T30).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sockeye_core::{
    CloseCode, Config, Connection, Frame, Message, MessageKind, MessageRef, Opcode, Payload, Prepared,
    SendError, Sender, State,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

#[test]
fn m1_every_type_of_payload_is_sent_with_its_kind() {
    let text = [TEXT, 2, b'h', b'i'];
    let binary = [BINARY, 2, b'h', b'i'];
    let mut end = End::server(Config::new());
    let mut sends = |payload: Payload<'_>, expected: [u8; 4]| {
        assert_eq!(payload.as_bytes(), b"hi");
        for payload in [payload.clone(), payload.into_owned()] {
            end.connection.send(payload).unwrap();
            assert_eq!(end.write(usize::MAX), expected);
        }
    };
    sends("hi".into(), text);
    sends(String::from("hi").into(), text);
    sends((&String::from("hi")).into(), text);
    sends(Message::from("hi").into(), text);
    sends((&Message::from(String::from("hi"))).into(), text);
    sends(MessageRef::Text("hi").into(), text);
    sends(b"hi".into(), binary);
    sends(b"hi"[..].into(), binary);
    sends(b"hi".to_vec().into(), binary);
    sends((&b"hi".to_vec()).into(), binary);
    sends(Bytes::from_static(b"hi").into(), binary);
    sends(Message::from(&b"hi"[..]).into(), binary);
    sends(MessageRef::Binary(b"hi").into(), binary);
}

#[test]
fn m3_a_message_may_have_the_largest_size_and_not_one_byte_more() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new().max_send_size(1000));
        let too_big = Err(SendError::TooBig { size: 1001, limit: 1000 });
        assert_eq!(end.connection.send(&[0; 1001]), too_big);
        assert_eq!(end.connection.send_frame(&Frame::binary(&[0; 1001])), too_big);
        assert_eq!(end.connection.send_prepared(&Prepared::new(&[0; 1001])), too_big);
        assert_eq!((end.connection.queued(), end.connection.state()), (0, State::Open));
        end.connection.send(&[0; 1000]).unwrap();
        end.connection.send_prepared(&Prepared::new(&[0; 1000])).unwrap();
        assert_eq!(end.firsts(), [BINARY, BINARY]);
    }
    let mut end = End::server(Config::new());
    assert_eq!(end.connection.send(vec![0; 2 << 20]), Ok(()));
    end.write(usize::MAX);
    let too_big = Err(SendError::TooBig { size: (2 << 20) + 1, limit: 2 << 20 });
    assert_eq!(end.connection.send(vec![0; (2 << 20) + 1]), too_big);
}

#[test]
fn m3_fragments_count_together() {
    let mut end = End::server(Config::new().max_send_size(10));
    let part = |opcode, len: usize| Frame::new(opcode, vec![0; len]).finish(false);
    end.connection.send_frame(&part(Opcode::Binary, 6)).unwrap();
    let too_big = Err(SendError::TooBig { size: 11, limit: 10 });
    assert_eq!(end.connection.send_frame(&part(Opcode::Continuation, 5)), too_big);
    end.connection.send_frame(&part(Opcode::Continuation, 4)).unwrap();
    end.connection.send_frame(&part(Opcode::Continuation, 0).finish(true)).unwrap();
    // The count restarts with the next message.
    end.connection.send_frame(&part(Opcode::Binary, 10)).unwrap();
    assert_eq!(end.firsts(), [BINARY_START, CONTINUATION, LAST_CONTINUATION, BINARY_START]);
}

#[test]
fn m4_at_the_mark_a_push_gets_backpressure_with_nothing_lost_or_half_sent() {
    for server in [true, false] {
        let head = if server { 2 } else { 6 };
        let mut end = End::of(server, Config::new().high_water_mark(100));
        end.connection.send(vec![1; 99 - head]).unwrap();
        assert!(end.connection.is_writable() && end.connection.queued() == 99);
        end.connection.send(vec![2; 101 - head]).unwrap();
        let full = Err(SendError::Backpressure { queued: 200 });
        for _ in 0..3 {
            assert!(!end.connection.is_writable());
            assert_eq!(end.connection.send("x"), full);
            assert_eq!(end.connection.send(Bytes::from(vec![0; 10_000])), full);
            assert_eq!(end.connection.send_frame(&Frame::text("x")), full);
            assert_eq!(end.connection.send_frame(&Frame::text("x").finish(false)), full);
            assert_eq!(end.connection.send_prepared(&Prepared::new("x")), full);
            assert_eq!(end.connection.ping(b""), full);
        }
        let mut wire = end.write(100);
        assert_eq!(end.connection.send("x"), Err(SendError::Backpressure { queued: 100 }));
        wire.extend(end.write(1));
        assert!(end.connection.is_writable());
        end.connection.send("x").unwrap();
        wire.extend(end.write(usize::MAX));
        let payloads: Vec<Vec<u8>> = read_frames(&wire).into_iter().map(|frame| frame.payload).collect();
        assert_eq!(payloads, [vec![1; 99 - head], vec![2; 101 - head], b"x".to_vec()]);
    }
}

#[test]
fn m4_backpressure_inside_a_fragmented_message_leaves_it_unchanged() {
    let mut end = End::server(Config::new().high_water_mark(10));
    end.connection.send_frame(&Frame::text("0123456789").finish(false)).unwrap();
    let rest = Frame::new(Opcode::Continuation, &b"rest"[..]);
    assert_eq!(end.connection.send_frame(&rest), Err(SendError::Backpressure { queued: 12 }));
    let mut wire = end.write(5);
    end.connection.send_frame(&rest).unwrap();
    wire.extend(end.write(usize::MAX));
    assert_eq!(
        read_frames(&wire).iter().map(|frame| frame.first).collect::<Vec<_>>(),
        [TEXT_START, LAST_CONTINUATION]
    );
}

#[test]
fn m4_the_smallest_mark_lets_one_message_through_at_a_time() {
    let mut end = End::server(Config::new().high_water_mark(0));
    end.connection.send("a").unwrap();
    assert_eq!(end.connection.send("b"), Err(SendError::Backpressure { queued: 3 }));
    end.write(usize::MAX);
    end.connection.send("b").unwrap();
}

#[test]
fn the_queue_is_written_in_order_at_any_write_size() {
    for server in [true, false] {
        for step in [1, 2, 13, 4096, 5000, usize::MAX] {
            let mut end = End::of(server, Config::new().high_water_mark(usize::MAX));
            let mut expected = Vec::new();
            let mut wire = Vec::new();
            for n in 0..6u8 {
                for len in [0, 3, 4096, 4097, 9000] {
                    end.connection.send(Bytes::from(vec![n; len])).unwrap();
                    expected.push((BINARY, vec![n; len]));
                }
                end.connection.ping(&[n]).unwrap();
                end.connection.send_prepared(&Prepared::new(vec![n; 5000])).unwrap();
                expected.extend([(PING, vec![n]), (BINARY, vec![n; 5000])]);
                wire.extend(end.write(step));
            }
            while end.connection.queued() > 0 {
                wire.extend(end.write(step));
            }
            let sent: Vec<_> =
                read_frames(&wire).into_iter().map(|frame| (frame.first, frame.payload)).collect();
            assert_eq!(sent, expected, "writes of {step}");
        }
    }
}

#[test]
fn reporting_more_than_was_written_loses_no_later_message() {
    let mut end = End::server(Config::new());
    end.connection.send("a").unwrap();
    end.connection.transmitted(usize::MAX);
    assert!(end.connection.poll_transmit().is_none());
    end.connection.send("b").unwrap();
    assert_eq!(end.write(usize::MAX), [TEXT, 1, b'b']);
}

#[test]
fn a_server_queues_an_owned_large_payload_without_a_copy_and_copies_a_small_one() {
    let big = Bytes::from(vec![7; 4097]);
    let prepared = Prepared::new(vec![8; 4097]);
    let mut end = End::server(Config::new());
    end.connection.send(big.clone()).unwrap();
    end.connection.send_prepared(&prepared).unwrap();
    let transmit = end.connection.poll_transmit().unwrap();
    let at: Vec<*const u8> = transmit.slices().map(<[u8]>::as_ptr).collect();
    assert!(at.contains(&big.as_ptr()));
    assert!(at.contains(&prepared.as_bytes().as_ptr().wrapping_sub(4)), "the header precedes the payload");
    end.write(usize::MAX);

    let small = Bytes::from(vec![7; 4096]);
    end.connection.send(small).unwrap();
    assert_eq!(end.connection.poll_transmit().unwrap().slices().count(), 1);
}

/// A message of exactly the fragment size is one frame, and is not copied.
#[test]
fn a_prepared_message_is_fragmented_only_above_the_fragment_size() {
    for (len, frames) in [(4999, 1), (5000, 1), (5001, 2), (10_000, 2), (10_001, 3)] {
        let mut end = End::server(Config::new().fragment_size(5000).high_water_mark(usize::MAX));
        let prepared = Prepared::new(vec![8; len]);
        end.connection.send_prepared(&prepared).unwrap();
        let payload = prepared.as_bytes().as_ptr_range();
        let transmit = end.connection.poll_transmit().unwrap();
        let is_shared = transmit.slices().any(|slice| slice.as_ptr_range().end == payload.end);
        assert_eq!(is_shared, frames == 1, "{len}");
        let firsts = end.firsts();
        assert_eq!(firsts.len(), frames, "{len}");
        let whole = if frames == 1 { BINARY } else { BINARY_START };
        assert_eq!((firsts[0], firsts[frames - 1] & 0x80), (whole, 0x80), "{len}");
    }
}

#[test]
fn m9_a_prepared_message_is_encoded_like_the_message() {
    for len in [0, 125, 126, 5000, 65536] {
        for fragment_size in [None, Some(1000)] {
            let mut config = Config::new().high_water_mark(usize::MAX);
            config.fragment_size = fragment_size;
            for server in [true, false] {
                let text = "x".repeat(len);
                let (mut one, mut two) = (End::of(server, config.clone()), End::of(server, config.clone()));
                let prepared = Prepared::new(&text);
                assert_eq!((prepared.kind(), prepared.as_bytes()), (MessageKind::Text, text.as_bytes()));
                one.connection.send_prepared(&prepared).unwrap();
                two.connection.send(&text).unwrap();
                assert_eq!(one.write(usize::MAX), two.write(usize::MAX), "{len} {fragment_size:?}");
            }
        }
    }
}

#[test]
fn a_message_longer_than_the_fragment_size_is_sent_in_frames_of_that_size() {
    for (len, limit, sizes) in [
        (0, 10, vec![0]),
        (10, 10, vec![10]),
        (11, 10, vec![10, 1]),
        (30, 10, vec![10, 10, 10]),
        (3, 1, vec![1, 1, 1]),
        (2, 0, vec![1, 1]),
    ] {
        for server in [true, false] {
            let mut pair = Pair::new(Config::new().fragment_size(limit));
            let text = "abcdefghij".repeat(3)[..len].to_owned();
            pair.end(server).connection.send(text.clone()).unwrap();
            pair.drive();
            let link = if server { &pair.to_client } else { &pair.to_server };
            let frames = link.frames();
            assert_eq!(frames.iter().map(|frame| frame.payload.len()).collect::<Vec<_>>(), sizes);
            let last = frames.len() - 1;
            for (n, frame) in frames.iter().enumerate() {
                let (opcode, fin) = (if n == 0 { 1 } else { 0 }, if n == last { 0x80 } else { 0 });
                assert_eq!(frame.first, opcode | fin);
            }
            assert_eq!(pair.end(!server).got, [Got::Text(text)]);
        }
    }
}

/// Returns a client and a log of the masking keys that it draws.
fn client_with_log(first: [u8; 4]) -> (Connection, Arc<Mutex<Vec<[u8; 4]>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (mut next, drawn) = (u32::from_be_bytes(first), log.clone());
    let masks = Box::new(move || {
        drawn.lock().unwrap().push(next.to_be_bytes());
        next = next.wrapping_add(0x0101_0101);
        next.wrapping_sub(0x0101_0101).to_be_bytes()
    });
    (Connection::client(Arc::new(Config::new().fragment_size(100)), masks), log)
}

#[test]
fn a_client_masks_as_in_the_example_of_the_rfc() {
    let (mut client, _) = client_with_log([0x37, 0xfa, 0x21, 0x3d]);
    client.send("Hello").unwrap();
    let expected = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(client.poll_transmit().unwrap().first(), expected);
}

#[test]
fn t22_every_frame_of_a_client_has_a_fresh_key_drawn_for_it_alone() {
    let (mut client, log) = client_with_log([1, 2, 3, 4]);
    client.send("one").unwrap();
    client.send(vec![0; 250]).unwrap();
    client.send_prepared(&Prepared::new("shared")).unwrap();
    client.ping(b"").unwrap();
    client.pong(b"").unwrap();
    client.send_frame(&Frame::text("part").finish(false)).unwrap();
    // A refused message draws no key.
    assert!(client.send("inside").is_err() && client.ping(&[0; 126]).is_err());
    client.close(sockeye_core::CloseCode::NORMAL, "").unwrap();
    let wire: Vec<u8> = client.poll_transmit().unwrap().slices().flatten().copied().collect();
    let keys: Vec<[u8; 4]> = read_frames(&wire).iter().map(|frame| frame.key.unwrap()).collect();
    assert_eq!(keys.len(), 1 + 3 + 1 + 1 + 1 + 1 + 1);
    assert_eq!(keys, *log.lock().unwrap());
    assert!(keys.iter().all(|key| keys.iter().filter(|other| *other == key).count() == 1));
}

#[test]
fn t22_a_client_s_payload_never_appears_on_the_wire_in_the_clear() {
    let request = "GET /x HTTP/1.1\r\nHost: example.com\r\n".repeat(114);
    let mut client = End::client(Config::new());
    for _ in 0..200 {
        client.connection.send(request.clone()).unwrap();
        let wire = client.write(usize::MAX);
        assert!(!wire.windows(8).any(|window| window == b"HTTP/1.1" || window == b"GET /x H"));
        assert_eq!(read_frames(&wire)[0].payload, request.as_bytes());
    }
}

#[test]
fn a_server_never_masks() {
    let mut pair = Pair::new(Config::new());
    pair.server.connection.send("x").unwrap();
    pair.client.connection.ping(b"x").unwrap();
    pair.client.connection.close(sockeye_core::CloseCode::NORMAL, "").unwrap();
    pair.drive();
    assert_eq!(pair.to_client.frames().len(), 3);
    assert!(pair.to_client.frames().iter().all(|frame| frame.key.is_none()));
    assert!(pair.to_server.frames().iter().all(|frame| frame.key.is_some()));
}

#[test]
fn guarded_bytes_are_not_counted_as_those_of_the_connection_alone() {
    let message = Prepared::new(vec![0; 10_000]);
    for (is_guarded, alone) in [(false, 10_004), (true, 0)] {
        let mut sender = Sender::server(Arc::new(Config::new()));
        let message = if is_guarded { message.guarded(|_| ()) } else { message.clone() };
        assert_eq!(message.is_guarded(), is_guarded);
        sender.send_prepared(&message).unwrap();
        assert_eq!((sender.queued(), sender.queued_alone()), (10_004, alone));
    }
}

#[test]
fn m4_try_send_queues_a_message_or_returns_it() {
    let mut end = End::server(Config::new().high_water_mark(1));
    let message = String::from("a string that is not copied");
    let at = message.as_ptr();
    end.connection.try_send("first").unwrap();
    let refused = end.connection.try_send(message).unwrap_err();
    assert_eq!(refused.error(), SendError::Backpressure { queued: 7 });
    assert_eq!(end.frames()[0].payload, b"first");
    let payload = refused.into_payload();
    assert_eq!(payload.as_bytes().as_ptr(), at);
    end.connection.try_send(payload).unwrap();
    assert_eq!(end.frames()[0].payload, b"a string that is not copied");
    end.connection.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(end.connection.try_send("late").unwrap_err().error(), SendError::Closed);
}

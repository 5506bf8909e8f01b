//! Pings and pongs: answered automatically, in order, and with bounded memory (E3, W4, T13, T14).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use sockeye_core::{Config, Control, Frame, Opcode, ProtocolError, SendError, Sender, State};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

const MARK: usize = 32 << 10;

fn pings(to_server: bool, numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers.flat_map(|n| frame(to_server, PING, n.to_be_bytes())).collect()
}

#[test]
fn w4_a_ping_of_up_to_125_bytes_is_answered_with_the_same_payload() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        for len in 0..=125u8 {
            let payload: Vec<u8> = (0..len).collect();
            end.feed(&frame(server, PING, &payload)).unwrap();
            let sent = end.frames();
            assert_eq!((sent.len(), sent[0].first, &sent[0].payload), (1, PONG, &payload));
            assert_eq!(sent[0].key.is_some(), !server);
        }
    }
}

#[test]
fn w4_a_control_frame_of_more_than_125_bytes_fails_with_1002_at_its_second_byte() {
    for server in [true, false] {
        let mask = if server { 0x80 } else { 0 };
        for first in [PING, PONG, CLOSE] {
            for form in [126, 127] {
                let mut end = End::of(server, Config::new());
                assert_eq!(end.feed(&[first, mask | form]), Err(ProtocolError::ControlTooLong));
                assert_eq!(end.frames()[0].close_code(), 1002);
            }
        }
    }
}

#[test]
fn w4_a_control_frame_without_fin_fails_with_1002_at_its_second_byte() {
    for server in [true, false] {
        for first in [PING, PONG, CLOSE] {
            let mut end = End::of(server, Config::new());
            assert_eq!(
                end.feed(&frame(server, first & 0x7f, "")[..2]),
                Err(ProtocolError::FragmentedControl)
            );
            assert_eq!(end.frames()[0].close_code(), 1002);
        }
    }
}

#[test]
fn e3_a_pong_is_dropped_whether_solicited_or_not() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        end.feed(&frame(server, PONG, "what?")).unwrap();
        assert_eq!((end.connection.queued(), end.connection.state()), (0, State::Open));
    }
}

#[test]
fn pings_are_answered_in_order() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        end.feed_in(7, &pings(server, 0..1000)).unwrap();
        let answers: Vec<Vec<u8>> = end.frames().into_iter().map(|frame| frame.payload).collect();
        let asked: Vec<Vec<u8>> = (0..1000u32).map(|n| n.to_be_bytes().to_vec()).collect();
        assert_eq!(answers, asked);
    }
}

#[test]
fn t14_a_flood_of_pings_from_a_peer_that_does_not_read_queues_no_more_than_the_mark() {
    let mut end = End::server(Config::new());
    for n in (0..200_000).step_by(1000) {
        end.feed(&pings(true, n..n + 1000)).unwrap();
        end.got.clear();
        assert!(end.connection.queued() < MARK + 2 + 125);
    }
    assert!(end.connection.queued() >= MARK, "pings are answered up to the mark");
}

#[test]
fn t13_after_a_flood_the_latest_ping_is_answered_and_all_answers_are_in_order() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new().high_water_mark(100));
        end.feed(&pings(server, 0..500)).unwrap();
        assert!(end.connection.queued() < 100 + 10);
        let mut answers = Vec::new();
        while end.connection.queued() > 0 {
            answers.extend(end.write(1));
        }
        let answers: Vec<u32> = read_frames(&answers)
            .iter()
            .map(|f| u32::from_be_bytes(f.payload[..].try_into().unwrap()))
            .collect();
        assert_eq!(answers.last(), Some(&499));
        assert!(answers.is_sorted() && answers.len() < 20, "{answers:?}");
        assert_eq!(answers[..9], (0..9).collect::<Vec<_>>());
    }
}

#[test]
fn t13_a_deferred_pong_waits_for_room_and_is_sent_once() {
    let mut end = End::server(Config::new().high_water_mark(10));
    end.connection.send(&[0; 20]).unwrap();
    end.feed(&frame(true, PING, "old")).unwrap();
    end.feed(&frame(true, PING, "new")).unwrap();
    assert_eq!(end.write(12).len(), 12);
    assert_eq!(end.connection.queued(), 10, "the queue is at the mark, so there is no room yet");
    assert_eq!(end.write(1).len(), 1);
    assert_eq!(end.connection.queued(), 9 + 5);
    let rest = end.write(usize::MAX);
    assert_eq!(rest[9..], frame(false, PONG, "new"));
    assert_eq!(end.connection.queued(), 0);
}

#[test]
fn a_deferred_pong_is_sent_before_the_next_one() {
    let mut end = End::server(Config::new().high_water_mark(10));
    end.connection.send(&[0; 20]).unwrap();
    end.feed(&frame(true, PING, "late")).unwrap();
    end.write(usize::MAX);
    end.feed(&frame(true, PING, "next")).unwrap();
    let payloads: Vec<Vec<u8>> = end.frames().into_iter().map(|frame| frame.payload).collect();
    assert_eq!(payloads, [b"late", b"next"]);
}

#[test]
fn no_deferred_pong_follows_a_close() {
    let mut end = End::server(Config::new().high_water_mark(10));
    end.connection.send(&[0; 20]).unwrap();
    end.feed(&frame(true, PING, "late")).unwrap();
    end.connection.close(sockeye_core::CloseCode::NORMAL, "").unwrap();
    end.feed(&frame(true, PING, "too late")).unwrap();
    let mut wire = Vec::new();
    while end.connection.queued() > 0 {
        wire.extend(end.write(1));
    }
    assert_eq!(read_frames(&wire).iter().map(|frame| frame.first).collect::<Vec<_>>(), [BINARY, CLOSE]);
}

#[test]
fn o3_without_auto_pong_the_application_answers() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new().auto_pong(false));
        end.feed(&frame(server, PING, "you?")).unwrap();
        assert_eq!((end.connection.queued(), &end.got[..]), (0, &[Got::Ping(b"you?".to_vec())][..]));
        end.connection.pong(b"me").unwrap();
        let sent = end.frames();
        assert_eq!((sent[0].first, &sent[0].payload[..]), (PONG, &b"me"[..]));
    }
}

#[test]
fn m11_pings_and_pongs_of_more_than_125_bytes_are_refused_and_nothing_is_sent() {
    let mut end = End::server(Config::new());
    end.connection.ping(&[1; 125]).unwrap();
    end.connection.pong(&[2; 125]).unwrap();
    end.write(usize::MAX);
    let too_long = Err(SendError::ControlTooLong(126));
    assert_eq!(end.connection.ping(&[0; 126]), too_long);
    assert_eq!(end.connection.pong(&[0; 126]), too_long);
    assert_eq!(end.connection.send_frame(&Frame::new(Opcode::Ping, &[0; 126][..])), too_long);
    for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
        let result = end.connection.send_frame(&Frame::new(opcode, &b""[..]).finish(false));
        assert_eq!(result, Err(SendError::FragmentedControl));
    }
    assert_eq!((end.connection.queued(), end.connection.state()), (0, State::Open));
}

#[test]
fn a_ping_needs_room_and_a_pong_waits_for_it() {
    let mut end = End::server(Config::new().high_water_mark(10));
    end.connection.send(&[0; 8]).unwrap();
    assert_eq!(end.connection.ping(b""), Err(SendError::Backpressure { queued: 10 }));
    assert_eq!(end.connection.pong(b"first"), Ok(()));
    assert_eq!(end.connection.pong(b"second"), Ok(()));
    assert_eq!(end.connection.queued(), 10);
    end.write(10);
    assert_eq!(end.frames(), [WireFrame { first: PONG, key: None, payload: b"second".to_vec() }]);
}

#[test]
fn pushed_control_frames_equal_those_of_the_methods() {
    let mut end = End::server(Config::new());
    end.connection.send_frame(&Frame::new(Opcode::Ping, &b"a"[..])).unwrap();
    end.connection.send_frame(&Frame::new(Opcode::Pong, &b"b"[..])).unwrap();
    assert_eq!(end.write(usize::MAX), b"\x89\x01a\x8a\x01b");
}

/// Feeds pings, and returns the answers that are queued then.
fn answers(end: &mut End, numbers: std::ops::Range<u32>) -> Vec<u32> {
    end.feed(&pings(true, numbers)).unwrap();
    end.got.clear();
    let frames = end.frames();
    frames.iter().map(|frame| u32::from_be_bytes(frame.payload[..].try_into().unwrap())).collect()
}

#[test]
fn t14_while_the_transport_is_blocked_one_pong_is_queued_and_one_waits() {
    let mut end = End::server(Config::new());
    end.connection.send("data").unwrap();
    assert_eq!(end.write(3), b"\x81\x04d");
    assert_eq!(end.connection.handle_blocked(), None);
    end.feed(&pings(true, 0..1000)).unwrap();
    assert_eq!(end.connection.queued(), 3 + 6);
    // The first pong is gone once its last byte is written. Then the latest follows.
    assert_eq!(end.write(8).len(), 8);
    assert_eq!(end.connection.queued(), 1);
    let rest = end.write(1);
    assert_eq!((rest.len(), end.connection.queued()), (1, 6));
    assert_eq!(end.write(usize::MAX), frame(false, PONG, 999u32.to_be_bytes()));
    // The peer reads again.
    assert_eq!(answers(&mut end, 0..100), (0..100).collect::<Vec<_>>());
}

#[test]
fn t14_a_peer_that_reads_slowly_gets_its_pongs_although_data_always_waits() {
    let mut end = End::server(Config::new());
    end.connection.send(&[0; 1000]).unwrap();
    let mut wire = Vec::new();
    for n in 0..20 {
        end.connection.handle_blocked();
        end.feed(&pings(true, n..n + 1)).unwrap();
        end.connection.send(&[0; 1000]).unwrap();
        wire.extend(end.write(1010));
        assert!(end.connection.queued() > 0);
    }
    wire.extend(end.write(usize::MAX));
    let frames = read_frames(&wire);
    let pongs: Vec<_> = frames.iter().filter(|frame| frame.first == PONG).collect();
    assert!(pongs.len() >= 10, "{} pongs", pongs.len());
    assert_eq!(pongs[pongs.len() - 1].payload, 19u32.to_be_bytes());
}

#[test]
fn t14_pongs_can_be_limited_before_the_transport_is_blocked() {
    let mut sender = Sender::server(Arc::new(Config::new()));
    let mut answers = |limit: bool| {
        if limit {
            sender.limit_pongs();
        }
        for n in 0..100 {
            sender.react(&Control::Ping([n][..].into()));
        }
        let mut answers = Vec::new();
        while let Some(transmit) = sender.poll_transmit() {
            let wire: Vec<u8> = transmit.slices().flatten().copied().collect();
            answers.extend(read_frames(&wire).iter().map(|frame| frame.payload[0]));
            sender.transmitted(wire.len());
        }
        answers
    };
    assert_eq!(answers(true), [0, 99]);
    assert_eq!(answers(false), (0..100).collect::<Vec<_>>());
}

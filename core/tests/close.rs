//! The closing handshake: codes, reasons, and data around it (M5, M6, W9-W11, E5, T27).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use sockeye_core::{
    CloseCode, CloseFrame, Config, Event, Frame, Opcode, ProtocolError, RecvBuf, SendError, State,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// Returns whether M5 and F4 of docs/requirements.md allow sending this code.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

const CODES: std::ops::Range<u16> = 0..5100;

fn close(to_server: bool, code: u16, reason: &str) -> Vec<u8> {
    frame(to_server, CLOSE, close_payload(code, reason))
}

#[test]
fn m5_either_end_may_close_and_both_end_cleanly_with_its_code_and_reason() {
    for server in [true, false] {
        let mut pair = Pair::new(Config::new());
        pair.end(server).connection.close(4001, "good bye").unwrap();
        assert_eq!(pair.end(server).connection.state(), State::Closing);
        pair.drive();
        for end in [server, !server] {
            let ended = pair.end(end);
            assert!(ended.is_closed());
            assert_eq!(ended.ended(), (true, 4001, end == server));
            assert_eq!(ended.connection.close_info().unwrap().reason, "good bye");
            assert_eq!(ended.connection.poll_timeout(), None);
        }
        assert_eq!(pair.end(!server).got, [Got::Close(Some(4001), "good bye".into())]);
        // The answer has the code and the reason.
        assert_eq!(pair.end(server).got, [Got::Close(Some(4001), "good bye".into())]);
        assert_eq!((pair.to_client.frames().len(), pair.to_server.frames().len()), (1, 1));
    }
}

#[test]
fn m5_both_ends_may_close_at_once_and_each_keeps_its_own_reason() {
    let mut pair = Pair::new(Config::new());
    pair.server.connection.close(CloseCode::GOING_AWAY, "down").unwrap();
    pair.client.connection.close(CloseCode::NORMAL, "done").unwrap();
    pair.drive();
    assert_eq!((pair.server.ended(), pair.client.ended()), ((true, 1001, true), (true, 1000, true)));
    assert!(pair.server.is_closed() && pair.client.is_closed());
    assert_eq!((pair.to_client.frames().len(), pair.to_server.frames().len()), (1, 1));
}

#[test]
fn w10_the_server_closes_tcp_first_whichever_end_began() {
    for server_begins in [true, false] {
        let (mut server, mut client) = (End::server(Config::new()), End::client(Config::new()));
        let begin = if server_begins { &mut server } else { &mut client };
        begin.connection.close(CloseCode::NORMAL, "").unwrap();
        for _ in 0..2 {
            client.feed(&server.write(usize::MAX)).unwrap();
            assert!(!client.connection.wants_shutdown());
            server.feed(&client.write(usize::MAX)).unwrap();
            assert_eq!(server.connection.wants_shutdown(), server.connection.queued() == 0);
        }
        assert!(server.connection.wants_shutdown() && !client.connection.wants_shutdown());
        client.connection.handle_eof();
        assert!(client.is_closed() && client.connection.wants_shutdown() && !server.is_closed());
        server.connection.handle_eof();
        assert!(server.is_closed());
    }
}

#[test]
fn w10_one_close_alone_does_not_end_the_transport() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        end.connection.close(CloseCode::NORMAL, "").unwrap();
        end.write(usize::MAX);
        assert_eq!((end.connection.wants_shutdown(), end.connection.state()), (false, State::Closing));
    }
}

#[test]
fn m5_only_valid_close_codes_are_sent() {
    for code in CODES.chain([u16::MAX]) {
        let mut end = End::server(Config::new());
        let result = end.connection.close(CloseCode::from(code), "");
        if may_be_sent(code) {
            assert_eq!(result, Ok(()));
            assert_eq!(
                end.frames(),
                [WireFrame { first: CLOSE, key: None, payload: close_payload(code, "") }]
            );
        } else {
            assert_eq!(result, Err(SendError::InvalidCloseCode(CloseCode::from(code))));
            assert_eq!((end.connection.queued(), end.connection.state()), (0, State::Open));
            assert_eq!(end.connection.close_info(), None);
        }
    }
}

#[test]
fn m5_a_reason_has_at_most_123_bytes() {
    for (reason, fits) in [("r".repeat(123), true), ("r".repeat(124), false), ("ñ".repeat(62), false)] {
        let mut end = End::client(Config::new());
        let result = end.connection.close(CloseCode::NORMAL, &reason);
        assert_eq!(result, if fits { Ok(()) } else { Err(SendError::CloseReasonTooLong(124)) });
        assert_eq!(end.firsts(), if fits { vec![CLOSE] } else { vec![] });
        assert_eq!(end.connection.state() == State::Open, !fits);
    }
}

#[test]
fn w9_w10_a_close_is_answered_with_its_code_and_reason_or_fails_with_1002_if_the_code_is_invalid() {
    for server in [true, false] {
        for code in CODES.chain([u16::MAX]) {
            let mut end = End::of(server, Config::new());
            let result = end.feed(&close(server, code, "why"));
            let answer = end.frames();
            if may_be_sent(code) {
                assert_eq!((result, answer.len()), (Ok(()), 1));
                assert_eq!(answer[0].payload, close_payload(code, "why"));
                assert_eq!(end.ended(), (true, code, false));
                assert_eq!(end.connection.close_info().unwrap().reason, "why");
            } else {
                assert_eq!(result, Err(ProtocolError::InvalidCloseCode(code)));
                assert_eq!((answer.len(), answer[0].close_code()), (1, 1002));
                assert_eq!(end.ended(), (false, 1002, true));
            }
        }
    }
}

#[test]
fn f1_an_empty_close_is_answered_with_an_empty_one_and_reads_as_1005() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        end.feed(&frame(server, CLOSE, "")).unwrap();
        assert_eq!(end.got, [Got::Close(None, String::new())]);
        assert!(end.frames()[0].payload.is_empty());
        assert_eq!(end.ended(), (true, 1005, false));
    }
}

#[test]
fn w9_a_close_of_one_byte_fails_with_1002_and_a_reason_that_is_not_utf8_with_1007() {
    for server in [true, false] {
        let cases: [(&[u8], ProtocolError, u16); 4] = [
            (b"\x03", ProtocolError::CloseTooShort, 1002),
            (b"\x03\xe8\xff", ProtocolError::InvalidCloseReason, 1007),
            (b"\x03\xe8ok\xc3", ProtocolError::InvalidCloseReason, 1007),
            (b"\x03\xe8\xed\xa0\x80", ProtocolError::InvalidCloseReason, 1007),
        ];
        for (payload, error, code) in cases {
            for size in [1, 100] {
                let mut end = End::of(server, Config::new());
                assert_eq!(end.feed_in(size, &frame(server, CLOSE, payload)), Err(error));
                assert_eq!(end.frames()[0].close_code(), code);
                assert!(end.got.is_empty());
            }
        }
    }
}

#[test]
fn w11_input_after_the_peer_s_close_is_ignored() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        let late =
            [frame(server, TEXT, "late"), frame(server, PING, "late"), b"\xff\xff\xff".to_vec()].concat();
        end.feed(&[close(server, 1000, ""), late.clone()].concat()).unwrap();
        end.feed_in(1, &late).unwrap();
        end.feed(&close(server, 1001, "again")).unwrap();
        assert_eq!(end.got, [Got::Close(Some(1000), String::new())]);
        assert_eq!(end.firsts(), [CLOSE]);
        assert_eq!(end.ended(), (true, 1000, false));
    }
}

#[test]
fn m6_data_between_our_close_and_the_peer_s_is_delivered() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        end.connection.close(CloseCode::NORMAL, "").unwrap();
        let frames =
            [(TEXT, "a"), (TEXT_START, "b"), (PING, "?"), (LAST_CONTINUATION, "c"), (CLOSE, ""), (TEXT, "d")];
        let bytes: Vec<u8> = frames.iter().flat_map(|(first, data)| frame(server, *first, data)).collect();
        end.feed(&bytes).unwrap();
        let texts = [Got::Text("a".into()), Got::Ping(b"?".to_vec()), Got::Text("bc".into())];
        assert_eq!(end.got[..3], texts);
        assert_eq!(end.got[3..], [Got::Close(None, String::new())]);
        assert_eq!(end.firsts(), [CLOSE], "nothing follows our Close, not even a pong");
        assert_eq!(end.ended(), (true, 1000, true));
    }
}

#[test]
fn the_state_of_a_split_connection_is_that_of_its_sender() {
    for server in [true, false] {
        let (mut sender, mut receiver) = End::of(server, Config::new()).connection.split();
        assert_eq!(sender.state(), State::Open);
        sender.close(&CloseFrame::new(CloseCode::NORMAL, "")).unwrap();
        assert_eq!(sender.state(), State::Closing);
        let queued = sender.queued();
        sender.transmitted(queued);
        assert_eq!(sender.state(), State::Closing);
        let mut bytes = close(server, 1000, "");
        let mut input = RecvBuf::new(&mut bytes);
        while let Ok(Some(event)) = receiver.poll_event(&mut input) {
            if let Event::Control(control) = event {
                sender.react(&control);
            }
        }
        assert_eq!(sender.state(), State::Closing, "the peer's side of the transport is still open");
        sender.handle_eof();
        assert_eq!(sender.state(), State::Closed);
    }
}

#[test]
fn t27_nothing_can_be_sent_after_a_close_and_a_second_close_is_an_error() {
    for server in [true, false] {
        for peer_began in [true, false] {
            let mut end = End::of(server, Config::new());
            if peer_began {
                end.feed(&close(server, 1000, "")).unwrap();
            } else {
                end.connection.close(CloseCode::NORMAL, "").unwrap();
            }
            let connection = &mut end.connection;
            let prepared = sockeye_core::Prepared::new("late");
            assert_eq!(connection.send("late"), Err(SendError::Closed));
            assert_eq!(connection.send_prepared(&prepared), Err(SendError::Closed));
            assert_eq!(connection.send_frame(&Frame::text("late")), Err(SendError::Closed));
            assert_eq!(connection.ping(b""), Err(SendError::Closed));
            assert_eq!(connection.pong(b""), Err(SendError::Closed));
            assert_eq!(connection.close(CloseCode::GOING_AWAY, ""), Err(SendError::Closed));
            let frame = Frame::close(&CloseFrame::default()).unwrap();
            assert_eq!(connection.send_frame(&frame), Err(SendError::Closed));
            assert_eq!(end.firsts(), [CLOSE]);
            assert_eq!(end.ended().1, 1000);
        }
    }
}

/// Something that the application or the peer does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Send,
    SendPing,
    SendClose,
    Write(usize),
    Text,
    Ping,
    PeerClose,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn t27_whatever_both_ends_send_nothing_follows_a_close_in_either_direction(
        steps in prop::collection::vec(
            prop_oneof![
                3 => Just(Step::Send), 2 => Just(Step::SendPing), 1 => Just(Step::SendClose),
                3 => (1..20usize).prop_map(Step::Write),
                3 => Just(Step::Text), 2 => Just(Step::Ping), 1 => Just(Step::PeerClose),
            ],
            0..40,
        ),
        server: bool, piece in 1..10usize,
    ) {
        let mut end = End::of(server, Config::new());
        let (mut wire, mut texts, mut messages) = (Vec::new(), 0, 0);
        let (mut peer_closed, mut closed) = (false, false);
        for step in steps {
            match step {
                Step::Send => {
                    let sent = end.connection.send("local");
                    prop_assert_eq!(sent, if closed { Err(SendError::Closed) } else { Ok(()) });
                    messages += usize::from(!closed);
                }
                Step::SendPing => {
                    let sent = end.connection.ping(b"local");
                    prop_assert_eq!(sent, if closed { Err(SendError::Closed) } else { Ok(()) });
                }
                Step::SendClose => {
                    let sent = end.connection.close(CloseCode::NORMAL, "local");
                    prop_assert_eq!(sent, if closed { Err(SendError::Closed) } else { Ok(()) });
                    closed = true;
                }
                Step::Write(n) => wire.extend(end.write(n)),
                Step::Text => {
                    end.feed_in(piece, &frame(server, TEXT, "peer")).unwrap();
                    texts += usize::from(!peer_closed);
                }
                Step::Ping => end.feed_in(piece, &frame(server, PING, "peer")).unwrap(),
                Step::PeerClose => {
                    end.feed_in(piece, &close(server, 1001, "peer")).unwrap();
                    // The answer goes out by itself.
                    (peer_closed, closed) = (true, true);
                }
            }
            prop_assert_eq!(end.connection.state() == State::Open, !closed);
            let received = end.got.iter().filter(|got| matches!(got, Got::Text(_))).count();
            let closes = end.got.iter().filter(|got| matches!(got, Got::Close(..))).count();
            prop_assert_eq!((received, closes), (texts, usize::from(peer_closed)));
            prop_assert!(!peer_closed || matches!(end.got.last(), Some(Got::Close(..))));
        }
        while end.connection.queued() > 0 {
            wire.extend(end.write(usize::MAX));
        }
        let firsts: Vec<u8> = read_frames(&wire).iter().map(|frame| frame.first).collect();
        prop_assert_eq!(firsts.iter().filter(|first| **first == CLOSE).count(), usize::from(closed));
        prop_assert!(!closed || firsts.last() == Some(&CLOSE), "{:02x?}", firsts);
        prop_assert_eq!(firsts.iter().filter(|first| **first == TEXT).count(), messages);
    }
}

#[test]
fn m6_pushing_a_close_frame_starts_the_closing_handshake_and_an_invalid_one_is_refused() {
    let mut end = End::server(Config::new());
    let invalid = [
        (&b"\x03"[..], SendError::InvalidCloseFrame),
        (b"\x03\xe8\xff", SendError::InvalidCloseFrame),
        (b"\x03\xed", SendError::InvalidCloseCode(CloseCode::NO_STATUS)),
        (b"\xff\xff", SendError::InvalidCloseCode(CloseCode::from(0xffff))),
    ];
    for (payload, error) in invalid {
        let result = end.connection.send_frame(&Frame::new(Opcode::Close, payload));
        assert_eq!(result, Err(error), "{payload:02x?}");
    }
    let too_long = [&b"\x03\xe8"[..], &[b'x'; 124]].concat();
    let result = end.connection.send_frame(&Frame::new(Opcode::Close, too_long));
    assert_eq!(result, Err(SendError::CloseReasonTooLong(124)));
    assert_eq!((end.connection.queued(), end.connection.state()), (0, State::Open));
    end.connection.send_frame(&Frame::new(Opcode::Close, &b"\x0f\xa1why"[..])).unwrap();
    assert_eq!(end.write(usize::MAX), b"\x88\x05\x0f\xa1why");
    assert_eq!(end.ended(), (false, 4001, true));
}

#[test]
fn m4_a_close_can_be_queued_above_the_mark_and_is_sent_last() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new().high_water_mark(100));
        end.connection.send(&[0; 500]).unwrap();
        assert!(!end.connection.is_writable());
        end.connection.close(CloseCode::NORMAL, "enough").unwrap();
        assert_eq!(end.firsts(), [BINARY, CLOSE]);
    }
}

#[test]
fn a_close_may_interrupt_a_fragmented_message() {
    let mut end = End::server(Config::new());
    end.connection.send_frame(&Frame::text("half").finish(false)).unwrap();
    end.connection.close(CloseCode::NORMAL, "").unwrap();
    let rest = Frame::new(Opcode::Continuation, &b"rest"[..]);
    assert_eq!(end.connection.send_frame(&rest), Err(SendError::Closed));
    assert_eq!(end.firsts(), [TEXT_START, CLOSE]);
}

#[test]
fn close_codes_display_their_names() {
    let names = [(1000, "1000 (normal)"), (1006, "1006 (abnormal)"), (1015, "1015 (TLS failure)")];
    let ranges = [(3000, "3000 (registered)"), (4999, "4999 (private)"), (2000, "2000 (unassigned)")];
    for (code, name) in names.into_iter().chain(ranges) {
        assert_eq!(CloseCode::from(code).to_string(), name);
    }
}

#[test]
fn e13_a_connection_is_finished_when_the_closing_handshake_is_complete_and_written() {
    for server in [true, false] {
        for peer_began in [true, false] {
            let mut end = End::of(server, Config::new());
            assert!(!end.connection.is_finished());
            if !peer_began {
                end.connection.close(CloseCode::NORMAL, "").unwrap();
                end.write(usize::MAX);
                assert!(!end.connection.is_finished(), "the peer has not answered");
            }
            end.feed(&close(server, 1000, "")).unwrap();
            if peer_began {
                end.write(1);
                assert!(!end.connection.is_finished(), "the answer has not been written");
                end.write(usize::MAX);
            }
            // The transport has not ended.
            assert!(end.connection.is_finished());
            assert_eq!((end.connection.state(), end.ended().0), (State::Closing, true));
        }
    }
}

#[test]
fn e13_a_connection_without_a_closing_handshake_is_finished_when_it_has_failed_or_ended() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        assert!(end.feed(&frame(server, 0x83, "")).is_err());
        assert!(!end.connection.is_finished(), "the Close has not been written");
        end.write(usize::MAX);
        assert!(end.connection.is_finished() && !end.is_closed());
        for end_it in [|end: &mut End| end.connection.handle_eof(), |end: &mut End| end.connection.abort()] {
            let mut end = End::of(server, Config::new());
            end_it(&mut end);
            assert!(end.connection.is_finished() && end.is_closed());
        }
    }
}

//! Ends without a closing handshake: protocol errors, transport errors, timeouts and aborts (W13,
//! E5, T26, T27).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::{
    CloseCode, CloseFrame, Config, Control, ProtocolError, RecvBuf, SendError, Sender, State,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// Returns one fault of each kind, with the code of the Close that answers it.
fn faults(server: bool) -> Vec<(Vec<u8>, u16)> {
    let f = |first: u8, payload: &[u8]| frame(server, first, payload);
    vec![
        (f(TEXT | 0x40, b""), 1002),
        (f(0x83, b""), 1002),
        (frame(!server, TEXT, ""), 1002),
        (f(0x09, b""), 1002),
        (f(LAST_CONTINUATION, b""), 1002),
        ([f(TEXT_START, b""), f(TEXT, b"")].concat(), 1002),
        (f(CLOSE, b"\x03"), 1002),
        (f(CLOSE, b"\xff\xff"), 1002),
        (f(CLOSE, b"\x03\xe8\xff"), 1007),
        (f(TEXT, b"\xff"), 1007),
        (header(server, BINARY, 3 << 20), 1009),
        (header(server, BINARY, 1 << 62), 1009),
        ([f(TEXT_START, b"x"), header(server, LAST_CONTINUATION, 2 << 20)].concat(), 1009),
        ([f(BINARY_START, b""), f(CONTINUATION, b"").repeat(20_000)].concat(), 1008),
    ]
}

#[test]
fn a_fault_is_answered_with_a_close_that_names_it_and_then_the_transport_ends() {
    for server in [true, false] {
        for (bytes, code) in faults(server) {
            let mut end = End::of(server, Config::new());
            let error = end.feed(&bytes).unwrap_err();
            assert_eq!(error.close_code().as_u16(), code, "{error}");
            assert_eq!((end.connection.state(), end.ended()), (State::Closing, (false, code, true)));
            assert!(!end.connection.wants_shutdown(), "the Close must be written first");
            let close = end.frames();
            assert_eq!((close.len(), close[0].close_code()), (1, code));
            assert_eq!(String::from_utf8_lossy(&close[0].payload[2..]), error.to_string());
            assert!(end.connection.wants_shutdown());
            assert_eq!(end.connection.send("more"), Err(SendError::Closed));
            end.connection.handle_eof();
            assert!(end.is_closed());
            assert_eq!(end.ended(), (false, code, true));
        }
    }
}

#[test]
fn a_fault_after_our_close_is_not_answered_with_a_second_one() {
    for server in [true, false] {
        for (bytes, _) in faults(server) {
            let mut end = End::of(server, Config::new());
            end.connection.close(CloseCode::NORMAL, "").unwrap();
            assert!(end.feed(&bytes).is_err());
            assert_eq!(end.firsts(), [CLOSE]);
            assert!(end.connection.wants_shutdown());
            assert_eq!(end.ended(), (false, 1000, true));
        }
    }
}

#[test]
fn a_caller_can_fail_the_connection_as_the_connection_itself_does() {
    let mut end = End::server(Config::new());
    end.connection.fail(ProtocolError::InvalidUtf8);
    assert_eq!(end.feed(&frame(true, TEXT, "late")), Err(ProtocolError::InvalidUtf8));
    assert_eq!(end.frames()[0].close_code(), 1007);
    assert!(end.got.is_empty() && end.connection.wants_shutdown());
    // The first fault stands.
    end.connection.fail(ProtocolError::ReservedBits);
    assert_eq!((end.feed(b""), end.ended().1), (Err(ProtocolError::InvalidUtf8), 1007));
}

#[test]
fn a_failed_connection_is_not_clean_even_after_both_closes() {
    let mut end = End::server(Config::new());
    end.feed(&frame(true, CLOSE, "")).unwrap();
    end.connection.fail(ProtocolError::InvalidUtf8);
    assert_eq!(end.ended(), (false, 1005, false));
    // A split sender may process the peer's Close after the fault.
    let mut sender = Sender::server(Arc::new(Config::new()));
    sender.fail(&ProtocolError::InvalidUtf8);
    sender.react(&Control::Close(CloseFrame::default()));
    assert!(sender.close_info().is_some_and(|info| !info.clean && info.code == CloseCode::INVALID_PAYLOAD));
    // Or after an abort.
    let mut sender = Sender::server(Arc::new(Config::new()));
    sender.close(&CloseFrame::new(CloseCode::NORMAL, "")).unwrap();
    sender.transmitted(usize::MAX);
    sender.abort();
    sender.react(&Control::Close(CloseFrame::default()));
    assert!(sender.close_info().is_some_and(|info| !info.clean));
}

#[test]
fn w13_an_eof_anywhere_ends_the_connection_once_and_uncleanly() {
    for server in [true, false] {
        let frames = [
            (TEXT_START, &b"ab"[..]),
            (PING, b"now"),
            (LAST_CONTINUATION, b"c"),
            (BINARY, &[1; 200]),
            (TEXT, b""),
        ];
        let stream: Vec<u8> = frames.iter().flat_map(|(first, data)| frame(server, *first, data)).collect();
        for cut in 0..=stream.len() {
            let mut end = End::of(server, Config::new());
            end.feed(&stream[..cut]).unwrap();
            for _ in 0..2 {
                end.connection.handle_eof();
                assert_eq!(end.ended(), (false, 1006, false), "cut at {cut}");
            }
            assert_eq!(end.connection.send("late"), Err(SendError::Closed));
            // A queued pong may still be written: the peer may have closed only its own direction.
            assert!(end.firsts().iter().all(|first| *first == PONG));
            assert!(end.is_closed() && end.connection.wants_shutdown());
            assert_eq!(end.connection.poll_timeout(), None);
        }
    }
}

#[test]
fn w13_an_eof_is_clean_after_both_closes_but_not_after_ours_alone() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        end.connection.close(CloseCode::NORMAL, "").unwrap();
        end.write(usize::MAX);
        end.connection.handle_eof();
        assert_eq!((end.is_closed(), end.ended()), (true, (false, 1000, true)));

        let mut end = End::of(server, Config::new());
        end.feed(&frame(server, CLOSE, "")).unwrap();
        end.connection.handle_eof();
        assert_eq!(end.connection.state(), State::Closing, "our Close must be written first");
        end.write(usize::MAX);
        assert_eq!((end.is_closed(), end.ended()), (true, (true, 1005, false)));
    }
}

#[test]
fn the_queue_is_written_after_an_eof_before_the_connection_is_closed() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        end.connection.send("still on its way").unwrap();
        end.connection.handle_eof();
        assert_eq!(end.connection.state(), State::Closing);
        assert!(!end.connection.wants_shutdown());
        while end.connection.queued() > 0 {
            assert!(!end.is_closed());
            end.write(3);
        }
        assert!(end.is_closed() && end.connection.wants_shutdown());
    }
}

#[test]
fn m11_an_abort_ends_at_once_and_discards_all_output_and_input() {
    for server in [true, false] {
        for waiting in [true, false] {
            let mut end = End::of(server, Config::new());
            if waiting {
                end.connection.send(vec![0; 10_000]).unwrap();
            }
            end.connection.abort();
            assert_eq!((end.connection.state(), end.ended()), (State::Closed, (false, 1006, true)));
            assert!(end.connection.poll_transmit().is_none() && end.connection.queued() == 0);
            assert!(end.connection.wants_shutdown());
            assert_eq!(end.connection.poll_timeout(), None);
            end.feed(&frame(server, TEXT, "late")).unwrap();
            end.feed(&frame(server, CLOSE, "")).unwrap();
            end.connection.handle_eof();
            assert!(end.got.is_empty());
            assert_eq!((end.is_closed(), end.ended()), (true, (false, 1006, true)));
            assert_eq!(end.connection.poll_timeout(), None);
        }
    }
}

#[test]
fn after_a_write_error_nothing_is_written_and_the_peer_s_data_is_still_delivered() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new().close_timeout(Duration::from_secs(5)));
        end.connection.send("lost").unwrap();
        end.connection.handle_write_error();
        assert_eq!((end.connection.state(), end.ended()), (State::Closing, (false, 1006, false)));
        assert!(end.connection.poll_transmit().is_none() && end.connection.wants_shutdown());
        assert_eq!(end.connection.send("more"), Err(SendError::Closed));
        end.feed(&[frame(server, TEXT, "rest"), frame(server, PING, "")].concat()).unwrap();
        assert_eq!(end.got[0], Got::Text("rest".into()));
        assert_eq!((end.connection.queued(), end.ended()), (0, (false, 1006, false)));
        end.advance_to(1);
        end.advance_to(5_000_000_000);
        assert!(!end.is_closed());
        end.connection.handle_eof();
        assert!(end.is_closed() && end.connection.poll_timeout().is_none());
    }
}

#[test]
fn w13_a_close_that_arrives_after_a_write_error_says_how_the_connection_ended() {
    for server in [true, false] {
        for (payload, code, reason) in
            [(close_payload(1008, "too slow"), 1008, "too slow"), (Vec::new(), 1005, "")]
        {
            let mut end = End::of(server, Config::new());
            end.connection.send("lost").unwrap();
            end.connection.handle_write_error();
            assert_eq!(end.ended(), (false, 1006, false));
            end.feed(&[frame(server, TEXT, "rest"), frame(server, CLOSE, payload)].concat()).unwrap();
            assert_eq!(end.got[0], Got::Text("rest".into()));
            assert_eq!((end.is_closed(), end.ended()), (true, (false, code, false)));
            let info = end.connection.close_info().unwrap();
            assert_eq!((info.reason.as_str(), &info.answer), (reason, &None));
        }
    }
}

#[test]
fn a_write_error_ends_the_connection_when_no_input_can_change_the_end() {
    let fates: [fn(&mut End, bool); 5] = [
        |end, _| {
            end.connection.handle_eof();
            end.connection.handle_write_error();
        },
        |end, server| {
            end.feed(&frame(server, CLOSE, "")).unwrap();
            end.connection.handle_write_error();
        },
        |end, server| {
            end.connection.handle_write_error();
            end.feed(&frame(server, CLOSE, "")).unwrap();
        },
        |end, server| {
            end.feed(&frame(server, 0x83, "")).unwrap_err();
            end.connection.handle_write_error();
        },
        |end, server| {
            end.connection.handle_write_error();
            end.feed(&frame(server, 0x83, "")).unwrap_err();
        },
    ];
    for server in [true, false] {
        for fate in fates {
            let mut end = End::of(server, Config::new());
            end.connection.send("lost").unwrap();
            fate(&mut end, server);
            assert!(end.is_closed() && !end.ended().0);
            assert_eq!(end.connection.poll_timeout(), None);
        }
    }
}

#[test]
fn a_write_error_discards_a_queued_close_and_the_end_is_not_clean() {
    for server in [true, false] {
        for peer_began in [true, false] {
            let mut end = End::of(server, Config::new());
            let theirs = frame(server, CLOSE, close_payload(1000, ""));
            if peer_began {
                end.feed(&theirs).unwrap();
            } else {
                end.connection.close(CloseCode::NORMAL, "").unwrap();
            }
            end.write(1);
            end.connection.handle_write_error();
            end.feed(&theirs).unwrap();
            end.connection.handle_eof();
            assert_eq!((end.is_closed(), end.ended()), (true, (false, 1000, !peer_began)));
        }
    }
}

#[test]
fn an_end_is_not_clean_unless_our_close_was_written() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        end.feed(&frame(server, CLOSE, "")).unwrap();
        end.write(1);
        end.connection.abort();
        assert_eq!(end.ended(), (false, 1005, false));

        let mut end = End::of(server, Config::new());
        end.feed(&frame(server, CLOSE, "")).unwrap();
        end.write(usize::MAX);
        end.connection.abort();
        assert_eq!(end.ended(), (true, 1005, false));
    }
}

#[test]
fn t26_a_peer_that_never_answers_our_close_is_abandoned_after_the_close_timeout() {
    for server in [true, false] {
        for blocked in [true, false] {
            let mut pair = Pair::new(Config::new().close_timeout(Duration::from_secs(5)));
            let link = if server { &mut pair.to_client } else { &mut pair.to_server };
            link.blocked = true;
            let back = if server { &mut pair.to_server } else { &mut pair.to_client };
            back.blocked = blocked;
            pair.end(server).connection.close(CloseCode::NORMAL, "").unwrap();
            pair.pass(Duration::from_nanos(4_999_999_999));
            assert_eq!(pair.end(server).connection.state(), State::Closing);
            pair.pass(Duration::from_nanos(1));
            assert!(pair.end(server).is_closed());
            assert_eq!(pair.end(server).ended(), (false, 1000, true));
            let end = pair.end(server);
            assert!(end.connection.wants_shutdown() && end.connection.poll_transmit().is_none());
        }
    }
}

#[test]
fn t26_a_peer_that_never_ends_the_transport_is_abandoned_after_the_close_timeout() {
    // A client waits for the server, but not for long (RFC 6455 5.5.1).
    for (server, timeout, end_at) in [(true, 5_000, 5_000), (false, 5_000, 250), (false, 50, 50)] {
        let mut end = End::of(server, Config::new().close_timeout(Duration::from_millis(timeout)));
        end.advance_to(7);
        end.feed(&frame(server, CLOSE, "")).unwrap();
        end.write(usize::MAX);
        end.advance_to(7);
        end.advance_to(end_at * 1_000_000 + 6);
        assert!(!end.is_closed());
        end.advance_to(end_at * 1_000_000 + 7);
        assert_eq!((end.is_closed(), end.ended()), (true, (true, 1005, false)));
    }
}

#[test]
fn t26_a_peer_at_fault_that_never_ends_the_transport_is_abandoned_after_two_seconds() {
    for server in [true, false] {
        for (timeout, end_at) in [(5_000, 2_000), (1_000, 1_000)] {
            let mut end = End::of(server, Config::new().close_timeout(Duration::from_millis(timeout)));
            end.feed(&frame(server, 0x83, "")).unwrap_err();
            // The time begins when the Close has been written.
            end.write(1);
            end.advance_to(7);
            end.write(usize::MAX);
            end.advance_to(7);
            end.advance_to(end_at * 1_000_000 + 6);
            assert!(end.connection.is_finished() && !end.is_closed());
            end.advance_to(end_at * 1_000_000 + 7);
            assert_eq!((end.is_closed(), end.ended()), (true, (false, 1002, true)));
        }
    }
}

#[test]
fn t26_the_close_timeout_runs_from_the_first_close_only() {
    let later: [fn(&mut End); 4] = [
        |end| end.feed(&frame(true, CLOSE, "")).unwrap(),
        |end| assert!(end.feed(b"\xff\xff").is_err()),
        |end| end.connection.handle_eof(),
        |end| end.connection.handle_write_error(),
    ];
    for later in later {
        let mut end = End::server(Config::new().close_timeout(Duration::from_secs(5)));
        end.connection.close(CloseCode::NORMAL, "").unwrap();
        end.advance_to(1_000_000_000);
        end.advance_to(4_000_000_000);
        later(&mut end);
        end.advance_to(5_999_999_999);
        assert!(!end.is_closed());
        end.advance_to(6_000_000_000);
        assert!(end.is_closed());
    }
}

#[test]
fn every_fault_fits_into_the_reason_of_a_close() {
    let (size, limit) = (u64::MAX, u64::MAX);
    for error in [
        ProtocolError::ReservedBits,
        ProtocolError::ReservedOpcode(15),
        ProtocolError::InvalidCloseCode(u16::MAX),
        ProtocolError::FrameTooBig { size, limit },
        ProtocolError::MessageTooBig { limit },
        ProtocolError::TooManyFragments { limit: u32::MAX },
    ] {
        let mut end = End::server(Config::new());
        end.connection.fail(error);
        let close = &end.frames()[0];
        assert_eq!(
            (close.close_code(), close.payload.len()),
            (error.close_code().as_u16(), 2 + error.to_string().len())
        );
    }
}

#[test]
fn a_write_error_after_the_end_sets_no_deadline() {
    let mut connection = sockeye_core::Connection::server(Config::new().into());
    connection.abort();
    connection.handle_write_error();
    assert_eq!((connection.state(), connection.poll_timeout()), (State::Closed, None));
}

/// Ways in which input comes to be discarded.
const DISCARDING: [fn(&mut End, bool); 4] = [
    |end, server| {
        end.feed(&frame(server, 0x83, "")).unwrap_err();
    },
    |end, _| end.connection.fail(ProtocolError::InvalidUtf8),
    |end, server| end.feed(&frame(server, CLOSE, "")).unwrap(),
    |end, server| {
        end.connection.close(CloseCode::NORMAL, "").unwrap();
        end.feed(&frame(server, CLOSE, "")).unwrap();
    },
];

#[test]
fn t50_a_peer_that_keeps_sending_after_the_end_is_discarded_within_bounds_of_bytes() {
    for server in [true, false] {
        for (chunk, reads) in [(1 << 20, false), (64 << 10, false), (64 << 10, true)] {
            for discard in DISCARDING {
                let mut end = End::of(server, Config::new());
                discard(&mut end, server);
                if reads {
                    end.write(usize::MAX);
                }
                let mut sent = 0;
                while !end.is_closed() {
                    let _ = end.feed(&vec![0; chunk]);
                    sent += chunk;
                    assert!(sent <= (8 << 20) + chunk, "the connection is {:?}", end.connection.state());
                }
                assert!(sent > 8 << 20);
                assert_eq!((end.got.iter().filter(|got| !matches!(got, Got::Close(..))).count()), 0);
                assert_eq!((end.connection.queued(), end.connection.poll_timeout()), (0, None));
            }
        }
    }
}

#[test]
fn t50_a_peer_that_sends_the_rest_of_a_large_message_can_read_why_it_was_refused() {
    let mut end = End::server(Config::new());
    let message = frame(true, BINARY, vec![0; 7 << 20]);
    let (begin, rest) = message.split_at(1000);
    assert!(matches!(end.feed(begin), Err(ProtocolError::FrameTooBig { .. })));
    for part in rest.chunks(64 << 10) {
        end.feed(part).unwrap_err();
    }
    assert_eq!(end.frames()[0].close_code(), 1009);
    // All that was in one buffer with the fault is discarded, and the Close is not.
    let mut end = End::server(Config::new());
    let mut bytes = [frame(true, 0x83, ""), vec![0; 20 << 20]].concat();
    let mut input = RecvBuf::new(&mut bytes);
    while !input.is_empty() {
        end.connection.poll_event(&mut input).unwrap_err();
    }
    assert_eq!(end.frames()[0].close_code(), 1002);
}

#[test]
fn t50_messages_that_arrive_while_this_end_waits_for_a_close_are_not_counted() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        end.connection.close(CloseCode::NORMAL, "").unwrap();
        for _ in 0..20 {
            end.feed(&frame(server, BINARY, vec![0; 1 << 20])).unwrap();
        }
        assert_eq!((end.got.len(), end.is_closed()), (20, false));
    }
}

#[test]
fn t26_the_close_timeout_is_five_seconds_by_default() {
    assert_eq!(Config::new().close_timeout, Duration::from_secs(5));
}

//! The answer to the peer's Close, when the application chooses it (W10, O2).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use sockeye_core::{
    CloseCode, CloseFrame, CloseInfo, Config, Frame, MessageKind, Opcode, SendError, Side, State,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

const SECOND: u64 = 1_000_000_000;

/// The application answers each Close, and has two of these four seconds for it.
fn config() -> Config {
    Config::new().auto_close(false).close_timeout(Duration::from_secs(4))
}

fn close(to_server: bool, code: u16, reason: &str) -> Vec<u8> {
    frame(to_server, CLOSE, close_payload(code, reason))
}

/// An end that has received a Close with 4001 and "bye".
fn closed_by_peer(server: bool) -> End {
    let mut end = End::of(server, config());
    end.feed(&close(server, 4001, "bye")).unwrap();
    end
}

fn answer(code: u16, reason: &str) -> Option<CloseFrame<'static>> {
    Some(CloseFrame::new(CloseCode::from(code), reason.to_owned()))
}

#[test]
fn w10_without_auto_close_the_application_chooses_code_and_reason_of_the_answer() {
    for server in [true, false] {
        let mut end = closed_by_peer(server);
        assert_eq!(end.got, [Got::Close(Some(4001), "bye".into())]);
        assert_eq!((end.connection.queued(), end.connection.state()), (0, State::Closing));
        assert!(!end.connection.wants_shutdown() && end.connection.owes_answer());
        assert_eq!(end.ended(), (false, 4001, false));
        end.connection.close(CloseCode::from(4002), "see you").unwrap();
        assert!(!end.connection.owes_answer());
        let frames = end.frames();
        assert_eq!((frames.len(), frames[0].first), (1, CLOSE));
        assert_eq!(frames[0].payload, close_payload(4002, "see you"));
        assert_eq!(end.connection.wants_shutdown(), server);
        let info = CloseInfo {
            by: Side::Peer,
            code: CloseCode::from(4001),
            reason: "bye".into(),
            clean: true,
            answer: answer(4002, "see you"),
        };
        assert_eq!(end.connection.close_info(), Some(&info));
        end.connection.handle_eof();
        assert!(end.is_closed());
    }
}

#[test]
fn w10_a_pushed_close_frame_is_the_answer_and_may_be_empty() {
    for frame in [Frame::close(&CloseFrame::default()).unwrap(), Frame::new(Opcode::Close, b"\x03\xe9hm")] {
        let mut end = closed_by_peer(true);
        end.connection.send_frame(&frame).unwrap();
        assert_eq!(end.frames()[0].payload, *frame.data);
        assert!(end.connection.close_info().unwrap().clean);
    }
}

#[test]
fn w10_the_default_answer_has_the_peer_s_code_and_reason_whatever_they_are() {
    let longest = "r".repeat(123);
    let payloads = [
        vec![],
        close_payload(1000, ""),
        close_payload(1014, "no"),
        close_payload(4999, "鮭 🐟"),
        close_payload(3000, &longest),
    ];
    for payload in payloads {
        for server in [true, false] {
            let mut end = End::of(server, config());
            end.feed(&frame(server, CLOSE, &payload)).unwrap();
            end.connection.answer_close();
            assert_eq!(end.frames()[0].payload, payload);
            assert!(end.connection.close_info().unwrap().clean);
        }
    }
}

#[test]
fn w10_a_wrong_code_or_reason_is_an_error_and_the_default_answer_still_goes_out() {
    let mut end = closed_by_peer(true);
    let code = CloseCode::ABNORMAL;
    assert_eq!(end.connection.close(code, ""), Err(SendError::InvalidCloseCode(code)));
    let long = "r".repeat(124);
    assert_eq!(end.connection.close(CloseCode::NORMAL, &long), Err(SendError::CloseReasonTooLong(124)));
    assert_eq!(end.connection.queued(), 0);
    end.connection.answer_close();
    assert_eq!(end.frames()[0].payload, close_payload(4001, "bye"));
}

#[test]
fn w10_a_close_is_answered_once() {
    for chooses in [true, false] {
        let mut end = closed_by_peer(true);
        if chooses {
            end.connection.close(CloseCode::NORMAL, "").unwrap();
        }
        end.connection.answer_close();
        end.connection.answer_close();
        assert_eq!(end.connection.close(CloseCode::NORMAL, ""), Err(SendError::Closed));
        assert_eq!(end.frames().len(), 1);
    }
}

#[test]
fn w10_without_a_close_of_the_peer_there_is_nothing_to_answer() {
    for server in [true, false] {
        let mut end = End::of(server, config());
        end.connection.answer_close();
        assert_eq!((end.connection.queued(), end.connection.state()), (0, State::Open));
        // The peer's Close is the answer to this one.
        end.connection.close(CloseCode::NORMAL, "done").unwrap();
        end.feed(&close(server, 4001, "bye")).unwrap();
        end.connection.answer_close();
        assert_eq!(end.frames().len(), 1);
        let info = end.connection.close_info().unwrap();
        assert_eq!((info.by, &*info.reason, info.clean), (Side::Local, "done", true));
        assert_eq!(info.answer, answer(4001, "bye"));
    }
}

#[test]
fn w10_nothing_is_sent_or_processed_between_a_close_and_its_answer() {
    let mut end = End::server(config());
    end.connection.send_frame(&Frame::text("be").finish(false)).unwrap();
    end.frames();
    end.feed(&close(true, 4001, "bye")).unwrap();
    end.feed(&[frame(true, TEXT, "late"), frame(true, PING, "late"), close(true, 1000, "")].concat())
        .unwrap();
    assert_eq!(end.got, [Got::Close(Some(4001), "bye".into())]);
    let rest = Frame::new(Opcode::Continuation, b"gun");
    assert_eq!(end.connection.send_frame(&rest), Err(SendError::Closed));
    assert_eq!(end.connection.send("x"), Err(SendError::Closed));
    assert_eq!(end.connection.ping(b""), Err(SendError::Closed));
    assert_eq!(end.connection.pong(b""), Err(SendError::Closed));
    assert_eq!(end.connection.queued(), 0);
    end.connection.answer_close();
    assert_eq!(end.firsts(), [CLOSE]);
    assert_eq!(
        end.connection.send_frame(&Frame::new(MessageKind::Text.opcode(), b"x")),
        Err(SendError::Closed)
    );
}

#[test]
fn w10_an_application_that_never_answers_leaves_the_answer_to_the_connection() {
    for server in [true, false] {
        let mut end = closed_by_peer(server);
        end.advance_to(SECOND);
        end.advance_to(3 * SECOND - 1);
        assert_eq!(end.connection.queued(), 0);
        end.advance_to(3 * SECOND);
        assert_eq!(end.frames()[0].payload, close_payload(4001, "bye"));
        assert_eq!(end.ended(), (true, 4001, false));
        // The peer has the whole timeout to end the transport.
        end.advance_to(7 * SECOND - 1);
        assert!(!end.is_closed());
        end.advance_to(7 * SECOND);
        assert!(end.is_closed());
    }
}

#[test]
fn w10_the_close_timeout_begins_with_the_answer() {
    let mut end = closed_by_peer(true);
    end.advance_to(SECOND);
    end.advance_to(2 * SECOND);
    end.connection.close(CloseCode::from(4002), "").unwrap();
    end.write(usize::MAX);
    end.advance_to(2 * SECOND);
    end.advance_to(6 * SECOND - 1);
    assert!(!end.is_closed());
    end.advance_to(6 * SECOND);
    assert!(end.is_closed());
    assert_eq!(end.connection.poll_timeout(), None);
}

#[test]
fn w10_the_end_of_the_transport_ends_a_connection_that_owes_an_answer() {
    let ends: [fn(&mut End); 3] = [
        |end| end.connection.handle_eof(),
        |end| {
            end.connection.handle_write_error();
            end.connection.handle_eof();
        },
        |end| end.connection.abort(),
    ];
    for end_transport in ends {
        let mut end = closed_by_peer(true);
        end_transport(&mut end);
        assert!(end.is_closed());
        assert_eq!(end.ended(), (false, 4001, false));
        end.connection.answer_close();
        assert_eq!(end.connection.close(CloseCode::NORMAL, ""), Err(SendError::Closed));
        assert_eq!((end.connection.queued(), end.connection.poll_timeout()), (0, None));
    }
}

#[test]
fn w10_the_info_of_both_ends_has_both_closes() {
    let mut pair = Pair::new(config());
    pair.client.connection.close(CloseCode::from(4001), "bye").unwrap();
    pair.drive();
    pair.server.connection.close(CloseCode::from(4002), "see you").unwrap();
    pair.drive();
    for server in [true, false] {
        let info = pair.end(server).connection.close_info().unwrap();
        assert_eq!((info.code, &*info.reason, info.clean), (CloseCode::from(4001), "bye", true));
        assert_eq!(info.answer, answer(4002, "see you"));
        assert!(pair.end(server).is_closed());
    }
}

//! The frames that a server receives (E2 to E4, O2 to O4, O6, W10).

use std::sync::Arc;

use sockeye_core::{CloseCode, CloseFrame, Config, Frame, Opcode};
use sockeye_driver::server::{Callbacks, Client, HandlerResult, Port, PushError};
use sockeye_testkit::{EventLog, yield_now};

use super::TestServer;
use super::events::EventLogger;

#[test]
fn e2_fragments_become_one_message_with_the_kind_of_the_first() {
    let log = EventLog::default();
    let server = TestServer::handler(EventLogger(log.clone()));
    let mut raw = server.open();
    raw.send(&Frame::new(Opcode::Binary, b"on".as_slice()).finish(false));
    raw.send(&Frame::new(Opcode::Continuation, b"".as_slice()).finish(false));
    raw.send(&Frame::new(Opcode::Ping, b"between".as_slice()));
    raw.send(&Frame::new(Opcode::Continuation, b"e".as_slice()));
    raw.text("two");
    raw.text("");
    log.expect(&["connect", "open /", "message Binary one", "message Text two", "message Text "]);
    let pong = raw.frame().unwrap();
    assert_eq!((pong.opcode, &*pong.data), (Opcode::Pong, &b"between"[..]));
}

#[test]
fn e4_text_is_checked_while_it_arrives() {
    let log = EventLog::default();
    let server = TestServer::handler(EventLogger(log.clone()));
    let mut raw = server.open();
    // The header announces 1000 bytes. The second of them cannot be valid.
    raw.write([0x81, 0xfe, 0x03, 0xe8, 0, 0, 0, 0, b'a', 0xff]);
    raw.expect_close(1007);
    log.wait_for("close Local 1007 \"the peer sent text that is not UTF-8\" false");
}

#[test]
fn o6_frames_and_messages_above_the_limits_are_refused_at_their_headers() {
    let log = EventLog::default();
    let config = Config::new().max_frame_size(1000).max_message_size(1500);
    let server = TestServer::port(Port::new(EventLogger(log.clone())).config(config));
    let mut raw = server.open();
    raw.send(&Frame::binary(&[b'f'; 1000]).finish(false));
    // Only the header is sent, and it says that the message is too big.
    raw.write([0x80, 0xfe, 501u16.to_be_bytes()[0], 501u16.to_be_bytes()[1], 0, 0, 0, 0]);
    raw.expect_close(1009);
    let mut raw = server.open();
    raw.write([0x82, 0xfe, 1001u16.to_be_bytes()[0], 1001u16.to_be_bytes()[1], 0, 0, 0, 0]);
    raw.expect_close(1009);
    let mut raw = server.open();
    raw.send(&Frame::binary(&[b'f'; 1000]).finish(false));
    raw.send(&Frame::new(Opcode::Continuation, [b'f'; 500].as_slice()));
    log.wait_for(&format!("message Binary {}", "f".repeat(1500)));
    assert_eq!(log.lines().iter().filter(|line| line.starts_with("close Local 1009")).count(), 2);
}

#[test]
fn e3_by_default_pings_are_answered_and_neither_pings_nor_pongs_are_reported() {
    let log = EventLog::default();
    let server = TestServer::handler(EventLogger(log.clone()));
    let mut raw = server.open();
    raw.send(&Frame::new(Opcode::Ping, b"p".as_slice()));
    raw.send(&Frame::new(Opcode::Pong, b"unsolicited".as_slice()));
    let pong = raw.frame().unwrap();
    assert_eq!((pong.opcode, &*pong.data), (Opcode::Pong, &b"p"[..]));
    raw.text("x");
    log.expect(&["connect", "open /", "message Text x"]);
}

#[test]
fn o2_o3_o4_forwarded_control_frames_reach_the_handler_and_pings_are_not_answered() {
    let log = EventLog::default();
    let port = Port::new(EventLogger(log.clone())).forward_close(true).forward_ping(true).forward_pong(true);
    let server = TestServer::port(port);
    let mut raw = server.open();
    raw.send(&Frame::new(Opcode::Ping, b"i".as_slice()));
    raw.send(&Frame::new(Opcode::Pong, b"o".as_slice()));
    raw.close(1001, "bye");
    // The server sends no pong, so the Close is the first frame.
    let frame = raw.frame().unwrap();
    assert_eq!((frame.opcode, &*frame.data), (Opcode::Close, &[3, 233, 98, 121, 101][..]));
    raw.expect_end();
    log.expect(&[
        "connect",
        "open /",
        "Ping [105]",
        "Pong [111]",
        "Close [3, 233, 98, 121, 101]",
        "close Peer 1001 \"bye\" true",
    ]);
}

/// Returns a server that forwards Closes, and calls `answer` with each.
fn answering(
    log: &EventLog,
    answer: impl Fn(&Client, CloseFrame<'_>) -> HandlerResult + Send + Sync + 'static,
) -> TestServer {
    let answer = Arc::new(answer);
    let (closed, failed) = (log.clone(), log.clone());
    let handler = Callbacks::on_message(|_, _| async {})
        .on_control(move |client, frame| {
            let answer = answer.clone();
            async move {
                assert!(!client.is_established());
                // The answer may take a while.
                yield_now().await;
                answer(&client, CloseFrame::parse(frame.data)?)
            }
        })
        .on_failed(move |_, failure| failed.add(format!("failed: {failure}")))
        .on_close(move |_, info| {
            let answer = info.answer.as_ref().map(|answer| (answer.status().as_u16(), answer.reason.clone()));
            closed.add(format!("close {} {:?} {answer:?} {}", info.code.as_u16(), info.reason, info.clean));
            async {}
        });
    TestServer::port(Port::new(handler).forward_close(true))
}

#[test]
fn w10_o2_the_handler_of_a_forwarded_close_chooses_code_and_reason_of_the_answer() {
    let log = EventLog::default();
    let server = answering(&log, |client, frame| {
        assert_eq!((frame.status(), &*frame.reason), (CloseCode::GOING_AWAY, "bye"));
        client.close(CloseCode::from(4000), "see you")?;
        // A second Close is never sent.
        assert_eq!(client.close(CloseCode::NORMAL, ""), Err(PushError::Closing));
        assert_eq!(client.push("late"), Err(PushError::Closing));
        Ok(())
    });
    let mut raw = server.open();
    raw.close(1001, "bye");
    let frame = raw.frame().unwrap();
    assert_eq!((frame.opcode, &*frame.data), (Opcode::Close, &b"\x0f\xa0see you"[..]));
    raw.expect_end();
    log.expect(&["close 1001 \"bye\" Some((4000, \"see you\")) true"]);
}

#[test]
fn w10_o2_a_handler_that_chooses_nothing_leaves_the_default_answer() {
    let log = EventLog::default();
    let server = answering(&log, |_, _| Ok(()));
    for (sent, reported) in [
        (&b""[..], "close 1005 \"\" Some((1005, \"\")) true"),
        (b"\x03\xe8", "close 1000 \"\" Some((1000, \"\")) true"),
        (b"\x0b\xb8bye", "close 3000 \"bye\" Some((3000, \"bye\")) true"),
    ] {
        let mut raw = server.open();
        raw.send(&Frame::new(Opcode::Close, sent));
        // Data after a Close is ignored.
        raw.text("late");
        let frame = raw.frame().unwrap();
        assert_eq!((frame.opcode, &*frame.data), (Opcode::Close, sent));
        raw.expect_end();
        log.wait_for(reported);
    }
}

#[test]
fn w10_o2_a_wrong_answer_is_an_error_and_the_default_one_is_sent() {
    let log = EventLog::default();
    let server = answering(&log, |client, _| {
        assert!(client.close(CloseCode::ABNORMAL, "").is_err());
        assert!(client.close(CloseCode::NORMAL, &"r".repeat(124)).is_err());
        assert!(client.push_frame(&Frame::new(Opcode::Close, b"\x03")).is_err());
        Ok(())
    });
    let mut raw = server.open();
    raw.close(1001, "bye");
    let frame = raw.frame().unwrap();
    assert_eq!((frame.opcode, &*frame.data), (Opcode::Close, &b"\x03\xe9bye"[..]));
    raw.expect_end();
    log.expect(&["close 1001 \"bye\" Some((1001, \"bye\")) true"]);
}

#[test]
fn w10_o2_a_handler_that_fails_on_a_close_answers_it_with_1011() {
    let log = EventLog::default();
    let server = answering(&log, |_, _| Err("as asked".into()));
    let mut raw = server.open();
    raw.close(1001, "bye");
    raw.expect_close(1011);
    raw.expect_end();
    log.expect(&["failed: as asked", "close 1001 \"bye\" Some((1011, \"\")) true"]);
}

#[test]
fn w10_o2_auto_close_has_no_effect_on_a_port() {
    let config = Config::new().auto_close(false);
    let server = TestServer::port(Port::new(EventLogger(EventLog::default())).config(config));
    let mut raw = server.open();
    raw.close(1001, "bye");
    let frame = raw.frame().unwrap();
    assert_eq!((frame.opcode, &*frame.data), (Opcode::Close, &b"\x03\xe9bye"[..]));
    raw.expect_end();
}

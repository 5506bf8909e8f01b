//! The frames that a server receives (E2 to E4, O2 to O4, O6).

use sockeye_core::{Config, Frame, Opcode};
use sockeye_driver::server::Port;
use sockeye_testkit::EventLog;

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
    assert_eq!((frame.opcode, &*frame.data), (Opcode::Close, &[3, 233][..]));
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

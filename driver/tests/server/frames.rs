//! Rows E2 to E4, O2 to O4 and O6: what becomes of the frames that arrive.

use sockeye_core::{Config, Frame, Opcode};
use sockeye_driver::server::Port;

use super::events::Writer;
use super::{Harness, Log, Running};

pub(crate) fn e2_fragments_are_merged_and_the_kind_is_that_of_the_first<T: Harness>() {
    let log = Log::default();
    let server = Running::handler::<T>(Writer(log.clone()));
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

pub(crate) fn e4_text_is_checked_while_it_arrives<T: Harness>() {
    let log = Log::default();
    let server = Running::handler::<T>(Writer(log.clone()));
    let mut raw = server.open();
    // A thousand bytes are announced, and the second that comes cannot be right.
    raw.write([0x81, 0xfe, 0x03, 0xe8, 0, 0, 0, 0, b'a', 0xff]);
    raw.expect_close(1007);
    log.wait_for("close Local 1007 \"the peer sent text that is not UTF-8\" false");
}

pub(crate) fn o6_frames_and_messages_above_the_limits_are_refused_by_their_heads<T: Harness>() {
    let log = Log::default();
    let config = Config::new().max_frame_size(1000).max_message_size(1500);
    let server = Running::port::<T, _>(Port::new(Writer(log.clone())).config(config));
    let mut raw = server.open();
    raw.send(&Frame::binary(&[b'f'; 1000]).finish(false));
    // Of this one there is nothing yet but that it is too big.
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

pub(crate) fn e3_pings_are_answered_and_pongs_dropped_unless_asked_for<T: Harness>() {
    let log = Log::default();
    let server = Running::handler::<T>(Writer(log.clone()));
    let mut raw = server.open();
    raw.send(&Frame::new(Opcode::Ping, b"p".as_slice()));
    raw.send(&Frame::new(Opcode::Pong, b"unasked".as_slice()));
    let pong = raw.frame().unwrap();
    assert_eq!((pong.opcode, &*pong.data), (Opcode::Pong, &b"p"[..]));
    raw.text("x");
    log.expect(&["connect", "open /", "message Text x"]);
}

pub(crate) fn o2_o3_o4_control_frames_are_told_and_pings_left_to_the_handler<T: Harness>() {
    let log = Log::default();
    let port = Port::new(Writer(log.clone())).forward_close(true).forward_ping(true).forward_pong(true);
    let server = Running::port::<T, _>(port);
    let mut raw = server.open();
    raw.send(&Frame::new(Opcode::Ping, b"i".as_slice()));
    raw.send(&Frame::new(Opcode::Pong, b"o".as_slice()));
    raw.close(1001, "bye");
    // Not a pong: the Close is the first that comes.
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

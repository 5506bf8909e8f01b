//! Messages of an open session: room, parts, failures.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::session::Session;
use sockeye_core::{Config, Connection, SendError};

use super::support::*;

fn open(config: Config) -> End {
    let config = Arc::new(config);
    End::new(Session::opened(Connection::server(config.clone()), config), App::Echo)
}

/// Returns a binary message of `len` bytes, masked with zeros.
fn message(len: u16) -> Vec<u8> {
    let mut bytes = vec![0x82, 0xfe];
    bytes.extend(len.to_be_bytes());
    bytes.resize(bytes.len() + 4 + usize::from(len), 0);
    bytes
}

#[test]
fn a_message_is_taken_only_while_there_is_room_for_an_answer() {
    let mut server = open(Config::new().high_water_mark(1000));
    server.receive(&[message(1200), message(200), message(300)].concat());
    assert_eq!(server.log(), ["message of 1200 bytes"]);
    assert_eq!(server.input.len(), 516, "the rest stays with the caller");
    server.write(205);
    server.poll();
    assert_eq!(server.log.len(), 2, "999 bytes wait: there is room for one more message");
    server.write_all();
    server.poll();
    assert_eq!((server.log.len(), server.input.len()), (3, 0));
}

#[test]
fn new_input_that_waits_for_room_counts_as_activity() {
    let mut server = open(Config::new().high_water_mark(10).idle_timeout(Duration::from_secs(4)));
    server.at(Duration::ZERO);
    server.receive(&message(200));
    for second in 1..30 {
        server.receive(&message(200));
        server.at(Duration::from_secs(second));
    }
    assert_eq!(server.log(), ["message of 200 bytes"], "no idle timeout, and nothing more is taken");
    for second in 30..40 {
        server.at(Duration::from_secs(second));
    }
    server.write_all();
    server.eof();
    assert_eq!(server.log.last().unwrap(), "ended Some((1001, false))", "a silent peer does time out");
}

#[test]
fn parts_arrive_as_they_come_if_asked_for() {
    let config = Arc::new(Config::new());
    let session = Session::opened(Connection::server(config.clone()), config).with_parts();
    let mut server = End::new(session, App::Silent);
    server.receive(b"\x81\x85\0\0\0\0Hel");
    server.receive(b"lo");
    assert_eq!(server.log(), ["part Hel true false", "part lo false true"]);
}

#[test]
fn a_failure_is_reported_once_and_its_close_goes_out() {
    let mut server = open(Config::new());
    server.receive(b"\x81\x02hi");
    server.receive(b"more");
    assert_eq!(server.log(), ["failed UnmaskedFrame"]);
    let written = server.write_all();
    assert_eq!(written[..4], [0x88, written.len() as u8 - 2, 3, 0xea]);
    assert!(server.session.wants_shutdown());
    server.eof();
    assert_eq!(server.log.last().unwrap(), "ended Some((1002, false))");
}

#[test]
fn input_that_waits_for_room_is_delivered_before_the_end() {
    let mut server = open(Config::new().high_water_mark(1000));
    server.receive(&[message(1200), message(200)].concat());
    server.eof();
    assert_eq!(server.log(), ["message of 1200 bytes"]);
    server.write_all();
    server.poll();
    assert_eq!(server.log(), ["message of 1200 bytes", "message of 200 bytes"]);
    server.write_all();
    server.poll();
    assert_eq!(server.log.last().unwrap(), "ended Some((1006, false))");
}

#[test]
fn a_session_can_read_while_its_queue_is_full() {
    let config = Arc::new(Config::new().high_water_mark(1000));
    let session = Session::opened(Connection::server(config.clone()), config);
    let mut server = End::new(session.with_reads_while_full(), App::Silent);
    server.session.send(vec![0; 2000]).unwrap();
    server.receive(&[message(1200), message(200)].concat());
    assert_eq!(server.log(), ["message of 1200 bytes", "message of 200 bytes"]);
    let full = server.session.send("no room");
    assert!(matches!(full, Err(SendError::Backpressure { .. })), "{full:?}");
}

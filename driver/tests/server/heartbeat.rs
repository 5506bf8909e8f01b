//! Silent peers (O7).

use std::time::Duration;

use sockeye_core::{Config, Frame, Opcode};
use sockeye_driver::server::{Callbacks, Port};
use sockeye_testkit::{EventLog, eventually};

use super::TestServer;

/// Logs how connections close.
fn close_logger(log: &EventLog) -> Callbacks {
    let log = log.clone();
    Callbacks::on_message(|_, _| async {}).on_close(move |_, info| {
        log.add(format!("{} {}", info.code.as_u16(), info.clean));
        async {}
    })
}

#[test]
fn o7_m11_a_silent_connection_is_closed_unless_it_is_protected() {
    let log = EventLog::default();
    let config = Config::new().idle_timeout(Duration::from_millis(400));
    let server = TestServer::port(Port::new(close_logger(&log)).config(config));
    let mut protected = server.open();
    eventually("the connection to open", || server.handle.is_established(server.handle.connections()[0]));
    let id = server.handle.connections()[0];
    server.handle.protect(id, true).unwrap();
    let (mut silent, mut lively) = (server.open(), server.open());
    let talk = std::thread::spawn(move || {
        for _ in 0..15 {
            std::thread::sleep(Duration::from_millis(50));
            lively.send(&Frame::new(Opcode::Pong, b"".as_slice()));
        }
        lively
    });
    silent.expect_close(1001);
    let mut lively = talk.join().unwrap();
    lively.close(1000, "");
    lively.expect_close(1000);
    log.expect(&["1001 true", "1000 true"]);
    protected.text("still here");
    assert!(server.handle.is_established(id));
    server.handle.protect(id, false).unwrap();
    protected.expect_close(1001);
}

#[test]
fn o7_pings_are_sent_and_a_peer_that_does_not_answer_is_disconnected() {
    let log = EventLog::default();
    let config = Config::new().keepalive(Duration::from_millis(100), Duration::from_millis(200));
    let server = TestServer::port(Port::new(close_logger(&log)).config(config));
    let mut raw = server.open();
    raw.show_keepalive();
    for _ in 0..3 {
        let ping = raw.frame().unwrap();
        assert_eq!(ping.opcode, Opcode::Ping);
        raw.send(&Frame::new(Opcode::Pong, ping.data));
    }
    let id = server.handle.connections()[0];
    assert!(server.handle.info(id).unwrap().round_trip.is_some());
    // The client stops answering.
    eventually("the connection to end", || !server.handle.exists(id));
    log.expect(&["1008 false"]);
}

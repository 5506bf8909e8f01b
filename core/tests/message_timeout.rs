//! The deadline of a message that has begun (T42), on a clock that the tests advance.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use sockeye_core::handshake::server::Policy;
use sockeye_core::session::{Session, SessionEvent};
use sockeye_core::{CloseCode, Config, Instant, RecvBuf, State};
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_testkit::pair::*;

const SECOND: u64 = 1_000_000_000;

/// An end that demands 100 bytes in 10 seconds.
fn end(server: bool) -> End {
    let config = Config::new().message_timeout(Duration::from_secs(10)).min_message_rate(10u32);
    End::of(server, config)
}

/// Feeds `piece(n)` in second `n`, until the connection is not open any more or `until` is reached.
/// Returns the last second.
fn feed_each_second(end: &mut End, until: u64, mut piece: impl FnMut(u64) -> Vec<u8>) -> u64 {
    for second in 0..until {
        if end.connection.state() == State::Open {
            end.feed(&piece(second)).unwrap();
        }
        end.advance_to(second * SECOND);
        if end.connection.state() != State::Open {
            return second;
        }
    }
    until
}

#[test]
fn t42_a_message_that_has_begun_fails_with_1008_at_its_deadline() {
    for server in [true, false] {
        let whole = frame(server, BINARY, [7; 100]);
        let fragment = frame(server, TEXT_START, "never finished");
        // Half a header, a header, a part of a payload, a fragment.
        for begun in [&whole[..1], &whole[..6], &whole[..50], &fragment] {
            let mut end = end(server);
            let died = feed_each_second(
                &mut end,
                60,
                |second| {
                    if second == 3 { begun.to_vec() } else { Vec::new() }
                },
            );
            assert_eq!(died, 13, "{} bytes", begun.len());
            let info = end.connection.close_info().unwrap();
            assert_eq!((info.code, info.clean), (CloseCode::POLICY_VIOLATION, false));
            assert_eq!(end.frames().last().unwrap().close_code(), 1008);
        }
    }
}

#[test]
fn t42_a_drip_of_bytes_or_pings_does_not_prolong_the_deadline() {
    for server in [true, false] {
        let whole = frame(server, BINARY, [7; 1000]);
        let mut dripping = end(server);
        assert_eq!(feed_each_second(&mut dripping, 60, |n| vec![whole[n as usize]]), 10);
        let mut pinging = end(server);
        pinging.feed(&frame(server, BINARY_START, "begun")).unwrap();
        let ping = frame(server, PING, [7; 125]);
        assert_eq!(feed_each_second(&mut pinging, 60, |_| ping.clone()), 10);
        let mut empty = end(server);
        empty.feed(&frame(server, BINARY_START, "begun")).unwrap();
        let fragment = frame(server, CONTINUATION, "");
        assert_eq!(feed_each_second(&mut empty, 60, |_| fragment.clone()), 10);
    }
}

#[test]
fn t42_a_message_that_gains_enough_may_take_any_time() {
    for server in [true, false] {
        let whole = frame(server, BINARY, [7; 10_000]);
        let mut end = end(server);
        let pieces: Vec<&[u8]> = whole.chunks(11).collect();
        let took = feed_each_second(&mut end, pieces.len() as u64, |n| pieces[n as usize].to_vec());
        assert_eq!((took, end.got.len()), (pieces.len() as u64, 1));
        // Nothing is left of the deadline.
        assert_eq!(end.connection.poll_timeout(), None);
    }
}

#[test]
fn t42_each_message_has_a_deadline_of_its_own() {
    for server in [true, false] {
        let mut end = end(server);
        let whole = frame(server, BINARY, [7; 50]);
        let (first, rest) = whole.split_at(whole.len() - 1);
        // In each second one message ends and the next one begins, with the same progress.
        let took =
            feed_each_second(&mut end, 60, |n| if n == 0 { first.to_vec() } else { [rest, first].concat() });
        assert_eq!((took, end.got.len()), (60, 59));
        // The last one stays.
        assert_eq!(feed_each_second(&mut end, 100, |_| Vec::new()), 69);
    }
}

#[test]
fn t42_the_deadline_can_be_turned_off() {
    let mut config = Config::new();
    config.message_timeout = None;
    let mut end = End::server(config);
    end.feed(&frame(true, BINARY_START, "begun")).unwrap();
    assert_eq!(end.connection.poll_timeout(), None);
}

fn open_session(config: Config) -> Session {
    let mut session = Session::server(config.into());
    let mut request = UPGRADE_REQUEST.to_vec();
    let mut input = RecvBuf::new(&mut request);
    while let Some(event) = session.poll_event(&mut input) {
        if let SessionEvent::Upgrade(upgrade) = event {
            session.decide(upgrade, &Policy::new());
        }
    }
    while let Some(n) = session.poll_transmit().map(|transmit| transmit.first().len()) {
        session.transmitted(n);
    }
    session
}

#[test]
fn t42_a_session_forgets_the_deadline_of_a_message_that_has_arrived_in_parts() {
    let whole = frame(true, BINARY, [7; 100]);
    for cut in 1..whole.len() {
        let mut session = open_session(Config::new().message_timeout(Duration::from_secs(10)));
        let (begun, rest) = whole.split_at(cut);
        let (mut begun, mut rest) = (begun.to_vec(), rest.to_vec());
        assert!(session.poll_event(&mut RecvBuf::new(&mut begun)).is_none());
        session.handle_timeout(Instant::from_nanos(SECOND));
        let mut rest = RecvBuf::new(&mut rest);
        assert!(matches!(session.poll_event(&mut rest), Some(SessionEvent::Message(_))), "{cut}");
        assert!(session.poll_event(&mut rest).is_none());
        assert_eq!(session.poll_timeout(), None, "{cut}");
    }
}

#[test]
fn t42_the_deadline_does_not_run_while_a_session_leaves_its_input() {
    let config = Config::new().message_timeout(Duration::from_secs(10)).high_water_mark(100);
    let mut session = open_session(config);
    let mut begun = frame(true, BINARY_START, "begun");
    assert!(session.poll_event(&mut RecvBuf::new(&mut begun)).is_none());
    session.handle_timeout(Instant::from_nanos(SECOND));
    session.send(vec![0; 200]).unwrap();
    // The queue is full, so the rest of the message is not taken.
    let mut rest = frame(true, LAST_CONTINUATION, "ended");
    assert!(session.poll_event(&mut RecvBuf::new(&mut rest)).is_none());
    session.handle_timeout(Instant::from_nanos(50 * SECOND));
    assert_eq!(session.poll_timeout(), None);
    let queued = 200 + 4;
    session.transmitted(queued);
    let mut rest = frame(true, LAST_CONTINUATION, "ended");
    assert!(session.poll_event(&mut RecvBuf::new(&mut rest)).is_some());
}

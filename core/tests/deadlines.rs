//! Timeouts and heartbeats, on a clock that the tests advance (O7, M5).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use proptest::prelude::*;
use sockeye_core::{CloseCode, Config, Instant, State};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

const SECOND: u64 = 1_000_000_000;
const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Advances the clock to every deadline up to `until`. Returns when the connection stopped being
/// open.
fn left_open(end: &mut End, from: u64, until: u64) -> Option<u64> {
    let mut now = from;
    loop {
        end.advance_to(now);
        if end.connection.state() != State::Open {
            return Some(now);
        }
        now = end.connection.poll_timeout()?.as_nanos();
        if now > until {
            return None;
        }
    }
}

/// Returns the payloads of the queued pings.
fn pings(end: &mut End) -> Vec<Vec<u8>> {
    end.frames().into_iter().filter(|frame| frame.first == PING).map(|frame| frame.payload).collect()
}

#[test]
fn without_deadlines_nothing_depends_on_time() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        assert_eq!(end.connection.poll_timeout(), None);
        end.feed(&frame(server, PING, "")).unwrap();
        end.connection.send("x").unwrap();
        assert_eq!(end.connection.poll_timeout(), None);
        end.connection.handle_timeout(Instant::from_nanos(u64::MAX));
        assert_eq!((end.connection.state(), end.firsts()), (State::Open, vec![PONG, TEXT]));
    }
}

#[test]
fn a_deadline_set_without_a_clock_requests_the_time_and_runs_from_then() {
    let mut end = End::server(Config::new().close_timeout(secs(3)));
    end.connection.close(CloseCode::NORMAL, "").unwrap();
    let now = Instant::from_nanos(50 * SECOND);
    assert!(end.connection.poll_timeout().is_some_and(|due| due <= now));
    end.connection.handle_timeout(now);
    assert_eq!(end.connection.poll_timeout(), Some(now + secs(3)));
    // The deadline does not restart.
    end.connection.handle_timeout(now + secs(2));
    assert_eq!(end.connection.poll_timeout(), Some(now + secs(3)));
    end.connection.handle_timeout(now + secs(3));
    assert!(end.is_closed());
}

#[test]
fn o7_an_idle_connection_is_closed_with_1001_no_earlier_than_the_timeout_and_at_most_a_quarter_later() {
    for server in [true, false] {
        for byte_at in (0..40).map(|n| n * SECOND / 4) {
            let mut end = End::of(server, Config::new().idle_timeout(secs(8)));
            let start = 123 * SECOND;
            assert_eq!(left_open(&mut end, start, start + byte_at), None, "{byte_at}");
            // Any byte is a sign of life, even half a header.
            end.feed(&frame(server, TEXT, "x")[..1]).unwrap();
            let (last, latest) = (start + byte_at, start + byte_at + 10 * SECOND);
            let left = left_open(&mut end, last, u64::MAX).unwrap();
            assert!((last + 8 * SECOND..=latest).contains(&left), "{byte_at}: {left}");
            assert_eq!(end.ended(), (false, 1001, true));
            assert_eq!(end.frames().first().map(WireFrame::close_code), Some(1001));
        }
    }
}

#[test]
fn o7_a_connection_that_receives_a_byte_now_and_then_is_never_idle() {
    let mut end = End::server(Config::new().idle_timeout(secs(8)));
    let byte = frame(true, PONG, "");
    for n in 0..100 {
        assert_eq!(left_open(&mut end, n * 7 * SECOND, (n + 1) * 7 * SECOND), None);
        end.feed(&byte).unwrap();
    }
}

#[test]
fn o7_a_connection_on_which_bytes_are_written_now_and_then_is_never_idle() {
    let mut end = End::server(Config::new().idle_timeout(secs(8)));
    for n in 0..100 {
        assert_eq!(left_open(&mut end, n * 7 * SECOND, (n + 1) * 7 * SECOND), None);
        end.connection.send("x").unwrap();
        end.write(usize::MAX);
    }
    // Queued bytes that the transport does not take are no traffic.
    let last = 700 * SECOND;
    for n in 0..16 {
        end.connection.send("x").unwrap();
        assert_eq!(left_open(&mut end, last + n * SECOND / 2, last + n * SECOND / 2), None);
    }
    let left = left_open(&mut end, last + 8 * SECOND, u64::MAX).unwrap();
    assert!((last + 8 * SECOND..=last + 10 * SECOND).contains(&left), "{left}");
    assert_eq!(end.ended(), (false, 1001, true));
}

/// Lets the peer read `rate` bytes a second, in ten steps, from `from` until `until`. Returns when
/// the connection stopped being open.
fn read_slowly(end: &mut End, rate: usize, from: u64, until: u64) -> Option<u64> {
    let mut now = from;
    while now < until {
        end.write(rate / 10);
        if let Some(left) = left_open(end, now, now + SECOND / 10) {
            return Some(left);
        }
        now += SECOND / 10;
    }
    None
}

#[test]
fn o7_a_peer_that_reads_slowly_is_alive() {
    // The ping is sent after 2 MB, or not at all, because the queue is full.
    for mark in [64 << 10, 4 << 20] {
        for server in [true, false] {
            let config = Config::new().idle_timeout(secs(2)).keepalive(secs(1), secs(1));
            let mut end = End::of(server, config.high_water_mark(mark));
            end.advance_to(0);
            end.connection.send(vec![0; 2_000_000]).unwrap();
            assert_eq!(read_slowly(&mut end, 300_000, 0, 66 * SECOND / 10), None);
            assert!(end.connection.queued() < 100_000);
        }
    }
}

#[test]
fn o7_a_peer_that_stops_reading_in_the_middle_is_ended_in_time() {
    for server in [true, false] {
        let config = Config::new().keepalive(secs(5), secs(2)).close_timeout(secs(3));
        let mut end = End::of(server, config);
        end.advance_to(0);
        end.connection.send(vec![0; 2_000_000]).unwrap();
        assert_eq!(read_slowly(&mut end, 300_000, 0, 52 * SECOND / 10), None);
        // The bytes taken after the ping at 5 s answered that one, but not the next.
        assert_eq!(left_open(&mut end, 52 * SECOND / 10, 20 * SECOND), Some(12 * SECOND));
        assert_eq!(end.ended(), (false, 1008, true));
        end.advance_to(15 * SECOND);
        assert!(end.is_closed());
    }
}

#[test]
fn o7_bytes_that_the_transport_takes_at_once_do_not_answer_a_ping() {
    let mut end = End::server(Config::new().keepalive(secs(20), secs(5)));
    end.advance_to(0);
    end.advance_to(20 * SECOND);
    for n in 0..10 {
        end.connection.send("x").unwrap();
        end.write(usize::MAX);
        end.advance_to(20 * SECOND + n * SECOND / 2);
    }
    assert_eq!(left_open(&mut end, 25 * SECOND, 25 * SECOND), Some(25 * SECOND));
}

#[test]
fn o7_bytes_that_the_transport_takes_in_several_writes_at_once_do_not_answer_a_ping() {
    let mut end = End::server(Config::new().keepalive(secs(20), secs(5)));
    end.advance_to(0);
    end.advance_to(20 * SECOND);
    for n in 0..10 {
        end.connection.send("some bytes").unwrap();
        while !end.write(3).is_empty() {}
        end.advance_to(20 * SECOND + n * SECOND / 2);
    }
    assert_eq!(left_open(&mut end, 25 * SECOND, 25 * SECOND), Some(25 * SECOND));
}

#[test]
fn o7_a_peer_that_does_not_answer_the_idle_close_is_abandoned_after_the_close_timeout() {
    let mut pair = Pair::new(Config::new().idle_timeout(secs(8)).close_timeout(secs(5)));
    pair.to_client.blocked = true;
    pair.to_server.blocked = true;
    pair.pass(secs(8 + 2 + 5 + 1));
    assert_eq!((pair.server.is_closed(), pair.server.ended()), (true, (false, 1001, true)));
}

#[test]
fn o7_a_ping_goes_out_every_interval_while_the_peer_answers() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new().keepalive(secs(20), secs(5)));
        end.advance_to(SECOND);
        for round in 1..=10 {
            let due = SECOND + round * 20 * SECOND;
            end.advance_to(due - 1);
            assert_eq!(pings(&mut end), Vec::<Vec<u8>>::new());
            end.advance_to(due);
            let [ping] = &pings(&mut end)[..] else { panic!("no ping in round {round}") };
            end.advance_to(due + 3 * SECOND);
            end.feed(&frame(server, PONG, ping)).unwrap();
            end.advance_to(due + 3 * SECOND);
            assert_eq!(end.connection.round_trip(), Some(secs(3)));
        }
        assert_eq!(end.connection.state(), State::Open);
    }
}

#[test]
fn o7_any_byte_within_the_timeout_answers_a_ping() {
    let mut end = End::server(Config::new().keepalive(secs(20), secs(5)));
    end.advance_to(0);
    end.advance_to(20 * SECOND);
    end.advance_to(25 * SECOND - 1);
    end.feed(&[TEXT]).unwrap();
    assert_eq!(left_open(&mut end, 25 * SECOND, 44 * SECOND), None);
    assert_eq!(left_open(&mut end, 44 * SECOND, 46 * SECOND), Some(45 * SECOND));
}

#[test]
fn o7_an_unanswered_ping_fails_with_1008_at_the_timeout_and_its_close_is_written() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new().keepalive(secs(20), secs(5)));
        end.advance_to(0);
        end.advance_to(20 * SECOND);
        assert_eq!(pings(&mut end).len(), 1);
        assert_eq!(left_open(&mut end, 25 * SECOND - 1, 25 * SECOND - 1), None);
        end.advance_to(25 * SECOND);
        assert_eq!((end.connection.state(), end.ended()), (State::Closing, (false, 1008, true)));
        assert_eq!(end.frames().first().map(WireFrame::close_code), Some(1008));
        // The peer is unresponsive, so the connection does not wait for its Close.
        assert!(end.is_closed() && end.connection.wants_shutdown());
        assert_eq!(end.connection.poll_timeout(), None);
    }
}

#[test]
fn o7_an_unanswered_ping_to_a_blocked_peer_ends_at_the_close_timeout() {
    let mut end = End::server(Config::new().keepalive(secs(20), secs(5)).close_timeout(secs(3)));
    end.advance_to(0);
    end.advance_to(20 * SECOND);
    end.advance_to(25 * SECOND);
    end.feed(&frame(true, TEXT, "too late")).unwrap_or_default();
    assert!(end.got.is_empty(), "nothing is delivered after the failure");
    end.advance_to(28 * SECOND - 1);
    assert!(!end.is_closed());
    end.advance_to(28 * SECOND);
    assert!(end.is_closed() && end.connection.wants_shutdown());
}

#[test]
fn o7_a_ping_without_room_is_not_sent_and_still_requires_a_byte_in_time() {
    let mut end = End::server(Config::new().keepalive(secs(20), secs(5)).high_water_mark(10));
    end.advance_to(0);
    end.connection.send(&[0; 20]).unwrap();
    end.advance_to(20 * SECOND);
    assert_eq!(end.firsts(), [BINARY]);
    assert_eq!(left_open(&mut end, 20 * SECOND, 30 * SECOND), Some(25 * SECOND));
}

#[test]
fn o7_keepalive_waits_longer_than_an_interval_if_its_timeout_is_longer() {
    let mut end = End::server(Config::new().keepalive(secs(10), secs(25)));
    end.advance_to(0);
    assert_eq!(left_open(&mut end, 0, 34 * SECOND), None);
    assert_eq!(pings(&mut end).len(), 1, "no second ping before the first is answered");
    assert_eq!(left_open(&mut end, 34 * SECOND, 40 * SECOND), Some(35 * SECOND));
}

#[test]
fn o7_a_peer_that_answers_gets_a_ping_every_interval_even_if_the_timeout_is_longer() {
    let mut end = End::server(Config::new().keepalive(secs(10), secs(25)));
    end.advance_to(0);
    for round in 1..10 {
        end.advance_to(round * 10 * SECOND);
        assert_eq!(pings(&mut end).len(), 1, "round {round}");
        end.feed(&frame(true, PONG, "")).unwrap();
    }
}

#[test]
fn two_ends_that_keep_each_other_alive_stay_open_for_a_day() {
    let config = Config::new().keepalive(secs(20), secs(20)).idle_timeout(secs(60));
    let mut pair = Pair::new(config);
    pair.pass(secs(24 * 3600));
    assert_eq!((pair.server.connection.state(), pair.client.connection.state()), (State::Open, State::Open));
    assert!((4000..4400).contains(&pair.to_client.frames().iter().filter(|f| f.first == PING).count()));
}

#[test]
fn m11_a_protected_connection_is_never_idle_and_has_the_whole_timeout_once_unprotected() {
    let mut end = End::server(Config::new().idle_timeout(secs(8)));
    end.advance_to(0);
    end.connection.set_protected(true);
    assert_eq!(end.connection.poll_timeout(), None);
    assert_eq!(left_open(&mut end, 0, 100 * SECOND), None);
    end.connection.set_protected(false);
    end.advance_to(100 * SECOND);
    let at = left_open(&mut end, 100 * SECOND, 120 * SECOND).expect("idle");
    assert!((108 * SECOND..=110 * SECOND).contains(&at), "{at}");
    // After the Close, protecting the connection has no effect.
    end.connection.set_protected(true);
    end.connection.set_protected(false);
    assert!(end.connection.poll_timeout().is_some(), "the close timeout stays");
}

#[test]
fn the_round_trip_is_that_of_the_latest_ping() {
    let mut end = End::client(Config::new());
    let answer = |end: &mut End, payload: &str, now: u64| {
        end.feed(&frame(false, PONG, payload)).unwrap();
        end.advance_to(now);
        end.connection.round_trip()
    };
    assert_eq!(answer(&mut end, "unasked", 1), None);
    end.connection.ping(b"one").unwrap();
    assert_eq!(end.connection.poll_timeout(), Some(Instant::EPOCH), "the ping needs a timestamp");
    end.advance_to(10);
    end.connection.ping(b"two").unwrap();
    end.advance_to(15);
    assert_eq!(answer(&mut end, "one", 20), None);
    assert_eq!(answer(&mut end, "two", 45), Some(Duration::from_nanos(30)));
    assert_eq!(answer(&mut end, "two", 99), Some(Duration::from_nanos(30)), "a second pong changes nothing");
}

#[test]
fn o7_a_heartbeat_ping_answered_at_once_has_a_round_trip() {
    let mut end = End::server(Config::new().keepalive(secs(20), secs(5)));
    end.advance_to(SECOND);
    // Only one call, like a driver: the pong may arrive before the driver looks at the clock again.
    end.connection.handle_timeout(Instant::from_nanos(21 * SECOND));
    let [ping] = &pings(&mut end)[..] else { panic!("no ping") };
    end.feed(&frame(true, PONG, ping)).unwrap();
    end.advance_to(22 * SECOND);
    assert_eq!(end.connection.round_trip(), Some(secs(1)));
}

#[test]
fn handling_timeouts_early_or_often_changes_nothing() {
    let config = Config::new().keepalive(secs(20), secs(5)).idle_timeout(secs(60));
    let (mut often, mut seldom) = (End::server(config.clone()), End::server(config));
    seldom.advance_to(0);
    for now in (0..25 * SECOND).step_by(10_000_000) {
        often.connection.handle_timeout(Instant::from_nanos(now));
    }
    assert_eq!(left_open(&mut seldom, 0, 25 * SECOND - 1), None);
    assert_eq!(often.connection.poll_timeout(), seldom.connection.poll_timeout());
    assert_eq!(often.write(usize::MAX), seldom.write(usize::MAX));
}

fn duration() -> impl Strategy<Value = Duration> {
    let odd = [0, 1, 2, 3, 5, SECOND, 20 * SECOND, u64::MAX].map(Duration::from_nanos);
    prop_oneof![
        prop::sample::select(odd.to_vec()),
        (0..100 * SECOND).prop_map(Duration::from_nanos),
        Just(Duration::MAX)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// [`End::advance_to`] panics if the connection keeps requesting the same time.
    #[test]
    fn t34_no_deadlines_or_times_cause_an_endless_loop(
        idle in prop::option::of(duration()), keepalive in prop::option::of((duration(), duration())),
        close in duration(), ops in prop::collection::vec((0..5u8, 0..30 * SECOND), 1..60),
    ) {
        let mut config = Config::new().close_timeout(close);
        if let Some(idle) = idle {
            config = config.idle_timeout(idle);
        }
        if let Some((interval, timeout)) = keepalive {
            config = config.keepalive(interval, timeout);
        }
        let mut end = End::server(config);
        let mut now = 0;
        for (op, time) in ops {
            match op {
                0 => now += time,
                1 => now = end.connection.poll_timeout().map_or(now, |due| due.as_nanos().min(u64::MAX >> 1).max(now)),
                2 => drop(end.feed(&frame(true, TEXT, "x"))),
                3 => drop(end.connection.ping(b"x")),
                _ if time < SECOND => drop(end.connection.close(CloseCode::NORMAL, "")),
                _ => drop(end.write(time as usize % 20)),
            }
            end.advance_to(now);
            prop_assert!(end.connection.poll_timeout().is_none_or(|due| due.as_nanos() > now));
        }
    }
}

#[test]
fn o7_a_keepalive_interval_of_zero_does_not_spin() {
    let mut end = End::server(Config::new().keepalive(Duration::ZERO, secs(5)));
    let mut now = SECOND;
    for _ in 0..10 {
        end.advance_to(now);
        let next = end.connection.poll_timeout().unwrap().as_nanos();
        assert!(next >= now + 1_000_000, "{next} is too soon after {now}");
        now = next;
    }
    assert_eq!(pings(&mut end).len(), 1, "no further ping before the first is answered");
}

#[test]
fn o7_a_write_of_no_bytes_is_no_sign_of_life() {
    let mut end = End::server(Config::new().idle_timeout(secs(8)));
    end.advance_to(SECOND);
    end.connection.send("never written").unwrap();
    for second in 2..=20 {
        end.connection.transmitted(0);
        end.advance_to(second * SECOND);
    }
    assert_ne!(end.connection.state(), State::Open);
}

//! When a client tries again, and when it does not.

use std::time::{Duration, SystemTime};

use sockeye_core::dial::ProxyError;
use sockeye_core::http::Response;
use sockeye_core::{Config, Instant};
use sockeye_driver::reconnect::{Backoff, Cause, ReconnectPolicy};
use sockeye_driver::{ConnectError, Error};

use super::support::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(time: Duration) -> Instant {
    Instant::from_epoch(time)
}

fn unreachable() -> Cause {
    std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()
}

fn refused(response: Response) -> Cause {
    use sockeye_core::handshake::client::ClientHandshakeError;
    ConnectError::from(ClientHandshakeError::Refused(response)).into()
}

fn fail(backoff: &mut Backoff, cause: &Cause, now: Duration, random: u64) -> Option<Duration> {
    backoff.failed(cause, at(now), SystemTime::UNIX_EPOCH, random)
}

#[test]
fn k8_waits_are_random_up_to_a_limit_that_doubles_to_the_cap() {
    let policy = ReconnectPolicy::new().base(seconds(1)).cap(seconds(20));
    let mut backoff = Backoff::new(policy);
    for limit in [1, 2, 4, 8, 16, 20, 20, 20] {
        let mut waits =
            [0, HALF, u64::MAX].map(|random| fail(&mut backoff.clone(), &unreachable(), seconds(0), random));
        waits.sort();
        let [least, middle, most] = waits.map(Option::unwrap);
        assert_eq!((least, middle), (Duration::ZERO, seconds(limit) / 2));
        assert!(most <= seconds(limit) && most + Duration::from_nanos(2) > seconds(limit), "{most:?}");
        fail(&mut backoff, &unreachable(), seconds(0), 0);
    }
    // Any number of failures, and the largest durations.
    let mut backoff = Backoff::new(ReconnectPolicy::new().base(Duration::MAX).cap(Duration::MAX));
    for _ in 0..100 {
        assert!(fail(&mut backoff, &unreachable(), seconds(0), u64::MAX).unwrap() > seconds(1 << 33));
    }
    let mut backoff = Backoff::new(ReconnectPolicy::new().base(Duration::ZERO));
    assert_eq!(fail(&mut backoff, &unreachable(), seconds(0), u64::MAX), Some(Duration::ZERO));
}

#[test]
fn k8_the_waits_begin_anew_after_a_stable_connection_only() {
    for (lasted, expected) in [(0, 4000), (9_999, 4000), (10_000, 500), (1_000_000, 500)] {
        let policy = ReconnectPolicy::new().base(seconds(1)).stable_after(seconds(10));
        let mut backoff = Backoff::new(policy);
        for _ in 0..3 {
            fail(&mut backoff, &unreachable(), seconds(5), HALF);
        }
        backoff.connected(at(seconds(7)));
        let lost = seconds(7) + Duration::from_millis(lasted);
        let wait = fail(&mut backoff, &unreachable(), lost, HALF);
        assert_eq!(wait, Some(Duration::from_millis(expected)), "after {lasted} ms");
    }
}

#[test]
fn k8_attempts_follow_the_policy_in_time() {
    let lab = Lab::new();
    lab.plan([Plan::Unreachable, Plan::Unreachable, Plan::Unreachable, Plan::Open, Plan::Unreachable]);
    let mut client = lab.client(ReconnectPolicy::new().base(seconds(1)).cap(seconds(3)));
    take(&lab, &mut client, 4);
    assert_eq!(lab.attempts(), [0, 500, 1500, 3000]);
    lab.time.advance(seconds(29));
    lab.server_dies();
    // The connection was not stable for 30 s.
    assert_eq!(take(&lab, &mut client, 3), ["lost broken 1500", "failed unreachable 1500", "connected 1"]);
    lab.time.advance(seconds(31));
    lab.server_closes(1001);
    assert_eq!(take(&lab, &mut client, 2), ["lost 1001 500", "connected 2"]);
    assert_eq!(lab.retries(), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (1, 2)]);
}

#[test]
fn k8_a_server_can_ask_for_a_wait_in_seconds_or_until_a_date() {
    let now = SystemTime::UNIX_EPOCH + seconds(784_111_777);
    let response = |value: &str| Response::new(503).header("Retry-After", value).unwrap();
    for (value, wait) in [
        ("7", Some(seconds(7))),
        ("0", Some(Duration::ZERO)),
        ("99999999999999999999999", Some(Duration::MAX)),
        ("Sun, 06 Nov 1994 08:49:47 GMT", Some(seconds(10))),
        ("Sunday, 06-Nov-94 08:49:47 GMT", Some(seconds(10))),
        ("Sun Nov  6 08:49:47 1994", Some(seconds(10))),
        ("Sun, 06 Nov 1994 08:49:27 GMT", Some(Duration::ZERO)),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
    ] {
        assert_eq!(refused(response(value)).retry_after(now), wait, "{value:?}");
    }
    assert_eq!(refused(Response::new(503)).retry_after(now), None);
    assert_eq!(unreachable().retry_after(now), None);
    // The server's clock may differ from ours, so the response's own date counts.
    let dated = response("Sun, 06 Nov 1994 08:49:47 GMT").header("Date", "Sun, 06 Nov 1994 08:49:42 GMT");
    assert_eq!(refused(dated.unwrap()).retry_after(SystemTime::now()), Some(seconds(5)));
}

#[test]
fn k8_the_wait_that_a_server_asks_for_is_kept_with_jitter_up_to_a_cap() {
    let policy = || ReconnectPolicy::new().base(seconds(1)).max_retry_after(seconds(100));
    for (value, wait) in [("7", 7_500), ("100", 100_500), ("101", 100_500), ("99999999999999999999", 100_500)]
    {
        for status in [429, 503] {
            let lab = Lab::new();
            let response = Response::new(status).header("Retry-After", value).unwrap();
            lab.plan([Plan::Refused(response)]);
            let mut client = lab.client(policy());
            let expected = [format!("failed {status} {wait}"), "connected 0".into()];
            assert_eq!(take(&lab, &mut client, 2), expected);
            assert_eq!(lab.attempts(), [0, wait]);
        }
    }
}

#[test]
fn k8_a_refusal_that_will_not_change_ends_the_client() {
    for status in 300..600 {
        let is_final = (400..500).contains(&status) && status != 408 && status != 429;
        let lab = Lab::new();
        lab.plan([Plan::Refused(Response::new(status))]);
        let mut client = lab.client(ReconnectPolicy::new());
        if is_final {
            assert_eq!(take(&lab, &mut client, 3), [&format!("gave up {status}"), "end", "end"]);
        } else {
            assert_eq!(take(&lab, &mut client, 2), [&format!("failed {status} 250"), "connected 0"]);
        }
        assert_eq!(lab.attempts().len(), if is_final { 1 } else { 2 });
    }
    for failure in [ConnectFailure::NoTls, ConnectFailure::BadUrl] {
        let lab = Lab::new();
        lab.plan([Plan::Fails(failure)]);
        assert_eq!(take(&lab, &mut lab.client(ReconnectPolicy::new()), 2), ["gave up unreachable", "end"]);
    }
}

#[test]
fn k8_k6_a_proxy_that_refuses_is_asked_again_unless_it_wants_other_credentials() {
    for (error, is_final) in [
        (ProxyError::CredentialsRequired, true),
        (ProxyError::CredentialsRefused, true),
        (ProxyError::HostTooLong, true),
        (ProxyError::Refused(Response::new(403)), true),
        (ProxyError::Refused(Response::new(429)), false),
        (ProxyError::Refused(Response::new(502)), false),
        (ProxyError::Eof, false),
    ] {
        let cause = Cause::from(ConnectError::from(error));
        assert_eq!(cause.is_permanent(), is_final, "{cause}");
    }
    let busy = Response::new(503).header("Retry-After", "7").unwrap();
    let cause = Cause::from(ConnectError::from(ProxyError::Refused(busy)));
    assert_eq!(cause.retry_after(SystemTime::UNIX_EPOCH), Some(seconds(7)));
}

#[test]
fn k8_a_close_that_will_not_change_ends_the_client() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4999] {
        let lab = Lab::new();
        let mut client = lab.client(ReconnectPolicy::new());
        take(&lab, &mut client, 1);
        lab.server_closes(code);
        let seen = take(&lab, &mut client, 2);
        match code {
            1002 | 1008 => assert_eq!(seen, [&format!("gave up {code}"), "end"]),
            _ => assert_eq!(seen, [&format!("lost {code} 250"), "connected 1"]),
        }
    }
    // A server that breaks the protocol is sent 1002, and will not change either.
    let lab = Lab::new();
    let mut client = lab.client(ReconnectPolicy::new());
    take(&lab, &mut client, 1);
    lab.servers.borrow()[0].push(b"\xf1\0");
    assert_eq!(take(&lab, &mut client, 2), ["gave up broken", "end"]);
    // A message above the limit is not a matter of the protocol.
    let lab = Lab { config: Config::new().max_size(3_u64), ..Lab::new() };
    let mut client = lab.client(ReconnectPolicy::new());
    take(&lab, &mut client, 1);
    lab.server_sends("long");
    assert_eq!(take(&lab, &mut client, 2), ["lost broken 250", "connected 1"]);
}

#[test]
fn k8_a_server_that_vanishes_without_a_word_is_connected_to_again() {
    let lab = Lab { config: Config::new().keepalive(seconds(20), seconds(10)), ..Lab::new() };
    let mut client = lab.client(ReconnectPolicy::new());
    // This end fails the connection with 1008 then, which is not the server's policy.
    assert_eq!(take(&lab, &mut client, 3), ["connected 0", "lost broken 250", "connected 1"]);
}

#[test]
fn k8_a_closure_decides_what_will_not_change() {
    let gives_up = |cause: &Cause| match cause {
        Cause::Closed(info) => u16::from(info.code) == 1001,
        Cause::Connect(_) => cause.status() == Some(503),
        Cause::Broken(Error::Protocol(_)) => false,
        _ => cause.is_permanent(),
    };
    for (plan, code, end) in [
        (Plan::Refused(Response::new(401)), 1008, "gave up 1001"),
        (Plan::Refused(Response::new(503)), 0, "gave up 503"),
    ] {
        let lab = Lab::new();
        lab.plan([plan]);
        let mut client = lab.client(ReconnectPolicy::new().give_up_if(gives_up));
        if code != 0 {
            assert_eq!(take(&lab, &mut client, 2), ["failed 401 250", "connected 0"]);
            lab.server_closes(code);
            assert_eq!(take(&lab, &mut client, 2), ["lost 1008 500", "connected 1"]);
            lab.server_closes(1001);
        }
        assert_eq!(take(&lab, &mut client, 2), [end, "end"]);
    }
}

#[test]
fn k8_retries_in_a_row_can_be_limited() {
    let lab = Lab::new();
    lab.plan(vec![Plan::Unreachable; 2]);
    lab.plan([Plan::Open, Plan::Unreachable, Plan::Unreachable, Plan::Unreachable]);
    let mut client = lab.client(ReconnectPolicy::new().max_retries(3));
    assert_eq!(take(&lab, &mut client, 3)[2], "connected 0");
    lab.time.advance(seconds(60));
    lab.server_dies();
    let seen = take(&lab, &mut client, 5);
    assert!(seen[..3].iter().all(|text| !text.starts_with("gave up")), "{seen:?}");
    assert_eq!(seen[3..], ["gave up unreachable", "end"]);
    let lab = Lab::new();
    lab.plan([Plan::Unreachable]);
    let mut client = lab.client(ReconnectPolicy::new().max_retries(0));
    assert_eq!(take(&lab, &mut client, 1), ["gave up unreachable"]);
}

#[test]
fn k8_an_attempt_that_takes_too_long_is_dropped_and_the_next_one_calls_the_closure_again() {
    let lab = Lab::new();
    lab.plan([Plan::Silent, Plan::Silent, Plan::Open]);
    let mut client = lab.client(ReconnectPolicy::new().attempt_timeout(seconds(9)));
    assert_eq!(take(&lab, &mut client, 3), ["failed timed out 250", "failed timed out 500", "connected 0"]);
    assert_eq!(lab.attempts(), [0, 9_250, 18_750]);
    assert_eq!(lab.time.armed(), 0, "an open connection needs no timer of the client");
}

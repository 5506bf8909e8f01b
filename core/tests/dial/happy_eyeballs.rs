//! The order and the times of connection attempts (RFC 8305).

use std::net::SocketAddr;
use std::time::Duration;

use sockeye_core::Instant;
use sockeye_core::dial::{ATTEMPT_DELAY, HappyEyeballs};

const START: Instant = Instant::from_nanos(1_000_000);

fn addresses<const N: usize>(texts: [&str; N]) -> [SocketAddr; N] {
    texts.map(|text| text.parse().unwrap())
}

/// Starts every attempt, and returns the addresses in their order.
fn order(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut eyeballs = HappyEyeballs::<()>::new(addresses);
    let mut order = Vec::new();
    while let Some(at) = eyeballs.poll_timeout() {
        order.extend(eyeballs.poll_attempt(at));
    }
    order
}

#[test]
fn k6_the_families_alternate_and_the_first_one_leads() {
    let [a6, b6, c6] = addresses(["[2001:db8::1]:80", "[2001:db8::2]:80", "[2001:db8::3]:80"]);
    let [a4, b4, c4] = addresses(["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"]);
    assert_eq!(order([a6, b6, c6, a4, b4]), [a6, a4, b6, b4, c6]);
    assert_eq!(order([a4, a6, b6]), [a4, a6, b6]);
    assert_eq!(order([a4, b4, c4, a6]), [a4, a6, b4, c4]);
    assert_eq!(order([a4, b4]), [a4, b4]);
    assert_eq!(order([a4, a4, a6, a4]), [a4, a6], "an address is tried once");
    assert_eq!(order([]), []);
}

#[test]
fn k6_an_attempt_begins_when_the_one_before_has_run_for_250_ms() {
    let [first, second, third] = addresses(["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"]);
    let mut eyeballs = HappyEyeballs::<()>::new([first, second, third]);
    assert_eq!(eyeballs.poll_attempt(START), Some(first));
    let due = START + ATTEMPT_DELAY;
    assert_eq!((ATTEMPT_DELAY, eyeballs.poll_timeout()), (Duration::from_millis(250), Some(due)));
    assert_eq!(eyeballs.poll_attempt(START + Duration::from_millis(249)), None);
    assert_eq!(eyeballs.poll_attempt(due), Some(second));
    // A caller that is late does not shorten the next delay.
    let late = due + Duration::from_secs(1);
    assert_eq!(eyeballs.poll_attempt(late), Some(third));
    assert_eq!((eyeballs.poll_attempt(late), eyeballs.poll_timeout()), (None, None));
    assert!(!eyeballs.is_exhausted(), "three attempts still run");
}

#[test]
fn k6_a_failure_begins_the_next_attempt_at_once() {
    let [first, second, third] = addresses(["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"]);
    let mut eyeballs = HappyEyeballs::new([first, second, third]);
    assert_eq!(eyeballs.poll_attempt(START), Some(first));
    assert_eq!(eyeballs.poll_attempt(START), None);
    eyeballs.handle_failure(first, "refused");
    assert_eq!(eyeballs.poll_attempt(START), Some(second));
    assert_eq!(eyeballs.poll_attempt(START), None, "one failure begins one attempt");
    assert_eq!(eyeballs.poll_timeout(), Some(START + ATTEMPT_DELAY));
}

#[test]
fn k6_every_error_is_kept_with_its_address() {
    let [first, second, third, unused] =
        addresses(["192.0.2.1:80", "[2001:db8::1]:80", "192.0.2.2:80", "192.0.2.3:80"]);
    let mut eyeballs = HappyEyeballs::new([first, second, third]);
    assert!(!eyeballs.is_exhausted());
    for address in [first, second, third] {
        assert_eq!(eyeballs.poll_attempt(START), Some(address));
        eyeballs.handle_failure(unused, "of an address that is not tried".to_string());
        eyeballs.handle_failure(address, format!("of {address}"));
        eyeballs.handle_failure(address, "of an attempt that is over".to_string());
    }
    assert!(eyeballs.is_exhausted());
    assert_eq!(eyeballs.poll_attempt(START), None);
    let error = |address: SocketAddr| (address, Some(format!("of {address}")));
    assert_eq!(eyeballs.into_attempts(), [error(first), error(second), error(third)]);
}

#[test]
fn k6_an_attempt_without_an_answer_has_no_error() {
    let [silent, refusing, waiting] = addresses(["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"]);
    let mut eyeballs = HappyEyeballs::new([silent, refusing, waiting]);
    assert_eq!(eyeballs.poll_attempt(START), Some(silent));
    assert_eq!(eyeballs.poll_attempt(START + ATTEMPT_DELAY), Some(refusing));
    eyeballs.handle_failure(refusing, "refused");
    // The deadline passes here. The third attempt has not begun.
    assert_eq!(eyeballs.into_attempts(), [(silent, None), (refusing, Some("refused"))]);
}

#[test]
fn k6_a_host_without_addresses_is_exhausted() {
    let mut eyeballs = HappyEyeballs::<()>::new([]);
    assert!(eyeballs.is_exhausted());
    assert_eq!((eyeballs.poll_attempt(START), eyeballs.poll_timeout()), (None, None));
}

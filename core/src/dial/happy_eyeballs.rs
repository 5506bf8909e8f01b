//! The order and the times of connection attempts (RFC 8305).

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::Instant;

/// The time that an attempt has for itself before the next one begins beside it. RFC 8305 5: "A
/// recommended value for a default delay is 250 milliseconds."
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The connection attempts to the addresses of a host: which one begins when, so that an address
/// that does not answer costs a moment and not the whole timeout.
///
/// An attempt begins when the one before it has failed, or has run for [`ATTEMPT_DELAY`]. Attempts
/// that run are not stopped: the first that succeeds wins. The families of the addresses alternate,
/// beginning with the family of the first one.
///
/// The caller does the connecting, and reports failures with their error of type `E`:
///
/// ```
/// use std::net::SocketAddr;
/// use std::time::Duration;
///
/// use sockeye_core::Instant;
/// use sockeye_core::dial::HappyEyeballs;
///
/// let (silent, refusing, good): (SocketAddr, SocketAddr, SocketAddr) =
///     ("[2001:db8::1]:80".parse()?, "[2001:db8::2]:80".parse()?, "192.0.2.1:80".parse()?);
/// let mut eyeballs = HappyEyeballs::<&str>::new([silent, refusing, good]);
/// let start = Instant::from_nanos(7);
/// assert_eq!(eyeballs.poll_attempt(start), Some(silent));
///
/// // The second attempt is due in 250 ms, unless the first one fails before.
/// assert_eq!(eyeballs.poll_attempt(start), None);
/// assert_eq!(eyeballs.poll_timeout(), Some(start + Duration::from_millis(250)));
/// // The families alternate.
/// assert_eq!(eyeballs.poll_attempt(start + Duration::from_millis(250)), Some(good));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct HappyEyeballs<E> {
    attempts: Vec<Attempt<E>>,
    started: usize,
    running: usize,
    /// When the next attempt begins, unless one fails before.
    next_at: Instant,
}

#[derive(Debug)]
struct Attempt<E> {
    address: SocketAddr,
    error: Option<E>,
}

impl<E> HappyEyeballs<E> {
    /// Plans the attempts, for addresses in the order of the resolver. RFC 6724 sorts them by
    /// preference, and `getaddrinfo` follows it.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let attempts = interleave(addresses).into_iter().map(|address| Attempt { address, error: None });
        HappyEyeballs { attempts: attempts.collect(), started: 0, running: 0, next_at: Instant::EPOCH }
    }

    /// Returns an address to connect to now, beside the attempts that run. Call it until it returns
    /// `None`: at first, after each failure, and at [`poll_timeout`](HappyEyeballs::poll_timeout).
    pub fn poll_attempt(&mut self, now: Instant) -> Option<SocketAddr> {
        let next = self.attempts.get(self.started)?;
        if now < self.next_at {
            return None;
        }
        self.started = self.started.saturating_add(1);
        self.running = self.running.saturating_add(1);
        self.next_at = now + ATTEMPT_DELAY;
        Some(next.address)
    }

    /// Returns when the next attempt begins, or `None` if all have begun.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.started < self.attempts.len()).then_some(self.next_at)
    }

    /// Records that the attempt to connect to `address` has failed. The next one begins at once.
    pub fn handle_failure(&mut self, address: SocketAddr, error: E) {
        let mut started = self.attempts.iter_mut().take(self.started);
        if let Some(attempt) = started.find(|attempt| attempt.address == address && attempt.error.is_none()) {
            attempt.error = Some(error);
            self.running = self.running.saturating_sub(1);
            self.next_at = Instant::EPOCH;
        }
    }

    /// Returns whether every attempt has failed, or there was no address.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.running == 0 && self.started == self.attempts.len()
    }

    /// Returns the addresses of the attempts that began, in their order, and the error of each that
    /// failed. The others have not been answered.
    #[must_use]
    pub fn into_attempts(self) -> Vec<(SocketAddr, Option<E>)> {
        let started = self.attempts.into_iter().take(self.started);
        started.map(|attempt| (attempt.address, attempt.error)).collect()
    }
}

/// Removes duplicates, and alternates the families, so that a family that does not work costs one
/// delay. RFC 8305 4: "Whichever address family is first in the list should be followed by an
/// address of the other address family".
fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut unique = Vec::new();
    for address in addresses {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let first_is_v6 = unique.first().is_some_and(SocketAddr::is_ipv6);
    let of_family = |is_v6| unique.iter().copied().filter(move |address| address.is_ipv6() == is_v6);
    let (mut preferred, mut others) = (of_family(first_is_v6), of_family(!first_is_v6));
    let mut sorted = Vec::with_capacity(unique.len());
    while sorted.len() < unique.len() {
        sorted.extend(preferred.next());
        sorted.extend(others.next());
    }
    sorted
}

//! How a server shuts down: the settings, and the plan that several calls agree on.

use std::borrow::Cow;
use std::time::Duration;

use sockeye_core::{CloseCode, CloseFrame, SendError};

/// The longest time at the end of the grace period that is reserved for closing handshakes. The
/// handlers that still run at its beginning no longer hold up the Close.
const MAX_RESERVE: Duration = Duration::from_secs(1);

/// The settings of [`ServerHandle::drain`](crate::server::ServerHandle::drain): how long a shutdown
/// may take, and the Close that the clients receive.
///
/// A restart behind a load balancer, which asks the clients to come back, but not all at once:
///
/// ```
/// use std::time::Duration;
///
/// use sockeye_driver::server::{Drain, ServerHandle};
/// use sockeye_driver::server::PushError;
/// use sockeye_core::CloseCode;
///
/// fn restart(server: &ServerHandle) -> Result<(), PushError> {
///     let drain = Drain::new(Duration::from_secs(10))
///         .spread(Duration::from_secs(60))
///         .close(CloseCode::SERVICE_RESTART, "a new version starts");
///     server.drain(drain)
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Drain {
    /// The time for handlers to finish and for clients to answer the Close. It begins after
    /// [`spread`](Drain::spread). Then the server aborts whatever is left.
    pub grace: Duration,
    /// The time over which the server distributes the Closes, evenly and in no particular order. By
    /// default zero: all at once.
    pub spread: Duration,
    /// The code of the Close. By default 1001, [`CloseCode::GOING_AWAY`]: the server goes away.
    /// [`CloseCode::SERVICE_RESTART`], 1012, asks the clients to connect again.
    pub code: CloseCode,
    /// The reason of the Close, at most 123 bytes.
    pub reason: Cow<'static, str>,
}

impl Drain {
    /// Returns the settings of a plain [`shutdown`](crate::server::ServerHandle::shutdown) with
    /// this grace period.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        // RFC 6455 7.4.1: "1001 indicates that an endpoint is "going away", such as a server going
        // down".
        let reason = Cow::Borrowed("the server shuts down");
        Drain { grace, spread: Duration::ZERO, code: CloseCode::GOING_AWAY, reason }
    }

    /// Sets [`spread`](Drain#structfield.spread).
    #[must_use]
    pub fn spread(mut self, spread: Duration) -> Self {
        self.spread = spread;
        self
    }

    /// Sets the [`code`](Drain#structfield.code) and [`reason`](Drain#structfield.reason) of the
    /// Close.
    #[must_use]
    pub fn close(mut self, code: impl Into<CloseCode>, reason: impl Into<Cow<'static, str>>) -> Self {
        (self.code, self.reason) = (code.into(), reason.into());
        self
    }

    /// Checks that the Close can be sent.
    pub(crate) fn check(&self) -> Result<(), SendError> {
        self.frame().payload().map(drop)
    }

    pub(crate) fn frame(&self) -> CloseFrame<'_> {
        CloseFrame::new(self.code, &*self.reason)
    }

    /// Applies another call during the shutdown. It can only shorten the times.
    pub(crate) fn shorten(&mut self, other: &Drain) {
        self.spread = self.spread.min(other.spread);
        self.grace = self.grace.min(other.grace);
    }

    /// Returns how long the whole shutdown may take.
    pub(crate) fn total(&self) -> Duration {
        self.spread.saturating_add(self.grace)
    }

    /// Returns when connections are closed even if their handlers still run, counted from the
    /// beginning.
    pub(crate) fn handler_limit(&self) -> Duration {
        self.total().saturating_sub(MAX_RESERVE.min(self.grace / 4))
    }

    /// Returns how many of `count` connections must have been closed `elapsed` after the beginning.
    pub(crate) fn due(&self, elapsed: Duration, count: usize) -> usize {
        if elapsed >= self.spread {
            return count;
        }
        let share = (count as u128).saturating_mul(elapsed.as_nanos()) / self.spread.as_nanos();
        usize::try_from(share).unwrap_or(count).saturating_add(1).min(count)
    }

    /// Returns when the connection with this index, out of `count`, is due.
    pub(crate) fn due_at(&self, index: usize, count: usize) -> Duration {
        let nanos = self.spread.as_nanos().saturating_mul(index as u128).div_ceil(count.max(1) as u128);
        u64::try_from(nanos).map_or(self.spread, Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn m18_the_closes_are_spread_evenly() {
        let drain = Drain::new(SECOND).spread(10 * SECOND);
        let due = |elapsed| drain.due(elapsed, 5);
        let times = [0, 1999, 2000, 3999, 9999, 10_000, 60_000].map(Duration::from_millis);
        assert_eq!(times.map(due), [1, 1, 2, 2, 5, 5, 5]);
        for count in [1, 3, 7, 1_000_003] {
            for index in [0, 1, 2, 6, 1_000_002].into_iter().filter(|index| *index < count) {
                assert_eq!(drain.due(drain.due_at(index, count), count), index + 1);
            }
        }
        assert_eq!((drain.due(SECOND, 0), drain.due(SECOND, usize::MAX)), (0, usize::MAX / 10 + 1));
        assert_eq!(Drain::new(SECOND).due(Duration::ZERO, 5), 5);
    }

    #[test]
    fn m18_a_second_call_can_only_shorten_the_times() {
        let mut drain = Drain::new(10 * SECOND).spread(SECOND);
        drain.shorten(&Drain::new(20 * SECOND).spread(20 * SECOND));
        assert_eq!((drain.grace, drain.spread), (10 * SECOND, SECOND));
        drain.shorten(&Drain::new(2 * SECOND));
        assert_eq!((drain.total(), drain.handler_limit()), (2 * SECOND, SECOND * 3 / 2));
    }
}

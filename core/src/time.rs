//! Time as the core sees it: numbers that the caller brings.

use core::time::Duration;

/// A point on the caller's monotonic clock, in nanoseconds since an epoch of the caller's choosing.
///
/// The core reads no clock. It compares the instants that it is given with one another and nothing else, so
/// the epoch may be the start of the process, of the connection or of a simulation. All arithmetic saturates.
///
/// ```
/// use core::time::Duration;
/// use sockeye_core::Instant;
///
/// let start = Instant::from_nanos(5);
/// let later = start + Duration::from_secs(1);
/// assert_eq!(later.since(start), Duration::from_secs(1));
/// assert_eq!(start.since(later), Duration::ZERO);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The caller's epoch. As a timeout it means: now, whatever the clock says.
    pub const EPOCH: Instant = Instant(0);

    /// The instant this many nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// The instant this long after the epoch; the end of time (584 years) when it lies beyond.
    #[must_use]
    pub fn from_epoch(since: Duration) -> Self {
        Instant::EPOCH + since
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, after: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// A deadline that may not know yet when it began: whoever sets it has no clock at hand.
///
/// Between [`start`](Deadline::start) and the first [`handle`](Deadline::handle) it is due at once, which makes
/// the caller tell the time; from then on it is due when its length has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(u64);

impl Deadline {
    pub(crate) const OFF: Deadline = Deadline(u64::MAX);
    const UNSTAMPED: Deadline = Deadline(0);

    pub(crate) fn start() -> Self {
        Deadline::UNSTAMPED
    }

    pub(crate) fn at(instant: Instant) -> Self {
        // The two ends of the range are taken; a nanosecond to either side harms nobody.
        Deadline(instant.0.clamp(1, u64::MAX.wrapping_sub(1)))
    }

    pub(crate) fn is_set(self) -> bool {
        self != Deadline::OFF
    }

    pub(crate) fn poll(self) -> Option<Instant> {
        self.is_set().then_some(Instant(self.0))
    }

    /// Tells it the time; `true` when it has passed. The first time it only begins to run, for `length`.
    pub(crate) fn handle(&mut self, now: Instant, length: Duration) -> bool {
        if *self == Deadline::UNSTAMPED {
            *self = Deadline::at(now + length);
        }
        self.is_set() && now.0 >= self.0
    }
}

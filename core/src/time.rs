//! Time, as instants that the caller passes in.

use core::time::Duration;

/// A point in time on the caller's monotonic clock, in nanoseconds since an epoch of the caller's
/// choice.
///
/// The core reads no clock. It only compares the instants that it receives with one another, so the
/// epoch may be the start of the process, of the connection or of a simulation. All arithmetic
/// saturates.
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
    /// The caller's epoch. As a timeout it means "now", regardless of the clock.
    pub const EPOCH: Instant = Instant(0);

    /// Creates an instant that is this many nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// Creates an instant that is this long after the epoch. The latest instant is 584 years after
    /// it.
    #[must_use]
    pub fn from_epoch(since: Duration) -> Self {
        Instant::EPOCH + since
    }

    /// Returns the nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to this instant; zero if `earlier` is later.
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

/// A deadline that can start before the current time is known.
///
/// Between [`start`](Deadline::start) and the first [`handle`](Deadline::handle) it is due at once,
/// so that the caller passes in the time. From then on it is due when its length has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(u64);

impl Deadline {
    pub(crate) const OFF: Deadline = Deadline(u64::MAX);
    const UNSTAMPED: Deadline = Deadline(0);

    pub(crate) fn start() -> Self {
        Deadline::UNSTAMPED
    }

    pub(crate) fn at(instant: Instant) -> Self {
        // Both ends of the range are reserved, so the nearest instants replace them.
        Deadline(instant.0.clamp(1, u64::MAX.wrapping_sub(1)))
    }

    /// Brings a running deadline forward to `instant`, unless it is earlier already.
    pub(crate) fn shorten(&mut self, instant: Instant) {
        self.0 = self.0.min(Deadline::at(instant).0);
    }

    pub(crate) fn is_set(self) -> bool {
        self != Deadline::OFF
    }

    pub(crate) fn poll(self) -> Option<Instant> {
        self.is_set().then_some(Instant(self.0))
    }

    /// Returns whether the deadline has passed at `now`. The first call starts it, for `length`.
    pub(crate) fn handle(&mut self, now: Instant, length: Duration) -> bool {
        if *self == Deadline::UNSTAMPED {
            *self = Deadline::at(now + length);
        }
        self.is_set() && now.0 >= self.0
    }
}

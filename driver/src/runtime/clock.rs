//! Deadlines, and the standard library's time in the core's terms.

use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant as StdInstant};

use sockeye_core::Instant;

use crate::runtime::io::Clock;

/// Waits until `deadline` has passed on `clock`, and returns the current time.
///
/// To wait for a condition or a deadline, poll the condition first, then this.
pub(crate) fn poll_deadline<C: Clock>(
    clock: &mut C,
    cx: &mut Context<'_>,
    deadline: Instant,
) -> Poll<Instant> {
    loop {
        let now = clock.now();
        if deadline <= now {
            return Poll::Ready(now);
        }
        ready!(clock.poll_until(cx, deadline));
    }
}

/// The one epoch of the process, so that instants of different connections can be compared.
fn epoch() -> StdInstant {
    static EPOCH: OnceLock<StdInstant> = OnceLock::new();
    *EPOCH.get_or_init(StdInstant::now)
}

/// Converts an instant of the standard library to one of the core.
///
/// An instant before the first call in the process becomes [`Instant::EPOCH`].
#[must_use]
pub fn to_core_instant(at: StdInstant) -> Instant {
    Instant::from_epoch(at.saturating_duration_since(epoch()))
}

/// Converts an instant of the core to one of the standard library.
///
/// An instant too far in the future for the platform's clock becomes one that is a year away.
#[must_use]
pub fn to_std_instant(at: Instant) -> StdInstant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    let since = at.since(Instant::EPOCH);
    epoch().checked_add(since).unwrap_or_else(|| StdInstant::now() + YEAR)
}

//! The time of the standard library in the core's terms.

use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Instant as StdInstant;

use sockeye_core::Instant;

use crate::runtime::io::Clock;

/// Waits until `deadline` has passed, and returns the time.
///
/// The clock decides, not the alarm: an alarm may ring early.
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

/// The one epoch of the process, so that instants of different connections compare.
fn epoch() -> StdInstant {
    static EPOCH: OnceLock<StdInstant> = OnceLock::new();
    *EPOCH.get_or_init(StdInstant::now)
}

/// A point in time of the standard library as the core counts it.
///
/// Anything before the first call in the process is [`Instant::EPOCH`].
#[must_use]
pub fn to_core_instant(at: StdInstant) -> Instant {
    Instant::from_epoch(at.saturating_duration_since(epoch()))
}

/// The way back.
#[must_use]
pub fn to_std_instant(at: Instant) -> StdInstant {
    let since = at.since(Instant::EPOCH);
    // The end of time is far; a year stands for it where the platform's clock cannot hold it.
    let year = std::time::Duration::from_secs(365 * 24 * 3600);
    epoch().checked_add(since).unwrap_or_else(|| StdInstant::now() + year)
}

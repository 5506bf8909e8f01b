//! The clock and timer of tokio.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use sockeye_core::Instant;
use sockeye_driver::{Clock, to_core_instant, to_std_instant};
use tokio::runtime::Handle;
use tokio::time::{self, Sleep};

/// The clock of tokio, which `tokio::time::pause` stops, with a timer that exists only while a
/// deadline is set.
pub struct TokioClock {
    /// The runtime to create the timer in, because a send may wait on a thread outside any runtime.
    runtime: Option<Handle>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Default for TokioClock {
    fn default() -> Self {
        TokioClock { runtime: Handle::try_current().ok(), timer: None }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        to_core_instant(time::Instant::now().into_std())
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let deadline = time::Instant::from_std(to_std_instant(deadline));
        let timer = self.timer.get_or_insert_with(|| {
            let _guard = self.runtime.as_ref().map(Handle::enter);
            Box::pin(time::sleep_until(deadline))
        });
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }

    fn cancel(&mut self) {
        self.timer = None;
    }

    fn yield_now(&mut self, cx: &mut Context<'_>) {
        // Its first poll hands the waker to the scheduler, which wakes it after it has polled its
        // driver. Dropping the future does not change that.
        let yielded = pin!(tokio::task::yield_now()).poll(cx);
        debug_assert!(yielded.is_pending(), "tokio has not yielded");
    }
}

impl fmt::Debug for TokioClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioClock").field("armed", &self.timer.is_some()).finish()
    }
}

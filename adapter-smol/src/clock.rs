//! smol's time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant as StdInstant;

use async_io::Timer;
use sockeye_core::Instant;
use sockeye_driver::{Clock, to_core_instant, to_std_instant};

/// The clock of the standard library, and a timer of smol that exists only while a deadline does.
#[derive(Default)]
pub struct SmolClock {
    // In a box: most connections have no deadline most of the time.
    alarm: Option<Box<Alarm>>,
}

struct Alarm {
    at: Instant,
    timer: Timer,
}

impl Clock for SmolClock {
    fn now(&self) -> Instant {
        to_core_instant(StdInstant::now())
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = |at| Timer::at(to_std_instant(at));
        let alarm =
            self.alarm.get_or_insert_with(|| Box::new(Alarm { at: deadline, timer: timer(deadline) }));
        if alarm.at != deadline {
            **alarm = Alarm { at: deadline, timer: timer(deadline) };
        }
        let rang = Pin::new(&mut alarm.timer).poll(cx).is_ready();
        if rang {
            // A timer that has rung stays silent for ever.
            self.alarm = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn cancel(&mut self) {
        self.alarm = None;
    }
}

impl fmt::Debug for SmolClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmolClock").field("armed", &self.alarm.is_some()).finish()
    }
}

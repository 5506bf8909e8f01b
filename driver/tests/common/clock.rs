//! Virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sockeye_core::Instant;
use sockeye_driver::Clock;

/// The time of one test, shared by its executor and all its clocks. It stands still until it is moved.
#[derive(Debug, Clone, Default)]
pub(crate) struct Time(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Instant,
    next_id: usize,
    alarms: BTreeMap<usize, (Instant, Waker)>,
    /// How often an alarm was set.
    set: usize,
}

/// How reliable a clock's alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    OnTime,
    Late(Duration),
    Never,
}

/// A clock of a connection.
#[derive(Debug)]
pub(crate) struct TestClock {
    time: Time,
    id: usize,
    alarm: Alarm,
}

impl Time {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn clock(&self) -> TestClock {
        self.clock_with(Alarm::OnTime)
    }

    pub(crate) fn clock_with(&self, alarm: Alarm) -> TestClock {
        let mut state = self.0.lock().unwrap();
        state.next_id += 1;
        TestClock { time: self.clone(), id: state.next_id, alarm }
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.lock().unwrap().now
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now().since(Instant::EPOCH)
    }

    /// Alarms that are set now.
    pub(crate) fn armed(&self) -> usize {
        self.0.lock().unwrap().alarms.len()
    }

    /// How often an alarm has been set in all.
    pub(crate) fn times_set(&self) -> usize {
        self.0.lock().unwrap().set
    }

    /// Moves the clock, and rings what is due.
    pub(crate) fn advance(&self, by: Duration) {
        let now = {
            let mut state = self.0.lock().unwrap();
            state.now = state.now + by;
            state.now
        };
        self.ring(now);
    }

    /// Moves the clock to the next alarm; `false` if none is set.
    pub(crate) fn advance_to_alarm(&self) -> bool {
        let next = self.0.lock().unwrap().alarms.values().map(|(at, _)| *at).min();
        let Some(next) = next else { return false };
        let by = next.since(self.now());
        self.advance(by);
        true
    }

    fn ring(&self, now: Instant) {
        let mut due = Vec::new();
        self.0.lock().unwrap().alarms.retain(|_, (at, waker)| {
            let keep = *at > now;
            if !keep {
                due.push(waker.clone());
            }
            keep
        });
        due.into_iter().for_each(Waker::wake);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.time.now()
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let mut state = self.time.0.lock().unwrap();
        state.set += 1;
        let ring_at = match self.alarm {
            Alarm::OnTime => deadline,
            Alarm::Late(by) => deadline + by,
            Alarm::Never => Instant::EPOCH + Duration::MAX,
        };
        if ring_at <= state.now {
            return Poll::Ready(());
        }
        state.alarms.insert(self.id, (ring_at, cx.waker().clone()));
        Poll::Pending
    }

    fn cancel(&mut self) {
        self.time.0.lock().unwrap().alarms.remove(&self.id);
    }
}

impl Drop for TestClock {
    fn drop(&mut self) {
        self.cancel();
    }
}

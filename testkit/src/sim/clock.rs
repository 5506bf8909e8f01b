use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sockeye_core::Instant;
use sockeye_driver::Clock;

/// The time of one test, shared by its executor and all its clocks. Only the test moves it.
#[derive(Debug, Clone, Default)]
pub struct Time(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Instant,
    next_id: usize,
    alarms: BTreeMap<usize, (Instant, Waker)>,
    times_set: usize,
    yields: usize,
}

/// The time at which a clock's alarm rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// At the deadline.
    OnTime,
    /// This long after the deadline.
    Late(Duration),
    /// Not at all.
    Never,
}

/// The clock of one connection.
#[derive(Debug)]
pub struct TestClock {
    time: Time,
    id: usize,
    alarm: Alarm,
}

impl Time {
    /// Returns a time that starts at [`Instant::EPOCH`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a clock whose alarm rings on time.
    #[must_use]
    pub fn clock(&self) -> TestClock {
        self.clock_with(Alarm::OnTime)
    }

    /// Returns a clock with this kind of alarm.
    #[must_use]
    pub fn clock_with(&self, alarm: Alarm) -> TestClock {
        let mut state = self.0.lock().unwrap();
        state.next_id += 1;
        TestClock { time: self.clone(), id: state.next_id, alarm }
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.lock().unwrap().now
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now().since(Instant::EPOCH)
    }

    /// Returns how many alarms are set now.
    #[must_use]
    pub fn armed(&self) -> usize {
        self.0.lock().unwrap().alarms.len()
    }

    /// Returns how many times an alarm has been set.
    #[must_use]
    pub fn times_set(&self) -> usize {
        self.0.lock().unwrap().times_set
    }

    /// Returns how many times a task has yielded.
    #[must_use]
    pub fn yields(&self) -> usize {
        self.0.lock().unwrap().yields
    }

    /// Moves the time and rings the alarms that are due.
    pub fn advance(&self, by: Duration) {
        let now = {
            let mut state = self.0.lock().unwrap();
            state.now = state.now + by;
            state.now
        };
        self.ring(now);
    }

    /// Moves the time to the next alarm and rings it. Returns false if no alarm is set.
    #[must_use]
    pub fn advance_to_alarm(&self) -> bool {
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
        state.times_set += 1;
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

    fn yield_now(&mut self, cx: &mut Context<'_>) {
        self.time.0.lock().unwrap().yields += 1;
        cx.waker().wake_by_ref();
    }
}

impl Drop for TestClock {
    fn drop(&mut self) {
        self.cancel();
    }
}

//! The CPU time of threads between two wake-ups of a timer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The threads of a runtime, and the longest time that one of them was busy.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The CPU times at the latest tick, by thread id.
    threads: BTreeMap<i32, Duration>,
    worst: Duration,
}

/// The time between two ticks.
pub(super) const TICK: Duration = Duration::from_millis(2);

impl Meter {
    /// Adds the current thread to those that are measured.
    pub(super) fn add_thread(&self) {
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        self.lock().threads.insert(id, cpu_time_of(id));
    }

    /// Measures the threads. A task of the runtime calls this after each tick.
    pub(super) fn tick(&self) {
        let mut state = self.lock();
        let mut worst = state.worst;
        for (id, latest) in &mut state.threads {
            let now = cpu_time_of(*id);
            worst = worst.max(now.saturating_sub(*latest));
            *latest = now;
        }
        state.worst = worst;
    }

    /// Forgets the longest time so far.
    pub(super) fn reset(&self) {
        self.tick();
        self.lock().worst = Duration::ZERO;
    }

    /// Returns the longest time since the latest reset, including the time since the latest tick.
    pub(super) fn worst(&self) -> Duration {
        self.tick();
        self.lock().worst
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the CPU time of a thread of this process, or zero if it has ended.
fn cpu_time_of(id: i32) -> Duration {
    if id == rustix::thread::gettid().as_raw_nonzero().get() {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        return Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
    }
    // The kernel updates this at least once in 4 ms.
    let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or_default())
}

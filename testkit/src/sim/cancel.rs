use std::cell::Cell;
use std::rc::Rc;

use sockeye_core::Config;

use super::{Executor, Faults, Pending, Ws, open, pipe_with, poll_at_most, until_woken};

/// Returns the capacities and faults of transports that often return `Pending`.
fn waiting_transports() -> Vec<(usize, Faults)> {
    let first = Faults { pending: Pending::First, ..Faults::default() };
    vec![
        (1 << 20, first),
        (1, first),
        (1, Faults::default()),
        (1 << 20, Faults { interrupted: true, vectored: false, ..first }),
        (7, Faults { pending: Pending::UntilIdle, chunk: 3, ..first }),
        (100, Faults { buffer: 10, ..first }),
    ]
}

/// Runs `test` for both roles over several transports. Each run allows an operation more polls
/// before the [`Canceller`] drops it, until a run in which nothing is cancelled.
pub fn at_every_poll<F: Future<Output = ()> + 'static>(test: impl Fn(Canceller, Ws, Ws, bool) -> F) {
    for is_server in [true, false] {
        for (capacity, faults) in waiting_transports() {
            let mut polls = 1;
            loop {
                assert!(polls < 20_000, "every run was cancelled");
                let mut executor = Executor::new();
                let (a, b) = pipe_with(capacity, faults);
                let config = || Config::new().high_water_mark(300);
                let a = open(is_server, a, &executor.time, config());
                let b = open(!is_server, b, &executor.time, config());
                println!("server: {is_server}, {polls} polls, capacity {capacity}, {faults:?}");
                let canceller = Canceller { polls, cancelled: Rc::default() };
                executor.spawn("the test", test(canceller.clone(), a, b, is_server));
                executor.run();
                if canceller.cancelled.get() == 0 {
                    break;
                }
                // In steps of one at first, then in growing steps.
                polls += 1 + polls / 4;
            }
        }
    }
}

/// A helper that drops operations after a number of polls.
#[derive(Debug, Clone)]
pub struct Canceller {
    polls: usize,
    cancelled: Rc<Cell<usize>>,
}

impl Canceller {
    /// Polls `future` to its end, or cancels it and returns `None`.
    pub async fn once<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let output = poll_at_most(self.polls, future).await;
        if output.is_none() {
            self.cancelled.set(self.cancelled.get() + 1);
        }
        output
    }

    /// Repeats `operation` until it finishes. After each cancellation, waits until something wakes
    /// the task through a waker that the cancelled operation had registered.
    pub async fn retry<T>(&self, mut operation: impl AsyncFnMut() -> T) -> T {
        loop {
            match self.once(operation()).await {
                Some(output) => return output,
                None => until_woken().await,
            }
        }
    }
}

//! Dropping operations after a number of polls.

use std::cell::Cell;
use std::rc::Rc;

use sockeye_core::Config;

use super::{Executor, Faults, Pending, Ws, cancelled_after, open, pipe_with, woken};

/// Transports that are Pending as often as can be.
fn waiting_transports() -> Vec<(usize, Faults)> {
    let first = Faults { pending: Pending::First, ..Faults::default() };
    vec![
        (1 << 20, first),
        (1, first),
        (1, Faults::default()),
        (1 << 20, Faults { interrupted: true, vectored: false, ..first }),
        (7, Faults { pending: Pending::Lazily, chunk: 3, ..first }),
        (100, Faults { buffer: 10, ..first }),
    ]
}

/// Calls `test` with both roles, all transports, and a number of polls that grows until nothing is cancelled.
pub(crate) fn at_every_poll<F: Future<Output = ()> + 'static>(test: impl Fn(Canceller, Ws, Ws, bool) -> F) {
    for is_server in [true, false] {
        for (capacity, faults) in waiting_transports() {
            let mut polls = 1;
            loop {
                assert!(polls < 20_000, "never through");
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
                // One by one at first, then in ever larger steps.
                polls += 1 + polls / 4;
            }
        }
    }
}

#[derive(Clone)]
pub(crate) struct Canceller {
    polls: usize,
    cancelled: Rc<Cell<usize>>,
}

impl Canceller {
    /// One attempt.
    pub(crate) async fn once<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let output = cancelled_after(self.polls, future).await;
        if output.is_none() {
            self.cancelled.set(self.cancelled.get() + 1);
        }
        output
    }

    /// Begins again after each cancellation, as soon as what was left behind wakes the task.
    pub(crate) async fn again<T>(&self, mut operation: impl AsyncFnMut() -> T) -> T {
        loop {
            match self.once(operation()).await {
                Some(output) => return output,
                None => woken().await,
            }
        }
    }
}

//! Wakers that count, and waits with a time limit.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::conformance::rule::{Breach, Rule};

/// The time that a check lets pass before it looks again.
pub(super) const TURN: Duration = Duration::from_millis(1);

/// The number of turns without progress after which a check gives up.
pub(super) const PATIENCE: usize = 2000;

/// The limit on how often in a row an operation may be interrupted, or wake its task without
/// progress.
pub(super) const REPEATS: usize = 200;

/// A waker that counts how often it was woken.
pub(super) struct Probe {
    wakes: Arc<Wakes>,
    waker: Waker,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Probe {
    pub(super) fn new() -> Self {
        let wakes = Arc::<Wakes>::default();
        Probe { waker: Waker::from(wakes.clone()), wakes }
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Returns whether the waker was woken since the last call.
    pub(super) fn take_wake(&self) -> bool {
        self.wakes.0.swap(0, Ordering::SeqCst) > 0
    }

    /// Lets time pass until the waker is woken. Returns false if nothing wakes it.
    pub(super) async fn is_woken(&self, pass: &mut impl AsyncFnMut(Duration)) -> bool {
        for _ in 0..PATIENCE {
            if self.take_wake() {
                return true;
            }
            pass(TURN).await;
        }
        self.take_wake()
    }
}

/// Polls an operation. Polls it again whenever it is interrupted.
pub(super) fn poll_again<T>(
    mut poll: impl FnMut() -> Poll<io::Result<T>>,
) -> Result<Poll<io::Result<T>>, Breach> {
    for _ in 0..REPEATS {
        match poll() {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            polled => return Ok(polled),
        }
    }
    Err(Rule::Works.breach(format_args!("an operation was interrupted {REPEATS} times in a row")))
}

/// Polls an operation whenever it wakes its task, until it is ready. Reports a breach of `rule` if
/// that never happens.
pub(super) async fn complete<T>(
    pass: &mut impl AsyncFnMut(Duration),
    rule: Rule,
    name: &str,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> Result<io::Result<T>, Breach> {
    let probe = Probe::new();
    for _ in 0..PATIENCE {
        if let Poll::Ready(result) = poll_again(|| poll(&mut probe.context()))? {
            return Ok(result);
        }
        pass(TURN).await;
        if !probe.is_woken(pass).await {
            return Err(rule.breach(format_args!("{name} is pending and nothing wakes its task")));
        }
    }
    Err(rule.breach(format_args!("{name} wakes its task and is pending again and again")))
}

/// Returns the output of an operation that must succeed.
pub(super) fn works<T>(name: &str, result: io::Result<T>) -> Result<T, Breach> {
    result.map_err(|error| Rule::Works.breach(format_args!("{name} failed: {error}")))
}

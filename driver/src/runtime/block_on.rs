//! Blocking a thread until a future is ready.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
#[cfg(feature = "server")]
use std::time::{Duration, Instant};

/// Runs a future on this thread, and blocks the thread while the future waits.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(UnparkOnWake(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        // If the thread was unparked since the poll, this returns at once.
        thread::park();
    }
}

/// Does the same as [`block_on`], but gives up and returns `None` after `timeout`.
#[cfg(feature = "server")]
pub(crate) fn block_on_for<T>(future: impl Future<Output = T>, timeout: Duration) -> Option<T> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(UnparkOnWake(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let began = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        let left = timeout.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
        thread::park_timeout(left);
    }
}

struct UnparkOnWake(Thread);

impl Wake for UnparkOnWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

//! The wakers of the tasks that share one connection.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::lock::lock;
use crate::sync::Mutex;

/// The half of a connection that a task polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Recv,
    Send,
}

/// The wakers of both halves of a split connection.
///
/// A transport stores a single waker for writing, but both halves may wait for it. It gets this
/// one, which wakes both.
#[derive(Debug, Default)]
pub(crate) struct HalfWakers {
    recv: Mutex<Option<Waker>>,
    send: Mutex<Option<Waker>>,
}

impl HalfWakers {
    /// Stores the waker of the task that polls `half`.
    pub(crate) fn set(&self, half: Half, waker: &Waker) {
        let mut slot = lock(self.slot(half));
        if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            let old = slot.replace(waker.clone());
            drop(slot);
            // Drop the old waker without holding the lock: it may own the last reference to its
            // task, and dropping that task may lock this slot.
            drop(old);
        }
    }

    /// Wakes the task of `half`, if it has polled.
    pub(crate) fn wake_half(&self, half: Half) {
        let waker = lock(self.slot(half)).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Removes the waker of a half that was dropped.
    pub(crate) fn clear(&self, half: Half) {
        let waker = lock(self.slot(half)).take();
        drop(waker);
    }

    /// Returns whether `half` has been polled, by a task other than that of `waker`.
    pub(crate) fn is_other(&self, half: Half, waker: &Waker) -> bool {
        lock(self.slot(half)).as_ref().is_some_and(|half| !half.will_wake(waker))
    }

    fn slot(&self, half: Half) -> &Mutex<Option<Waker>> {
        match half {
            Half::Recv => &self.recv,
            Half::Send => &self.send,
        }
    }
}

impl Wake for HalfWakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_half(Half::Recv);
        self.wake_half(Half::Send);
    }
}

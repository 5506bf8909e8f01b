//! What two tasks share: the link behind a lock, and the wakers of both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use sockeye_core::Sender;

use crate::engine::buffer::ReadBuffer;
use crate::engine::decoder::Answer;
use crate::engine::link::{Link, ReadOutcome};
use crate::runtime::io::{Clock, Io};

/// Whose task is polling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Recv,
    Send,
}

/// A link that one task owns, or that two share.
pub(crate) trait Access: Answer {
    type Io: Io;
    type Clock: Clock;

    /// Calls `f` with the link. `f` does not wait.
    fn with<R>(&mut self, f: impl FnOnce(&mut Link<Self::Io, Self::Clock>) -> R) -> R;

    /// [`Link::poll_io`].
    fn hear(&mut self, cx: &mut Context<'_>, input: &mut ReadBuffer) -> Poll<ReadOutcome> {
        self.with(|link| link.poll_io(cx, input))
    }
}

impl<I: Io, C: Clock> Access for Link<I, C> {
    type Io = I;
    type Clock = C;

    #[inline]
    fn with<R>(&mut self, f: impl FnOnce(&mut Link<I, C>) -> R) -> R {
        f(self)
    }
}

impl<I: Io, C: Clock> Access for Arc<Mutex<Link<I, C>>> {
    type Io = I;
    type Clock = C;

    fn with<R>(&mut self, f: impl FnOnce(&mut Link<I, C>) -> R) -> R {
        f(&mut lock(self))
    }
}

impl<I: Io, C: Clock> Answer for Link<I, C> {
    #[inline]
    fn answer(&mut self, f: impl FnOnce(&mut Sender)) {
        f(self.sender_with_buffer());
    }
}

impl<I: Io, C: Clock> Answer for Arc<Mutex<Link<I, C>>> {
    fn answer(&mut self, f: impl FnOnce(&mut Sender)) {
        f(lock(self).sender_with_buffer());
    }
}

/// A panic inside leaves nothing half done that the next could not go on with: the progress is in the sender.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transport remembers one waker for writing, but two tasks may wait for it: it gets this one, which wakes both.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    recv: Mutex<Option<Waker>>,
    send: Mutex<Option<Waker>>,
}

impl Wakers {
    pub(crate) fn set(&self, half: Half, waker: &Waker) {
        let mut slot = lock(self.slot(half));
        if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            let old = slot.replace(waker.clone());
            drop(slot);
            // Without the lock: it may be the last that holds its task, and the task what locks here when it is dropped.
            drop(old);
        }
    }

    pub(crate) fn wake_half(&self, half: Half) {
        let waker = lock(self.slot(half)).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether a half is another task than that of `waker`, and has waited.
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

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_half(Half::Recv);
        self.wake_half(Half::Send);
    }
}

/// That the receiving half is there. When it goes, the other, if it waits, has to keep the deadlines itself.
#[derive(Debug)]
pub(crate) struct Receives(pub(crate) Arc<Wakers>);

impl Drop for Receives {
    fn drop(&mut self) {
        let waker = lock(&self.0.recv).take();
        drop(waker);
        self.0.wake_half(Half::Send);
    }
}

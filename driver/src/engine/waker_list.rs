//! A list of wakers, for anything that any number of tasks may wait for.

use std::task::Waker;

/// The wakers of the tasks that wait for one thing.
///
/// A woken task may run at once, on this very thread, and take any lock. A list behind a lock
/// therefore hands its wakers out, and the caller wakes them after it has released that lock.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "mostly empty, and a third of the size")]
pub(crate) struct WakerList(Option<Box<Vec<Waker>>>);

impl WakerList {
    /// Adds a waker, unless the list has one for the same task.
    ///
    /// Register first and then check the condition: the other order can miss a change.
    pub(crate) fn register(&mut self, waker: &Waker) {
        let wakers = self.0.get_or_insert_default();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// Removes the waker of a task that has given up one of its waits.
    ///
    /// Wake the returned waker, without holding the lock: it may also have served another wait of
    /// the same task, which registers again when it runs.
    #[must_use]
    pub(crate) fn deregister(&mut self, waker: &Waker) -> Option<Waker> {
        let wakers = self.0.as_mut()?;
        let at = wakers.iter().position(|known| known.will_wake(waker))?;
        let removed = wakers.swap_remove(at);
        if wakers.is_empty() {
            self.0 = None;
        }
        Some(removed)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Takes all wakers out, to be woken without the lock.
    #[must_use]
    pub(crate) fn take(&mut self) -> WakerList {
        std::mem::take(self)
    }

    pub(crate) fn wake_all(self) {
        self.0.into_iter().flat_map(|wakers| *wakers).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_once_for_all_its_waits() {
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut list = WakerList::default();
        for count in [&first, &second, &first] {
            list.register(&Waker::from(count.clone()));
        }
        list.take().wake_all();
        let woken = [&first, &second].map(|count| count.0.load(Ordering::Relaxed));
        assert_eq!(woken, [1, 1]);
        assert!(list.is_empty());
    }

    #[test]
    fn a_wait_that_was_given_up_returns_the_waker_of_its_task() {
        let waker = Waker::from(Arc::new(Count::default()));
        let mut list = WakerList::default();
        assert!(list.deregister(&waker).is_none());
        list.register(Waker::noop());
        list.register(&waker);
        assert!(list.deregister(&waker).is_some_and(|removed| removed.will_wake(&waker)));
        assert!(list.deregister(&waker).is_none());
        assert!(!list.is_empty());
    }
}

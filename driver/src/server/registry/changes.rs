//! Changes that wait for a reader, as few of them as there are differences.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::task::{Context, Poll, Waker};

use crate::lock::lock;
use crate::sync::Mutex;

/// The length of [`Changes::order`] below which its stale items stay.
const SMALL: usize = 32;

/// The changes of a map of values since its one reader last looked.
///
/// Several changes of one key become one, from the value that the reader knows to the present one,
/// and none if these are equal. So a slow reader misses no difference, and what waits for it is
/// bounded: each key that waits is known to the reader, or is in the map now.
#[derive(Debug)]
pub(crate) struct Feed<K, V>(Mutex<Changes<K, V>>);

#[derive(Debug)]
struct Changes<K, V> {
    waiting: HashMap<K, Change<V>>,
    /// The keys in the order of their first change. An item is stale if its number is not that of
    /// the key's change.
    order: VecDeque<(u64, K)>,
    next: u64,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Change<V> {
    number: u64,
    /// The value that the reader knows.
    before: Option<V>,
    now: Option<V>,
}

impl<K: Clone + Eq + Hash, V: Clone + PartialEq> Feed<K, V> {
    pub(crate) fn new() -> Self {
        let changes = Changes { waiting: HashMap::new(), order: VecDeque::new(), next: 0, waker: None };
        Feed(Mutex::new(changes))
    }

    /// Adds a change of a key. Returns the waker of the reader, to be woken without a lock.
    #[must_use]
    pub(crate) fn add(&self, key: &K, before: Option<&V>, now: Option<&V>) -> Option<Waker> {
        let mut changes = lock(&self.0);
        changes.add(key, before, now);
        if changes.waiting.is_empty() { None } else { changes.waker.take() }
    }

    /// Takes the oldest change: its key, the value that the reader knows, and the present one.
    pub(crate) fn take(&self) -> Option<(K, Option<V>, Option<V>)> {
        lock(&self.0).take()
    }

    /// Takes the oldest change, or registers the reader for the next one.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<(K, Option<V>, Option<V>)> {
        let mut changes = lock(&self.0);
        match changes.take() {
            Some(change) => Poll::Ready(change),
            None => {
                changes.waker.clone_from(&Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Takes the waker of the reader, to be woken without a lock.
    #[must_use]
    pub(crate) fn take_waker(&self) -> Option<Waker> {
        lock(&self.0).waker.take()
    }
}

impl<K: Clone + Eq + Hash, V: Clone + PartialEq> Changes<K, V> {
    fn add(&mut self, key: &K, before: Option<&V>, now: Option<&V>) {
        if let Some(change) = self.waiting.get_mut(key) {
            change.now = now.cloned();
            if change.before == change.now {
                self.waiting.remove(key);
                self.forget_stale();
            }
        } else if before != now {
            let number = self.next;
            self.next += 1;
            let change = Change { number, before: before.cloned(), now: now.cloned() };
            self.waiting.insert(key.clone(), change);
            self.order.push_back((number, key.clone()));
        }
    }

    fn take(&mut self) -> Option<(K, Option<V>, Option<V>)> {
        while let Some((number, key)) = self.order.pop_front() {
            if self.waiting.get(&key).is_some_and(|change| change.number == number)
                && let Some(change) = self.waiting.remove(&key)
            {
                return Some((key, change.before, change.now));
            }
        }
        None
    }

    /// Removes the stale items once they are the majority.
    fn forget_stale(&mut self) {
        if self.order.len() > SMALL.max(2 * self.waiting.len()) {
            let waiting = &self.waiting;
            self.order
                .retain(|(number, key)| waiting.get(key).is_some_and(|change| change.number == *number));
        }
    }
}

#[cfg(all(test, not(sockeye_loom)))]
mod tests {
    use super::*;

    fn take_all(feed: &Feed<u32, u32>) -> Vec<(u32, Option<u32>, Option<u32>)> {
        std::iter::from_fn(|| feed.take()).collect()
    }

    #[test]
    fn m15_changes_of_one_key_become_one_and_keep_their_order() {
        let feed = Feed::new();
        let add = |key, before: Option<u32>, now: Option<u32>| {
            assert!(feed.add(&key, before.as_ref(), now.as_ref()).is_none());
        };
        add(1, None, Some(10));
        add(2, None, Some(20));
        add(1, Some(10), Some(11));
        add(3, Some(30), None);
        add(2, Some(20), None);
        add(3, None, Some(31));
        assert_eq!(take_all(&feed), [(1, None, Some(11)), (3, Some(30), Some(31))]);
        add(1, Some(11), None);
        add(2, None, Some(21));
        add(1, None, Some(11));
        add(4, None, None);
        assert_eq!(take_all(&feed), [(2, None, Some(21))]);
    }

    #[test]
    fn m15_changes_that_cancel_out_take_no_memory() {
        let feed = Feed::new();
        assert!(feed.add(&u32::MAX, None, Some(&1)).is_none());
        for key in 0..100_000 {
            assert!(feed.add(&key, None, Some(&1)).is_none());
            assert!(feed.add(&key, Some(&1), None).is_none());
        }
        let changes = lock(&feed.0);
        assert!(changes.order.len() <= SMALL && changes.order.capacity() <= 4 * SMALL);
        assert_eq!(changes.waiting.len(), 1);
        drop(changes);
        assert_eq!(take_all(&feed), [(u32::MAX, None, Some(1))]);
    }
}

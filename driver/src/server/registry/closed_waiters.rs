//! Waiting until a connection is over.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::engine::waker_list::WakerList;
use crate::lock::lock;
use crate::server::registry::entry::Entry;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::ConnectionId;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering, fence};

/// The tasks that wait for the end of a connection, by its id. Few connections have any, so they
/// take no memory in the others.
#[derive(Debug, Default)]
pub(crate) struct ClosedWaiters {
    /// The number of lists, to see without the lock that there are none.
    count: AtomicUsize,
    lists: Mutex<HashMap<ConnectionId, WakerList>>,
}

impl ClosedWaiters {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Adds a waker. Register first and then check: the other order can miss the end.
    fn register(&self, id: ConnectionId, waker: &Waker) {
        let mut lists = lock(&self.lists);
        lists.entry(id).or_default().register(waker);
        self.count.store(lists.len(), Ordering::Release);
    }

    /// Wakes the tasks that wait for the end of this connection, because it is over. The caller
    /// holds no lock.
    pub(crate) fn wake(&self, id: ConnectionId) {
        // Either this thread sees that the list is not empty, or the task that registers sees the
        // end. Some ends are flags, which no lock orders. The other fence is in
        // `ClosedFuture::poll`.
        fence(Ordering::SeqCst);
        if self.is_empty() {
            return;
        }
        let list = self.remove(id);
        list.into_iter().for_each(WakerList::wake_all);
    }

    fn deregister(&self, id: ConnectionId, waker: &Waker) {
        let mut lists = lock(&self.lists);
        let Some(list) = lists.get_mut(&id) else { return };
        let removed = list.deregister(waker);
        if list.is_empty() {
            lists.remove(&id);
            self.count.store(lists.len(), Ordering::Release);
        }
        drop(lists);
        removed.into_iter().for_each(Waker::wake);
    }

    fn remove(&self, id: ConnectionId) -> Option<WakerList> {
        let mut lists = lock(&self.lists);
        let list = lists.remove(&id);
        self.count.store(lists.len(), Ordering::Release);
        list
    }
}

/// Waits until a connection is over. Deregisters its waker when it is dropped.
#[derive(Debug)]
pub(crate) struct ClosedFuture<'a> {
    entry: &'a Entry,
    hub: &'a Hub,
    /// The waker that is registered.
    waker: Option<Waker>,
}

impl<'a> ClosedFuture<'a> {
    pub(crate) fn new(entry: &'a Entry, hub: &'a Hub) -> Self {
        ClosedFuture { entry, hub, waker: None }
    }
}

impl Future for ClosedFuture<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.entry.is_closed() {
            return Poll::Ready(());
        }
        self.hub.closed_waiters.register(self.entry.id(), cx.waker());
        self.waker = Some(cx.waker().clone());
        // See `ClosedWaiters::wake`.
        fence(Ordering::SeqCst);
        if self.entry.is_closed() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for ClosedFuture<'_> {
    fn drop(&mut self) {
        if let Some(waker) = &self.waker {
            self.hub.closed_waiters.deregister(self.entry.id(), waker);
        }
    }
}

//! Reading on for connections whose handlers block their threads.
//!
//! A handler on a thread of its own may block that thread. Then the connection cannot read on
//! itself, as it does while a handler waits in an async runtime. One task of the server, the
//! keeper, does it instead.
//!
//! The connection's thread must not pay for that: it leaves the state that reading on needs with
//! its link, and sets a flag. When the handler returns, it takes the state back and clears the
//! flag. The keeper looks for the flag only once in a [`TICK`], so it finds the few handlers that
//! take long. From then on it waits for their transports and timers, and acts at once. When no
//! handler has run for a while, it sleeps.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sockeye_core::Instant;

use crate::lock::lock;
use crate::runtime::io::Clock;
use crate::server::panics::catch;
use crate::server::registry::entry::Entry;
use crate::server::registry::hub::Hub;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// The time between two searches for handlers that run.
const TICK: Duration = Duration::from_millis(100);

/// The number of searches in a row that find nothing before the keeper sleeps.
const IDLE_TICKS: u32 = 50;

/// The way to wake the keeper of a server.
#[derive(Debug, Default)]
pub(crate) struct KeeperAlarm {
    is_awake: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl KeeperAlarm {
    /// Makes sure that the keeper searches. Call after [`Entry::begin_busy`].
    #[inline]
    pub(crate) fn ensure_awake(&self) {
        if !self.is_awake.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Wakes the keeper, if the server has one.
    pub(crate) fn wake(&self) {
        self.is_awake.store(true, Ordering::SeqCst);
        let waker = lock(&self.waker).take();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// A connection whose handler runs, and the waker for its transport and timer.
struct Kept {
    entry: Arc<Entry>,
    waker: Arc<KeptWaker>,
}

/// Wakes the keeper for one connection. So a busy connection costs nothing for the others.
struct KeptWaker {
    is_woken: AtomicBool,
    hub: Arc<Hub>,
}

impl Wake for KeptWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::SeqCst) {
            self.hub.keeper.wake();
        }
    }
}

impl Kept {
    /// Reads on if the connection was woken. Returns false if its handler has returned.
    fn poll(&self) -> bool {
        if !self.waker.is_woken.swap(false, Ordering::SeqCst) {
            return true;
        }
        let waker = Waker::from(self.waker.clone());
        self.entry.poll_read_on(&mut Context::from_waker(&waker))
    }
}

/// The keeper of a server.
pub(crate) struct Keeper<C> {
    hub: Arc<Hub>,
    clock: C,
    /// The connections whose handlers ran at the latest search, and have not returned since.
    kept: Vec<Kept>,
    /// `None` while the keeper sleeps.
    next_search: Option<Instant>,
    idle_ticks: u32,
}

impl<C: Clock> Keeper<C> {
    pub(crate) fn new(hub: Arc<Hub>, clock: C) -> Self {
        Keeper { hub, clock, kept: Vec::new(), next_search: None, idle_ticks: 0 }
    }

    /// Reads on for all connections that need it, until the server has stopped.
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        *lock(&self.hub.keeper.waker) = Some(cx.waker().clone());
        if self.hub.has_stopped() {
            return Poll::Ready(());
        }
        if !self.hub.keeper.is_awake.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        loop {
            let now = self.clock.now();
            // A handler that has just begun probably returns soon.
            let next_search = self.next_search.unwrap_or(now + TICK);
            self.next_search = Some(next_search);
            if now >= next_search {
                self.search();
                self.next_search = Some(now + TICK);
            }
            // A panic while one connection writes must not end the task that serves all.
            self.kept.retain(|kept| catch(|| kept.poll()).unwrap_or(false));
            self.hub.balance_received();
            if self.idle_ticks >= IDLE_TICKS && self.may_sleep() {
                self.clock.cancel();
                return Poll::Pending;
            }
            if self.clock.poll_until(cx, self.next_search.unwrap_or(now)).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Finds the connections whose handlers run.
    fn search(&mut self) {
        // All of them are polled after a search: a connection may have another waker by now.
        let kept = |entry| {
            let waker = KeptWaker { is_woken: AtomicBool::new(true), hub: self.hub.clone() };
            Kept { entry, waker: Arc::new(waker) }
        };
        self.kept = self.hub.busy().into_iter().map(kept).collect();
        self.idle_ticks = if self.kept.is_empty() { self.idle_ticks.saturating_add(1) } else { 0 };
    }

    /// Returns whether no handler has run for a while. From then on the next one wakes the keeper.
    fn may_sleep(&mut self) -> bool {
        self.idle_ticks = 0;
        self.hub.keeper.is_awake.store(false, Ordering::SeqCst);
        // A connection sets its flag first and then looks whether the keeper is awake.
        let may_sleep = self.hub.busy().is_empty();
        if may_sleep {
            self.next_search = None;
        } else {
            self.hub.keeper.is_awake.store(true, Ordering::SeqCst);
        }
        may_sleep
    }
}

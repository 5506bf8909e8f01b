//! The state that all connections of a server share: the registry, the limits, the shutdown.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use sockeye_core::{Instant, Prepared};

use crate::engine::waker_list::WakerList;
use crate::lock::lock;
use crate::runtime::address::Address;
use crate::server::registry::closed_waiters::ClosedWaiters;
use crate::server::registry::counters::{CountedPort, Counters};
use crate::server::registry::counts::Counts;
use crate::server::registry::drain::Drain;
use crate::server::registry::entry::Entry;
use crate::server::registry::error::PushError;
use crate::server::registry::flag::Flag;
use crate::server::registry::info::ConnectionId;
use crate::server::registry::keeper::KeeperAlarm;
use crate::server::registry::push_target::PushTarget;
use crate::server::registry::received::ReceivedBudget;
use crate::server::registry::settings::{Limits, Settings};
use crate::server::registry::topics::Topics;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use crate::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The number of counters that share the sum of all queues. With a single one, all cores would
/// write to the same memory for each message.
const QUEUE_COUNTERS: usize = 16;

/// A counter in a cache line to itself.
#[derive(Debug, Default)]
#[repr(align(64))]
struct QueueCounter(AtomicUsize);

/// The part of the budget of all queues that is left after a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Budget {
    /// At least half of it: the connection's task may write later.
    Ample,
    /// Less. The push is written at once, so that the rest of the budget is used up only by bytes
    /// that no transport takes, and not by a burst to peers that read.
    Scarce,
}

/// A guard: while it lives, the bytes of a broadcast are counted.
struct SharedBytes {
    counter: Arc<AtomicUsize>,
    len: usize,
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.len, Ordering::Relaxed);
    }
}

/// Reads the clock of the server's runtime.
struct ReadClock(Box<dyn Fn() -> Instant + Send + Sync>);

impl fmt::Debug for ReadClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadClock")
    }
}

/// One server: its connections, its limits and its shutdown.
///
/// None of its locks is held while anything is sent or a handler runs.
#[derive(Debug)]
pub(crate) struct Hub {
    entries: RwLock<HashMap<u64, Arc<Entry>>>,
    next_id: AtomicU64,
    pub(crate) topics: Topics,
    ports: Mutex<Vec<CountedPort>>,
    clock: ReadClock,
    pub(crate) limits: Limits,
    pub(crate) counts: Counts,
    queued: [QueueCounter; QUEUE_COUNTERS],
    /// The bytes of broadcasts that wait in any number of queues, counted once.
    shared: Arc<AtomicUsize>,
    pub(super) received: ReceivedBudget,
    stopping: AtomicBool,
    /// How the server shuts down, once a shutdown has begun.
    drain: Mutex<Option<Arc<Drain>>>,
    stopped: AtomicBool,
    /// The connections that are over but for the end of the peer's side of the transport.
    lingering: Mutex<HashMap<u64, Arc<dyn PushTarget>>>,
    /// The tasks that wait for a change of the counts or of the shutdown.
    waiters: Mutex<WakerList>,
    pub(crate) closed_waiters: ClosedWaiters,
    pub(crate) keeper: KeeperAlarm,
}

impl Hub {
    pub(crate) fn new(limits: Limits, now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Hub {
            clock: ReadClock(Box::new(now)),
            entries: RwLock::default(),
            next_id: AtomicU64::new(1),
            topics: Topics::default(),
            ports: Mutex::default(),
            limits,
            counts: Counts::default(),
            queued: Default::default(),
            shared: Arc::default(),
            received: ReceivedBudget::default(),
            stopping: AtomicBool::new(false),
            drain: Mutex::new(None),
            stopped: AtomicBool::new(false),
            lingering: Mutex::default(),
            waiters: Mutex::default(),
            closed_waiters: ClosedWaiters::default(),
            keeper: KeeperAlarm::default(),
        }
    }

    /// Returns the time on the clock of the server's runtime.
    pub(crate) fn now(&self) -> Instant {
        (self.clock.0)()
    }

    // The registry.

    pub(crate) fn get(&self, id: ConnectionId) -> Option<Arc<Entry>> {
        self.read().get(&id.0).cloned()
    }

    /// Returns a snapshot, so callers can iterate slowly without holding the lock.
    pub(crate) fn snapshot(&self) -> Vec<Arc<Entry>> {
        self.read().values().cloned().collect()
    }

    /// Returns the connections whose handler may block its thread.
    pub(crate) fn busy(&self) -> Vec<Arc<Entry>> {
        self.read().values().filter(|entry| entry.is_busy()).cloned().collect()
    }

    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        self.read().keys().map(|id| ConnectionId(*id)).collect()
    }

    /// Returns the number of connections that have an id.
    pub(crate) fn count(&self) -> usize {
        self.read().len()
    }

    /// Adds ports, whose counters are part of the server's figures.
    pub(crate) fn add_ports(&self, ports: impl IntoIterator<Item = CountedPort>) {
        lock(&self.ports).extend(ports);
    }

    /// Adds the counters of connections that no port accepts, unless they are known.
    pub(crate) fn add_endpoint(&self, counters: &Arc<Counters>) {
        let mut ports = lock(&self.ports);
        if !ports.iter().any(|port| Arc::ptr_eq(&port.counters, counters)) {
            ports.push(CountedPort { address: Address::Unix(None), counters: counters.clone() });
        }
    }

    pub(crate) fn ports(&self) -> Vec<CountedPort> {
        lock(&self.ports).clone()
    }

    pub(crate) fn insert(
        &self,
        peer: Address,
        local: Address,
        now: Instant,
        port: Arc<Settings>,
    ) -> Arc<Entry> {
        let entry = self.new_entry(peer, local, now, port);
        self.write().insert(entry.id().0, entry.clone());
        entry
    }

    /// Creates an entry without registering it: the whole entry of a connection that is not
    /// admitted.
    pub(crate) fn new_entry(
        &self,
        peer: Address,
        local: Address,
        now: Instant,
        port: Arc<Settings>,
    ) -> Arc<Entry> {
        // An id is never used twice: 64 bits do not run out.
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Arc::new(Entry::new(ConnectionId(id), peer, local, now, port))
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        let entry = self.write().remove(&id.0);
        drop(entry);
        self.closed_waiters.wake(id);
    }

    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Acquire)
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<u64, Arc<Entry>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<u64, Arc<Entry>>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    // The budget of all queues together.

    /// Counts the bytes of a broadcast once, for as long as any queue holds them.
    pub(crate) fn share(&self, prepared: &Prepared) -> Prepared {
        prepared.guarded(|len| {
            self.shared.fetch_add(len, Ordering::Relaxed);
            SharedBytes { counter: self.shared.clone(), len }
        })
    }

    /// Returns the number of bytes that each connection may queue even if others have used up the
    /// budget: an equal share of a quarter of it.
    pub(crate) fn guaranteed_share(&self) -> usize {
        self.limits.max_queued / 4 / self.connections().max(1)
    }

    /// Counts a queue that had `before` bytes and has `now` bytes.
    pub(crate) fn count_queued(&self, id: ConnectionId, before: usize, now: usize) {
        let QueueCounter(counter) = &self.queued[id.0 as usize % QUEUE_COUNTERS];
        if now >= before {
            counter.fetch_add(now - before, Ordering::Relaxed);
        } else {
            counter.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    pub(crate) fn queued(&self) -> usize {
        let counters = self.queued.iter().map(|counter| &counter.0).chain([&*self.shared]);
        counters.map(|counter| counter.load(Ordering::Relaxed)).fold(0, usize::saturating_add)
    }

    /// Checks whether `len` more bytes may be queued.
    ///
    /// Concurrent pushes may each exceed the budget by one message.
    #[inline]
    pub(crate) fn check_budget(&self, len: usize) -> Result<Budget, PushError> {
        let max = self.limits.max_queued;
        if max == usize::MAX {
            return Ok(Budget::Ample);
        }
        let queued = self.queued();
        match queued.saturating_add(len) {
            sum if sum > max => Err(PushError::ServerBackpressure { queued }),
            sum if sum > max / 2 => Ok(Budget::Scarce),
            _ => Ok(Budget::Ample),
        }
    }

    /// Returns true if three quarters of the budget of all queues are used up.
    pub(crate) fn are_queues_scarce(&self) -> bool {
        let max = self.limits.max_queued;
        max != usize::MAX && self.queued() > max / 4 * 3
    }

    // The shutdown.

    /// Begins to shut down, or shortens the times of a shutdown that has begun.
    ///
    /// Connections that are not WebSockets end as soon as they are idle. If the Closes are not
    /// spread over a time, this begins to close all WebSockets. Otherwise `Server::run` does.
    pub(crate) fn shutdown(&self, drain: Drain) {
        let drain = {
            let mut current = lock(&self.drain);
            let drain = current.as_deref().map_or_else(
                || drain.clone(),
                |first| {
                    let mut shortened = first.clone();
                    shortened.shorten(&drain);
                    shortened
                },
            );
            current.insert(Arc::new(drain)).clone()
        };
        self.stopping.store(true, Ordering::Release);
        // A connection registered after this snapshot checks `stopping` itself.
        let frame = drain.frame();
        for entry in self.snapshot() {
            entry.wake_http();
            if drain.spread.is_zero() {
                entry.start_draining(&frame);
            }
        }
        self.wake_waiters();
    }

    /// Returns true once a shutdown has begun.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Returns how the server shuts down, once a shutdown has begun.
    pub(crate) fn drain(&self) -> Option<Arc<Drain>> {
        lock(&self.drain).clone()
    }

    pub(crate) fn abort_all(&self) {
        for entry in self.snapshot() {
            let _ = entry.set_flag(Flag::Aborted, true);
        }
    }

    /// Returns whether every accept loop has ended, and every connection except those that only
    /// wait for the end of the peer's side.
    ///
    /// Call it after [`is_stopping`](Hub::is_stopping) has returned true, and after registering a
    /// waiter.
    pub(crate) fn has_drained(&self) -> bool {
        // See `Slot::drop`.
        fence(Ordering::SeqCst);
        self.counts.ports.load(Ordering::Acquire) == 0 && self.connections() == lock(&self.lingering).len()
    }

    /// Registers a connection that only waits for the end of the peer's side. It is aborted when
    /// the server stops.
    pub(crate) fn linger(&self, id: ConnectionId, target: Arc<dyn PushTarget>) -> Lingering<'_> {
        lock(&self.lingering).insert(id.0, target.clone());
        if self.has_stopped() {
            target.abort();
        }
        if self.is_stopping() {
            self.wake_waiters();
        }
        Lingering { hub: self, id }
    }

    /// Marks the server as stopped: `Server::run` has returned.
    pub(crate) fn set_stopped(&self) {
        self.stopped.store(true, Ordering::Release);
        let lingering: Vec<_> = lock(&self.lingering).values().cloned().collect();
        lingering.iter().for_each(|target| target.abort());
        self.keeper.wake();
        self.topics.wake_readers();
        self.wake_waiters();
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Wakes the task at the next change of the counts or of the shutdown.
    ///
    /// Register first and then check: the other order can miss a change.
    pub(crate) fn register_waiter(&self, waker: &Waker) {
        lock(&self.waiters).register(waker);
    }

    /// Deregisters a waiter that gave up.
    pub(crate) fn deregister_waiter(&self, waker: &Waker) {
        let removed = lock(&self.waiters).deregister(waker);
        removed.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn wake_waiters(&self) {
        let waiters = lock(&self.waiters).take();
        waiters.wake_all();
    }
}

/// A guard: while it lives, the connection is registered as lingering.
pub(crate) struct Lingering<'a> {
    hub: &'a Hub,
    id: ConnectionId,
}

impl Drop for Lingering<'_> {
    fn drop(&mut self) {
        let target = lock(&self.hub.lingering).remove(&self.id.0);
        drop(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m4_the_budget_counts_the_queues_of_all_connections() {
        let hub = Hub::new(Limits::new().max_queued(100), Instant::default);
        hub.count_queued(ConnectionId(1), 0, 60);
        hub.count_queued(ConnectionId(17), 0, 20);
        hub.count_queued(ConnectionId(2), 0, 10);
        assert_eq!(hub.check_budget(10), Ok(Budget::Scarce));
        assert_eq!(hub.check_budget(11), Err(PushError::ServerBackpressure { queued: 90 }));
        hub.count_queued(ConnectionId(1), 60, 0);
        assert_eq!((hub.queued(), hub.check_budget(20)), (30, Ok(Budget::Ample)));
        assert_eq!((hub.check_budget(21), hub.check_budget(70)), (Ok(Budget::Scarce), Ok(Budget::Scarce)));
    }
}

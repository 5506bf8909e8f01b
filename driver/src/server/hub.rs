//! What all of a server's connections share: the registry, the limits, the shutdown.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;
use std::time::Duration;

use sockeye_core::{CloseCode, CloseFrame, Instant};

use super::entry::{Entry, Flag};
use super::error::PushError;
use super::options::{Limits, Settings};
use super::runtime::Address;
use super::status::ConnectionId;
use crate::shared::lock;

/// Connections refused at a time that are told so; beyond, they are just closed.
const REFUSALS: usize = 256;

/// No lock of it is held while anything is sent or any handler runs.
#[derive(Debug)]
pub(super) struct Hub {
    entries: RwLock<HashMap<u64, Arc<Entry>>>,
    next: AtomicU64,
    limits: Limits,
    queued: AtomicUsize,
    connections: AtomicUsize,
    handshakes: AtomicUsize,
    refusals: AtomicUsize,
    /// Kept only if there is a limit.
    addresses: Mutex<HashMap<IpAddr, usize>>,
    stopping: AtomicBool,
    grace: Mutex<Option<Duration>>,
    over: AtomicBool,
    /// Rung when any of the above may be news to those who wait.
    pub(super) bell: Bell,
}

impl Hub {
    pub(super) fn new(limits: Limits) -> Self {
        Hub {
            entries: RwLock::default(),
            next: AtomicU64::new(1),
            limits,
            queued: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            addresses: Mutex::default(),
            stopping: AtomicBool::new(false),
            grace: Mutex::new(None),
            over: AtomicBool::new(false),
            bell: Bell::default(),
        }
    }

    // The registry.

    pub(super) fn get(&self, id: ConnectionId) -> Option<Arc<Entry>> {
        self.read().get(&id.0).cloned()
    }

    /// As they are now. Who is told of them may take long.
    pub(super) fn snapshot(&self) -> Vec<Arc<Entry>> {
        self.read().values().cloned().collect()
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.read().keys().map(|id| ConnectionId(*id)).collect()
    }

    pub(super) fn insert(
        &self,
        peer: Address,
        local: Address,
        now: Instant,
        port: Arc<Settings>,
    ) -> Arc<Entry> {
        // 64 bits do not run out.
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(Entry::new(ConnectionId(id), peer, local, now, port));
        self.write().insert(id, entry.clone());
        entry
    }

    pub(super) fn remove(&self, id: ConnectionId) {
        let entry = self.write().remove(&id.0);
        drop(entry);
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<u64, Arc<Entry>>> {
        self.entries.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<u64, Arc<Entry>>> {
        self.entries.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    // The queues together.

    pub(super) fn count_queued(&self, before: usize, now: usize) {
        if now >= before {
            self.queued.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.queued.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Pushes at the same time may pass it by one message each.
    pub(super) fn check_budget(&self, len: usize) -> Result<(), PushError> {
        let queued = self.queued();
        if queued.saturating_add(len) > self.limits.max_queued {
            return Err(PushError::ServerBackpressure { queued });
        }
        Ok(())
    }

    // Who may come in.

    /// Counts a connection in, if there is room.
    pub(super) fn admit(self: &Arc<Self>, peer: &Address) -> Option<Admitted> {
        let connection = Count::take(self, |hub| &hub.connections, self.limits.max_connections)?;
        let handshake = Count::take(self, |hub| &hub.handshakes, self.limits.max_handshakes)?;
        let address = match peer.ip().filter(|_| self.limits.max_per_address != usize::MAX) {
            None => None,
            Some(ip) => {
                let ip = ip.to_canonical();
                let mut addresses = lock(&self.addresses);
                let count = addresses.entry(ip).or_default();
                if *count >= self.limits.max_per_address {
                    if *count == 0 {
                        addresses.remove(&ip);
                    }
                    return None;
                }
                *count += 1;
                Some(AddressCount { hub: self.clone(), ip })
            }
        };
        Some(Admitted { connection, handshake, address })
    }

    /// Counts in a connection that is told that there is no room, if there is room for that.
    pub(super) fn refuse(self: &Arc<Self>) -> Option<Count> {
        Count::take(self, |hub| &hub.refusals, REFUSALS)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    // The end.

    pub(super) fn shutdown(&self, grace: Duration) {
        {
            let mut set = lock(&self.grace);
            // A second call may only shorten it.
            *set = Some(set.map_or(grace, |before| before.min(grace)));
        }
        if !self.stopping.swap(true, Ordering::AcqRel) {
            // Who is not in it yet looks at `stopping` when he is.
            let frame = going_away();
            self.snapshot().iter().for_each(|entry| entry.go_away(&frame));
        }
        self.bell.ring();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn grace(&self) -> Option<Duration> {
        *lock(&self.grace)
    }

    pub(super) fn abort_all(&self) {
        for entry in self.snapshot() {
            let _ = entry.tell(Flag::Aborted, true);
        }
    }

    /// Nothing runs any more.
    pub(super) fn finish(&self) {
        self.over.store(true, Ordering::Release);
        self.bell.ring();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// RFC 6455 7.4.1: "1001 indicates that an endpoint is "going away", such as a server going down".
pub(super) fn going_away() -> CloseFrame<'static> {
    CloseFrame::new(CloseCode::GOING_AWAY, "the server shuts down")
}

/// A connection's part of the limits.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) connection: Count,
    pub(super) handshake: Count,
    pub(super) address: Option<AddressCount>,
}

/// One of something that is limited.
#[derive(Debug)]
pub(super) struct Count {
    hub: Arc<Hub>,
    of: fn(&Hub) -> &AtomicUsize,
}

impl Count {
    fn take(hub: &Arc<Hub>, of: fn(&Hub) -> &AtomicUsize, limit: usize) -> Option<Self> {
        let below = |count| (count < limit).then_some(count + 1);
        of(hub).fetch_update(Ordering::AcqRel, Ordering::Acquire, below).ok()?;
        Some(Count { hub: hub.clone(), of })
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        (self.of)(&self.hub).fetch_sub(1, Ordering::AcqRel);
        if self.hub.is_stopping() {
            self.hub.bell.ring();
        }
    }
}

/// One of the connections of an address.
#[derive(Debug)]
pub(super) struct AddressCount {
    hub: Arc<Hub>,
    ip: IpAddr,
}

impl Drop for AddressCount {
    fn drop(&mut self) {
        let mut addresses = lock(&self.hub.addresses);
        if let Some(count) = addresses.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.ip);
            }
        }
    }
}

/// Wakes all who wait.
#[derive(Debug, Default)]
pub(super) struct Bell(Mutex<Vec<Waker>>);

impl Bell {
    /// Waits for the next ring. Look at what is waited for behind this, not before.
    pub(super) fn register(&self, waker: &Waker) {
        let mut wakers = lock(&self.0);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    pub(super) fn ring(&self) {
        let wakers = std::mem::take(&mut *lock(&self.0));
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::Inet(text.parse().unwrap())
    }

    #[test]
    fn o8_connections_handshakes_and_addresses_are_counted_in_and_out() {
        let limits = Limits::new().max_connections(3).max_handshakes(2).max_per_address(2);
        let hub = Arc::new(Hub::new(limits));
        let first = hub.admit(&address("1.2.3.4:5")).unwrap();
        let second = hub.admit(&address("[::ffff:1.2.3.4]:6")).unwrap();
        assert!(hub.admit(&address("5.6.7.8:9")).is_none(), "two handshakes");
        let Admitted { handshake, connection: _first, address: _address } = first;
        drop(handshake);
        assert!(hub.admit(&address("1.2.3.4:7")).is_none(), "two of one address, however it is written");
        assert_eq!(hub.connections(), 2, "who was not admitted is not counted");
        drop(second);
        let _third = hub.admit(&address("1.2.3.4:7")).unwrap();
        let _fourth = hub.admit(&Address::Unix(None)).unwrap();
        assert!(hub.admit(&Address::Unix(None)).is_none());
        assert_eq!(hub.connections(), 3);
    }

    #[test]
    fn m4_the_budget_counts_what_waits_on_all_connections() {
        let hub = Hub::new(Limits::new().max_queued(100));
        hub.count_queued(0, 60);
        hub.count_queued(0, 30);
        assert_eq!(hub.check_budget(10), Ok(()));
        assert_eq!(hub.check_budget(11), Err(PushError::ServerBackpressure { queued: 90 }));
        hub.count_queued(60, 0);
        assert_eq!((hub.queued(), hub.check_budget(70)), (30, Ok(())));
    }
}

//! Admission: a connection takes a slot of each limit, and frees it when it ends.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::lock::lock;
use crate::runtime::address::Address;
use crate::server::registry::counts::Counts;
use crate::server::registry::hub::Hub;

/// The number of refused connections that may be sent a 503 at a time. Further connections are
/// closed without a response.
const REFUSALS: usize = 256;

impl Hub {
    /// Reserves a slot of each limit for a new connection. Returns `None` if a limit is reached.
    pub(crate) fn admit(self: &Arc<Self>, peer: &Address) -> Option<Admission> {
        let connection = Slot::take(self, |counts| &counts.connections, self.limits.max_connections)?;
        let handshake = Slot::take(self, |counts| &counts.handshakes, self.limits.max_handshakes)?;
        let address = match peer.ip().filter(|_| self.limits.max_per_address != usize::MAX) {
            None => None,
            Some(ip) => {
                let ip = ip.to_canonical();
                let mut addresses = lock(&self.counts.addresses);
                let count = addresses.entry(ip).or_default();
                if *count >= self.limits.max_per_address {
                    if *count == 0 {
                        addresses.remove(&ip);
                    }
                    return None;
                }
                *count += 1;
                Some(AddressSlot { hub: self.clone(), ip })
            }
        };
        Some(Admission { connection, handshake, address })
    }

    /// Counts an accept loop until the slot is dropped.
    pub(crate) fn count_port(self: &Arc<Self>) -> Option<Slot> {
        Slot::take(self, |counts| &counts.ports, usize::MAX)
    }

    /// Reserves a slot for sending a 503. Returns `None` if all are taken.
    pub(crate) fn reserve_refusal(self: &Arc<Self>) -> Option<Slot> {
        Slot::take(self, |counts| &counts.refusals, REFUSALS)
    }
}

/// The slots of an admitted connection.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) connection: Slot,
    pub(crate) handshake: Slot,
    pub(crate) address: Option<AddressSlot>,
}

/// A guard that occupies one slot of a limit while it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    hub: Arc<Hub>,
    count: fn(&Counts) -> &AtomicUsize,
}

impl Slot {
    fn take(hub: &Arc<Hub>, count: fn(&Counts) -> &AtomicUsize, limit: usize) -> Option<Self> {
        let increment = |used| (used < limit).then_some(used + 1);
        count(&hub.counts).fetch_update(Ordering::AcqRel, Ordering::Acquire, increment).ok()?;
        Some(Slot { hub: hub.clone(), count })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        (self.count)(&self.hub.counts).fetch_sub(1, Ordering::AcqRel);
        if self.hub.is_stopping() {
            self.hub.wake_waiters();
        }
    }
}

/// A guard that counts one connection of an IP address while it lives.
#[derive(Debug)]
pub(crate) struct AddressSlot {
    hub: Arc<Hub>,
    ip: IpAddr,
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut addresses = lock(&self.hub.counts.addresses);
        if let Some(count) = addresses.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::registry::settings::Limits;

    fn address(text: &str) -> Address {
        Address::Inet(text.parse().unwrap())
    }

    #[test]
    fn o8_connections_handshakes_and_addresses_are_counted_in_and_out() {
        let limits = Limits::new().max_connections(3).max_handshakes(2).max_per_address(2);
        let hub = Arc::new(Hub::new(limits, sockeye_core::Instant::default));
        let first = hub.admit(&address("1.2.3.4:5")).unwrap();
        let second = hub.admit(&address("[::ffff:1.2.3.4]:6")).unwrap();
        assert!(hub.admit(&address("5.6.7.8:9")).is_none(), "two handshakes are in progress");
        let Admission { handshake, connection: _first, address: _address } = first;
        drop(handshake);
        for port in [7, 8] {
            let third = hub.admit(&address(&format!("1.2.3.4:{port}")));
            assert!(third.is_none(), "the address has two connections, one of them in its IPv6 form");
        }
        assert_eq!(hub.connections(), 2, "a refused connection is not counted");
        drop(second);
        let _third = hub.admit(&address("1.2.3.4:7")).unwrap();
        let _fourth = hub.admit(&Address::Unix(None)).unwrap();
        assert!(hub.admit(&Address::Unix(None)).is_none());
        assert_eq!(hub.connections(), 3);
    }
}

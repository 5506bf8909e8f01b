//! Admission: a connection takes a slot of each limit, and frees it when it ends.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::lock::lock;
use crate::runtime::address::Address;
use crate::server::registry::counts::Counts;
use crate::server::registry::entry::Entry;
use crate::server::registry::hub::Hub;
use crate::server::registry::settings::{Limits, Settings};
use crate::sync::atomic::{AtomicUsize, Ordering, fence};

/// The number of refused connections that may be sent a 503 at a time. Further connections are
/// closed without a response.
const REFUSALS: usize = 256;

impl Hub {
    /// Reserves a slot of each limit for a new connection. Returns the limit that is reached as the
    /// error.
    pub(crate) fn admit(self: &Arc<Self>, peer: &Address, port: &Settings) -> Result<Admission, FullLimit> {
        let Limits { max_handshakes, .. } = self.limits;
        let connection = self.take_connection()?;
        let handshake = Slot::take(self, |counts| &counts.handshakes, max_handshakes)
            .ok_or(FullLimit::Handshakes(max_handshakes))?;
        let is_counted = self.counts(peer, peer, port);
        if is_counted {
            self.count_address(peer)?;
        }
        Ok(Admission { connection, handshake, is_counted })
    }

    /// Reserves a slot of each limit for a connection that is open already, like
    /// [`admit`](Hub::admit). Also returns whether it counts against the limit of its address.
    pub(crate) fn admit_open(
        self: &Arc<Self>,
        peer: &Address,
        port: &Settings,
    ) -> Result<(Slot, bool), FullLimit> {
        let connection = self.take_connection()?;
        let is_counted = self.counts(peer, peer, port);
        if is_counted {
            self.count_address(peer)?;
        }
        Ok((connection, is_counted))
    }

    fn take_connection(self: &Arc<Self>) -> Result<Slot, FullLimit> {
        let limit = self.limits.max_connections;
        Slot::take(self, |counts| &counts.connections, limit).ok_or(FullLimit::Connections(limit))
    }

    /// Sets the client of a connection, which a proxy has named, and counts the connection for it.
    ///
    /// # Errors
    ///
    /// Returns the limit if the client has reached it. The connection then counts for no address.
    pub(crate) fn recount_address(&self, entry: &Entry, peer: &Address) -> Result<(), FullLimit> {
        let counts = self.counts(peer, entry.transport_peer(), &entry.port);
        // A client that is counted already needs no second slot.
        let keeps_slot = counts && entry.is_counted() && self.key(peer) == self.key(&entry.peer());
        if !keeps_slot {
            self.uncount_address(entry);
            entry.set_peer(peer, false);
            if counts {
                self.count_address(peer)?;
            }
        }
        entry.set_peer(peer, counts);
        Ok(())
    }

    /// Ends the count of a connection's address.
    pub(crate) fn uncount_address(&self, entry: &Entry) {
        if !entry.is_counted() {
            return;
        }
        let peer = entry.peer();
        entry.set_peer(&peer, false);
        let Some(key) = self.key(&peer) else { return };
        let mut addresses = lock(&self.counts.addresses);
        if let Some(count) = addresses.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&key);
            }
        }
    }

    /// Returns whether a connection counts against the limit of `peer`. A proxy that is trusted
    /// does not count for its own address, only for those of its clients.
    fn counts(&self, peer: &Address, transport_peer: &Address, port: &Settings) -> bool {
        self.limits.max_per_address != usize::MAX
            && peer.ip().is_some()
            && !(peer == transport_peer && port.trusted_proxies.trusts(peer.ip()))
    }

    /// Counts a connection from `peer`. Returns the limit if it is reached.
    fn count_address(&self, peer: &Address) -> Result<(), FullLimit> {
        let Some(key) = self.key(peer) else { return Ok(()) };
        let mut addresses = lock(&self.counts.addresses);
        let count = addresses.get(&key).copied().unwrap_or_default();
        if count >= self.limits.max_per_address {
            return Err(FullLimit::PerAddress(self.limits.max_per_address));
        }
        addresses.insert(key, count + 1);
        Ok(())
    }

    /// Returns the address that stands for all those that count together with `peer`.
    fn key(&self, peer: &Address) -> Option<IpAddr> {
        peer.ip().map(|ip| address_key(ip, self.limits.ipv6_prefix))
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

/// A limit of a server that is reached, with its number. [`Limits`] describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FullLimit {
    /// [`Limits::max_connections`].
    Connections(usize),
    /// [`Limits::max_handshakes`].
    Handshakes(usize),
    /// [`Limits::max_per_address`].
    PerAddress(usize),
}

impl fmt::Display for FullLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FullLimit::Connections(limit) => {
                write!(f, "the server has reached its limit of {limit} connections")
            }
            FullLimit::Handshakes(limit) => {
                write!(f, "the server has reached its limit of {limit} handshakes in progress")
            }
            FullLimit::PerAddress(limit) => {
                write!(f, "the client's address has reached the limit of {limit} connections")
            }
        }
    }
}

/// The slots of an admitted connection.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) connection: Slot,
    pub(crate) handshake: Slot,
    /// Whether the connection counts against the limit of its address, until
    /// [`Hub::uncount_address`].
    pub(crate) is_counted: bool,
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
        // Either this thread sees that the server stops, and wakes `Server::run`, or that sees the
        // new count. Acquire and release do not suffice: each thread writes one value and then reads
        // the other, and without the fences both may read the old ones. The other fence is in
        // `Hub::has_drained`.
        fence(Ordering::SeqCst);
        if self.hub.is_stopping() {
            self.hub.wake_waiters();
        }
    }
}

/// Returns the address that stands for all those that count together with `ip`.
fn address_key(ip: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(ipv6_prefix.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use sockeye_core::Instant;
    use sockeye_core::proxy::TrustedProxies;

    use super::*;
    use crate::server::api::callbacks::Callbacks;
    use crate::server::api::port::Port;

    fn address(text: &str) -> Address {
        Address::Inet(text.parse().unwrap())
    }

    /// An admitted connection, which frees its slots like the guard of a task does.
    struct Connection {
        hub: Arc<Hub>,
        entry: Arc<Entry>,
        admission: Option<Admission>,
    }

    impl Connection {
        fn admit(hub: &Arc<Hub>, peer: Address, port: &Arc<Settings>) -> Result<Self, FullLimit> {
            let admission = hub.admit(&peer, port)?;
            let entry = hub.insert(peer, Address::Unix(None), Instant::default(), port.clone());
            entry.set_peer(entry.transport_peer(), admission.is_counted);
            Ok(Connection { hub: hub.clone(), entry, admission: Some(admission) })
        }

        fn end_handshake(&mut self) {
            let Admission { connection, is_counted, .. } = self.admission.take().unwrap();
            let handshake = Slot::take(&self.hub, |counts| &counts.refusals, 1).unwrap();
            self.admission = Some(Admission { connection, handshake, is_counted });
        }
    }

    impl Drop for Connection {
        fn drop(&mut self) {
            self.hub.uncount_address(&self.entry);
        }
    }

    fn port(proxies: &[&str]) -> Arc<Settings> {
        let proxies = TrustedProxies::networks(proxies.iter().copied()).unwrap();
        Arc::new(Port::new(Callbacks::on_message(|_, _| async {})).trusted_proxies(proxies).settings)
    }

    #[test]
    fn o8_connections_handshakes_and_addresses_are_counted_in_and_out() {
        let limits = Limits::new().max_connections(3).max_handshakes(2).max_per_address(2);
        let (hub, port) = (Arc::new(Hub::new(limits, Instant::default)), port(&[]));
        let admit = |peer: &str| Connection::admit(&hub, address(peer), &port);
        let mut first = admit("1.2.3.4:5").unwrap();
        let second = admit("[::ffff:1.2.3.4]:6").unwrap();
        assert_eq!(admit("5.6.7.8:9").err(), Some(FullLimit::Handshakes(2)));
        first.end_handshake();
        for port in [7, 8] {
            let third = admit(&format!("1.2.3.4:{port}"));
            // One of the two connections of this address is in its IPv6 form.
            assert_eq!(third.err(), Some(FullLimit::PerAddress(2)));
        }
        assert_eq!(hub.connections(), 2, "a refused connection is not counted");
        drop(second);
        let _third = admit("1.2.3.4:7").unwrap();
        let _fourth = Connection::admit(&hub, Address::Unix(None), &port).unwrap();
        let fifth = Connection::admit(&hub, Address::Unix(None), &port);
        assert_eq!(fifth.err(), Some(FullLimit::Connections(3)));
        assert_eq!(hub.connections(), 3);
    }

    #[test]
    fn h16_t47_a_connection_of_a_proxy_counts_for_its_client() {
        let (hub, port) =
            (Arc::new(Hub::new(Limits::new().max_per_address(2), Instant::default)), port(&["10.0.0.1"]));
        let admit = || Connection::admit(&hub, address("10.0.0.1:5"), &port).unwrap();
        // A proxy may have any number of connections.
        let connections: Vec<Connection> = (0..9).map(|_| admit()).collect();
        let recount =
            |at: usize, peer: &str| hub.recount_address(&connections[at].entry, &address(peer)).is_ok();
        assert!(recount(0, "1.2.3.4:0") && recount(1, "1.2.3.4:0") && !recount(2, "1.2.3.4:0"));
        assert_eq!(connections[2].entry.peer(), address("1.2.3.4:0"), "the one that is refused");
        // The next request on a connection may come from the same client, from another, or from the
        // proxy itself.
        assert!(recount(1, "1.2.3.4:0") && recount(1, "5.6.7.8:0") && recount(2, "1.2.3.4:0"));
        assert!(recount(0, "10.0.0.1:5") && recount(3, "1.2.3.4:0"));
        assert_eq!(connections[1].entry.peer(), address("5.6.7.8:0"));
        assert_eq!(connections[1].entry.transport_peer(), &address("10.0.0.1:5"));
        let direct = |peer: &str| Connection::admit(&hub, address(peer), &port).is_ok();
        assert!(!direct("1.2.3.4:9") && direct("5.6.7.8:9"));
        drop(connections);
        assert!(lock(&hub.counts.addresses).is_empty());
    }

    #[test]
    fn o8_t47_addresses_of_one_ipv6_network_count_together() {
        let key = |ip: &str, prefix| address_key(ip.parse().unwrap(), prefix).to_string();
        assert_eq!(key("2001:db8:1:2:3:4:5:6", 64), "2001:db8:1:2::");
        assert_eq!(key("2001:db8:1:2:3:4:5:6", 48), "2001:db8:1::");
        assert_eq!(key("2001:db8:1:2:3:4:5:6", 128), "2001:db8:1:2:3:4:5:6");
        assert_eq!(key("2001:db8:1:2:3:4:5:6", 0), "::");
        assert_eq!(key("2001:db8::1", 255), "2001:db8::1");
        assert_eq!(key("::ffff:1.2.3.4", 64), "1.2.3.4");

        let (limits, port) = (Limits::new().max_per_address(1), port(&[]));
        let admit = |limits: &Limits, second: &str| {
            let hub = Arc::new(Hub::new(limits.clone(), Instant::default));
            let _first = Connection::admit(&hub, address("[2001:db8::1]:1"), &port).unwrap();
            Connection::admit(&hub, address(second), &port).is_ok()
        };
        assert!(!admit(&limits, "[2001:db8::ffff:2]:2"));
        assert!(admit(&limits, "[2001:db8:0:1::1]:2"));
        assert!(admit(&limits.ipv6_prefix(128), "[2001:db8::2]:2"));
    }
}

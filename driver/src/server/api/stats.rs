//! The figures of a running server.

use std::collections::BTreeMap;

use crate::runtime::address::Address;
use crate::server::api::handle::ServerHandle;
use crate::server::registry::counters::{CountedPort, RefusedCounts, Traffic};
use crate::sync::atomic::Ordering;

/// The figures of a server, from [`ServerHandle::stats`].
///
/// Counts only grow; the others are those of the moment. They are read one after the other while the
/// server runs, so they may differ by what happens meanwhile.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The sums of all ports.
    pub total: PortStats,
    /// The ports, each with its address, in the order in which they were added. An
    /// [`Endpoint`](crate::server::Endpoint) is one without an address (`Address::Unix(None)`), from
    /// the first adopted connection on.
    pub ports: Vec<(Address, PortStats)>,
    /// The present connections whose first request has not been answered, as
    /// [`Limits::max_handshakes`](crate::server::Limits#structfield.max_handshakes) counts them.
    pub handshakes: usize,
    /// The bytes that wait to be written, like [`ServerHandle::queued`].
    pub queued_bytes: usize,
    /// The received bytes that are held, like [`ServerHandle::received`].
    pub held_bytes: usize,
    /// The topics that have subscribers.
    pub topics: usize,
}

/// The figures of one port, or of all.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PortStats {
    /// The present connections: [`open`](PortStats#structfield.open), closing, and those that speak
    /// plain HTTP.
    pub connections: usize,
    /// The open WebSockets.
    pub open: usize,
    /// The WebSockets whose closing handshake has begun, or whose socket is not closed yet.
    pub closing: usize,
    /// The number of connections that were accepted: neither refused by a limit nor failed.
    pub accepted: u64,
    /// The number of WebSockets that were opened.
    pub opened: u64,
    /// The number of plain HTTP requests that reached the handler.
    pub requests: u64,
    /// The number of connections and requests that were refused, by reason.
    pub refused: RefusedCounts,
    /// The number of WebSockets that ended with each code, which is 1006 without a Close. Beside
    /// those of the RFC, at most 64 codes are counted one by one.
    pub closed: BTreeMap<u16, u64>,
    /// The number of WebSockets that ended with any other code.
    pub closed_with_others: u64,
    /// The messages that handlers received. Those of a batch are counted after its last one.
    pub received: Traffic,
    /// How many of the received messages were compressed.
    pub received_compressed: u64,
    /// The messages that were queued and of which something was written, each when its connection
    /// next writes. [`Traffic::bytes`] and [`Traffic::wire_bytes`] show what compression saves.
    pub sent: Traffic,
    /// The number of messages that [`SlowReader::Drop`](crate::server::SlowReader::Drop) has
    /// dropped.
    pub dropped: u64,
    /// The number of pushes that failed because the peer reads too slowly, or the server's queues
    /// are full.
    pub slow: u64,
    /// The number of received messages that exceeded [`Port::rate_limit`](crate::server::Port).
    pub over_rate: u64,
}

impl PortStats {
    /// Returns the present connections that are no WebSockets.
    #[must_use]
    pub fn http(&self) -> usize {
        self.connections.saturating_sub(self.open).saturating_sub(self.closing)
    }

    fn read(port: &CountedPort) -> Self {
        let counters = &*port.counters;
        let (received, received_compressed) = counters.received();
        let closed = counters.closed();
        PortStats {
            connections: counters.present.load(Ordering::Relaxed),
            open: counters.open.load(Ordering::Relaxed),
            closing: counters.closing.load(Ordering::Relaxed),
            accepted: counters.accepted.load(Ordering::Relaxed),
            opened: counters.opened.load(Ordering::Relaxed),
            requests: counters.requests.load(Ordering::Relaxed),
            refused: counters.refused(),
            closed: closed.by_code,
            closed_with_others: closed.others,
            received,
            received_compressed,
            sent: counters.sent(),
            dropped: counters.dropped.load(Ordering::Relaxed),
            slow: counters.slow.load(Ordering::Relaxed),
            over_rate: counters.over_rate.load(Ordering::Relaxed),
        }
    }

    pub(super) fn add(&mut self, other: &PortStats) {
        self.connections += other.connections;
        self.open += other.open;
        self.closing += other.closing;
        self.accepted += other.accepted;
        self.opened += other.opened;
        self.requests += other.requests;
        self.refused.add(&other.refused);
        for (code, count) in &other.closed {
            *self.closed.entry(*code).or_default() += count;
        }
        self.closed_with_others += other.closed_with_others;
        self.received.add(&other.received);
        self.received_compressed += other.received_compressed;
        self.sent.add(&other.sent);
        self.dropped += other.dropped;
        self.slow += other.slow;
        self.over_rate += other.over_rate;
    }
}

/// Figures for dashboards and health checks.
impl ServerHandle {
    /// Returns the figures of the server, by port and as sums.
    ///
    /// It reads counters, whatever the number of connections. Counting costs no lock for a message.
    ///
    /// ```
    /// use sockeye_driver::server::ServerHandle;
    ///
    /// fn report(server: &ServerHandle) -> String {
    ///     let stats = server.stats();
    ///     format!("{} open, {} messages received", stats.total.open, stats.total.received.messages)
    /// }
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let hub = self.hub();
        let mut stats = Stats {
            handshakes: hub.counts.handshakes.load(Ordering::Relaxed),
            queued_bytes: hub.queued(),
            held_bytes: hub.received(),
            topics: hub.topics.count(),
            ..Stats::default()
        };
        for port in hub.ports() {
            let figures = PortStats::read(&port);
            stats.total.add(&figures);
            stats.ports.push((port.address, figures));
        }
        stats
    }

    /// Returns the number of present connections, WebSockets and others, without a list of their
    /// ids.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.hub().count()
    }
}

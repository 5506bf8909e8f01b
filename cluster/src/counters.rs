//! The figures of a node.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The figures of a node since it has joined, from [`Cluster::stats`](crate::Cluster::stats).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClusterStats {
    /// Messages that were queued to the broker.
    pub published: u64,
    /// Messages that were not queued, because the broker was away or its queue was full.
    pub refused: u64,
    /// Messages of other nodes.
    pub received: u64,
    /// Messages of other nodes that never arrived, by the gaps in their numbers. A gap counts when
    /// the next message of the same node to the same topic arrives.
    pub lost: u64,
    /// Messages that arrived again or after a later one. They were not delivered.
    pub duplicates: u64,
    /// Messages that were not understood.
    pub invalid: u64,
    /// Times that the broker was lost.
    pub disconnects: u64,
    /// The topics to which the node subscribes at the broker now.
    pub topics: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) published: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) invalid: AtomicU64,
    pub(crate) disconnects: AtomicU64,
    pub(crate) topics: AtomicU64,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> ClusterStats {
        ClusterStats {
            published: self.published.load(Relaxed),
            refused: self.refused.load(Relaxed),
            received: self.received.load(Relaxed),
            lost: self.lost.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            invalid: self.invalid.load(Relaxed),
            disconnects: self.disconnects.load(Relaxed),
            topics: self.topics.load(Relaxed),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}

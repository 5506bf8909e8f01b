//! The nodes of the cluster, by their heartbeats.

use std::collections::HashMap;
use std::time::Duration;

use crate::id::NodeId;

/// The other nodes that are alive. All times are since the node has joined.
#[derive(Debug)]
pub(crate) struct Membership {
    expiry: Duration,
    heard: HashMap<NodeId, Duration>,
    /// Without a broker no heartbeat arrives, so that nothing is known about the other nodes.
    is_connected: bool,
}

impl Membership {
    pub(crate) fn new(expiry: Duration) -> Self {
        Membership { expiry, heard: HashMap::new(), is_connected: false }
    }

    /// Notes a heartbeat. Returns true if the node is new.
    pub(crate) fn heard(&mut self, node: NodeId, now: Duration) -> bool {
        self.heard.insert(node, now).is_none()
    }

    /// Removes a node that says that it leaves. Returns false if it was unknown.
    pub(crate) fn leave(&mut self, node: NodeId) -> bool {
        self.heard.remove(&node).is_some()
    }

    /// Notes that the broker is connected: every known node has the whole expiry for a heartbeat.
    pub(crate) fn connected(&mut self, now: Duration) {
        self.is_connected = true;
        self.heard.values_mut().for_each(|heard| *heard = now);
    }

    pub(crate) fn disconnected(&mut self) {
        self.is_connected = false;
    }

    /// Removes and returns the nodes that have been silent for too long.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<NodeId> {
        if !self.is_connected {
            return Vec::new();
        }
        let gone = self.heard.extract_if(|_, heard| now.saturating_sub(*heard) >= self.expiry);
        gone.map(|(node, _)| node).collect()
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.heard.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Membership;
    use crate::id::NodeId;

    const NODE: NodeId = NodeId::from_u64(1);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn c3_a_silent_node_is_gone_after_the_expiry() {
        let mut members = Membership::new(at(3));
        members.connected(at(0));
        assert!(members.heard(NODE, at(1)));
        assert!(!members.heard(NODE, at(2)));
        assert_eq!(members.expire(at(4)), []);
        assert_eq!(members.expire(at(5)), [NODE]);
        assert_eq!(members.nodes().count(), 0);
        assert!(!members.leave(NODE));
    }

    #[test]
    fn c3_no_node_expires_while_the_broker_is_away_nor_at_once_afterwards() {
        let mut members = Membership::new(at(3));
        members.connected(at(0));
        members.heard(NODE, at(1));
        members.disconnected();
        assert_eq!(members.expire(at(60)), []);
        members.connected(at(60));
        assert_eq!(members.expire(at(62)), []);
        assert_eq!(members.expire(at(63)), [NODE]);
    }
}

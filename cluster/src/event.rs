//! Events of a node.

use crate::id::NodeId;

/// An event of a node, from [`Cluster::events`](crate::Cluster::events).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterEvent {
    /// The broker is connected, and subscribed to all topics that have subscribers here.
    Connected,
    /// The broker is away. Local delivery continues.
    Disconnected,
    /// Another node has joined, or is heard again.
    NodeJoined(NodeId),
    /// Another node has left, or has been silent for the
    /// [expiry](crate::ClusterOptions#structfield.expiry).
    NodeLeft(NodeId),
    /// Messages of another node to one topic have not arrived.
    Lost {
        /// The node that published them.
        node: NodeId,
        /// Their number.
        messages: u64,
    },
}

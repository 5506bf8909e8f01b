//! Information about a connection of any node.

use std::time::Duration;

use sockeye_driver::server::{ConnectionId, ServerHandle};

/// Information about a connection of any node, from [`Cluster::info`](crate::Cluster::info).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteInfo {
    /// Whether it is an open WebSocket.
    pub is_established: bool,
    /// The time since the client connected.
    pub age: Duration,
    /// The number of bytes that wait to be written.
    pub queued: u64,
    /// The client's address.
    pub peer: String,
}

impl RemoteInfo {
    pub(crate) fn of(server: &ServerHandle, id: ConnectionId) -> Option<Self> {
        let info = server.info(id)?;
        Some(RemoteInfo {
            is_established: server.is_established(id),
            age: info.taken_at.since(info.connected_at),
            queued: info.queued as u64,
            peer: info.peer.to_string(),
        })
    }
}

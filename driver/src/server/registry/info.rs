//! The server's information about a connection.

use std::fmt;
use std::time::Duration;

use sockeye_core::Instant;
use sockeye_core::deflate::Negotiated;

use crate::runtime::address::Address;

/// The id of a connection. A server never uses the same id twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

impl ConnectionId {
    /// Returns the id as a number, for logs and messages.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Converts a number from [`as_u64`](ConnectionId::as_u64) back to the id. Commands to an id
    /// that no connection has return
    /// [`PushError::UnknownConnection`](crate::server::PushError::UnknownConnection).
    #[must_use]
    pub const fn from_u64(id: u64) -> Self {
        ConnectionId(id)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The stage of a WebSocket connection, from the request to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Status {
    /// The client has requested a WebSocket.
    Connection = 1,
    /// The request is valid, and the application is deciding on it.
    Handshake = 2,
    /// The WebSocket is open.
    Active = 3,
    /// One of the ends has begun to close it.
    Closing = 4,
    /// The request was refused.
    HandshakeFailed = 5,
}

impl Status {
    /// Returns the number of Swoole's `WEBSOCKET_STATUS_…` constant. In Swoole, 0 stands for a
    /// connection without a status.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Status::Connection,
            2 => Status::Handshake,
            3 => Status::Active,
            4 => Status::Closing,
            5 => Status::HandshakeFailed,
            _ => return None,
        })
    }
}

/// A snapshot of the server's information about a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Info {
    /// The connection's id.
    pub id: ConnectionId,
    /// The stage of the WebSocket; `None` while the client has sent only plain HTTP requests.
    pub status: Option<Status>,
    /// The client's address. Behind a [trusted proxy](crate::server::Port::trusted_proxies) it is
    /// the address that the proxy names.
    pub peer: Address,
    /// The address of the other end of the transport: that of the client, or of the nearest proxy.
    pub transport_peer: Address,
    /// The address that the transport's other end connected to.
    pub local: Address,
    /// The time of this snapshot. All four times are on the clock of the server's
    /// [`Runtime`](crate::server::Runtime).
    pub taken_at: Instant,
    /// The time at which the client connected. `info.taken_at.since(info.connected_at)` is the age
    /// of the connection.
    pub connected_at: Instant,
    /// The time at which bytes last arrived; `None` before the connection became a WebSocket.
    pub last_received: Option<Instant>,
    /// The time at which bytes were last written; `None` before the connection became a WebSocket.
    pub last_sent: Option<Instant>,
    /// The number of bytes that wait to be written.
    pub queued: usize,
    /// The number of messages that [`SlowReader::Drop`](crate::server::SlowReader::Drop) has
    /// dropped, instead of queueing them for this connection.
    pub dropped: u32,
    /// The subprotocol that the handshake selected (RFC 6455 1.9).
    pub subprotocol: Option<Box<str>>,
    /// The compression that the handshake negotiated (RFC 7692).
    pub compression: Option<Negotiated>,
    /// The time from the latest answered ping to its pong.
    pub round_trip: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn f3_statuses_have_the_documented_numbers() {
        let all =
            [Status::Connection, Status::Handshake, Status::Active, Status::Closing, Status::HandshakeFailed];
        assert_eq!(all.map(Status::as_u8), [1, 2, 3, 4, 5]);
        assert_eq!(all.map(|status| Status::from_u8(status.as_u8())), all.map(Some));
        assert_eq!((Status::from_u8(0), Status::from_u8(6)), (None, None));
    }
}

//! What can be known of a connection.

use std::fmt;
use std::time::{Duration, Instant};

use sockeye_core::deflate::Negotiated;

use crate::runtime::address::Address;

/// The name of a connection: opaque, and never used again by the same server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

impl ConnectionId {
    /// As a number, for logs and for messages.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a connection is on its way to a WebSocket and from there to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Status {
    /// It has asked to become one.
    Connection = 1,
    /// The request is valid, and being decided on.
    Handshake = 2,
    /// It is open.
    Active = 3,
    /// One of the ends has begun to close it.
    Closing = 4,
    /// The request was refused.
    HandshakeFailed = 5,
}

impl Status {
    /// The number, as `WEBSOCKET_STATUS_…` of Swoole has it; there, 0 is a connection that has none.
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

/// What is known of a connection at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Info {
    /// Its name.
    pub id: ConnectionId,
    /// How far it is; `None` while nothing but HTTP was asked of it.
    pub status: Option<Status>,
    /// Who connected.
    pub peer: Address,
    /// What to.
    pub local: Address,
    /// When.
    pub connected_at: Instant,
    /// When bytes last came, since it became a WebSocket.
    pub last_received: Option<Instant>,
    /// When bytes were last written, since it became a WebSocket.
    pub last_sent: Option<Instant>,
    /// Bytes that wait to be written.
    pub queued: usize,
    /// The subprotocol agreed on (RFC 6455 1.9).
    pub subprotocol: Option<Box<str>>,
    /// The compression agreed on (RFC 7692).
    pub compression: Option<Negotiated>,
    /// The time from the latest answered ping to its pong.
    pub round_trip: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn f3_the_statuses_have_the_numbers_of_the_page() {
        let all =
            [Status::Connection, Status::Handshake, Status::Active, Status::Closing, Status::HandshakeFailed];
        assert_eq!(all.map(Status::as_u8), [1, 2, 3, 4, 5]);
        assert_eq!(all.map(|status| Status::from_u8(status.as_u8())), all.map(Some));
        assert_eq!((Status::from_u8(0), Status::from_u8(6)), (None, None));
    }
}

//! The outcome of a receive with a time limit.

use sockeye_core::Message;

use crate::incoming::Next;

/// What [`WebSocket::recv_timeout`](crate::WebSocket::recv_timeout) returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message(Message),
    /// None came in time. The connection is as usable as before.
    TimedOut,
    /// The connection is over, as when [`WebSocket::recv`](crate::WebSocket::recv) returns `None`. How it ended is in [`WebSocket::close_info`](crate::WebSocket::close_info).
    Closed,
}

impl From<Next<Message>> for Received {
    fn from(next: Next<Message>) -> Self {
        match next {
            Next::Item(message) => Received::Message(message),
            Next::TimedOut => Received::TimedOut,
            Next::Over => Received::Closed,
        }
    }
}

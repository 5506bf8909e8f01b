//! The result of a receive with a time limit.

use sockeye_core::Message;

use crate::reader::RecvOutcome;

/// The result of [`WebSocket::recv_timeout`](crate::WebSocket::recv_timeout).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message(Message),
    /// No message arrived in time. The connection is still usable.
    TimedOut,
    /// The connection has ended, as when [`WebSocket::recv`](crate::WebSocket::recv) returns
    /// `None`. [`WebSocket::close_info`](crate::WebSocket::close_info) returns how.
    Closed,
}

impl From<RecvOutcome<Message>> for Received {
    fn from(outcome: RecvOutcome<Message>) -> Self {
        match outcome {
            RecvOutcome::Item(message) => Received::Message(message),
            RecvOutcome::TimedOut => Received::TimedOut,
            RecvOutcome::Closed => Received::Closed,
        }
    }
}

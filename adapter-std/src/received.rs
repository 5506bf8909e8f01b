//! The results of receives with a time limit.

use sockeye_core::Message;
use sockeye_driver::WebSocketEvent;

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

/// The result of [`WebSocket::recv_event_timeout`](crate::WebSocket::recv_event_timeout).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceivedEvent {
    /// A message or a control frame.
    Event(WebSocketEvent),
    /// Nothing arrived in time. The connection is still usable.
    TimedOut,
    /// The connection has ended, as when
    /// [`WebSocket::recv_event`](crate::WebSocket::recv_event) returns `None`.
    /// [`WebSocket::close_info`](crate::WebSocket::close_info) returns how.
    Closed,
}

impl From<RecvOutcome<WebSocketEvent>> for ReceivedEvent {
    fn from(outcome: RecvOutcome<WebSocketEvent>) -> Self {
        match outcome {
            RecvOutcome::Item(event) => ReceivedEvent::Event(event),
            RecvOutcome::TimedOut => ReceivedEvent::TimedOut,
            RecvOutcome::Closed => ReceivedEvent::Closed,
        }
    }
}

//! The events of an open connection, for applications that want to see control frames.

use bytes::Bytes;
use sockeye_core::{CloseFrame, Control, Incoming, Message};

/// A message or a control frame, as [`WebSocket::recv_event`](crate::WebSocket::recv_event) returns
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebSocketEvent {
    /// A whole message.
    Message(Message),
    /// A ping with its payload. It has been answered unless
    /// [`Config::auto_pong`](sockeye_core::Config#structfield.auto_pong) is off.
    Ping(Bytes),
    /// A pong with its payload, whether it answers a ping or not. Keepalive pings have payloads of
    /// four bytes.
    Pong(Bytes),
    /// The peer's Close. No message follows, and none can be sent.
    ///
    /// It has been answered unless
    /// [`Config::auto_close`](sockeye_core::Config#structfield.auto_close) is off. Then the
    /// application may choose the answer before it receives again; otherwise the next receive
    /// answers with the peer's code and reason. In either case, receive until `None`: that writes
    /// the answer.
    Close(CloseFrame<'static>),
}

impl From<Incoming<'_, '_>> for WebSocketEvent {
    fn from(incoming: Incoming<'_, '_>) -> Self {
        let to_bytes = |payload: &[u8]| Bytes::copy_from_slice(payload);
        match incoming {
            Incoming::Message(message) => WebSocketEvent::Message(message.into_message()),
            Incoming::Control(Control::Ping(payload)) => WebSocketEvent::Ping(to_bytes(&payload)),
            Incoming::Control(Control::Pong(payload)) => WebSocketEvent::Pong(to_bytes(&payload)),
            Incoming::Control(Control::Close(frame)) => WebSocketEvent::Close(frame.into_owned()),
        }
    }
}

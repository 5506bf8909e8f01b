//! Receiving control frames in one half, and answering them from either.

use std::future::poll_fn;
use std::task::{Context, Poll};

use sockeye_core::{CloseCode, CloseFrame, SendError};

use crate::error::Error;
use crate::event::WebSocketEvent;
use crate::lock::lock;
use crate::runtime::io::{Clock, Io};
use crate::split::{RecvHalf, SendHalf};

impl<I: Io, C: Clock> RecvHalf<I, C> {
    /// Waits for the next message or control frame, like
    /// [`WebSocket::recv_event`](crate::WebSocket::recv_event).
    ///
    /// Without [`Config::auto_pong`](sockeye_core::Config#structfield.auto_pong), the other half
    /// [sends the pongs](SendHalf::pong). Without
    /// [`Config::auto_close`](sockeye_core::Config#structfield.auto_close), call
    /// [`answer_close`](RecvHalf::answer_close) before the next receive to choose the answer.
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended without a complete closing handshake, like
    /// [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection keeps the part of a message that has arrived.
    pub async fn recv_event(&mut self) -> Result<Option<WebSocketEvent>, Error> {
        poll_fn(|cx| self.poll_recv_event(cx)).await
    }

    /// Polls [`recv_event`](RecvHalf::recv_event), for futures written by hand.
    pub fn poll_recv_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<WebSocketEvent>, Error>> {
        match &mut self.reader {
            Some(reader) => reader.poll_event(&mut &self.shared.link, cx, |incoming, _| incoming.into()),
            None => Poll::Ready(Ok(None)),
        }
    }

    /// Answers the peer's Close with a code and a reason of your choice, if it has not been
    /// answered. The next receive writes the answer.
    ///
    /// # Errors
    ///
    /// Returns an error, and queues nothing, if the code or reason cannot be sent, or
    /// [`SendError::Closed`] if there is no Close to answer.
    pub fn answer_close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), SendError> {
        let mut link = lock(&self.shared.link);
        if !link.sender.owes_answer() {
            return Err(SendError::Closed);
        }
        link.sender_with_buffer().close(&CloseFrame::new(code, reason))
    }
}

impl<I: Io, C: Clock> SendHalf<I, C> {
    /// Sends a pong of at most 125 bytes, like [`WebSocket::pong`](crate::WebSocket::pong).
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is too long, the connection is closing, or the transport
    /// broke.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the pong.
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        lock(&self.shared.link).sender_with_buffer().pong(payload)?;
        self.flush().await
    }
}

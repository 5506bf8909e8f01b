//! Sending and closing.

use super::{Phase, Session};
use crate::Connection;
use crate::close::CloseCode;
use crate::error::{SendError, TrySendError};
use crate::frame::OutgoingFrame;
use crate::message::Payload;
use crate::prepared::Prepared;

/// Before [`SessionEvent::Open`](super::SessionEvent::Open) every method here that can fail returns
/// [`SendError::NotOpen`].
impl Session {
    /// Queues a message. See [`Connection::send`].
    ///
    /// # Errors
    ///
    /// Returns the reason why nothing was queued; the connection continues.
    pub fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), SendError> {
        self.open_connection()?.send(payload)
    }

    /// Queues a message, or returns it. See [`Connection::try_send`].
    ///
    /// # Errors
    ///
    /// Returns the reason why nothing was queued, and the payload; the connection continues.
    pub fn try_send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), TrySendError<'p>> {
        match self.open_connection() {
            Ok(connection) => connection.try_send(payload),
            Err(error) => Err(TrySendError { error, payload: payload.into() }),
        }
    }

    /// Queues a message that was encoded before. See [`Connection::send_prepared`].
    ///
    /// # Errors
    ///
    /// Returns the reason why nothing was queued; the connection continues.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
        self.open_connection()?.send_prepared(prepared)
    }

    /// Queues one frame. See [`Connection::send_frame`].
    ///
    /// # Errors
    ///
    /// Returns the reason why nothing was queued; the connection continues.
    pub fn send_frame<'f>(&mut self, frame: impl Into<OutgoingFrame<'f>>) -> Result<(), SendError> {
        self.open_connection()?.send_frame(frame)
    }

    /// Queues a ping. See [`Connection::ping`].
    ///
    /// # Errors
    ///
    /// Returns the reason why nothing was queued; the connection continues.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.open_connection()?.ping(payload)
    }

    /// Begins the closing handshake (RFC 6455 section 7.1.2), or answers the peer's Close. See
    /// [`Connection::close`].
    ///
    /// # Errors
    ///
    /// Returns the reason why nothing was queued; the connection continues.
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), SendError> {
        self.open_connection()?.close(code, reason)
    }

    /// Answers the peer's Close with its own code and reason, if
    /// [`Config::auto_close`](crate::Config#structfield.auto_close) is off and it has not been
    /// answered. See [`Connection::answer_close`].
    pub fn answer_close(&mut self) {
        if let Some(connection) = self.connection_mut() {
            connection.answer_close();
        }
    }

    /// Ends the session at once, in any phase. Drops unwritten output;
    /// [`SessionEvent::Ended`](super::SessionEvent::Ended) follows.
    pub fn abort(&mut self) {
        match &mut self.phase {
            Phase::Open(open) => {
                open.connection.abort();
                self.unsent = None;
            }
            Phase::Ended { .. } => {}
            _ => self.end(),
        }
    }

    fn open_connection(&mut self) -> Result<&mut Connection, SendError> {
        self.connection_mut().ok_or(SendError::NotOpen)
    }
}

//! Ending a connection.

use crate::close::{CloseCode, CloseFrame};
use crate::connection::Connection;
use crate::error::{ProtocolError, SendError};

impl Connection {
    /// Begins the closing handshake (RFC 6455 7.1.2), or answers the peer's Close if it has no
    /// answer yet. Without [`Config::auto_close`](crate::Config#structfield.auto_close), answering
    /// is up to the application.
    ///
    /// Messages that the peer sent before its own Close are still delivered. The peer has
    /// [`Config::close_timeout`](crate::Config#structfield.close_timeout) to answer.
    ///
    /// # Errors
    ///
    /// Returns an error, and queues nothing, if the code must not be sent, the reason is longer
    /// than 123 bytes, or this endpoint has already sent a Close. The peer's Close can then still
    /// be answered, if it has no answer yet.
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), SendError> {
        self.sender.close(&CloseFrame::new(code, reason))
    }

    /// Returns whether the peer's Close still needs an answer, and one can be sent. Without
    /// [`Config::auto_close`](crate::Config#structfield.auto_close), the application answers.
    #[must_use]
    pub fn owes_answer(&self) -> bool {
        self.sender.owes_answer()
    }

    /// Answers the peer's Close with its own code and reason. Does nothing if the peer has sent no
    /// Close, or if it has been answered.
    ///
    /// Without [`Config::auto_close`](crate::Config#structfield.auto_close), an application can
    /// decide on each Close as it arrives:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sockeye_core::{CloseCode, Config, Connection, Control, Event, RecvBuf};
    ///
    /// let mut connection = Connection::server(Arc::new(Config::new().auto_close(false)));
    /// let mut bytes = *b"\x88\x82\0\0\0\0\x03\xe9"; // 1001, masked with zeros
    /// let event = connection.poll_event(&mut RecvBuf::new(&mut bytes))?;
    /// if let Some(Event::Control(Control::Close(frame))) = event {
    ///     match frame.status() {
    ///         CloseCode::GOING_AWAY => connection.close(CloseCode::from(4000), "come back")?,
    ///         _ => connection.answer_close(),
    ///     }
    /// }
    /// assert_eq!(connection.poll_transmit().unwrap().first(), b"\x88\x0b\x0f\xa0come back");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn answer_close(&mut self) {
        self.sender.answer_close();
    }

    /// Fails the connection with an error that a layer above has found, for example an
    /// [`Assembler`](crate::Assembler), as if the connection itself had found it.
    pub fn fail(&mut self, error: ProtocolError) {
        self.receiver.fail(error);
        self.sender.fail(&error);
    }

    /// Ends the connection at once, without a Close and without writing the queue. The peer sees
    /// the transport end.
    pub fn abort(&mut self) {
        self.sender.abort();
    }
}

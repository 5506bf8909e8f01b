//! Receiving control frames, and answering them.

use std::time::Duration;

use sockeye_core::{CloseCode, CloseFrame, Incoming, Instant, SendError, Sender};
use sockeye_driver::{Error, WebSocketEvent};

use crate::clock;
use crate::link::OwnedLink;
use crate::reader::RecvOutcome;
use crate::received::ReceivedEvent;
use crate::split::{RecvHalf, SendHalf};
use crate::stream::Stream;
use crate::websocket::WebSocket;

impl<S: Stream> WebSocket<S> {
    /// Receives the next message or control frame. Returns `None` once the connection has closed,
    /// like [`recv`](WebSocket::recv), which skips control frames.
    ///
    /// ```no_run
    /// use sockeye_std::WebSocketEvent;
    ///
    /// # fn f(mut ws: sockeye_std::WebSocket) -> Result<(), sockeye_std::Error> {
    /// ws.ping(b"are you there?")?;
    /// while let Some(event) = ws.recv_event()? {
    ///     match event {
    ///         WebSocketEvent::Pong(payload) if payload == b"are you there?"[..] => break,
    ///         WebSocketEvent::Message(message) => println!("{message:?}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// The connection answers pings and Closes itself. With
    /// [`Config::auto_pong`](sockeye_core::Config#structfield.auto_pong) off, send the
    /// [`pong`](WebSocket::pong). With
    /// [`Config::auto_close`](sockeye_core::Config#structfield.auto_close) off, choose the answer
    /// to a Close with [`begin_close`](WebSocket::begin_close); otherwise the next receive answers
    /// with the peer's code and reason.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection ends abnormally, like [`recv`](WebSocket::recv).
    pub fn recv_event(&mut self) -> Result<Option<WebSocketEvent>, Error> {
        Ok(self.reader.event(&mut self.link, None)?.item())
    }

    /// Receives the next message or control frame, like [`recv_event`](WebSocket::recv_event), but
    /// waits for `timeout` at most, like [`recv_timeout`](WebSocket::recv_timeout).
    ///
    /// # Errors
    ///
    /// Returns an error if the connection ends abnormally, like [`recv`](WebSocket::recv).
    pub fn recv_event_timeout(&mut self, timeout: Duration) -> Result<ReceivedEvent, Error> {
        Ok(self.reader.event(&mut self.link, Some(clock::now() + timeout))?.into())
    }

    /// Receives the next message or control frame and lends it to `f` instead of copying it, like
    /// [`recv_with`](WebSocket::recv_with). `f` can answer with the sender.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection ends abnormally, like [`recv`](WebSocket::recv).
    pub fn recv_event_with<R>(
        &mut self,
        f: impl FnOnce(Incoming<'_, '_>, &mut Sender) -> R,
    ) -> Result<Option<R>, Error> {
        // Ignore write errors here. The receive reports them.
        let _ = self.link.wait_writable();
        let deliver = |incoming: Incoming<'_, '_>, link: &mut OwnedLink<S>| f(incoming, &mut link.sender);
        Ok(self.reader.event_with(&mut self.link, None, deliver)?.item())
    }

    /// Sends a pong with a payload of up to 125 bytes: the answer to a ping if
    /// [`Config::auto_pong`](sockeye_core::Config#structfield.auto_pong) is off, or an unsolicited
    /// one. While the queue is full, only the latest pong is kept.
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is too long, if the connection is closing, or if the stream
    /// breaks.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.link.sender.pong(payload)?;
        self.flush()
    }
}

impl<S> RecvHalf<S>
where
    for<'s> &'s S: Stream,
{
    /// Receives the next message or control frame, like [`WebSocket::recv_event`].
    ///
    /// Without [`Config::auto_pong`](sockeye_core::Config#structfield.auto_pong), the other half
    /// [sends the pongs](SendHalf::pong). Without
    /// [`Config::auto_close`](sockeye_core::Config#structfield.auto_close), call
    /// [`answer_close`](RecvHalf::answer_close) before the next receive to choose the answer.
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection does not close cleanly.
    pub fn recv_event(&mut self) -> Result<Option<WebSocketEvent>, Error> {
        Ok(self.event(None)?.item())
    }

    /// Receives the next message or control frame, but waits for `timeout` at most, like
    /// [`WebSocket::recv_event_timeout`].
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection does not close cleanly.
    pub fn recv_event_timeout(&mut self, timeout: Duration) -> Result<ReceivedEvent, Error> {
        Ok(self.event(Some(clock::now() + timeout))?.into())
    }

    fn event(&mut self, until: Option<Instant>) -> Result<RecvOutcome<WebSocketEvent>, Error> {
        match &mut self.reader {
            Some(reader) => reader.event(&mut self.link, until),
            None => Ok(RecvOutcome::Closed),
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
        self.link.shared.with(|sender| match sender.owes_answer() {
            true => sender.close(&CloseFrame::new(code, reason)),
            false => Err(SendError::Closed),
        })
    }
}

impl<S> SendHalf<S>
where
    for<'s> &'s S: Stream,
{
    /// Sends a pong with a payload of up to 125 bytes, like [`WebSocket::pong`].
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is too long, if the connection is closing, or if the stream
    /// breaks.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.shared.with(|sender| sender.pong(payload))?;
        self.flush()
    }
}

//! Receiving control frames, and answering them.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use sockeye_core::{Incoming, Sender};

use crate::error::Error;
use crate::event::WebSocketEvent;
use crate::runtime::io::{Clock, Io};
use crate::websocket::WebSocket;

impl<I: Io, C: Clock> WebSocket<I, C> {
    /// Waits for the next message or control frame. Returns `None` once the connection is over,
    /// like [`recv`](WebSocket::recv), which skips control frames.
    ///
    /// A client that measures more than the [round trip](WebSocket::round_trip):
    ///
    /// ```no_run
    /// # use sockeye_driver::{Clock, Error, Io, WebSocket};
    /// use sockeye_driver::WebSocketEvent;
    ///
    /// # async fn f(mut ws: WebSocket<impl Io, impl Clock>) -> Result<(), Error> {
    /// ws.ping(b"are you there?").await?;
    /// while let Some(event) = ws.recv_event().await? {
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
    /// [`Config::auto_close`](sockeye_core::Config#structfield.auto_close) off, choose the code and
    /// the reason of the answer:
    ///
    /// ```no_run
    /// # use sockeye_core::CloseCode;
    /// # use sockeye_driver::{Clock, Error, Io, WebSocket};
    /// use sockeye_driver::WebSocketEvent;
    ///
    /// # async fn f(mut ws: WebSocket<impl Io, impl Clock>) -> Result<(), Error> {
    /// while let Some(event) = ws.recv_event().await? {
    ///     if let WebSocketEvent::Close(frame) = event {
    ///         println!("the peer closes: {frame}");
    ///         ws.begin_close(CloseCode::from(4000), "see you").await?;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// The next receive answers a Close that has no answer yet, with the peer's code and reason.
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended without a complete closing handshake, like
    /// [`recv`](WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, like [`recv`](WebSocket::recv).
    pub async fn recv_event(&mut self) -> Result<Option<WebSocketEvent>, Error> {
        poll_fn(|cx| self.poll_recv_event(cx)).await
    }

    /// Waits for the next message or control frame and lends it to `f` instead of copying it, like
    /// [`recv_with`](WebSocket::recv_with). `f` also gets the sender, with which it can answer.
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended without a complete closing handshake, like
    /// [`recv`](WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the poll that calls `f` also returns its result.
    pub async fn recv_event_with<R>(
        &mut self,
        mut f: impl FnMut(Incoming<'_, '_>, &mut Sender) -> R,
    ) -> Result<Option<R>, Error> {
        poll_fn(|cx| {
            ready!(self.poll_answer_room(cx));
            self.reader
                .poll_event(&mut self.link, cx, |incoming, link| f(incoming, link.sender_with_buffer()))
        })
        .await
    }

    /// Polls [`recv_event`](WebSocket::recv_event), for futures written by hand.
    pub fn poll_recv_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<WebSocketEvent>, Error>> {
        self.reader.poll_event(&mut self.link, cx, |incoming, _| incoming.into())
    }

    /// Sends a pong of at most 125 bytes: the answer to a ping if
    /// [`Config::auto_pong`](sockeye_core::Config#structfield.auto_pong) is off, or an unsolicited
    /// one. While the queue is full, only the latest pong is kept.
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
        self.link.sender_with_buffer().pong(payload)?;
        self.flush().await
    }
}

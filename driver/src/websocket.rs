//! A WebSocket connection with a transport and a clock.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sockeye_core::deflate::Negotiated;
use sockeye_core::{
    CloseCode, CloseFrame, CloseInfo, Connection, Frame, Instant, Message, MessageKind, MessageRef, Payload,
    Prepared, SendError, Sender, State,
};

use crate::engine::buffer::ReadBuffer;
use crate::engine::codec_pool::codec_pool;
use crate::engine::decoder::Part;
use crate::engine::link::{DrainTo, Link};
use crate::engine::reader::Reader;
use crate::engine::wakers::Half;
use crate::error::Error;
use crate::runtime::io::{Clock, Io};
use crate::split::{RecvHalf, SendHalf, split};
use crate::writer::MessageWriter;

/// An open WebSocket connection.
///
/// Receive in a loop; pings are answered, the closing handshake is done and deadlines are kept while a receive waits:
///
/// ```no_run
/// # async fn f(mut ws: sockeye_driver::WebSocket<impl sockeye_driver::Io, impl sockeye_driver::Clock>)
/// # -> Result<(), sockeye_driver::Error> {
/// while let Some(message) = ws.recv().await? {
///     ws.feed(message).await?;
/// }
/// # Ok(()) }
/// ```
///
/// [`send`](WebSocket::send) writes at once. [`feed`](WebSocket::feed) queues, and the next receive writes what is queued before it
/// waits: a loop of `recv` and `feed` answers everything that one read brought with one write.
///
/// # Cancel safety
///
/// All progress is kept here and none in the futures: dropping any of them at any point loses nothing. A message
/// is queued whole or not at all, and what is queued is written by whichever call comes next.
#[derive(Debug)]
pub struct WebSocket<I, C> {
    reader: Reader,
    link: Link<I, C>,
    subprotocol: Option<Box<str>>,
}

impl<I: Io, C: Clock> WebSocket<I, C> {
    /// Drives `connection` over `io`. `unread` is what was read behind the head of the opening handshake.
    #[must_use]
    pub fn new(connection: Connection, unread: &[u8], io: I, clock: C) -> Self {
        Self::with_input(connection, ReadBuffer::new(unread), io, clock)
    }

    pub(crate) fn with_input(mut connection: Connection, input: ReadBuffer, io: I, clock: C) -> Self {
        connection.set_codec_pool(&codec_pool());
        let (receiver, sender) = connection.split();
        WebSocket {
            reader: Reader::new(receiver, input),
            link: Link::new(sender, io, clock),
            subprotocol: None,
        }
    }

    pub(crate) fn join(reader: Reader, link: Link<I, C>, subprotocol: Option<Box<str>>) -> Self {
        WebSocket { reader, link, subprotocol }
    }

    pub(crate) fn set_subprotocol(&mut self, subprotocol: Option<String>) {
        self.subprotocol = subprotocol.map(String::into_boxed_str);
    }

    /// The next message; `None` when the connection is over after a complete closing handshake, or when its end has been told
    /// already.
    ///
    /// # Errors
    ///
    /// Once, how the connection ended if not like that: the peer broke the protocol, vanished, or the transport broke.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what has arrived of a message is kept.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Like [`recv`](WebSocket::recv), but lends the message to `f` instead of copying it out, with the sender, so that an answer can
    /// be queued:
    ///
    /// ```no_run
    /// # async fn f(mut ws: sockeye_driver::WebSocket<impl sockeye_driver::Io, impl sockeye_driver::Clock>)
    /// # -> Result<(), sockeye_driver::Error> {
    /// while let Some(sent) = ws.recv_with(|message, sender| sender.send(message)).await? {
    ///     sent?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// It waits until there is room for an answer, so that a peer that asks and does not read is not listened to either.
    ///
    /// # Errors
    ///
    /// As [`recv`](WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// As [`recv`](WebSocket::recv); `f` is called and its result returned in the same poll.
    pub async fn recv_with<R>(
        &mut self,
        mut f: impl FnMut(MessageRef<'_>, &mut Sender) -> R,
    ) -> Result<Option<R>, Error> {
        poll_fn(|cx| self.poll_recv_with(cx, &mut f)).await
    }

    /// Whatever has arrived of the next message, for messages too long to hold. Go on until [`Part::last`]; a
    /// [`recv`](WebSocket::recv) in between skips the rest of the message.
    ///
    /// # Errors
    ///
    /// As [`recv`](WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv_part(&mut self) -> Result<Option<Part>, Error> {
        poll_fn(|cx| self.reader.poll_part(&mut self.link, cx)).await
    }

    /// Sends a message: queues it, then writes all that is queued.
    ///
    /// # Errors
    ///
    /// The message cannot be sent (the connection goes on), or the transport broke.
    ///
    /// # Cancel safety
    ///
    /// The message is queued whole or not at all. Who must know which uses [`feed`](WebSocket::feed), then
    /// [`flush`](WebSocket::flush).
    pub async fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.feed(payload).await?;
        self.flush().await
    }

    /// Queues a message; it is written by the next [`flush`](WebSocket::flush), or receive. Waits only while
    /// [`Config::high_water_mark`](sockeye_core::Config::high_water_mark) bytes or more are queued.
    ///
    /// # Errors
    ///
    /// As [`send`](WebSocket::send).
    ///
    /// # Cancel safety
    ///
    /// While it waits nothing has been queued; it does not wait afterwards.
    pub async fn feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.queue_message(payload.into())
    }

    /// Queues a message that was [encoded before](Prepared), like [`feed`](WebSocket::feed).
    ///
    /// # Errors
    ///
    /// As [`send`](WebSocket::send).
    ///
    /// # Cancel safety
    ///
    /// As [`feed`](WebSocket::feed).
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        Ok(self.link.sender_with_buffer().send_prepared(prepared)?)
    }

    /// Sends one frame as it is, see [`Connection::send_frame`].
    ///
    /// # Errors
    ///
    /// As there, or the transport broke.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](WebSocket::send).
    pub async fn send_frame(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.link.sender_with_buffer().send_frame(frame)?;
        self.flush().await
    }

    /// Begins a message that is written in parts, together at most [`Config::max_send_size`](sockeye_core::Config::max_send_size).
    pub fn begin(&mut self, kind: MessageKind) -> MessageWriter<'_, I, C> {
        MessageWriter::new(self, kind)
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    ///
    /// The transport broke.
    ///
    /// # Cancel safety
    ///
    /// What has been written is not written again.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends a ping. The pong is seen by [`round_trip`](WebSocket::round_trip), when a receive has read it.
    ///
    /// # Errors
    ///
    /// More than 125 bytes, the connection is closing, or the transport broke.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](WebSocket::send).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.link.sender_with_buffer().ping(payload)?;
        self.link.after_queue();
        self.flush().await
    }

    /// Sends a Close and returns when it has been written. Go on receiving: what the peer sent before its own Close still comes,
    /// then `None`.
    ///
    /// # Errors
    ///
    /// A code or reason that cannot be sent, a connection that is closing already, or a broken transport.
    ///
    /// # Cancel safety
    ///
    /// The Close is queued in the first poll.
    pub async fn begin_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.queue_close(&CloseFrame::new(code, reason))?;
        self.flush().await
    }

    /// Closes the connection: sends a Close, discards messages until the peer's has come and the transport has ended, for at most
    /// [`Config::close_timeout`](sockeye_core::Config::close_timeout). Says how it ended; [`CloseInfo::clean`] tells whether the peer
    /// took part. On a connection that is closing already it only waits for the end.
    ///
    /// # Errors
    ///
    /// A code or reason that cannot be sent: the connection goes on.
    ///
    /// # Cancel safety
    ///
    /// The Close is queued in the first poll; call it again to go on waiting.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<CloseInfo, Error> {
        match self.queue_close(&CloseFrame::new(code, reason)) {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(poll_fn(|cx| self.poll_end(cx)).await)
    }

    /// How far the connection is.
    #[must_use]
    pub fn state(&self) -> State {
        self.link.sender.state()
    }

    /// How the connection ended or is ending; `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.link.sender.close_info()
    }

    /// The subprotocol that was agreed on, if any (RFC 6455 1.9).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The compression that was agreed on, if any (RFC 7692).
    #[must_use]
    pub fn deflate(&self) -> Option<Negotiated> {
        self.link.sender.deflate()
    }

    /// The time from the latest answered ping to its pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.link.sender.round_trip()
    }

    /// Bytes that are queued and not written yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.link.sender.queued()
    }

    /// The transport.
    #[must_use]
    pub fn io(&self) -> &I {
        &self.link.io
    }

    /// Takes the connection apart, so that one task can receive while another sends.
    #[must_use]
    pub fn split(self) -> (RecvHalf<I, C>, SendHalf<I, C>) {
        split(self.reader, self.link, self.subprotocol)
    }

    // The same by polling, for those who write futures by hand.

    /// [`recv`](WebSocket::recv), polled.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.reader.poll_message(&mut self.link, cx, |message, _| message.into_message())
    }

    /// [`recv_with`](WebSocket::recv_with), polled.
    pub fn poll_recv_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut f: impl FnMut(MessageRef<'_>, &mut Sender) -> R,
    ) -> Poll<Result<Option<R>, Error>> {
        // Behind the end there is nothing to answer, but a Close and an end of the transport to wait for.
        if !self.link.sender.is_writable() && self.state() == State::Open {
            // A broken transport is told by the receive.
            let _ = ready!(self.link.poll_drain(cx, Half::Recv, DrainTo::Mark));
        }
        self.reader
            .poll_message(&mut self.link, cx, |message, link| f(message.as_ref(), link.sender_with_buffer()))
    }

    /// Ready when [`feed`](WebSocket::feed) would not wait.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_ready(&mut self.link, cx, Half::Recv)
    }

    /// [`flush`](WebSocket::flush), polled.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.link.poll_drain(cx, Half::Recv, DrainTo::Empty).map_err(Error::Io)
    }

    /// Writes what is queued, as a plain I/O operation with a deadline.
    pub(crate) fn poll_flush_opening(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Instant,
    ) -> Poll<std::io::Result<()>> {
        self.link.poll_write_until(cx, deadline)
    }

    pub(crate) fn queue_frame(&mut self, frame: &Frame<'_>) -> Result<(), SendError> {
        self.link.sender_with_buffer().send_frame(frame)
    }

    pub(crate) fn queue_message(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        Ok(self.link.sender_with_buffer().send(payload)?)
    }

    pub(crate) fn queue_close(&mut self, frame: &CloseFrame<'_>) -> Result<(), SendError> {
        self.link.sender.close(frame)
    }

    #[cfg(feature = "futures")]
    pub(crate) fn link(&mut self) -> &mut Link<I, C> {
        &mut self.link
    }

    /// The end has been told.
    #[cfg(feature = "futures")]
    pub(crate) fn is_over(&self) -> bool {
        self.reader.is_terminated()
    }

    /// Discards messages until the connection is over.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<CloseInfo> {
        while !matches!(ready!(self.poll_recv_with(cx, |_, _| ())), Ok(None)) {}
        Poll::Ready(self.close_info().cloned().unwrap_or_else(CloseInfo::unknown))
    }
}

/// Ready when there is room in the queue.
#[inline]
pub(crate) fn poll_ready<I: Io, C: Clock>(
    link: &mut Link<I, C>,
    cx: &mut Context<'_>,
    half: Half,
) -> Poll<Result<(), Error>> {
    if link.sender.is_writable() {
        return Poll::Ready(Ok(()));
    }
    link.poll_drain(cx, half, DrainTo::Mark).map_err(Error::Io)
}

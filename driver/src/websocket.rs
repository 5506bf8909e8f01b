//! A WebSocket connection with a transport and a clock.

use std::future::poll_fn;
use std::time::Duration;

use sockeye_core::deflate::Negotiated;
use sockeye_core::{
    CloseCode, CloseFrame, CloseInfo, Connection, Message, MessageKind, MessageRef, OutgoingFrame, Payload,
    Prepared, Sender, State,
};

use crate::engine::buffer::ReadBuffer;
use crate::engine::decoder::Part;
use crate::engine::link::Link;
use crate::engine::reader::Reader;
use crate::error::Error;
use crate::handshake::opening::Opening;
use crate::runtime::io::{Clock, Io};
use crate::split::{RecvHalf, SendHalf, split};
use crate::writer::MessageWriter;

mod events;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "server")]
mod parts;
mod poll;

pub(crate) use poll::poll_ready;

/// An open WebSocket connection.
///
/// Receive in a loop. While a receive waits, it also answers pings, completes the closing handshake
/// and enforces the deadlines:
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
/// [`send`](WebSocket::send) writes at once. [`feed`](WebSocket::feed) only queues, and the next
/// receive writes the queue before it waits. So a loop of `recv` and `feed` answers all messages of
/// one read with one write.
///
/// # Two ends that send much at the same time
///
/// A send does not receive. If both ends send more than the sockets hold, about 10 MB, and neither
/// receives meanwhile, both wait forever. To send much while the peer may do the same, either
/// [`split`](WebSocket::split) the connection, and receive in another task, or receive until there
/// is room for the next message:
///
/// ```no_run
/// use std::future::poll_fn;
/// use std::task::Poll;
///
/// use sockeye_driver::{Clock, Error, Io, WebSocket};
///
/// async fn send_all<I: Io, C: Clock>(ws: &mut WebSocket<I, C>, messages: &[String]) -> Result<(), Error> {
///     for message in messages {
///         poll_fn(|cx| {
///             loop {
///                 match ws.poll_recv(cx)? {
///                     Poll::Ready(Some(received)) => println!("{received:?}"),
///                     // The connection is over, which `feed` reports.
///                     Poll::Ready(None) => return Poll::Ready(Ok(())),
///                     Poll::Pending => return ws.poll_ready(cx),
///                 }
///             }
///         })
///         .await?;
///         ws.feed(message).await?;
///     }
///     Ok(()) // The next receive writes the rest. A flush would wait for the peer again.
/// }
/// ```
///
/// # Cancel safety
///
/// All progress is kept in the connection and none in the futures, so dropping a future at any
/// point loses nothing. A message is queued whole or not at all, and the next call writes what is
/// queued.
#[derive(Debug)]
pub struct WebSocket<I, C> {
    reader: Reader,
    link: Link<I, C>,
    subprotocol: Option<Box<str>>,
}

impl<I: Io, C: Clock> WebSocket<I, C> {
    /// Drives `connection` over `io`. `unread` holds the bytes that were read after the head of the
    /// opening handshake.
    #[must_use]
    pub fn new(connection: Connection, unread: &[u8], io: I, clock: C) -> Self {
        Self::with_input(connection, ReadBuffer::new(unread), io, clock)
    }

    /// Sets the [subprotocol](WebSocket::subprotocol) that the opening handshake has chosen.
    #[must_use]
    pub fn with_subprotocol(mut self, subprotocol: Option<String>) -> Self {
        self.subprotocol = subprotocol.map(String::into_boxed_str);
        self
    }

    /// Takes over a transport whose opening handshake is complete.
    pub(crate) fn opened(opening: Opening<I, C>, subprotocol: Option<String>) -> std::io::Result<Self> {
        let (connection, io, clock, input) = opening.into_open()?;
        Ok(Self::with_input(connection, input, io, clock).with_subprotocol(subprotocol))
    }

    fn with_input(connection: Connection, input: ReadBuffer, io: I, clock: C) -> Self {
        let (sender, receiver) = connection.split();
        WebSocket {
            reader: Reader::new(receiver, input),
            link: Link::new(sender, io, clock),
            subprotocol: None,
        }
    }

    pub(crate) fn join(reader: Reader, link: Link<I, C>, subprotocol: Option<Box<str>>) -> Self {
        WebSocket { reader, link, subprotocol }
    }

    /// Waits for the next message. Returns `None` once the connection is over, after a complete
    /// closing handshake or after an error. [`recv_event`](WebSocket::recv_event) returns pings,
    /// pongs and the peer's Close, too.
    ///
    /// A Close of the peer that cannot be answered, because the peer has already closed its socket,
    /// also ends the connection with `None`. [`close_info`](WebSocket::close_info) has its code.
    ///
    /// The connection is over as soon as the closing handshake is complete: a server does not wait
    /// until the client closes its side of the transport, and a client waits for the server for at
    /// most 250 ms (RFC 6455 7.1.1).
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended in any other way: the peer violated the
    /// protocol or vanished, or the transport broke.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection keeps the part of a message that has arrived.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Waits for the next message and lends it to `f` instead of copying it. `f` also gets the
    /// sender, to queue an answer:
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
    /// It first waits until the queue has room for an answer. So it stops reading from a peer that
    /// does not read its answers. Further answers may find the queue full, however fast the peer
    /// reads: to send several, use [`recv`](WebSocket::recv) and [`feed`](WebSocket::feed).
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended without a complete closing handshake, like
    /// [`recv`](WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, like [`recv`](WebSocket::recv): the poll that calls `f` also returns its
    /// result.
    pub async fn recv_with<R>(
        &mut self,
        mut f: impl FnMut(MessageRef<'_>, &mut Sender) -> R,
    ) -> Result<Option<R>, Error> {
        poll_fn(|cx| self.poll_recv_with(cx, &mut f)).await
    }

    /// Waits for the next part of a message, for messages too long to hold in memory.
    ///
    /// Call it until it returns a part with [`Part::last`] set. A [`recv`](WebSocket::recv) before
    /// that skips the rest of the message.
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended without a complete closing handshake, like
    /// [`recv`](WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no part is lost.
    pub async fn recv_part(&mut self) -> Result<Option<Part>, Error> {
        poll_fn(|cx| self.reader.poll_part(&mut self.link, cx)).await
    }

    /// Sends a message: queues it, then writes everything that is queued.
    ///
    /// It waits until the peer has read enough, and does not receive meanwhile. If the peer does
    /// the same, both wait forever: see
    /// [the type](WebSocket#two-ends-that-send-much-at-the-same-time) for a way out.
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent (see [`Error::Send`]) or the transport broke.
    ///
    /// # Cancel safety
    ///
    /// The message is queued whole or not at all. To know which, call [`feed`](WebSocket::feed),
    /// then [`flush`](WebSocket::flush).
    pub async fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.feed(payload).await?;
        self.flush().await
    }

    /// Queues a message. The next [`flush`](WebSocket::flush) or receive writes it.
    ///
    /// It waits only while [`Config::high_water_mark`](sockeye_core::Config::high_water_mark) bytes
    /// or more are queued, and does not receive meanwhile: see
    /// [the type](WebSocket#two-ends-that-send-much-at-the-same-time).
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent or the transport broke, like
    /// [`send`](WebSocket::send).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future returns as soon as the message is queued, so a cancelled call has
    /// queued nothing.
    pub async fn feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        Ok(self.link.sender_with_buffer().send(payload)?)
    }

    /// Queues a [prepared](Prepared) message, like [`feed`](WebSocket::feed).
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent or the transport broke, like
    /// [`send`](WebSocket::send).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, like [`feed`](WebSocket::feed): while it waits, the message is not queued.
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        Ok(self.link.sender_with_buffer().send_prepared(prepared)?)
    }

    /// Sends one frame with its flags and opcode as given. See [`Connection::send_frame`].
    ///
    /// # Errors
    ///
    /// Returns an error if the frame may not be sent here, see [`Connection::send_frame`], or the
    /// transport broke.
    ///
    /// # Cancel safety
    ///
    /// The frame is queued whole or not at all, like the message in [`send`](WebSocket::send).
    pub async fn send_frame<'f>(&mut self, frame: impl Into<OutgoingFrame<'f>>) -> Result<(), Error> {
        let frame = frame.into();
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.link.sender_with_buffer().send_frame(frame)?;
        self.flush().await
    }

    /// Begins a message that is sent in parts. Together they may have at most
    /// [`Config::max_send_size`](sockeye_core::Config::max_send_size) bytes.
    pub fn begin(&mut self, kind: MessageKind) -> MessageWriter<'_, I, C> {
        MessageWriter::new(self, kind)
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call continues where this one stopped.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends a ping of at most 125 bytes. Once a receive has read the pong,
    /// [`round_trip`](WebSocket::round_trip) returns the time between the two.
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is too long, the connection is closing, or the transport
    /// broke.
    ///
    /// # Cancel safety
    ///
    /// The ping is queued whole or not at all, like the message in [`send`](WebSocket::send).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        self.link.sender_with_buffer().ping(payload)?;
        self.link.after_queue();
        self.flush().await
    }

    /// Sends a Close and returns when it has been written.
    ///
    /// Continue to receive: messages that the peer sent before its own Close still arrive, then
    /// `None`. If the peer's Close has not been answered, this is the answer.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent, this end has sent a Close already, or
    /// the transport broke.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the Close.
    pub async fn begin_close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        self.queue_close(&CloseFrame::new(code, reason))?;
        self.flush().await
    }

    /// Closes the connection and returns how it ended. [`CloseInfo::clean`] says whether the peer
    /// completed the closing handshake.
    ///
    /// It sends a Close and discards messages until the connection is over, as
    /// [`recv`](WebSocket::recv) defines it, for at most
    /// [`Config::close_timeout`](sockeye_core::Config::close_timeout). If the connection is closing
    /// already, it only waits for the end.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent. The connection remains open.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the Close. Call it again to continue waiting.
    pub async fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<CloseInfo, Error> {
        let frame = CloseFrame::new(code, reason);
        poll_fn(|cx| self.poll_close(cx, &frame)).await
    }

    /// Returns whether the connection is open, closing or closed.
    #[must_use]
    pub fn state(&self) -> State {
        self.link.sender.state()
    }

    /// Returns how the connection ended or is ending, or `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.link.sender.close_info()
    }

    /// Returns the subprotocol that the two ends agreed on, if any (RFC 6455 1.9).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the compression that the two ends agreed on, if any (RFC 7692).
    #[must_use]
    pub fn deflate(&self) -> Option<Negotiated> {
        self.link.sender.deflate()
    }

    /// Returns the time from the latest answered ping to its pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.link.sender.round_trip()
    }

    /// Returns the number of bytes that are queued and not written yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.link.sender.queued()
    }

    /// Returns the transport.
    #[must_use]
    pub fn io(&self) -> &I {
        &self.link.io
    }

    /// Splits the connection into two halves, so that one task can send while another receives. The
    /// sending half comes first, as in the `split` of the futures crates.
    #[must_use]
    pub fn split(self) -> (SendHalf<I, C>, RecvHalf<I, C>) {
        split(self.reader, self.link, self.subprotocol)
    }
}

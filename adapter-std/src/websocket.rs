//! A WebSocket connection over a blocking stream.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use sockeye_core::deflate::Negotiated;
use sockeye_core::deflate::shared_codec_pool;
use sockeye_core::{
    CloseCode, CloseFrame, CloseInfo, Config, Connection, Message, MessageKind, MessageRef, OutgoingFrame,
    Payload, Prepared, SendError, Sender, State, TrySendError,
};
use sockeye_driver::{Error, Part};

use crate::clock;
use crate::link::{OwnedLink, run_timers};
use crate::read_buffer::ReadBuffer;
use crate::reader::{Reader, RecvOutcome};
use crate::received::Received;
use crate::stream::Stream;
use crate::transport::Transport;
use crate::wire::{inner, plain};
use crate::writer::MessageWriter;

/// An open WebSocket connection. Its methods block.
///
/// Receive in a loop. While a receive waits, it also answers pings, completes the closing handshake
/// and enforces deadlines:
///
/// ```no_run
/// # fn f(mut ws: sockeye_std::WebSocket) -> Result<(), sockeye_std::Error> {
/// while let Some(message) = ws.recv()? {
///     ws.feed(message)?;
/// }
/// # Ok(()) }
/// ```
///
/// [`send`](WebSocket::send) writes at once. [`feed`](WebSocket::feed) queues, and the next receive
/// writes the queue before it waits. So a loop of `recv` and `feed` answers all messages of one
/// read with one write. To send at any time while another thread receives,
/// [`split`](WebSocket::split) the connection.
///
/// A receive keeps reading while the peer does not read. A send does not read: it waits for the
/// peer until a deadline ends the connection, or forever without a deadline. [`Config::keepalive`]
/// sets one.
///
/// # Two ends that send much at the same time
///
/// If both ends send more than the sockets hold, about 10 MB, and neither receives meanwhile, both
/// wait forever. To send much while the peer may do the same, either [`split`](WebSocket::split)
/// the connection, and receive on another thread, or receive while there is no room:
///
/// ```no_run
/// use std::time::Duration;
///
/// use sockeye_std::{Error, Payload, Received, SendError, WebSocket};
///
/// fn send_all(ws: &mut WebSocket, messages: Vec<String>) -> Result<(), Error> {
///     for message in messages {
///         let mut payload = Payload::from(message);
///         while let Err(refused) = ws.try_feed(payload) {
///             let SendError::Backpressure { .. } = refused.error() else { return Err(refused.error().into()) };
///             payload = refused.into_payload();
///             if let Received::Message(received) = ws.recv_timeout(Duration::from_millis(10))? {
///                 println!("{received:?}");
///             }
///         }
///     }
///     Ok(()) // The next receive writes the rest. A flush would wait for the peer again.
/// }
/// ```
#[derive(Debug)]
pub struct WebSocket<S = TcpStream> {
    pub(crate) reader: Reader,
    pub(crate) link: OwnedLink<S>,
    pub(crate) subprotocol: Option<Box<str>>,
    pub(crate) close_timeout: Duration,
}

impl<S: Stream> WebSocket<S> {
    /// Drives `connection` over `stream`, after an opening handshake that was done elsewhere.
    ///
    /// `unread` holds the bytes that were read after the head of the handshake. `config` must be
    /// the one of `connection`.
    ///
    /// # Errors
    ///
    /// Returns an error if the write timeout of the stream cannot be set.
    pub fn new(connection: Connection, unread: &[u8], stream: S, config: &Config) -> io::Result<Self> {
        let transport = Transport::new(plain(stream), config.close_timeout)?;
        Ok(Self::with_transport(connection, ReadBuffer::new(unread), transport, config, None))
    }

    pub(crate) fn with_transport(
        mut connection: Connection,
        input: ReadBuffer,
        transport: Transport<S>,
        config: &Config,
        subprotocol: Option<String>,
    ) -> Self {
        connection.set_codec_pool(&shared_codec_pool());
        let (sender, receiver) = connection.split();
        WebSocket {
            reader: Reader::new(receiver, input),
            link: OwnedLink { sender, transport },
            subprotocol: subprotocol.map(String::into_boxed_str),
            close_timeout: config.close_timeout,
        }
    }

    /// Receives the next message. Returns `None` once the connection has closed cleanly, or after
    /// an error. [`recv_event`](WebSocket::recv_event) returns pings, pongs and the peer's Close,
    /// too.
    ///
    /// A Close of the peer that cannot be answered, because the peer has already closed its socket,
    /// also ends the connection with `None`. [`close_info`](WebSocket::close_info) has its code.
    ///
    /// The connection is over as soon as the closing handshake is complete: a server does not wait
    /// until the client closes its side of the stream, and a client waits for the server for at
    /// most 250 ms (RFC 6455 7.1.1).
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ends in any other way: the peer broke the protocol
    /// or vanished, or the stream broke.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        Ok(self.reader.message(&mut self.link, None, |message, _| message.into_message())?.item())
    }

    /// Receives the next message, like [`recv`](WebSocket::recv), but waits for `timeout` at most.
    /// A timeout of zero returns only what has arrived. The connection is still usable after a
    /// timeout:
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use sockeye_std::Received;
    /// # fn f(mut ws: sockeye_std::WebSocket) -> Result<(), sockeye_std::Error> {
    /// loop {
    ///     match ws.recv_timeout(Duration::from_secs(1))? {
    ///         Received::Message(message) => println!("{message:?}"),
    ///         Received::TimedOut => ws.send("still there?")?,
    ///         Received::Closed => break,
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the connection ends abnormally, like [`recv`](WebSocket::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Received, Error> {
        let until = clock::now() + timeout;
        Ok(self.reader.message(&mut self.link, Some(until), |message, _| message.into_message())?.into())
    }

    /// Receives the next message, like [`recv`](WebSocket::recv), but lends it to `f` instead of
    /// copying it. `f` can queue an answer with the sender:
    ///
    /// ```no_run
    /// # fn f(mut ws: sockeye_std::WebSocket) -> Result<(), sockeye_std::Error> {
    /// while let Some(sent) = ws.recv_with(|message, sender| sender.send(message))? {
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
    /// Returns an error if the connection ends abnormally, like [`recv`](WebSocket::recv).
    pub fn recv_with<R>(
        &mut self,
        f: impl FnOnce(MessageRef<'_>, &mut Sender) -> R,
    ) -> Result<Option<R>, Error> {
        // Ignore write errors here. The receive reports them.
        let _ = self.link.wait_writable();
        let outcome = self
            .reader
            .message(&mut self.link, None, |message, link| f(message.as_ref(), &mut link.sender))?;
        Ok(outcome.item())
    }

    /// Receives the part of the next message that has arrived, for messages too long to hold in
    /// memory. Repeat until [`Part::last`]. A [`recv`](WebSocket::recv) before that skips the rest
    /// of the message.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection ends abnormally, like [`recv`](WebSocket::recv).
    pub fn recv_part(&mut self) -> Result<Option<Part>, Error> {
        Ok(self.reader.part(&mut self.link)?.item())
    }

    /// Sends a message: queues it and writes the queue.
    ///
    /// It waits until the peer has read enough, and does not receive meanwhile. If the peer does
    /// the same, both wait forever: see
    /// [the type](WebSocket#two-ends-that-send-much-at-the-same-time) for a way out.
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent (the connection is still usable), or if the
    /// stream breaks.
    pub fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.feed(payload)?;
        self.flush()
    }

    /// Queues a message. The next [`flush`](WebSocket::flush) or receive writes it. Waits only
    /// while [`Config::high_water_mark`] bytes or more are queued, and does not receive meanwhile:
    /// see [the type](WebSocket#two-ends-that-send-much-at-the-same-time).
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent (the connection is still usable), or if the
    /// stream breaks.
    pub fn feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.link.wait_writable()?;
        Ok(self.link.sender.send(payload)?)
    }

    /// Queues a message, like [`feed`](WebSocket::feed), but returns it in the error instead of
    /// waiting for room. The next [`flush`](WebSocket::flush) or receive writes it.
    ///
    /// ```no_run
    /// # use sockeye_std::SendError;
    /// # fn f(mut ws: sockeye_std::WebSocket) -> Result<(), sockeye_std::Error> {
    /// if let Err(refused) = ws.try_feed(String::from("the latest price")) {
    ///     match refused.error() {
    ///         SendError::Backpressure { queued } => println!("{queued} bytes wait for the peer"),
    ///         error => return Err(error.into()),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// A full queue is first written, which takes about 10 ms if the peer does not read. A stream
    /// without timeouts ([`Untimed`](crate::Untimed)) could block for longer, so a full queue is
    /// not written to it.
    ///
    /// # Errors
    ///
    /// Returns an error with the payload if the queue is full or the message cannot be sent.
    pub fn try_feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), TrySendError<'p>> {
        self.link.make_room();
        self.link.sender.try_send(payload)
    }

    /// Queues a [`Prepared`] message, like [`feed`](WebSocket::feed).
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent (the connection is still usable), or if the
    /// stream breaks.
    pub fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.link.wait_writable()?;
        Ok(self.link.sender.send_prepared(prepared)?)
    }

    /// Sends a single frame, see [`Connection::send_frame`].
    ///
    /// # Errors
    ///
    /// Returns an error if the frame cannot be sent (the connection is still usable), or if the
    /// stream breaks.
    pub fn send_frame<'f>(&mut self, frame: impl Into<OutgoingFrame<'f>>) -> Result<(), Error> {
        self.link.send_frame(frame.into())
    }

    /// Begins a message that is sent in parts. Together they may have [`Config::max_send_size`]
    /// bytes.
    pub fn begin(&mut self, kind: MessageKind) -> MessageWriter<'_, S> {
        MessageWriter::new(&mut self.link, kind)
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    ///
    /// Returns an error if the stream breaks, or if a deadline ends the connection meanwhile.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.link.flush().map_err(Error::Io)
    }

    /// Sends a ping with a payload of up to 125 bytes. After a receive has read the pong,
    /// [`round_trip`](WebSocket::round_trip) returns the time it took.
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is too long, if the connection is closing, or if the stream
    /// breaks.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.link.send_with(|sender| sender.ping(payload))
    }

    /// Sends a Close and returns when it is written. Keep receiving: messages that the peer sent
    /// before its own Close still arrive, then `None`. If the peer's Close has not been answered,
    /// this is the answer.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent, if this end has sent a Close already,
    /// or if the stream breaks.
    pub fn begin_close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        self.queue_close(code, reason)?;
        self.flush()
    }

    pub(crate) fn queue_close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), SendError> {
        self.link.sender.close(&CloseFrame::new(code, reason))?;
        run_timers(&mut self.link.sender);
        Ok(())
    }

    /// Closes the connection and returns how it ended.
    ///
    /// Sends a Close and discards messages until the connection is over, as
    /// [`recv`](WebSocket::recv) defines it, for [`Config::close_timeout`] at most.
    /// [`CloseInfo::clean`] says whether the peer
    /// answered. If the connection is closing already, this only waits for the end.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent. The connection is still usable then.
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<CloseInfo, Error> {
        match self.link.sender.close(&CloseFrame::new(code, reason)) {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        // The returned info covers errors, too.
        while !matches!(self.reader.message(&mut self.link, None, |_, _| ()), Ok(RecvOutcome::Closed)) {}
        Ok(self.close_info().cloned().unwrap_or_else(CloseInfo::unknown))
    }
}

impl<S> WebSocket<S> {
    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.link.sender.state()
    }

    /// Returns how the connection ended or is ending; `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.link.sender.close_info()
    }

    /// Returns the negotiated subprotocol, if any (RFC 6455 1.9).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the negotiated compression, if any (RFC 7692).
    #[must_use]
    pub fn deflate(&self) -> Option<Negotiated> {
        self.link.sender.deflate()
    }

    /// Returns the time between the most recently answered ping and its pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.link.sender.round_trip()
    }

    /// Returns the number of bytes that are queued and not written yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.link.sender.queued()
    }

    /// Returns the stream. The connection sets its timeouts, so timeouts set by the caller do not
    /// last.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        inner(&self.link.transport.stream)
    }
}

//! A WebSocket connection over a blocking stream.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use sockeye_core::deflate::Negotiated;
use sockeye_core::{
    CloseCode, CloseFrame, CloseInfo, Config, Connection, Frame, Message, MessageKind, MessageRef, Payload,
    Prepared, SendError, Sender, State,
};
use sockeye_driver::{Error, Part, shared_codec_pool};

use crate::clock;
use crate::incoming::{Incoming, Next};
use crate::input::Input;
use crate::link::{Own, Wire, look};
use crate::received::Received;
use crate::split::{RecvHalf, SendHalf};
use crate::stream::Stream;
use crate::writer::MessageWriter;

/// An open WebSocket connection. Its methods block.
///
/// Receive in a loop; pings are answered, the closing handshake is done and deadlines are kept while a receive waits:
///
/// ```no_run
/// # fn f(mut ws: sockeye_std::WebSocket) -> Result<(), sockeye_std::Error> {
/// while let Some(message) = ws.recv()? {
///     ws.feed(message)?;
/// }
/// # Ok(()) }
/// ```
///
/// [`send`](WebSocket::send) writes at once. [`feed`](WebSocket::feed) queues, and the next receive writes what is queued before it
/// waits: a loop of `recv` and `feed` answers everything that one read brought with one write. To send whenever something
/// comes up while another thread receives, [`split`](WebSocket::split) the connection.
///
/// A receive goes on reading while the peer does not read. A send does not: it waits for the peer until a deadline of the
/// connection ends it, and for ever if there is none ([`Config::keepalive`] sets one).
#[derive(Debug)]
pub struct WebSocket<S = TcpStream> {
    incoming: Incoming,
    own: Own<S>,
    subprotocol: Option<Box<str>>,
    close_timeout: Duration,
}

impl<S: Stream> WebSocket<S> {
    /// Drives `connection`, which was opened elsewhere with this `config`, over `stream`. `unread` is what was read behind the
    /// head of the opening handshake.
    ///
    /// # Errors
    ///
    /// The stream broke.
    pub fn new(connection: Connection, unread: &[u8], stream: S, config: &Config) -> io::Result<Self> {
        let wire = Wire::new(stream, config.close_timeout)?;
        Ok(Self::with_wire(connection, Input::new(unread), wire, config, None))
    }

    pub(crate) fn with_wire(
        mut connection: Connection,
        input: Input,
        wire: Wire<S>,
        config: &Config,
        subprotocol: Option<String>,
    ) -> Self {
        connection.set_codec_pool(&shared_codec_pool());
        let (receiver, sender) = connection.split();
        WebSocket {
            incoming: Incoming::new(receiver, input),
            own: Own { sender, wire },
            subprotocol: subprotocol.map(String::into_boxed_str),
            close_timeout: config.close_timeout,
        }
    }

    /// The next message; `None` when the connection is over after a complete closing handshake, or when its end has been told
    /// already.
    ///
    /// # Errors
    ///
    /// Once, how the connection ended if not like that: the peer broke the protocol, vanished, or the stream broke.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        Ok(self.incoming.message(&mut self.own, None, |message, _| message.into_message())?.item())
    }

    /// Like [`recv`](WebSocket::recv), but waits no longer than `timeout`; with a timeout of zero it takes what is there. That no
    /// message came is no error, for the connection goes on:
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use sockeye_std::Received;
    /// # fn f(mut ws: sockeye_std::WebSocket) -> Result<(), sockeye_std::Error> {
    /// loop {
    ///     match ws.recv_timeout(Duration::from_secs(1))? {
    ///         Received::Message(message) => println!("{message:?}"),
    ///         Received::TimedOut => ws.send("anybody there?")?,
    ///         Received::Closed => break,
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](WebSocket::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Received, Error> {
        let until = clock::now() + timeout;
        Ok(self.incoming.message(&mut self.own, Some(until), |message, _| message.into_message())?.into())
    }

    /// Like [`recv`](WebSocket::recv), but lends the message to `f` instead of copying it out, with the sender, so that an answer can
    /// be queued:
    ///
    /// ```no_run
    /// # fn f(mut ws: sockeye_std::WebSocket) -> Result<(), sockeye_std::Error> {
    /// while let Some(sent) = ws.recv_with(|message, sender| sender.send(message))? {
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
    pub fn recv_with<R>(
        &mut self,
        f: impl FnOnce(MessageRef<'_>, &mut Sender) -> R,
    ) -> Result<Option<R>, Error> {
        // A broken stream is told by the receive.
        let _ = self.ready();
        let next = self
            .incoming
            .message(&mut self.own, None, |message, own| f(message.as_ref(), &mut own.sender))?;
        Ok(next.item())
    }

    /// Whatever has arrived of the next message, for messages too long to hold. Go on until [`Part::last`]; a
    /// [`recv`](WebSocket::recv) in between skips the rest of the message.
    ///
    /// # Errors
    ///
    /// As [`recv`](WebSocket::recv).
    pub fn recv_part(&mut self) -> Result<Option<Part>, Error> {
        Ok(self.incoming.part(&mut self.own)?.item())
    }

    /// Sends a message: queues it, then writes all that is queued.
    ///
    /// # Errors
    ///
    /// The message cannot be sent (the connection goes on), or the stream broke.
    pub fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.feed(payload)?;
        self.flush()
    }

    /// Queues a message; it is written by the next [`flush`](WebSocket::flush), or receive. Waits only while
    /// [`Config::high_water_mark`] bytes or more are queued.
    ///
    /// # Errors
    ///
    /// As [`send`](WebSocket::send).
    pub fn feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.ready()?;
        Ok(self.own.sender.send(payload)?)
    }

    /// Queues a message that was [encoded before](Prepared), like [`feed`](WebSocket::feed).
    ///
    /// # Errors
    ///
    /// As [`send`](WebSocket::send).
    pub fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.ready()?;
        Ok(self.own.sender.send_prepared(prepared)?)
    }

    /// Sends one frame as it is, see [`Connection::send_frame`].
    ///
    /// # Errors
    ///
    /// As there, or the stream broke.
    pub fn send_frame(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        self.ready()?;
        self.own.sender.send_frame(frame)?;
        look(&mut self.own.sender);
        self.flush()
    }

    /// Begins a message that is written in parts, [`Config::max_send_size`] at most together.
    pub fn begin(&mut self, kind: MessageKind) -> MessageWriter<'_, S> {
        MessageWriter::new(self, kind)
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    ///
    /// The stream broke, or the connection ended because a deadline passed meanwhile.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.own.flush().map_err(Error::Io)
    }

    /// Sends a ping. The pong is seen by [`round_trip`](WebSocket::round_trip), when a receive has read it.
    ///
    /// # Errors
    ///
    /// More than 125 bytes, the connection is closing, or the stream broke.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.ready()?;
        self.own.sender.ping(payload)?;
        look(&mut self.own.sender);
        self.flush()
    }

    /// Sends a Close and returns when it has been written. Go on receiving: what the peer sent before its own Close still comes,
    /// then `None`.
    ///
    /// # Errors
    ///
    /// A code or reason that cannot be sent, a connection that is closing already, or a broken stream.
    pub fn begin_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.own.sender.close(&CloseFrame::new(code, reason))?;
        look(&mut self.own.sender);
        self.flush()
    }

    /// Closes the connection: sends a Close, discards messages until the peer's has come and the stream has ended, for at most
    /// [`Config::close_timeout`]. Says how it ended; [`CloseInfo::clean`] tells whether the peer took part. On a connection that is
    /// closing already it only waits for the end.
    ///
    /// # Errors
    ///
    /// A code or reason that cannot be sent: the connection goes on.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<CloseInfo, Error> {
        match self.own.sender.close(&CloseFrame::new(code, reason)) {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        // How it ended is in the info, an error too.
        while !matches!(self.incoming.message(&mut self.own, None, |_, _| ()), Ok(Next::Over)) {}
        Ok(self.close_info().cloned().unwrap_or_else(CloseInfo::unknown))
    }

    /// Takes the connection apart, so that one thread can receive while another sends.
    ///
    /// The stream has to work through a shared reference, as [`TcpStream`] does.
    #[must_use]
    pub fn split(self) -> (RecvHalf<S>, SendHalf<S>)
    where
        for<'s> &'s S: Stream,
    {
        RecvHalf::split(self.incoming, self.own, self.subprotocol, self.close_timeout)
    }

    /// Writes the 101, as a plain I/O operation.
    pub(crate) fn flush_opening(&mut self) -> io::Result<()> {
        self.own.flush()
    }

    fn ready(&mut self) -> Result<(), Error> {
        if self.own.sender.is_writable() { Ok(()) } else { self.flush() }
    }
}

impl<S> WebSocket<S> {
    pub(crate) fn join(
        incoming: Incoming,
        own: Own<S>,
        subprotocol: Option<Box<str>>,
        close_timeout: Duration,
    ) -> Self {
        WebSocket { incoming, own, subprotocol, close_timeout }
    }

    /// How far the connection is.
    #[must_use]
    pub fn state(&self) -> State {
        self.own.sender.state()
    }

    /// How the connection ended or is ending; `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.own.sender.close_info()
    }

    /// The subprotocol that was agreed on, if any (RFC 6455 1.9).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The compression that was agreed on, if any (RFC 7692).
    #[must_use]
    pub fn deflate(&self) -> Option<Negotiated> {
        self.own.sender.deflate()
    }

    /// The time from the latest answered ping to its pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.own.sender.round_trip()
    }

    /// Bytes that are queued and not written yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.own.sender.queued()
    }

    /// The stream. Its timeouts are the connection's: what is set on it by hand does not last.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.own.wire.stream
    }
}

//! A connection after its opening handshake.

use alloc::sync::Arc;
use core::time::Duration;

use crate::close::CloseInfo;
use crate::config::Config;
use crate::error::{ProtocolError, SendError, TrySendError};
use crate::event::Event;
use crate::frame::OutgoingFrame;
use crate::input::RecvBuf;
use crate::message::Payload;
use crate::outbox::Transmit;
use crate::prepared::Prepared;
use crate::receiver::Receiver;
use crate::role::{MaskKeys, Role, State};
use crate::sender::Sender;
use crate::time::Instant;

mod closing;
mod deflate;
mod internal;
mod memory;

/// An open WebSocket connection without a transport.
///
/// It consists of a [`Receiver`] and a [`Sender`], and it couples them: it answers pings and
/// Closes, and a protocol error fails both halves.
///
/// The name of a method shows its kind. `poll_*`, `is_*` and `wants_*` *ask*: they change nothing
/// that the peer could notice. `handle_*` and [`transmitted`](Connection::transmitted)
/// *notify* the connection of something that happened outside. A bare verb *commands*. Asking is
/// cheap; ask again after every notification and command. The [crate documentation](crate) shows
/// the loop that drives a connection.
///
/// ```
/// # use std::sync::Arc;
/// use sockeye_core::{Assembler, Config, Connection, Incoming, RecvBuf};
///
/// let config = Arc::new(Config::new());
/// let mut server = Connection::server(config.clone());
/// // The keys must come from a secure random generator.
/// let mut client = Connection::client(config, Box::new(|| [1, 2, 3, 4]));
///
/// server.send("hello")?;
/// let mut sent = server.poll_transmit().unwrap().first().to_vec();
/// server.transmitted(sent.len());
///
/// let (mut assembler, mut input) = (Assembler::new(), RecvBuf::new(&mut sent));
/// let Some(Incoming::Message(message)) = assembler.poll(&mut client, &mut input)? else { panic!() };
/// assert_eq!(message.as_ref().as_text(), Some("hello"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    receiver: Receiver,
    sender: Sender,
}

impl Connection {
    /// Creates a server's connection after an opening handshake that another library performed. For
    /// a handshake by this crate see [`handshake::server`](crate::handshake::server).
    #[must_use]
    pub fn server(config: Arc<Config>) -> Self {
        Connection { receiver: Receiver::new(Role::Server, config.clone()), sender: Sender::server(config) }
    }

    /// Creates a client's connection after an opening handshake that another library performed. For
    /// a handshake by this crate see [`handshake::client`](crate::handshake::client).
    #[must_use]
    pub fn client(config: Arc<Config>, mask_keys: MaskKeys) -> Self {
        Connection {
            receiver: Receiver::new(Role::Client, config.clone()),
            sender: Sender::client(config, mask_keys),
        }
    }

    /// Splits the connection, so that one place can send and another can receive.
    ///
    /// The caller then couples the halves: it must pass every control frame to [`Sender::react`],
    /// every error to [`Sender::fail`], the size of every read to [`Sender::handle_received`], and
    /// [`Receiver::progress`] to [`Sender::handle_progress`] before it waits for input.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Joins the two halves of one connection. Halves of different connections do not work
    /// together.
    #[must_use]
    pub fn join(sender: Sender, receiver: Receiver) -> Self {
        Connection { receiver, sender }
    }

    // Questions.

    /// Takes the next event out of `input` and responds to it. Returns `None` when all of `input`
    /// has been taken.
    ///
    /// A ping or a Close has been answered when this returns, unless [`Config`] leaves that to the
    /// application; the answer is in the queue, see [`poll_transmit`](Connection::poll_transmit).
    ///
    /// The event borrows the bytes of `input` and not the connection, so its payload can be sent
    /// without a copy:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sockeye_core::{Config, Connection, Data, Event, RecvBuf};
    ///
    /// let mut connection = Connection::server(Arc::new(Config::new()));
    /// let mut bytes = *b"\x82\x82\0\0\0\0hi"; // masked with zeros
    /// let mut input = RecvBuf::new(&mut bytes);
    /// let event = connection.poll_event(&mut input)?;
    /// if let Some(Event::Data(Data { payload, first: true, last: true, .. })) = event {
    ///     connection.send(payload)?;
    /// }
    /// assert_eq!(connection.poll_transmit().unwrap().first(), b"\x82\x02hi");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the peer broke the protocol or exceeded a limit. A Close with the
    /// error's code has been queued. From then on every call discards its input and returns the
    /// same error.
    #[inline]
    pub fn poll_event<'a>(&mut self, input: &mut RecvBuf<'a>) -> Result<Option<Event<'a>>, ProtocolError> {
        if !input.is_empty() {
            self.sender.handle_received(input.remaining().len());
        }
        // The receiver does not know of an abort, an unanswered ping or a timeout.
        if self.sender.ignores_input() && self.receiver.is_open() {
            input.take_all();
            return Ok(None);
        }
        match self.receiver.poll_event(input) {
            Ok(Some(event)) => {
                if let Event::Control(control) = &event {
                    self.sender.react(control);
                }
                Ok(Some(event))
            }
            Ok(None) => {
                self.handle_processed();
                Ok(None)
            }
            Err(error) => {
                self.sender.fail(&error);
                Err(error)
            }
        }
    }

    /// Returns the bytes to write next; `None` if the queue is empty. Write some or all of them,
    /// then pass the number of bytes to [`transmitted`](Connection::transmitted).
    #[must_use]
    #[inline]
    pub fn poll_transmit(&self) -> Option<Transmit<'_>> {
        self.sender.poll_transmit()
    }

    /// Returns when to call [`handle_timeout`](Connection::handle_timeout) next; `None` while no
    /// deadline is set.
    ///
    /// An instant in the past, such as [`Instant::EPOCH`], means "now": something happened that
    /// needs a timestamp. So ask after every batch of calls.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.sender.poll_timeout()
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.sender.state()
    }

    /// Returns whether this endpoint must close its side of the transport now. That is so when the
    /// queue is empty, and either a server has completed the closing handshake or the connection
    /// has failed (RFC 6455 7.1.1, 7.1.7).
    ///
    /// Then continue to read until the input ends, so that the peer can read what was written, and
    /// call [`handle_eof`](Connection::handle_eof). The connection discards the input. Even without
    /// that end, it is [`State::Closed`] after [`Config::close_timeout`], two seconds after a
    /// failure, or if the peer sends more than 8 MiB. A client does not close its side after the
    /// closing handshake: it waits 250 ms for the server to do so, then it is [`State::Closed`].
    #[must_use]
    pub fn wants_shutdown(&self) -> bool {
        self.sender.wants_shutdown()
    }

    /// Returns whether the connection is over for the application: the closing handshake is
    /// complete or the connection has failed, and everything is written; or the state is
    /// [`State::Closed`].
    ///
    /// No message arrives from then on, and [`close_info`](Connection::close_info) is final unless
    /// the transport breaks. Only the end of the transport is left, and the peer may delay that for
    /// [`Config::close_timeout`]. So report the end to the application now, and close the transport
    /// afterwards.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.sender.is_finished()
    }

    /// Returns how the connection ended or is ending; `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.sender.close_info()
    }

    /// Returns the length of the queue in bytes.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.sender.queued()
    }

    /// Returns whether the queue has room for a message: it is shorter than
    /// [`Config::high_water_mark`].
    ///
    /// A caller that reads only while this is true bounds the memory that a peer can take by
    /// sending requests and not reading the responses.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.sender.is_writable()
    }

    /// Returns the time from the latest answered ping to its pong. Its accuracy depends on how
    /// promptly the caller calls [`handle_timeout`](Connection::handle_timeout).
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.sender.round_trip()
    }

    /// Returns the role of this endpoint.
    #[must_use]
    pub fn role(&self) -> Role {
        self.sender.role()
    }

    // Notifications.

    /// Removes the first `n` bytes of [`poll_transmit`](Connection::poll_transmit) from the queue,
    /// because they have been written.
    #[inline]
    pub fn transmitted(&mut self, n: usize) {
        self.sender.transmitted(n);
    }

    /// Notifies the connection of the current time. A call before the instant that
    /// [`poll_timeout`](Connection::poll_timeout) returns has no effect.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.sender.handle_timeout(now);
    }

    /// Notifies the connection that the peer closed its side of the transport, or that the
    /// transport broke. Without a closing handshake before that, the end is not clean (1006).
    pub fn handle_eof(&mut self) {
        self.sender.handle_eof();
    }

    /// Notifies the connection that the transport takes no more bytes. The queue is discarded and
    /// nothing more can be sent.
    ///
    /// Input that the peer sent earlier can still be received until
    /// [`handle_eof`](Connection::handle_eof), for at most [`Config::close_timeout`].
    pub fn handle_write_error(&mut self) {
        self.sender.handle_write_error();
    }

    // Commands.

    /// Queues a message: a string, bytes, or a [`Message`](crate::Message).
    ///
    /// # Errors
    ///
    /// Returns an error, and queues nothing, if the connection is closing, the queue is full, the
    /// message is too big, or a fragmented message is not finished.
    #[inline]
    pub fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), SendError> {
        self.sender.send(payload)
    }

    /// Queues a message, or returns it in the error, so that the caller can send it later:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sockeye_core::{Config, Connection, SendError};
    ///
    /// let mut connection = Connection::server(Arc::new(Config::new().high_water_mark(1)));
    /// connection.try_send("one").unwrap();
    /// let refused = connection.try_send(String::from("two")).unwrap_err();
    /// assert!(matches!(refused.error(), SendError::Backpressure { .. }));
    /// connection.transmitted(connection.queued());
    /// connection.try_send(refused.into_payload()).unwrap(); // not copied on the way
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error with the payload, and queues nothing, in the same cases as
    /// [`send`](Connection::send).
    pub fn try_send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), TrySendError<'p>> {
        self.sender.try_send(payload)
    }

    /// Queues a message that was encoded before.
    ///
    /// # Errors
    ///
    /// Returns an error, and queues nothing, in the same cases as [`send`](Connection::send).
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
        self.sender.send_prepared(prepared)
    }

    /// Queues one frame: a message, a fragment of one, or a control frame.
    ///
    /// A message is one frame with `finish`, or a first frame without it and then
    /// [continuations](crate::Opcode::Continuation). A Close begins the closing handshake.
    /// [`Frame::compress`](crate::Frame::compress) on the first frame requests compression.
    ///
    /// # Messages that are compressed already
    ///
    /// A first frame with [`Flags::rsv1`](crate::Flags#structfield.rsv1) begins a message that was
    /// compressed elsewhere, such as one that a relay forwards. Its frames are sent as they are.
    /// The connection does not inflate them, so it does not check text for UTF-8, and
    /// [`Config::max_send_size`](crate::Config#structfield.max_send_size) limits the compressed
    /// size.
    ///
    /// The peer inflates such a message with the window of *this* connection. So the message must
    /// not refer to messages before it, and needs a window no larger than negotiated here. Both
    /// hold if [`Negotiated::can_relay`](crate::deflate::Negotiated::can_relay) returns true.
    /// Otherwise inflate the message, and send it with [`send`](Connection::send).
    ///
    /// Own messages may come before and after: the next one that the connection compresses refers
    /// to nothing before it.
    ///
    /// # Errors
    ///
    /// Returns an error, and queues nothing, in the same cases as [`send`](Connection::send), and
    /// if a fragment is out of sequence, text fragments are not UTF-8 together, a control frame is
    /// too long or not finished, a Close must not be sent, or RSV1 is set on a continuation, on a
    /// control frame, or without negotiated compression.
    pub fn send_frame<'f>(&mut self, frame: impl Into<OutgoingFrame<'f>>) -> Result<(), SendError> {
        self.sender.send_frame(frame)
    }

    /// Queues a ping. The pong sets [`round_trip`](Connection::round_trip) if it answers the latest
    /// ping.
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is longer than 125 bytes, the connection is closing, or the
    /// queue is full.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.ping(payload)
    }

    /// Queues a pong: an unsolicited one, or the answer to a ping if [`Config::auto_pong`] is off.
    /// While the queue is full, only the latest pong is kept.
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is longer than 125 bytes or the connection is closing.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.pong(payload)
    }

    /// Exempts the connection from [`Config::idle_timeout`], or ends the exemption. Keepalive pings
    /// are sent either way.
    pub fn set_protected(&mut self, protected: bool) {
        self.sender.set_protected(protected);
    }
}

//! A connection behind its opening handshake.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::close::{CloseCode, CloseFrame, CloseInfo};
use crate::config::Config;
use crate::deflate::{CodecPool, Deflater, Inflater, Negotiated};
use crate::error::{ProtocolError, SendError};
use crate::event::Event;
use crate::frame::Frame;
use crate::input::RecvBuf;
use crate::message::{MessageRef, Payload};
use crate::outbox::Transmit;
use crate::prepared::Prepared;
use crate::receiver::Receiver;
use crate::role::{MaskKeys, Role, State};
use crate::sender::Sender;
use crate::time::Instant;

/// An open WebSocket connection with no transport: a [`Receiver`], a [`Sender`], and the one coupling between
/// them, which is that pings and Closes are answered and errors fail the connection.
///
/// Its methods are of three kinds. `poll_*` and `is_*` *ask* and change nothing that the peer could see, `handle_*` and
/// [`transmitted`](Connection::transmitted) *tell* what happened outside, and the bare verbs *command*. Asking is cheap; ask
/// again after telling or commanding. See the [crate's documentation](crate) for the loop that drives it.
#[derive(Debug)]
pub struct Connection {
    receiver: Receiver,
    sender: Sender,
}

impl Connection {
    /// A server's connection, for those who have done the opening handshake elsewhere, say in an HTTP library;
    /// otherwise [`handshake::server`](crate::handshake::server) makes it.
    #[must_use]
    pub fn server(config: Arc<Config>) -> Self {
        Connection { receiver: Receiver::new(Role::Server, config.clone()), sender: Sender::server(config) }
    }

    /// A client's connection, for those who have done the opening handshake elsewhere; otherwise
    /// [`handshake::client`](crate::handshake::client) makes it.
    #[must_use]
    pub fn client(config: Arc<Config>, masks: MaskKeys) -> Self {
        Connection {
            receiver: Receiver::new(Role::Client, config.clone()),
            sender: Sender::client(config, masks),
        }
    }

    /// Compresses from now on, as agreed. The opening [`handshake`](crate::handshake) does so by itself; this is for those who have
    /// done it elsewhere, with the functions of [`deflate`](crate::deflate), and comes before the first message. Without
    /// [`Config::deflate`] nothing changes.
    pub fn enable_deflate(&mut self, negotiated: &Negotiated) {
        if let Some(deflate) = self.sender.deflate_settings() {
            self.receiver.set_inflater(Some(Box::new(Inflater::new(negotiated))));
            let deflater = Deflater::new(negotiated, deflate);
            self.sender.set_deflater(Some(Box::new(deflater)));
        }
    }

    /// Where compressors and decompressors come from; without one, each message makes its own.
    pub fn set_codec_pool(&mut self, pool: &Arc<dyn CodecPool>) {
        if let Some(inflater) = self.receiver.inflater() {
            inflater.set_pool(Arc::clone(pool));
        }
        if let Some(deflater) = self.sender.deflater() {
            deflater.set_pool(Arc::clone(pool));
        }
    }

    /// Takes the halves apart, for those who receive and send in different places. The coupling is then
    /// theirs: every event goes to [`Sender::react`], every error to [`Sender::fail`].
    #[must_use]
    pub fn split(self) -> (Receiver, Sender) {
        (self.receiver, self.sender)
    }

    /// Puts two halves of one connection together again. Halves of different ones make no sense together.
    #[must_use]
    pub fn join(receiver: Receiver, sender: Sender) -> Self {
        Connection { receiver, sender }
    }

    // Asking.

    /// Takes the next event out of `input`, and does what it asks for: a ping or a Close has been answered when it is
    /// returned (the answer waits in [`poll_transmit`](Connection::poll_transmit)). `None` when all of `input` has been taken.
    ///
    /// The event borrows the bytes behind `input`, so this is an echo without a copy:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sockeye_core::{Config, Connection, Event, Frame, Opcode, RecvBuf};
    ///
    /// let mut connection = Connection::server(Arc::new(Config::new()));
    /// let mut bytes = *b"\x82\x82\0\0\0\0hi"; // masked with zeros
    /// let mut input = RecvBuf::new(&mut bytes);
    /// while let Some(event) = connection.poll_event(&mut input)? {
    ///     if let Event::Data { payload, first: true, last: true, .. } = event {
    ///         connection.send(payload).unwrap();
    ///     }
    /// }
    /// assert_eq!(connection.poll_transmit().unwrap().first(), b"\x82\x02hi");
    /// # Ok::<(), sockeye_core::ProtocolError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What the peer did wrong. The Close that tells it has been queued; from now on input is discarded and the same
    /// error returned.
    #[inline]
    pub fn poll_event<'a>(&mut self, input: &mut RecvBuf<'a>) -> Result<Option<Event<'a>>, ProtocolError> {
        // An abort, an unanswered ping or a timeout ends it too, and then nothing is received any more.
        if self.sender.ignores_input() && self.receiver.is_open() {
            input.take_all();
            return Ok(None);
        }
        if !input.is_empty() {
            self.sender.handle_received();
        }
        match self.receiver.poll_event(input) {
            Ok(event) => {
                if let Some(event) = &event {
                    self.sender.react(event);
                }
                Ok(event)
            }
            Err(error) => {
                self.sender.fail(&error);
                Err(error)
            }
        }
    }

    /// What waits to be written, if anything does. Write some of it, then say how much with
    /// [`transmitted`](Connection::transmitted).
    #[must_use]
    #[inline]
    pub fn poll_transmit(&self) -> Option<Transmit<'_>> {
        self.sender.poll_transmit()
    }

    /// When [`handle_timeout`](Connection::handle_timeout) is to be called next; `None` while nothing depends on time.
    ///
    /// An instant that has passed, such as [`Instant::EPOCH`], means now: that is how the connection asks for the time
    /// when something happened that it must put a date on. So ask after every batch of calls.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.sender.poll_timeout()
    }

    /// How far the connection is.
    #[must_use]
    pub fn state(&self) -> State {
        self.sender.state()
    }

    /// Whether this end is to close its side of the transport now: everything has been written, and the server has shaken
    /// hands, or the connection has failed (RFC 6455 7.1.1). Go on reading (and discarding) until the end of the input, so that the
    /// peer gets to read what was written, then call [`handle_eof`](Connection::handle_eof).
    #[must_use]
    pub fn wants_shutdown(&self) -> bool {
        self.sender.wants_shutdown()
    }

    /// How the connection ended or is ending; `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.sender.close_info()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.sender.queued()
    }

    /// Whether a message can be queued: less than [`Config::high_water_mark`] waits. Whoever reads only while this holds bounds
    /// the memory that a peer can take by asking and not reading the answers.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.sender.is_writable()
    }

    /// The time from the latest answered ping to its pong, as exact as the caller's calls of
    /// [`handle_timeout`](Connection::handle_timeout).
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.sender.round_trip()
    }

    /// The compression agreed on, if any (RFC 7692).
    #[must_use]
    pub fn deflate(&self) -> Option<Negotiated> {
        self.sender.deflate()
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.sender.role()
    }

    /// Inflates the payload of an [`Event::Data`] that is `compressed`, in chunks of at most 64 KiB, which `sink` gets; `last` as the event
    /// says. Payloads are given in order and all of them, for each is needed to inflate the next. [`Assembler`](crate::Assembler) does
    /// this by itself.
    ///
    /// # Errors
    ///
    /// The bytes are no deflate stream, or inflate to more than [`Config::max_message_size`], or what `sink` returned. The
    /// connection has been failed with it.
    pub fn inflate(
        &mut self,
        payload: &[u8],
        last: bool,
        sink: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        self.receiver.inflate(payload, last, sink).inspect_err(|error| self.sender.fail(error))
    }

    // Telling.

    /// Tells that the first `n` bytes of [`poll_transmit`](Connection::poll_transmit) have been written.
    #[inline]
    pub fn transmitted(&mut self, n: usize) {
        self.sender.transmitted(n);
    }

    /// Tells the time. Nothing happens before the time asked for, so it may be called whenever convenient.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.sender.handle_timeout(now);
    }

    /// Tells that the peer closed its side of the transport, or that the transport broke. Without a closing handshake
    /// before it, the end is not clean (1006).
    pub fn handle_eof(&mut self) {
        self.sender.handle_eof();
    }

    /// Tells that the transport takes no more bytes. What waits is forgotten and nothing more can be sent; what the peer
    /// sent before can still be received until [`handle_eof`](Connection::handle_eof), for [`Config::close_timeout`].
    pub fn handle_write_error(&mut self) {
        self.sender.handle_write_error();
    }

    // Commands.

    /// Queues a message: a string, or bytes, or a [`Message`](crate::Message).
    ///
    /// # Errors
    ///
    /// Nothing was queued: the connection is closing, too much waits, the message is too big, or a fragmented message is
    /// not finished.
    #[inline]
    pub fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), SendError> {
        self.sender.send(payload)
    }

    /// Queues a message that was encoded before.
    ///
    /// # Errors
    ///
    /// As [`send`](Connection::send).
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
        self.sender.send_prepared(prepared)
    }

    /// Queues one frame as it is: a message (with `finish`), a fragment of one (the first without `finish`, then
    /// [continuations](crate::Opcode::Continuation)), or a control frame. A Close begins the closing handshake. [`Flags::compress`](crate::Flags#structfield.compress) on
    /// the first frame of a message asks for compression, where that has been agreed on.
    ///
    /// # Errors
    ///
    /// As [`send`](Connection::send), and: a fragment out of sequence, text fragments that are not UTF-8 together, a control frame
    /// that is too long or not finished, a Close that must not be sent. Nothing was queued.
    pub fn send_frame(&mut self, frame: &Frame<'_>) -> Result<(), SendError> {
        self.sender.send_frame(frame)
    }

    /// Queues a ping; the pong gives [`round_trip`](Connection::round_trip) if it is the latest one's.
    ///
    /// # Errors
    ///
    /// More than 125 bytes, the connection is closing, or too much waits.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.ping(payload)
    }

    /// Queues a pong nobody asked for, or the answer to a ping if [`Config::auto_pong`] is off. While too much waits only the latest
    /// is kept.
    ///
    /// # Errors
    ///
    /// More than 125 bytes, or the connection is closing.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.pong(payload)
    }

    /// Begins the closing handshake (RFC 6455 7.1.2). What the peer sent before its own Close is still delivered. The peer has
    /// [`Config::close_timeout`] to answer.
    ///
    /// # Errors
    ///
    /// A code that must not be sent, a reason of more than 123 bytes, or the connection is closing already. Nothing was
    /// queued.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.sender.close(&CloseFrame::new(code, reason))
    }

    /// Ends the connection for what the peer did wrong, as if the connection had found it by itself: for layers above,
    /// such as [`Assembler`](crate::Assembler).
    pub fn fail(&mut self, error: ProtocolError) {
        self.receiver.fail(error);
        self.sender.fail(&error);
    }

    /// Ends the connection at once and without a Close; the peer sees the transport end.
    pub fn abort(&mut self) {
        self.sender.abort();
    }

    /// Exempts the connection from [`Config::idle_timeout`], or no longer; pings of our own go on.
    pub fn set_protected(&mut self, protected: bool) {
        self.sender.set_protected(protected);
    }

    // Memory.

    /// Lends an empty buffer to queue bytes in, so that one can serve many connections; `buffer` is called only if the
    /// connection has none. Take it back with [`reclaim_buffer`](Connection::reclaim_buffer).
    #[inline]
    pub fn lend_buffer(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        self.sender.lend_buffer(buffer);
    }

    /// Takes the queue's buffer away if nothing waits: an idle connection then owns no memory.
    pub fn reclaim_buffer(&mut self) -> Option<Vec<u8>> {
        self.sender.reclaim_buffer()
    }

    pub(crate) fn receiver(&mut self) -> &mut Receiver {
        &mut self.receiver
    }

    /// As [`Receiver::poll_message`].
    #[inline(always)]
    pub(crate) fn poll_message<'a>(&mut self, input: &mut RecvBuf<'a>) -> Option<MessageRef<'a>> {
        if self.sender.ignores_input() {
            return None;
        }
        let message = self.receiver.poll_message(input)?;
        self.sender.handle_received();
        Some(message)
    }

    /// Notes that the peer is alive though its input has not been taken.
    pub(crate) fn handle_received(&mut self) {
        self.sender.handle_received();
    }

    /// Queues the head that ends the opening handshake, in front of the first frame.
    pub(crate) fn queue_head(&mut self, head: &[u8]) {
        self.sender.queue_head(head);
    }
}

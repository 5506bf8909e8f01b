//! The sending half: messages in, bytes out, and the closing handshake.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::close::{CloseFrame, CloseInfo, Side};
use crate::config::Config;
use crate::deflate::{Deflate, Deflater, Negotiated};
use crate::discard::DiscardBudget;
use crate::error::{SendError, TrySendError};
use crate::frame::{Flags, Opcode, OutgoingFrame, check_control};
use crate::message::{MessageKind, Payload, PayloadData};
use crate::outbox::{Outbox, Transmit};
use crate::prepared::Prepared;
use crate::receiver::Progress;
use crate::role::{MaskKeys, Role, State};
use crate::time::Instant;
use crate::timers::Timers;

mod closing;
mod frames;
mod pong;
mod state;

use frames::FragmentedMessage;
use pong::PendingPong;
use state::Closing;

/// The sending half of a connection.
///
/// It encodes messages and control frames into one queue of bytes, in order, and enforces the rules
/// of sending: no message inside another, nothing after a Close, and a bound on the length of the
/// queue.
///
/// It also drives the closing handshake and enforces the deadlines, because both end in sending a
/// frame.
///
/// ```
/// # use std::sync::Arc;
/// use sockeye_core::{Config, Control, Sender};
///
/// let mut sender = Sender::server(Arc::new(Config::new()));
/// sender.send("hi")?;
/// sender.react(&Control::Ping(b"!"[..].into()));
/// let queued: Vec<u8> = sender.poll_transmit().unwrap().slices().flatten().copied().collect();
/// assert_eq!(queued, b"\x81\x02hi\x8a\x01!");
/// sender.transmitted(queued.len());
/// # Ok::<(), sockeye_core::SendError>(())
/// ```
pub struct Sender {
    config: Arc<Config>,
    /// `Some` in a client; a server does not mask what it sends.
    mask_keys: Option<MaskKeys>,
    outbox: Outbox,
    timers: Timers,
    /// The fragmented message that is being sent.
    message: Option<Box<FragmentedMessage>>,
    pending_pong: Option<Box<PendingPong>>,
    /// At most one pong is in the queue, until the queue is empty.
    limits_pongs: bool,
    closing: Closing,
    close_info: Option<Box<CloseInfo>>,
    deflater: Option<Box<Deflater>>,
    discard_budget: DiscardBudget,
}

impl Sender {
    /// Creates the sending half of a server, for use after the opening handshake.
    #[must_use]
    pub fn server(config: Arc<Config>) -> Self {
        Self::new(config, None)
    }

    /// Creates the sending half of a client, for use after the opening handshake.
    #[must_use]
    pub fn client(config: Arc<Config>, mask_keys: MaskKeys) -> Self {
        Self::new(config, Some(mask_keys))
    }

    fn new(config: Arc<Config>, mask_keys: Option<MaskKeys>) -> Self {
        Sender {
            timers: Timers::new(&config),
            config,
            mask_keys,
            outbox: Outbox::default(),
            message: None,
            pending_pong: None,
            limits_pongs: false,
            closing: Closing::default(),
            close_info: None,
            deflater: None,
            discard_budget: DiscardBudget::default(),
        }
    }

    // Commands.

    /// Queues a message, like [`Connection::send`](crate::Connection::send).
    ///
    /// # Errors
    ///
    /// Returns an error, and queues nothing, if the connection is closing, the queue is full, the
    /// message is too big, or a fragmented message is not finished.
    #[inline]
    pub fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), SendError> {
        let payload = payload.into();
        self.check_payload(&payload)?;
        self.write_payload(payload);
        Ok(())
    }

    /// Queues a message, or returns it, like [`Connection::try_send`](crate::Connection::try_send).
    ///
    /// # Errors
    ///
    /// Returns an error with the payload, and queues nothing, in the same cases as
    /// [`send`](Sender::send).
    pub fn try_send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), TrySendError<'p>> {
        let payload = payload.into();
        match self.check_payload(&payload) {
            Ok(()) => {
                self.write_payload(payload);
                Ok(())
            }
            Err(error) => Err(TrySendError { error, payload }),
        }
    }

    /// Queues a message that was encoded before, like
    /// [`Connection::send_prepared`](crate::Connection::send_prepared).
    ///
    /// # Errors
    ///
    /// Returns an error, and queues nothing, in the same cases as [`send`](Sender::send).
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
        let payload = prepared.as_bytes();
        self.check_open()?;
        self.check_new_message(payload.len())?;
        let (encoded, compress) = match self.choose_encoding(prepared) {
            Some(encoding) => encoding,
            None => {
                let payload = Payload::borrowed(prepared.kind(), payload);
                return self.send(Payload { compress: prepared.compress, ..payload });
            }
        };
        let is_long = |limit| encoded.payload().len() > limit;
        if self.mask_keys.is_some() || self.config.fragment_size.is_some_and(is_long) {
            let payload = PayloadData::Borrowed(encoded.payload());
            self.write_message(prepared.kind().opcode(), compress, payload);
        } else {
            self.outbox.append_shared(encoded.wire(), prepared.is_guarded());
        }
        if compress && let Some(deflater) = &mut self.deflater {
            deflater.record_prepared(payload);
        }
        Ok(())
    }

    /// Queues one frame, like [`Connection::send_frame`](crate::Connection::send_frame).
    ///
    /// # Errors
    ///
    /// Returns an error, and queues nothing, in the same cases as
    /// [`Connection::send_frame`](crate::Connection::send_frame).
    pub fn send_frame<'f>(&mut self, frame: impl Into<OutgoingFrame<'f>>) -> Result<(), SendError> {
        let OutgoingFrame { frame, compress } = frame.into();
        frame.check_flags()?;
        let kind = match frame.opcode {
            Opcode::Ping => return self.ping(&frame.data),
            Opcode::Pong => return self.pong(&frame.data),
            Opcode::Close => return self.close(&frame.parse_close()?),
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            Opcode::Continuation => None,
        };
        self.send_fragment(kind, &frame.data, frame.flags, compress)
    }

    /// Queues a ping, like [`Connection::ping`](crate::Connection::ping).
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is longer than 125 bytes, the connection is closing, or the
    /// queue is full.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        check_control(payload)?;
        self.check_open()?;
        self.check_room()?;
        self.write_frame(Opcode::Ping, Flags::default(), PayloadData::Borrowed(payload));
        self.timers.ping_sent(payload);
        Ok(())
    }

    /// Begins the closing handshake, or answers the peer's Close if it has not been answered, like
    /// [`Connection::close`](crate::Connection::close).
    ///
    /// # Errors
    ///
    /// Returns an error, and queues nothing, if the code must not be sent, the reason is longer
    /// than 123 bytes, or this endpoint has already sent a Close.
    pub fn close(&mut self, frame: &CloseFrame<'_>) -> Result<(), SendError> {
        let payload = frame.payload()?;
        if !self.closing.can_close() {
            return Err(SendError::Closed);
        }
        self.record_close(Side::Local, frame);
        self.write_close(&payload);
        Ok(())
    }

    /// Exempts the connection from [`Config::idle_timeout`], or ends the exemption, like
    /// [`Connection::set_protected`](crate::Connection::set_protected).
    pub fn set_protected(&mut self, protected: bool) {
        let is_ending = !matches!(self.state(), State::Open);
        self.timers.set_protected(protected || is_ending, &self.config);
    }

    // Notifications.

    /// Notifies the sender that `bytes` bytes have arrived, which shows that the peer is alive.
    ///
    /// After the peer's Close or a failure, all input is discarded. If the peer then sends more
    /// than 8 MiB, the connection ends: its state becomes [`State::Closed`].
    #[inline]
    pub fn handle_received(&mut self, bytes: usize) {
        self.timers.handle_received();
        if self.closing.discards_input() {
            self.handle_discarded(bytes);
        }
    }

    /// Notifies the sender how far the message has come that is being received, for
    /// [`Config::message_timeout`]. Call this with
    /// [`Receiver::progress`](crate::Receiver::progress) before waiting for input, or with `None`
    /// before waiting for anything else.
    #[inline]
    pub fn handle_progress(&mut self, progress: Option<Progress>) {
        self.timers.handle_progress(progress, &self.config);
    }

    /// Removes the first `n` bytes of [`poll_transmit`](Sender::poll_transmit), which have been
    /// written, like [`Connection::transmitted`](crate::Connection::transmitted).
    #[inline]
    pub fn transmitted(&mut self, n: usize) {
        self.outbox.transmitted(n);
        if n > 0 {
            self.timers.handle_transmitted(self.outbox.is_empty());
        }
        self.update_pongs();
        if self.state() != State::Open {
            self.check_end();
        }
    }

    // Questions.

    /// Returns the bytes to write next, like
    /// [`Connection::poll_transmit`](crate::Connection::poll_transmit).
    #[must_use]
    #[inline]
    pub fn poll_transmit(&self) -> Option<Transmit<'_>> {
        self.outbox.poll_transmit()
    }

    /// Returns when [`handle_timeout`](Sender::handle_timeout) is due, like
    /// [`Connection::poll_timeout`](crate::Connection::poll_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.poll_timeout()
    }

    /// Returns the length of the queue in bytes.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// Returns how many bytes of the queue belong to this connection alone: all but those of
    /// [guarded](Prepared::guarded) messages that are queued by reference.
    #[must_use]
    pub fn queued_alone(&self) -> usize {
        self.outbox.len().saturating_sub(self.outbox.guarded_len())
    }

    /// Returns whether the queue has room for a message, like
    /// [`Connection::is_writable`](crate::Connection::is_writable).
    #[must_use]
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.check_room().is_ok()
    }

    /// Returns the time from the latest answered ping to its pong, like
    /// [`Connection::round_trip`](crate::Connection::round_trip).
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.timers.round_trip()
    }

    /// Returns the options of the connection.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Returns the negotiated compression, if any (RFC 7692).
    #[must_use]
    pub fn deflate(&self) -> Option<Negotiated> {
        self.deflater.as_ref().map(|deflater| deflater.negotiated())
    }

    /// Returns the role of this endpoint.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.mask_keys.is_some() { Role::Client } else { Role::Server }
    }

    // Memory.

    /// Lends an empty buffer for the queue, like
    /// [`Connection::lend_buffer`](crate::Connection::lend_buffer).
    #[inline]
    pub fn lend_buffer(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        self.outbox.lend(buffer);
    }

    /// Takes the queue's buffer back if the queue is empty, like
    /// [`Connection::reclaim_buffer`](crate::Connection::reclaim_buffer).
    pub fn reclaim_buffer(&mut self) -> Option<Vec<u8>> {
        self.outbox.reclaim()
    }

    pub(crate) fn deflate_settings(&self) -> Option<&Deflate> {
        self.config.deflate.as_ref()
    }

    pub(crate) fn set_deflater(&mut self, deflater: Option<Box<Deflater>>) {
        self.deflater = deflater;
    }

    pub(crate) fn deflater(&mut self) -> Option<&mut Deflater> {
        self.deflater.as_deref_mut()
    }

    /// Queues the HTTP head that ends the opening handshake.
    pub(crate) fn queue_head(&mut self, head: &[u8]) {
        self.outbox.append(head.len(), |buffer| buffer.extend_from_slice(head));
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("role", &self.role())
            .field("state", &self.state())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

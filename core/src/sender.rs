//! The sending half: messages in, bytes out, and the closing handshake.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::close::{CloseCode, CloseFrame, CloseInfo, Side};
use crate::config::Config;
use crate::connection::{MaskKeys, Role, State};
use crate::error::{ProtocolError, SendError};
use crate::event::Event;
use crate::frame::{Flags, Frame, FrameHeader, MAX_CONTROL_PAYLOAD, Opcode};
use crate::mask::apply_mask;
use crate::message::{MessageKind, Payload, PayloadData};
use crate::outbox::{Outbox, Transmit};
use crate::prepared::Prepared;
use crate::time::Instant;
use crate::timers::{Due, Timers};
use crate::utf8::Utf8Stream;

/// Encodes what this end sends into one queue of bytes, in order, and keeps the rules of sending: no message
/// inside another, nothing after a Close, and a bound on what waits.
///
/// It also holds the closing handshake and the deadlines, for both end in sending something.
pub struct Sender {
    config: Arc<Config>,
    /// A client's source of keys; a server sends no masks.
    masks: Option<MaskKeys>,
    outbox: Outbox,
    timers: Timers,
    /// The fragmented message being sent.
    message: Option<Box<Fragmented>>,
    /// The latest ping that could not be answered yet because too much waits.
    late_pong: Option<Box<LatePong>>,
    closing: Closing,
    info: Option<Box<CloseInfo>>,
}

/// A message begun with `finish = false`.
struct Fragmented {
    kind: MessageKind,
    size: u64,
    utf8: Utf8Stream,
}

/// A ping's payload.
struct LatePong {
    bytes: [u8; MAX_CONTROL_PAYLOAD],
    len: u8,
}

/// How far the end has come.
#[derive(Debug, Default)]
struct Closing {
    sent: bool,
    received: bool,
    failed: bool,
    eof: bool,
    /// The transport takes no more bytes.
    mute: bool,
    ended: bool,
}

impl Sender {
    /// The sending half of a server, behind the opening handshake.
    #[must_use]
    pub fn server(config: Arc<Config>) -> Self {
        Self::new(config, None)
    }

    /// The sending half of a client, behind the opening handshake.
    #[must_use]
    pub fn client(config: Arc<Config>, masks: MaskKeys) -> Self {
        Self::new(config, Some(masks))
    }

    fn new(config: Arc<Config>, masks: Option<MaskKeys>) -> Self {
        Sender {
            timers: Timers::new(&config),
            config,
            masks,
            outbox: Outbox::default(),
            message: None,
            late_pong: None,
            closing: Closing::default(),
            info: None,
        }
    }

    // Commands: see `Connection`, which has the same and their documentation.

    /// As [`Connection::send`](crate::Connection::send).
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), SendError> {
        let payload = payload.into();
        let size = payload.as_bytes().len();
        self.check_open()?;
        self.check_new_message(size)?;
        let opcode = payload.kind.opcode();
        match self.config.fragment_size {
            Some(limit) if size > limit => self.write_fragments(opcode, payload.as_bytes(), limit),
            _ => self.write_frame(opcode, true, payload.data),
        }
        Ok(())
    }

    /// As [`Connection::send_prepared`](crate::Connection::send_prepared).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
        let size = prepared.as_bytes().len();
        if self.masks.is_some() || self.config.fragment_size.is_some_and(|limit| size > limit) {
            return self.send(Payload::borrowed(prepared.kind(), prepared.as_bytes()));
        }
        self.check_open()?;
        self.check_new_message(size)?;
        self.outbox.append_shared(prepared.wire());
        Ok(())
    }

    /// As [`Connection::send_frame`](crate::Connection::send_frame).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_frame(&mut self, frame: &Frame<'_>) -> Result<(), SendError> {
        if frame.opcode.is_control() && !frame.flags.finish {
            return Err(SendError::FragmentedControl);
        }
        match frame.opcode {
            Opcode::Ping => self.ping(&frame.data),
            Opcode::Pong => self.pong(&frame.data),
            Opcode::Close => {
                self.close(&CloseFrame::parse(Cow::Borrowed(&frame.data)).map_err(|error| match error {
                    ProtocolError::InvalidCloseCode(code) => SendError::InvalidCloseCode(code.into()),
                    _ => SendError::InvalidCloseFrame,
                })?)
            }
            Opcode::Text => self.send_part(Some(MessageKind::Text), &frame.data, frame.flags.finish),
            Opcode::Binary => self.send_part(Some(MessageKind::Binary), &frame.data, frame.flags.finish),
            Opcode::Continuation => self.send_part(None, &frame.data, frame.flags.finish),
        }
    }

    /// As [`Connection::ping`](crate::Connection::ping).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        check_control(payload)?;
        self.check_open()?;
        self.check_room()?;
        self.write_frame(Opcode::Ping, true, PayloadData::Borrowed(payload));
        self.timers.ping_sent(payload);
        Ok(())
    }

    /// As [`Connection::pong`](crate::Connection::pong).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        check_control(payload)?;
        self.check_open()?;
        // "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous Ping
        // frame(s), the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame."
        // (RFC 6455 5.5.3) So a peer that pings and does not read takes no memory.
        if self.check_room().is_err() {
            self.late_pong = Some(Box::new(LatePong::new(payload)));
        } else {
            self.late_pong = None;
            self.write_frame(Opcode::Pong, true, PayloadData::Borrowed(payload));
        }
        Ok(())
    }

    /// As [`Connection::close`](crate::Connection::close).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn close(&mut self, frame: &CloseFrame<'_>) -> Result<(), SendError> {
        let payload = frame.payload()?;
        self.check_open()?;
        self.ending(Side::Local, frame.status(), &frame.reason);
        self.write_close(&payload);
        Ok(())
    }

    // Telling.

    /// Does what an event of the [`Receiver`](crate::Receiver) asks for: answers a ping, answers a Close, takes the
    /// round-trip time from a pong.
    #[inline]
    pub fn react(&mut self, event: &Event<'_>) {
        match event {
            Event::Data { .. } => {}
            Event::Ping(payload) => {
                if self.config.auto_pong {
                    // It can fail only because a Close has been sent; then no pong is due.
                    let _ = self.pong(payload);
                }
            }
            Event::Pong(payload) => self.timers.pong_received(payload),
            Event::Close(frame) => self.close_received(frame),
        }
    }

    /// Ends the connection for what the peer did wrong: queues the Close that says so (RFC 6455 7.1.7).
    pub fn fail(&mut self, error: &ProtocolError) {
        self.fail_with(error.close_code(), &error.to_string());
    }

    /// Notes that bytes came: the connection is alive.
    #[inline]
    pub fn handle_received(&mut self) {
        self.timers.received();
    }

    /// As [`Connection::handle_eof`](crate::Connection::handle_eof).
    pub fn handle_eof(&mut self) {
        if !self.closing.received && !self.closing.failed {
            self.ending(Side::Peer, CloseCode::ABNORMAL, "");
        }
        self.closing.eof = true;
        self.timers.closing();
        self.settle();
    }

    /// As [`Connection::handle_write_error`](crate::Connection::handle_write_error).
    pub fn handle_write_error(&mut self) {
        self.ending(Side::Peer, CloseCode::ABNORMAL, "");
        self.late_pong = None;
        self.discard();
        self.closing.mute = true;
        // After the end no deadline counts any more.
        if !self.closing.ended {
            self.timers.closing();
        }
    }

    /// As [`Connection::handle_timeout`](crate::Connection::handle_timeout).
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.timers.handle_timeout(now, &self.config) {
            Due::Nothing => {}
            Due::Ping(number) => {
                // A full queue is no reason to fail: the peer's silence will be.
                let _ = self.ping(&number.to_be_bytes());
            }
            Due::Idle => {
                let frame = CloseFrame::new(CloseCode::GOING_AWAY, "idle timeout");
                let _ = self.close(&frame);
            }
            Due::Unanswered => {
                // There is nobody to shake hands with: the Close is written, if it can be, and that is the end.
                self.fail_with(CloseCode::POLICY_VIOLATION, "no answer to a ping");
                self.closing.eof = true;
                self.settle();
            }
            Due::Closed => self.end(),
        }
    }

    /// As [`Connection::transmitted`](crate::Connection::transmitted).
    #[inline]
    pub fn transmitted(&mut self, n: usize) {
        self.outbox.transmitted(n);
        if self.late_pong.is_some()
            && self.check_room().is_ok()
            && let Some(payload) = self.late_pong.take()
        {
            let _ = self.pong(payload.as_bytes());
        }
        if self.closing.eof {
            self.settle();
        }
    }

    /// Ends the connection at once, whatever waits.
    pub fn abort(&mut self) {
        self.ending(Side::Local, CloseCode::ABNORMAL, "");
        self.end();
    }

    // Asking.

    /// As [`Connection::poll_transmit`](crate::Connection::poll_transmit).
    #[must_use]
    #[inline]
    pub fn poll_transmit(&self) -> Option<Transmit<'_>> {
        self.outbox.poll_transmit()
    }

    /// As [`Connection::poll_timeout`](crate::Connection::poll_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.poll_timeout()
    }

    /// As [`Connection::queued`](crate::Connection::queued).
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// As [`Connection::is_writable`](crate::Connection::is_writable).
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.check_room().is_ok()
    }

    /// As [`Connection::state`](crate::Connection::state).
    #[must_use]
    pub fn state(&self) -> State {
        let closing = &self.closing;
        if closing.ended {
            State::Closed
        } else if closing.sent || closing.received || closing.failed || closing.eof || closing.mute {
            State::Closing
        } else {
            State::Open
        }
    }

    /// Whether what the peer sends no longer counts, for a reason that the [`Receiver`](crate::Receiver) need not know: the
    /// connection was aborted, or its time was up. Whoever drives the halves discards what comes then.
    #[must_use]
    #[inline]
    pub fn ignores_input(&self) -> bool {
        self.closing.failed || self.closing.ended
    }

    /// As [`Connection::wants_shutdown`](crate::Connection::wants_shutdown).
    #[must_use]
    pub fn wants_shutdown(&self) -> bool {
        let closing = &self.closing;
        // "the server MUST close the underlying TCP connection first" once both have said Close; whoever fails the
        // connection closes it at once (RFC 6455 7.1.1, 7.1.7).
        let shaken = closing.sent && closing.received;
        let due = (shaken && self.role() == Role::Server)
            || closing.failed
            || closing.eof
            || closing.mute
            || closing.ended;
        due && self.outbox.is_empty()
    }

    /// As [`Connection::close_info`](crate::Connection::close_info).
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.info.as_deref()
    }

    /// As [`Connection::round_trip`](crate::Connection::round_trip).
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.timers.round_trip()
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.masks.is_some() { Role::Client } else { Role::Server }
    }

    /// As [`Connection::lend_buffer`](crate::Connection::lend_buffer).
    #[inline]
    pub fn lend_buffer(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        self.outbox.lend(buffer);
    }

    /// As [`Connection::reclaim_buffer`](crate::Connection::reclaim_buffer).
    pub fn reclaim_buffer(&mut self) -> Option<Vec<u8>> {
        self.outbox.reclaim()
    }

    /// Queues bytes that are no frame: the head that ends the opening handshake.
    pub(crate) fn queue_head(&mut self, head: &[u8]) {
        self.outbox.append(|buffer| buffer.extend_from_slice(head));
    }

    // How it is done.

    #[inline]
    fn check_open(&self) -> Result<(), SendError> {
        let closing = &self.closing;
        // "The application MUST NOT send any more data frames after sending a Close frame." (RFC 6455 5.5.1)
        if closing.sent || closing.failed || closing.eof || closing.mute || closing.ended {
            return Err(SendError::Closed);
        }
        Ok(())
    }

    #[inline]
    fn check_room(&self) -> Result<(), SendError> {
        let queued = self.outbox.len();
        if queued >= self.config.high_water_mark.max(1) {
            return Err(SendError::Backpressure { queued });
        }
        Ok(())
    }

    #[inline]
    fn check_new_message(&self, size: usize) -> Result<(), SendError> {
        if self.message.is_some() {
            return Err(SendError::ExpectedContinuation);
        }
        self.check_size(size as u64)?;
        self.check_room()
    }

    #[inline]
    fn check_size(&self, size: u64) -> Result<(), SendError> {
        let limit = self.config.max_send_size;
        if size > limit {
            return Err(SendError::TooBig { size, limit });
        }
        Ok(())
    }

    /// One frame of a message: its first with `begin`, else a continuation.
    fn send_part(&mut self, begin: Option<MessageKind>, part: &[u8], finish: bool) -> Result<(), SendError> {
        self.check_open()?;
        let (kind, size, mut utf8) = match (begin, self.message.as_deref()) {
            (Some(kind), None) => (kind, 0, Utf8Stream::new()),
            (None, Some(message)) => (message.kind, message.size, message.utf8),
            (Some(_), Some(_)) => return Err(SendError::ExpectedContinuation),
            (None, None) => return Err(SendError::UnexpectedContinuation),
        };
        let size = size.saturating_add(part.len() as u64);
        self.check_size(size)?;
        self.check_room()?;
        if kind == MessageKind::Text {
            let checked = utf8.push(part, |_| ());
            if checked.is_err() || finish && !utf8.is_complete() {
                return Err(SendError::InvalidUtf8);
            }
        }
        let opcode = begin.map_or(Opcode::Continuation, MessageKind::opcode);
        self.write_frame(opcode, finish, PayloadData::Borrowed(part));
        match &mut self.message {
            _ if finish => self.message = None,
            Some(message) => **message = Fragmented { kind, size, utf8 },
            message => *message = Some(Box::new(Fragmented { kind, size, utf8 })),
        }
        Ok(())
    }

    fn write_fragments(&mut self, opcode: Opcode, payload: &[u8], limit: usize) {
        let mut opcode = opcode;
        let mut parts = payload.chunks(limit.max(1)).peekable();
        while let Some(part) = parts.next() {
            self.write_frame(opcode, parts.peek().is_none(), PayloadData::Borrowed(part));
            opcode = Opcode::Continuation;
        }
    }

    #[inline]
    fn write_frame(&mut self, opcode: Opcode, finish: bool, payload: PayloadData<'_>) {
        let bytes: &[u8] = match &payload {
            PayloadData::Borrowed(bytes) => bytes,
            PayloadData::Shared(bytes) => bytes,
        };
        let flags = Flags { finish, compress: false };
        // A fresh key for each frame, drawn when its payload can no longer change (RFC 6455 5.3, 10.3).
        let mask = self.masks.as_mut().map(|next| next());
        let header = FrameHeader { opcode, flags, mask, len: bytes.len() as u64 };
        match (payload, mask) {
            (PayloadData::Shared(bytes), None) => {
                self.outbox.append(|buffer| header.encode(buffer));
                self.outbox.append_shared(bytes);
            }
            (PayloadData::Borrowed(bytes), None) => self.outbox.append(|buffer| {
                header.encode(buffer);
                buffer.extend_from_slice(bytes);
            }),
            (PayloadData::Shared(bytes), Some(key)) => self.write_masked(&header, &bytes, key),
            (PayloadData::Borrowed(bytes), Some(key)) => self.write_masked(&header, bytes, key),
        }
    }

    fn write_masked(&mut self, header: &FrameHeader, payload: &[u8], key: [u8; 4]) {
        self.outbox.append(|buffer| {
            header.encode(buffer);
            let start = buffer.len();
            buffer.extend_from_slice(payload);
            apply_mask(buffer.get_mut(start..).unwrap_or_default(), key);
        });
    }

    /// A close can always be queued, however much waits.
    fn write_close(&mut self, payload: &[u8]) {
        self.late_pong = None;
        self.write_frame(Opcode::Close, true, PayloadData::Borrowed(payload));
        self.closing.sent = true;
        self.message = None;
        self.timers.closing();
        self.settle_clean();
    }

    fn close_received(&mut self, frame: &CloseFrame<'_>) {
        self.closing.received = true;
        self.ending(Side::Peer, frame.status(), &frame.reason);
        if self.check_open().is_ok() {
            // "the endpoint typically echos the status code it received" (RFC 6455 5.5.1)
            let echo = CloseFrame { code: frame.code, reason: Cow::Borrowed("") };
            self.write_close(&echo.payload().unwrap_or_default());
        }
        self.settle_clean();
    }

    fn fail_with(&mut self, code: CloseCode, reason: &str) {
        if self.closing.failed || self.closing.ended {
            return;
        }
        self.ending(Side::Local, code, reason);
        if self.check_open().is_ok() {
            let frame = CloseFrame::new(code, reason);
            self.write_close(&frame.payload().unwrap_or_default());
        }
        self.closing.failed = true;
        self.timers.closing();
        self.settle_clean();
    }

    /// Notes who began the end, and why; the first to do so stands.
    fn ending(&mut self, by: Side, code: CloseCode, reason: &str) {
        if self.info.is_none() {
            let reason: String = reason.to_owned();
            self.info = Some(Box::new(CloseInfo { by, code, reason, clean: false }));
        }
    }

    fn settle_clean(&mut self) {
        if let Some(info) = &mut self.info
            && !(self.closing.ended || self.closing.mute)
        {
            info.clean = self.closing.sent && self.closing.received && !self.closing.failed;
        }
    }

    /// After the end of the input only what waits is left to do.
    fn settle(&mut self) {
        if self.outbox.is_empty() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.discard();
        self.closing.ended = true;
        self.timers.stop();
    }

    /// What still waits never leaves, and our Close may be in it.
    fn discard(&mut self) {
        if !self.outbox.is_empty() {
            self.outbox.discard();
            if let Some(info) = &mut self.info {
                info.clean = false;
            }
        }
    }
}

impl LatePong {
    fn new(payload: &[u8]) -> Self {
        let mut bytes = [0; MAX_CONTROL_PAYLOAD];
        let mut len = 0u8;
        for (slot, byte) in bytes.iter_mut().zip(payload) {
            *slot = *byte;
            len = len.saturating_add(1);
        }
        LatePong { bytes, len }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
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

fn check_control(payload: &[u8]) -> Result<(), SendError> {
    if payload.len() > MAX_CONTROL_PAYLOAD {
        return Err(SendError::ControlTooLong(payload.len()));
    }
    Ok(())
}

//! The end of a connection as the sending half sees it: who has said Close, and what is left to do.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::string::ToString;

use super::Sender;
use crate::close::{CloseCode, CloseFrame, CloseInfo, Side};
use crate::error::{ProtocolError, SendError};
use crate::event::Event;
use crate::frame::{Flags, Opcode};
use crate::message::PayloadData;
use crate::role::{Role, State};
use crate::time::Instant;
use crate::timers::Due;

/// How far the end has come.
#[derive(Debug, Default)]
pub(super) struct Closing {
    pub(super) sent: bool,
    received: bool,
    failed: bool,
    pub(super) eof: bool,
    /// The transport takes no more bytes.
    mute: bool,
    ended: bool,
}

/// Telling and asking: see [`Connection`](crate::Connection), which has the same and their documentation.
impl Sender {
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
                // The answer may come before anybody looks at the clock again.
                self.timers.stamp_ping(now);
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

    /// Ends the connection at once, whatever waits.
    pub fn abort(&mut self) {
        self.ending(Side::Local, CloseCode::ABNORMAL, "");
        self.end();
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

    #[inline]
    pub(super) fn check_open(&self) -> Result<(), SendError> {
        let closing = &self.closing;
        // "The application MUST NOT send any more data frames after sending a Close frame." (RFC 6455 5.5.1)
        if closing.sent || closing.failed || closing.eof || closing.mute || closing.ended {
            return Err(SendError::Closed);
        }
        Ok(())
    }

    /// A close can always be queued, however much waits.
    pub(super) fn write_close(&mut self, payload: &[u8]) {
        self.late_pong = None;
        self.write_frame(Opcode::Close, Flags::default(), PayloadData::Borrowed(payload));
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
    pub(super) fn ending(&mut self, by: Side, code: CloseCode, reason: &str) {
        if self.info.is_none() {
            self.info = Some(Box::new(CloseInfo { by, code, reason: reason.to_owned(), clean: false }));
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
    pub(super) fn settle(&mut self) {
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

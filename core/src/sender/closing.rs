//! The end of a connection: the closing handshake, failures, timeouts and the end of the transport.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::ToString;

use super::Sender;
use super::state::ClosingEvent;
use crate::close::{CloseCode, CloseFrame, CloseInfo, Side};
use crate::error::{ProtocolError, SendError};
use crate::event::Control;
use crate::frame::{Flags, Opcode};
use crate::message::PayloadData;
use crate::role::State;
use crate::time::Instant;
use crate::timers::Due;

impl Sender {
    /// Responds to a control frame from the [`Receiver`](crate::Receiver): answers a ping or a
    /// Close, and takes the round-trip time from a pong.
    #[inline]
    pub fn react(&mut self, control: &Control<'_>) {
        match control {
            Control::Ping(payload) => {
                if self.config.auto_pong {
                    // This fails only after a Close has been sent, and then no pong is due.
                    let _ = self.pong(payload);
                }
            }
            Control::Pong(payload) => self.timers.pong_received(payload),
            Control::Close(frame) => self.close_received(frame),
        }
    }

    /// Fails the connection because the peer broke the protocol: queues a Close with the error's
    /// code (RFC 6455 7.1.7).
    pub fn fail(&mut self, error: &ProtocolError) {
        self.fail_with(error.close_code(), &error.to_string());
    }

    /// Notifies the sender that the input has ended, like
    /// [`Connection::handle_eof`](crate::Connection::handle_eof).
    pub fn handle_eof(&mut self) {
        if self.closing.has_ended() {
            return;
        }
        self.record_end(Side::Peer, CloseCode::ABNORMAL, "");
        self.closing.handle(ClosingEvent::Eof);
        self.timers.start_closing();
        self.check_end();
    }

    /// Notifies the sender that the transport takes no more bytes, like
    /// [`Connection::handle_write_error`](crate::Connection::handle_write_error).
    pub fn handle_write_error(&mut self) {
        if self.closing.has_ended() {
            return;
        }
        self.record_end(Side::Peer, CloseCode::ABNORMAL, "");
        self.discard_pending_pong();
        self.discard_queue();
        self.closing.handle(ClosingEvent::WriteError);
        self.timers.start_closing();
        self.check_end();
    }

    /// Notifies the sender of the current time, like
    /// [`Connection::handle_timeout`](crate::Connection::handle_timeout).
    pub fn handle_timeout(&mut self, now: Instant) {
        let close_timeout = match self.closing.owes_answer() {
            // The peer began to wait before its Close arrived here. Answer while it still waits.
            true => self.config.close_timeout / 2,
            false => self.config.close_timeout,
        };
        let linger = self.closing.max_linger(self.role());
        match self.timers.handle_timeout(now, &self.config, close_timeout, linger) {
            Due::Nothing => {}
            Due::Ping(number) => {
                // A full queue does not fail the connection. If the peer stays silent, the timeout
                // does.
                let _ = self.ping(&number.to_be_bytes());
                // The pong may arrive before the next call of this method.
                self.timers.stamp_ping(now);
            }
            Due::Idle => {
                let frame = CloseFrame::new(CloseCode::GOING_AWAY, "idle timeout");
                let _ = self.close(&frame);
            }
            Due::Unanswered => {
                // The peer is unresponsive: write the Close if possible, and skip the handshake.
                self.fail_with(CloseCode::POLICY_VIOLATION, "no answer to a ping");
                self.closing.handle(ClosingEvent::Eof);
                self.check_end();
            }
            Due::SlowMessage => {
                self.fail_with(CloseCode::POLICY_VIOLATION, "a message took too long to arrive");
            }
            Due::CloseTimeout if self.closing.owes_answer() => self.answer_close(),
            Due::CloseTimeout => self.end(),
        }
    }

    /// Returns whether the peer's Close still needs an answer, and one can be sent. Without
    /// [`Config::auto_close`](crate::Config#structfield.auto_close), the application answers.
    #[must_use]
    pub fn owes_answer(&self) -> bool {
        self.closing.owes_answer()
    }

    /// Answers the peer's Close with its own code and reason, unless it has been answered, like
    /// [`Connection::answer_close`](crate::Connection::answer_close).
    pub fn answer_close(&mut self) {
        if !self.closing.owes_answer() {
            return;
        }
        // The peer sent its Close first, so the close info holds its contents.
        let frame = self.close_info.as_ref().map(|info| info.frame()).unwrap_or_default();
        // A Close that could be received can also be sent.
        let _ = self.close(&frame);
    }

    /// Ends the connection at once and discards the queue, like
    /// [`Connection::abort`](crate::Connection::abort).
    pub fn abort(&mut self) {
        self.record_end(Side::Local, CloseCode::ABNORMAL, "");
        self.end();
    }

    /// Returns the state of the connection.
    #[must_use]
    #[inline]
    pub fn state(&self) -> State {
        self.closing.state()
    }

    /// Returns whether input must be discarded for a reason that the [`Receiver`](crate::Receiver)
    /// does not know: the connection was aborted, or a timeout ended it. Callers that drive the two
    /// halves themselves must check this before they pass on input.
    #[must_use]
    #[inline]
    pub fn ignores_input(&self) -> bool {
        self.closing.ignores_input()
    }

    /// Returns whether this endpoint must close its side of the transport now, like
    /// [`Connection::wants_shutdown`](crate::Connection::wants_shutdown).
    #[must_use]
    pub fn wants_shutdown(&self) -> bool {
        self.closing.wants_shutdown(self.role()) && self.outbox.is_empty()
    }

    /// Returns whether the connection is over for the application, like
    /// [`Connection::is_finished`](crate::Connection::is_finished).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.closing.is_decided() && self.outbox.is_empty()
    }

    /// Returns how the connection ended or is ending; `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.close_info.as_deref()
    }

    #[inline]
    pub(super) fn check_open(&self) -> Result<(), SendError> {
        if self.closing.can_send() { Ok(()) } else { Err(SendError::Closed) }
    }

    /// Queues a Close, even if the queue is full.
    pub(super) fn write_close(&mut self, payload: &[u8]) {
        if self.closing.owes_answer() {
            // The time for the rest of the closing handshake begins with the answer.
            self.timers.restart_close_timeout();
        }
        self.write_frame(Opcode::Close, Flags::default(), PayloadData::Borrowed(payload));
        self.closing.handle(ClosingEvent::CloseSent);
        self.stop_sending();
    }

    /// Discards what can no longer be sent, and starts the close timeout.
    fn stop_sending(&mut self) {
        self.discard_pending_pong();
        self.message = None;
        self.timers.start_closing();
        self.update_clean();
    }

    fn close_received(&mut self, frame: &CloseFrame<'_>) {
        self.closing.handle(ClosingEvent::CloseReceived);
        self.record_close(Side::Peer, frame);
        self.stop_sending();
        if self.config.auto_close {
            // "the endpoint typically echos the status code it received" (RFC 6455 5.5.1). The
            // reason comes with it, because a browser reports the reason of the answer to its page.
            self.answer_close();
        }
        self.check_end();
    }

    /// Fails the connection for a reason of this endpoint, such as a lack of memory: queues a Close
    /// with this code, and discards all further input. Unlike [`close`](Sender::close), this does
    /// not wait for the peer's Close.
    pub fn fail_with(&mut self, code: CloseCode, reason: &str) {
        if self.closing.ignores_input() {
            return;
        }
        self.record_end(Side::Local, code, reason);
        if self.closing.can_close() {
            let frame = CloseFrame::new(code, reason);
            self.write_close(&frame.payload().unwrap_or_default());
        }
        self.closing.handle(ClosingEvent::Fail);
        self.timers.start_closing();
        self.update_clean();
        self.check_end();
    }

    /// Records a Close: the first ends the connection, the second answers it.
    ///
    /// A peer that closes its socket right after its Close may break a write of this end before
    /// the Close is read. The Close still says how the connection ended (RFC 6455 7.1.5).
    pub(super) fn record_close(&mut self, by: Side, frame: &CloseFrame<'_>) {
        match &mut self.close_info {
            Some(info) if by == Side::Peer && info.by == by && info.code == CloseCode::ABNORMAL => {
                info.code = frame.status();
                info.reason = frame.reason.clone().into_owned();
            }
            Some(info) if info.by != by && info.answer.is_none() => {
                info.answer = Some(frame.clone().into_owned());
            }
            Some(_) => {}
            None => self.record_end(by, frame.status(), &frame.reason),
        }
    }

    /// Records which side ended the connection, and why. Only the first call has an effect.
    pub(super) fn record_end(&mut self, by: Side, code: CloseCode, reason: &str) {
        if self.close_info.is_none() {
            let reason = reason.to_owned();
            self.close_info = Some(Box::new(CloseInfo { by, code, reason, clean: false, answer: None }));
        }
    }

    fn update_clean(&mut self) {
        if let (Some(info), Some(clean)) = (&mut self.close_info, self.closing.is_clean()) {
            info.clean = clean;
        }
    }

    /// Ends the connection if nothing is left to do or to wait for. Limits the wait for the end of
    /// the input if only that is left.
    pub(super) fn check_end(&mut self) {
        if !self.outbox.is_empty() {
            return;
        }
        if self.closing.is_exhausted() || self.closing.has_ended() {
            self.end();
        } else if self.closing.max_linger(self.role()).is_some() {
            self.timers.start_lingering();
        }
    }

    /// Counts input that is discarded, and ends the connection when the peer has sent too much.
    #[inline(never)]
    pub(super) fn handle_discarded(&mut self, bytes: usize) {
        if bytes > 0 && !self.discard_budget.spend(bytes) {
            self.end();
        }
    }

    fn end(&mut self) {
        self.discard_queue();
        self.closing.handle(ClosingEvent::End);
        self.timers.stop();
    }

    /// Discards the queue. If bytes are lost, the end is not clean, because they may contain this
    /// endpoint's Close.
    fn discard_queue(&mut self) {
        if !self.outbox.is_empty() {
            self.outbox.discard();
            if let Some(info) = &mut self.close_info {
                info.clean = false;
            }
        }
    }
}

//! The side of a connection that writes: the sender, the transport and the clock.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use sockeye_core::{Instant, Progress, Sender, State};

use crate::engine::buffer::{self, ReadBuffer};
pub(crate) use crate::engine::outcome::{DrainTo, ReadOutcome};
#[cfg(feature = "server")]
use crate::engine::starvation::Starvation;
use crate::engine::wakers::{Half, HalfWakers};
use crate::engine::write_side::WriteSide;
use crate::runtime::io::{Clock, Io, poll_read};
use crate::tuning::{TURN_READ, TURN_WORK};

#[cfg(feature = "server")]
mod wrap;

/// The size of one read while the peer does not read: its input may wait for room for the answers.
const BLOCKED_READ: usize = 16 << 10;

/// A connection without its decoder: the sender, the transport and the clock, kept in step.
#[derive(Debug)]
pub(crate) struct Link<I, C> {
    pub(crate) sender: Sender,
    pub(crate) io: I,
    clock: C,
    write_side: WriteSide,
    /// The peer has closed its side of the transport.
    is_eof: bool,
    /// The bytes that were read since the task last waited or yielded.
    read_in_turn: u32,
    /// Whether the connection may read for the time being.
    #[cfg(feature = "server")]
    pub(crate) starvation: Starvation,
    /// Set while two tasks share the link.
    wakers: Option<Arc<HalfWakers>>,
    /// The sending half waits to write.
    send_half_waits: bool,
}

impl<I: Io, C: Clock> Link<I, C> {
    pub(crate) fn new(sender: Sender, io: I, clock: C) -> Self {
        Link {
            sender,
            io,
            clock,
            write_side: WriteSide::default(),
            is_eof: false,
            read_in_turn: 0,
            #[cfg(feature = "server")]
            starvation: Starvation::None,
            wakers: None,
            send_half_waits: false,
        }
    }

    /// Waits for the peer: writes what is queued, closes this end's side when that is due, reads
    /// into `input`, and enforces the deadlines. Reading continues while writing is blocked.
    ///
    /// `progress` is that of the message that has begun.
    ///
    /// If it returns `Pending` and `input` is not empty, the caller must decode what it holds
    /// before the task waits.
    pub(crate) fn poll_io(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut ReadBuffer,
        progress: Option<Progress>,
    ) -> Poll<ReadOutcome> {
        self.sender.handle_progress(progress);
        if let Some(wakers) = &self.wakers {
            wakers.set(Half::Recv, cx.waker());
        }
        loop {
            // The read reports write errors, after delivering the remaining input.
            let is_written = self.poll_write(cx, Half::Recv).is_ready();
            // Close this end's side before reporting the end: the peer may wait for that, and the
            // application may keep the connection for a while.
            if is_written && self.sender.wants_shutdown() {
                self.write_side.poll_close(&mut self.io, cx);
            }
            if self.sender.state() == State::Closed {
                return Poll::Ready(self.finish(None));
            }
            if self.read_in_turn >= TURN_WORK {
                // Check the deadline even if the peer never pauses.
                let _ = self.poll_timer(cx);
                self.yield_now(cx);
                return Poll::Ready(ReadOutcome::Yield);
            }
            match self.poll_read(cx, input) {
                // Decode a partial frame before reporting EOF: it may already violate the protocol.
                // The caller does so on `Pending` and polls again, which reads the EOF again.
                Poll::Ready(Ok(0)) if !input.is_empty() => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    self.is_eof = true;
                    self.sender.handle_eof();
                }
                Poll::Ready(Ok(n)) if self.sender.ignores_input() => {
                    self.count_read(n);
                    self.sender.handle_received(n);
                }
                Poll::Ready(Ok(n)) => {
                    self.count_read(n);
                    self.sender.handle_received(n);
                    input.filled(n);
                    return Poll::Ready(ReadOutcome::Bytes);
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => {
                    // After a complete closing handshake it does not matter that the peer resets
                    // the transport.
                    let is_clean = self.is_clean();
                    self.sender.handle_write_error();
                    self.sender.handle_eof();
                    return Poll::Ready(self.finish((!is_clean).then_some(error)));
                }
                Poll::Pending => {
                    self.read_in_turn = 0;
                    self.return_buffer(true);
                    if self.poll_timer(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn count_read(&mut self, n: usize) {
        let cost = u32::try_from(n).unwrap_or(u32::MAX).max(TURN_READ);
        self.read_in_turn = self.read_in_turn.saturating_add(cost);
    }

    /// Ends the turn of the task: wakes it again once the runtime has looked at its sockets and
    /// timers. The caller returns `Pending`.
    pub(crate) fn yield_now(&mut self, cx: &mut Context<'_>) {
        self.read_in_turn = 0;
        self.clock.yield_now(cx);
    }

    /// Returns whether the connection is over but for the end of the peer's side: its end is
    /// final, everything is written, and this end's side is closed if that is its task.
    pub(crate) fn is_finished(&self, input: &ReadBuffer) -> bool {
        self.sender.wants_shutdown()
            && self.sender.is_finished()
            && self.write_side.is_closed()
            && input.is_empty()
    }

    /// Returns whether the closing handshake is complete.
    pub(crate) fn is_clean(&self) -> bool {
        self.sender.close_info().is_some_and(|info| info.clean)
    }

    /// Ends a finished connection without waiting for the peer's side.
    pub(crate) fn end(&mut self) -> ReadOutcome {
        self.sender.handle_eof();
        self.finish(None)
    }

    /// Cancels the timer and wakes the sending half, because the connection is over.
    fn finish(&mut self, error: Option<io::Error>) -> ReadOutcome {
        self.clock.cancel();
        self.wake_send_half();
        ReadOutcome::End(error)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut ReadBuffer) -> Poll<io::Result<usize>> {
        // After EOF only writing remains. Another read would return EOF at once.
        if self.is_eof {
            return Poll::Pending;
        }
        #[cfg(feature = "server")]
        if self.is_starved() {
            return Poll::Pending;
        }
        let space = input.space_up_to(self.max_read());
        poll_read(&mut self.io, cx, space)
    }

    /// Returns the maximum size of one read.
    fn max_read(&self) -> usize {
        if self.is_blocked() && self.sender.queued() > 0 { BLOCKED_READ } else { usize::MAX }
    }

    /// Returns whether nothing is read now. The deadlines continue. A connection that cannot write
    /// is always read, because only a read reports its end.
    #[cfg(feature = "server")]
    fn is_starved(&self) -> bool {
        match self.starvation {
            Starvation::None => false,
            Starvation::WhileBlocked => self.is_blocked() && self.sender.queued() > 0,
            Starvation::Full => self.write_side.result().is_ok(),
        }
    }

    /// Writes what is queued, and flushes the transport.
    ///
    /// After an error nothing more is written, and the queue is emptied.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, half: Half) -> Poll<io::Result<()>> {
        let queued = self.sender.queued();
        if queued == 0 && self.write_side.is_idle() {
            return Poll::Ready(self.write_side.result());
        }
        let result = match &self.wakers {
            None => self.write_side.poll_write(&mut self.io, cx, &mut self.sender, I::poll_write),
            Some(wakers) => {
                wakers.set(half, cx.waker());
                let both = Waker::from(wakers.clone());
                let cx = &mut Context::from_waker(&both);
                self.write_side.poll_write(&mut self.io, cx, &mut self.sender, I::poll_write)
            }
        };
        self.return_buffer(result.is_ready());
        // The transport wakes both halves when it accepts bytes again. After the receiving half has
        // written them, the transport owes the sending half no further wake-up, so wake it here.
        match half {
            Half::Send => {
                self.send_half_waits = result.is_pending();
                self.after_queue();
            }
            Half::Recv if result.is_ready() || self.sender.queued() < queued => self.wake_send_half(),
            Half::Recv => {}
        }
        result
    }

    /// Writes and flushes what the transport takes at once, for a caller that does not wait.
    ///
    /// If that is not all, the transport wakes `waker` once it takes more, or both halves if two
    /// tasks share the link.
    pub(crate) fn write_now(&mut self, waker: &Waker) -> Poll<io::Result<()>> {
        if self.sender.queued() == 0 && self.write_side.is_idle() {
            return Poll::Ready(self.write_side.result());
        }
        let both = self.wakers.clone().map(Waker::from);
        let cx = &mut Context::from_waker(both.as_ref().unwrap_or(waker));
        let result = self.write_side.poll_write(&mut self.io, cx, &mut self.sender, I::poll_write_now);
        self.return_buffer(result.is_ready());
        result
    }

    /// Makes room for a message, if the queue has none and the transport takes something at once.
    ///
    /// So a burst is not taken for a slow peer: a message is refused only if the transport takes no
    /// more.
    #[inline]
    pub(crate) fn make_room(&mut self) {
        if !self.sender.is_writable() && self.sender.state() == State::Open {
            // An error closes the connection, which the next message reports.
            let _ = self.write_now(Waker::noop());
        }
    }

    /// Waits until the queue is drained as far as `to` says.
    ///
    /// It enforces the deadlines, unless another task receives and enforces them.
    pub(crate) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        half: Half,
        to: DrainTo,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Poll::Ready(result) = self.poll_write(cx, half) {
                return Poll::Ready(result);
            }
            if to == DrainTo::Mark && (self.sender.is_writable() || self.sender.state() != State::Open) {
                return Poll::Ready(Ok(()));
            }
            if self.sender.state() == State::Closed {
                // The transport accepted all bytes but does not flush them: stop waiting for it.
                return Poll::Ready(Err(self.write_side.abandon()));
            }
            if half == Half::Send && self.is_other_receiving(cx.waker()) {
                return Poll::Pending;
            }
            // Nothing is read here, so the message that has begun cannot become whole.
            self.sender.handle_progress(None);
            ready!(self.poll_timer(cx));
            if half == Half::Send {
                self.after_queue();
            }
        }
    }

    /// Returns whether the receiving half has been polled by a task other than that of `waker`.
    pub(crate) fn is_other_receiving(&self, waker: &Waker) -> bool {
        self.wakers.as_ref().is_some_and(|wakers| wakers.is_other(Half::Recv, waker))
    }

    /// Returns whether the latest write found the transport blocked. The transport will wake the
    /// task that wrote.
    pub(crate) fn is_blocked(&self) -> bool {
        self.write_side.is_blocked()
    }

    fn wake_send_half(&mut self) {
        if let Some(wakers) = &self.wakers
            && std::mem::take(&mut self.send_half_waits)
        {
            wakers.wake_half(Half::Send);
        }
    }

    /// Runs the sender's timer: passes it the time if its deadline has passed (`Ready`), else sets
    /// the clock's timer (`Pending`).
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.sender.poll_timeout() else {
            self.clock.cancel();
            return Poll::Pending;
        };
        // Compare with the clock, not the timer: a timer may fire late or not at all.
        let now = self.clock.now();
        if deadline > now {
            return self.clock.poll_until(cx, deadline);
        }
        self.handle_timeout(now);
        Poll::Ready(())
    }

    /// Waits until `at`, which lies in the future, or until the link's own deadline if that comes
    /// first. Call it after the link was polled.
    #[cfg(feature = "server")]
    pub(crate) fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let now = self.clock.now();
        let own = self.sender.poll_timeout().filter(|own| *own > now);
        self.clock.poll_until(cx, own.map_or(at, |own| own.min(at)))
    }

    fn handle_timeout(&mut self, now: Instant) {
        let queued = self.sender.queued();
        self.sender.handle_timeout(now);
        if queued > 0 && self.sender.state() == State::Closed {
            self.write_side.set_error(io::ErrorKind::TimedOut);
        }
    }

    /// Call after the sending task queues something: passes the sender the time if it must
    /// timestamp a ping before the pong can arrive, and wakes the receiving half if it has work.
    pub(crate) fn after_queue(&mut self) {
        let needs_timestamp = self.sender.poll_timeout() == Some(Instant::EPOCH);
        if needs_timestamp {
            self.handle_timeout(self.clock.now());
        }
        if let Some(wakers) = &self.wakers
            && (needs_timestamp || self.sender.state() == State::Closed || self.sender.wants_shutdown())
        {
            wakers.wake_half(Half::Recv);
        }
    }

    /// Returns the sender, with the thread's write buffer lent to it.
    #[inline]
    pub(crate) fn sender_with_buffer(&mut self) -> &mut Sender {
        self.sender.lend_buffer(buffer::take_write);
        &mut self.sender
    }

    /// Returns the write buffer to the thread after a write, unless the queue needs it.
    fn return_buffer(&mut self, is_written: bool) {
        let sender = &mut self.sender;
        let lent = if is_written { sender.reclaim_buffer() } else { sender.handle_blocked() };
        if let Some(buffer) = lent {
            buffer::give_write(buffer);
        }
    }

    /// Returns the current time.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Prepares the link for two tasks: the transport wakes both from now on.
    pub(crate) fn share(&mut self) -> &Arc<HalfWakers> {
        self.wakers.get_or_insert_default()
    }

    /// Prepares the link for one task again.
    pub(crate) fn unshare(&mut self) {
        self.wakers = None;
    }
}

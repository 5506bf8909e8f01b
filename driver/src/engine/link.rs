//! The side of a connection that writes: sender, transport and clock, and what keeps them in step.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use sockeye_core::{Instant, Sender, State};

use crate::engine::buffer::{self, ReadBuffer};
use crate::engine::wakers::{Half, HalfWakers};
use crate::handshake::opening::poll_close;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};

/// Slices in one vectored write.
const SLICES: usize = 16;

/// Reads in a row before the task lets others run: a mebibyte.
pub(crate) const READS_IN_A_ROW: u8 = 16;

#[derive(Debug)]
pub(crate) struct Link<I, C> {
    pub(crate) sender: Sender,
    pub(crate) io: I,
    clock: C,
    /// Written since the last flush of the transport.
    dirty: bool,
    /// This end's side of the transport has been closed.
    shut: bool,
    /// The peer has closed its side.
    eof: bool,
    reads: u8,
    /// Set when two tasks share the link.
    wakers: Option<Arc<HalfWakers>>,
    /// The transport takes nothing more at present.
    blocked: bool,
    /// It has taken something after that.
    resumed: bool,
    /// The sending half waits to write.
    send_waits: bool,
    /// What was queued has been lost for this reason, whoever's task noticed.
    lost: Option<io::ErrorKind>,
}

/// What became of a wait for the peer.
#[derive(Debug)]
pub(crate) enum ReadOutcome {
    /// Bytes are in the buffer.
    Bytes,
    /// There may be more at once, but others are to have their turn; the task is woken again.
    Yield,
    /// The connection is over; with an error if the transport broke first.
    End(Option<io::Error>),
}

impl<I: Io, C: Clock> Link<I, C> {
    pub(crate) fn new(sender: Sender, io: I, clock: C) -> Self {
        Link {
            sender,
            io,
            clock,
            dirty: false,
            shut: false,
            eof: false,
            reads: 0,
            wakers: None,
            blocked: false,
            resumed: false,
            send_waits: false,
            lost: None,
        }
    }

    /// The waiting end of the loop: writes what is queued, ends what is over, reads what has come, sleeps.
    /// Reading goes on while writing is blocked.
    pub(crate) fn poll_io(&mut self, cx: &mut Context<'_>, input: &mut ReadBuffer) -> Poll<ReadOutcome> {
        if let Some(wakers) = &self.wakers {
            wakers.set(Half::Recv, cx.waker());
        }
        loop {
            // An error is met again by the read, which brings first what the peer still had to say.
            let written = self.poll_write(cx, Half::Recv).is_ready();
            // Before the end is told: the peer may wait for it, and the application need not drop the connection at once.
            if written && self.sender.wants_shutdown() {
                self.poll_shutdown(cx);
            }
            if self.sender.state() == State::Closed {
                return Poll::Ready(self.end(None));
            }
            if self.reads >= READS_IN_A_ROW {
                self.reads = 0;
                // A peer that is never silent must not hold off the deadlines.
                let _ = self.poll_time(cx);
                cx.waker().wake_by_ref();
                return Poll::Ready(ReadOutcome::Yield);
            }
            match self.poll_read(cx, input) {
                // What is held of a cut frame is looked at first, for it may break a rule. The caller does that when it
                // hears that no more comes, and asks again: the end will be read again.
                Poll::Ready(Ok(0)) if !input.is_empty() => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    self.eof = true;
                    self.sender.handle_eof();
                }
                Poll::Ready(Ok(_)) if self.sender.ignores_input() => self.reads += 1,
                Poll::Ready(Ok(n)) => {
                    self.reads += 1;
                    self.sender.handle_received();
                    input.filled(n);
                    return Poll::Ready(ReadOutcome::Bytes);
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => {
                    // Both sides had said Close: the peer's hurry does not matter any more.
                    let clean = self.sender.close_info().is_some_and(|info| info.clean);
                    self.sender.handle_write_error();
                    self.sender.handle_eof();
                    return Poll::Ready(self.end((!clean).then_some(error)));
                }
                Poll::Pending => {
                    self.reads = 0;
                    self.release_buffer();
                    if self.poll_time(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Nothing more will happen here; neither the alarm nor the other half is to wait for it.
    fn end(&mut self, error: Option<io::Error>) -> ReadOutcome {
        self.clock.cancel();
        self.wake_sender();
        ReadOutcome::End(error)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut ReadBuffer) -> Poll<io::Result<usize>> {
        // Behind the end only what is queued is waited for; the end would be read again and again.
        if self.eof { Poll::Pending } else { self.io.poll_read(cx, input.space()) }
    }

    /// Writes what is queued, and flushes the transport.
    ///
    /// After an error nothing more is written, and what waited is forgotten.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, half: Half) -> Poll<io::Result<()>> {
        let queued = self.sender.queued();
        if queued == 0 && (!self.dirty || self.lost.is_some()) {
            return Poll::Ready(self.lost.map_or(Ok(()), |kind| Err(kind.into())));
        }
        let result = match &self.wakers {
            None => self.write_all(cx),
            Some(wakers) => {
                wakers.set(half, cx.waker());
                let both = Waker::from(wakers.clone());
                self.write_all(&mut Context::from_waker(&both))
            }
        };
        if let Poll::Ready(result) = &result {
            self.dirty = false;
            if let Err(error) = result {
                self.lost = Some(error.kind());
                self.sender.handle_write_error();
            }
            self.release_buffer();
        }
        // The transport wakes both halves when it can go on, but owes nothing to one when the other has gone on already.
        match half {
            Half::Send => {
                self.send_waits = result.is_pending();
                self.after_queue();
            }
            Half::Recv if result.is_ready() || self.sender.queued() < queued => self.wake_sender(),
            Half::Recv => {}
        }
        result
    }

    /// Waits until everything is written, or with `room` until less than the mark waits or the connection is not open any
    /// more. Deadlines are kept, unless another task receives and does that.
    pub(crate) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        half: Half,
        room: bool,
    ) -> Poll<io::Result<()>> {
        loop {
            self.resumed = false;
            if let Poll::Ready(result) = self.poll_write(cx, half) {
                return Poll::Ready(result);
            }
            if room && (self.sender.is_writable() || self.sender.state() != State::Open) {
                return Poll::Ready(Ok(()));
            }
            if self.sender.state() == State::Closed {
                // The transport has it all and keeps it; nobody waits for that any more.
                self.dirty = false;
                let kind = *self.lost.get_or_insert(io::ErrorKind::NotConnected);
                return Poll::Ready(Err(kind.into()));
            }
            if half == Half::Send && self.other_receives(cx.waker()) {
                return Poll::Pending;
            }
            if self.resumed {
                // Nobody listens to the peer meanwhile; that it makes room is a sign of life too.
                self.sender.handle_received();
            }
            ready!(self.poll_time(cx));
            if half == Half::Send {
                self.after_queue();
            }
        }
    }

    /// Whether another task than that of `waker` has waited for the peer.
    pub(crate) fn other_receives(&self, waker: &Waker) -> bool {
        self.wakers.as_ref().is_some_and(|wakers| wakers.is_other(Half::Recv, waker))
    }

    /// Whether the transport has taken nothing when it was last asked. It wakes the task that asked.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    fn wake_sender(&mut self) {
        if let Some(wakers) = &self.wakers
            && std::mem::take(&mut self.send_waits)
        {
            wakers.wake_half(Half::Send);
        }
    }

    /// Gives the thread's buffer back if nothing waits in it.
    fn release_buffer(&mut self) {
        if let Some(buffer) = self.sender.reclaim_buffer() {
            buffer::give_write(buffer);
        }
    }

    fn write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(transmit) = self.sender.poll_transmit() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slot, slice) in slices.iter_mut().zip(transmit.slices()) {
                *slot = IoSlice::new(slice);
                count += 1;
            }
            match self.io.poll_write(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    self.dirty = true;
                    self.resumed |= std::mem::take(&mut self.blocked);
                    self.sender.transmitted(n);
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.blocked = true;
                    return Poll::Pending;
                }
            }
        }
        loop {
            match self.io.poll_flush(cx) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) {
        if !self.shut {
            self.shut = poll_close(&mut self.io, cx).is_ready();
        }
    }

    /// Tells the connection the time when it wants to know it, and sets the alarm; ready when something may have
    /// happened.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.sender.poll_timeout() else {
            self.clock.cancel();
            return Poll::Pending;
        };
        // The clock decides, not the alarm: an alarm may ring late or not at all.
        let now = self.clock.now();
        if deadline > now {
            return self.clock.poll_until(cx, deadline);
        }
        self.tell_time(now);
        Poll::Ready(())
    }

    fn tell_time(&mut self, now: Instant) {
        let queued = self.sender.queued();
        self.sender.handle_timeout(now);
        if queued > 0 && self.sender.state() == State::Closed {
            self.lost = Some(io::ErrorKind::TimedOut);
        }
    }

    /// Something was queued or begun by a task that will not wait for the peer. If a date must be put on it that is done
    /// now, before the answer can come; and the task that waits for the peer must hear of what it has to do.
    pub(crate) fn after_queue(&mut self) {
        let unstamped = self.sender.poll_timeout() == Some(Instant::EPOCH);
        if unstamped {
            self.tell_time(self.clock.now());
        }
        if let Some(wakers) = &self.wakers
            && (unstamped || self.sender.state() == State::Closed || self.sender.wants_shutdown())
        {
            wakers.wake_half(Half::Recv);
        }
    }

    /// Lends the thread's buffer to what is to be queued.
    #[inline]
    pub(crate) fn sender_with_buffer(&mut self) -> &mut Sender {
        self.sender.lend_buffer(buffer::take_write);
        &mut self.sender
    }

    /// Writes what is queued, or fails at `deadline`.
    pub(crate) fn poll_write_until(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Instant,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(result) = self.poll_write(cx, Half::Recv) {
            self.clock.cancel();
            return Poll::Ready(result);
        }
        poll_deadline(&mut self.clock, cx, deadline).map(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn share(&mut self) -> &Arc<HalfWakers> {
        self.wakers.get_or_insert_default()
    }

    pub(crate) fn unshare(&mut self) {
        self.wakers = None;
    }
}

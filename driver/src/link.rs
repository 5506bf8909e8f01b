//! The side of a connection that writes: sender, transport and clock, and what keeps them in step.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use sockeye_core::{Event, Instant, ProtocolError, Sender, State};

use crate::buffer::{self, ReadBuffer};
use crate::io::{Clock, Io};

/// Slices in one vectored write.
const SLICES: usize = 16;

/// Reads in a row before the task lets others run: a mebibyte.
const READS_IN_A_ROW: u8 = 16;

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
    wakers: Option<Arc<Wakers>>,
}

/// What became of a wait for the peer.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Bytes are in the buffer.
    Bytes,
    /// The connection is over; with an error if the transport broke first.
    End(Option<io::Error>),
}

/// Whose task is polling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Recv,
    Send,
}

impl<I: Io, C: Clock> Link<I, C> {
    pub(crate) fn new(sender: Sender, io: I, clock: C) -> Self {
        Link { sender, io, clock, dirty: false, shut: false, eof: false, reads: 0, wakers: None }
    }

    /// The waiting end of the loop: writes what is queued, ends what is over, reads what has come, sleeps.
    /// Reading goes on while writing is blocked.
    pub(crate) fn poll_hear(&mut self, cx: &mut Context<'_>, input: &mut ReadBuffer) -> Poll<Heard> {
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
                return Poll::Ready(Heard::End(None));
            }
            if self.reads >= READS_IN_A_ROW {
                self.reads = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.poll_read(cx, input) {
                Poll::Ready(Ok(0)) => {
                    self.eof = true;
                    self.sender.handle_eof();
                }
                Poll::Ready(Ok(_)) if self.sender.ignores_input() => self.reads += 1,
                Poll::Ready(Ok(n)) => {
                    self.reads += 1;
                    self.sender.handle_received();
                    input.filled(n);
                    return Poll::Ready(Heard::Bytes);
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => {
                    // Both sides had said Close: the peer's hurry does not matter any more.
                    let clean = self.sender.close_info().is_some_and(|info| info.clean);
                    self.sender.handle_write_error();
                    self.sender.handle_eof();
                    return Poll::Ready(Heard::End((!clean).then_some(error)));
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

    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut ReadBuffer) -> Poll<io::Result<usize>> {
        // Behind the end only what is queued is waited for; the end would be read again and again.
        if self.eof { Poll::Pending } else { self.io.poll_read(cx, input.space()) }
    }

    /// Writes what is queued, and flushes the transport.
    ///
    /// After an error nothing more is written, and what waited is forgotten.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, half: Half) -> Poll<io::Result<()>> {
        if self.sender.queued() == 0 && !self.dirty {
            return Poll::Ready(Ok(()));
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
            if result.is_err() {
                self.sender.handle_write_error();
            }
            self.release_buffer();
        }
        result
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
                    self.sender.transmitted(n);
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
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
            // It may fail because the peer was faster: the read will tell.
            self.shut = self.io.poll_close(cx).is_ready();
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
        self.sender.handle_timeout(now);
        Poll::Ready(())
    }

    /// Something was queued or begun by a task that will not wait for the peer: if it depends on time, the task
    /// that does must hear of it.
    pub(crate) fn nudge(&self) {
        if let Some(wakers) = &self.wakers
            && (self.sender.poll_timeout() == Some(Instant::EPOCH) || self.sender.state() == State::Closed)
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

    #[inline]
    pub(crate) fn react(&mut self, event: &Event<'_>) {
        self.sender_with_buffer().react(event);
    }

    pub(crate) fn fail(&mut self, error: ProtocolError) {
        self.sender.fail(&error);
    }

    pub(crate) fn share(&mut self) {
        self.wakers = Some(Arc::default());
    }

    pub(crate) fn unshare(&mut self) {
        self.wakers = None;
    }
}

/// A link that one task owns, or that two share.
pub(crate) trait Access {
    type Io: Io;
    type Clock: Clock;

    /// Calls `f` with the link. `f` does not wait.
    fn with<R>(&mut self, f: impl FnOnce(&mut Link<Self::Io, Self::Clock>) -> R) -> R;
}

impl<I: Io, C: Clock> Access for Link<I, C> {
    type Io = I;
    type Clock = C;

    #[inline]
    fn with<R>(&mut self, f: impl FnOnce(&mut Link<I, C>) -> R) -> R {
        f(self)
    }
}

impl<I: Io, C: Clock> Access for Arc<Mutex<Link<I, C>>> {
    type Io = I;
    type Clock = C;

    fn with<R>(&mut self, f: impl FnOnce(&mut Link<I, C>) -> R) -> R {
        f(&mut lock(self))
    }
}

/// A panic inside leaves nothing half done that the next could not go on with: the progress is in the sender.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transport remembers one waker for writing, but two tasks may wait for it: it gets this one, which wakes both.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    recv: Mutex<Option<Waker>>,
    send: Mutex<Option<Waker>>,
}

impl Wakers {
    pub(crate) fn set(&self, half: Half, waker: &Waker) {
        let mut slot = lock(self.slot(half));
        match &mut *slot {
            Some(old) => old.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn wake_half(&self, half: Half) {
        let waker = lock(self.slot(half)).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn slot(&self, half: Half) -> &Mutex<Option<Waker>> {
        match half {
            Half::Recv => &self.recv,
            Half::Send => &self.send,
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_half(Half::Recv);
        self.wake_half(Half::Send);
    }
}

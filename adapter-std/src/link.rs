//! The side of a connection that writes: the interface that the reader uses, and the link of an
//! unsplit connection.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant as StdInstant};

use sockeye_core::{Instant, OutgoingFrame, SendError, Sender, State};
use sockeye_driver::tuning::WRITE_SLICES;

use crate::clock;
use crate::stream::Stream;
use crate::transport::{Transport, WRITE_TURN, try_flush, try_write};

/// The outcome of writing the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// Everything is written.
    Done,
    /// The peer does not read fast enough: a part is still queued.
    Blocked,
    /// The other thread is writing, and writes everything.
    OtherThread,
}

/// The sender and the stream of a connection: owned by one thread, or shared by two.
pub(crate) trait Link {
    /// Calls `f` with the sender. `f` must not block.
    fn with<R>(&mut self, f: impl FnOnce(&mut Sender) -> R) -> R;

    /// Writes the queue, for about a [`WRITE_TURN`] if the peer does not read. Closes this end's
    /// side when that is due.
    fn write(&mut self) -> io::Result<WriteOutcome>;

    /// Returns whether this end's side of the stream is closed.
    fn is_shut_down(&self) -> bool;

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// Returns the longest time that one read may wait, because another thread may set a deadline
    /// meanwhile.
    fn max_read_wait(&self) -> Option<Duration>;
}

/// The result of [`run_timers`]: the next step of a thread that wants to wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Timers {
    /// Nothing: the connection has ended.
    Closed,
    /// Write again: a deadline had passed, and its handler may have queued something.
    Ran,
    /// Wait until this deadline at most.
    Next(Option<Instant>),
}

/// Runs the sender's timers if one is due.
///
/// Call this after queueing a ping or a Close, too: it timestamps them before the answer can
/// arrive.
pub(crate) fn run_timers(sender: &mut Sender) -> Timers {
    if sender.state() == State::Closed {
        return Timers::Closed;
    }
    let Some(deadline) = sender.poll_timeout() else { return Timers::Next(None) };
    let now = clock::now();
    if deadline > now {
        return Timers::Next(Some(deadline));
    }
    sender.handle_timeout(now);
    Timers::Ran
}

/// The link of a connection that is not split.
#[derive(Debug)]
pub(crate) struct OwnedLink<S> {
    pub(crate) sender: Sender,
    pub(crate) transport: Transport<S>,
}

impl<S: Stream> Link for OwnedLink<S> {
    fn with<R>(&mut self, f: impl FnOnce(&mut Sender) -> R) -> R {
        f(&mut self.sender)
    }

    fn write(&mut self) -> io::Result<WriteOutcome> {
        let result = self.write_queue();
        let Transport { stream, is_shut_down, has_timeouts, .. } = &mut self.transport;
        after_write(&mut self.sender, is_shut_down, *has_timeouts, &result, || stream.shutdown_write());
        result
    }

    fn is_shut_down(&self) -> bool {
        self.transport.is_shut_down
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.transport.stream, buffer)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.transport.read_timeout.set(&self.transport.stream, timeout)
    }

    fn max_read_wait(&self) -> Option<Duration> {
        None
    }
}

impl<S: Stream> OwnedLink<S> {
    /// Writes everything that is queued. Waits for the peer until the connection ends.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.write()? != WriteOutcome::Done {
            // Nothing is read here, so the message that has begun cannot become whole.
            self.sender.handle_progress(None);
            run_timers(&mut self.sender);
            if self.sender.state() == State::Closed {
                // The end has discarded the queue.
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    /// Waits until the queue is below the high-water mark.
    pub(crate) fn wait_writable(&mut self) -> io::Result<()> {
        if self.sender.is_writable() { Ok(()) } else { self.flush() }
    }

    /// Makes room for a message, if the queue has none and the stream takes something within a
    /// [`WRITE_TURN`]. A stream without timeouts could wait longer, so nothing is written to it.
    pub(crate) fn make_room(&mut self) {
        if self.transport.has_timeouts && !self.sender.is_writable() {
            // An error closes the connection, which the next message reports.
            let _ = self.write();
        }
    }

    /// Waits for room in the queue, queues with `queue`, and writes.
    pub(crate) fn send_with(
        &mut self,
        queue: impl FnOnce(&mut Sender) -> Result<(), SendError>,
    ) -> Result<(), sockeye_driver::Error> {
        self.wait_writable()?;
        queue(&mut self.sender)?;
        run_timers(&mut self.sender);
        Ok(self.flush()?)
    }

    pub(crate) fn send_frame(&mut self, frame: OutgoingFrame<'_>) -> Result<(), sockeye_driver::Error> {
        self.send_with(|sender| sender.send_frame(frame))
    }

    fn write_queue(&mut self) -> io::Result<WriteOutcome> {
        let mut turn = WriteTurn::default();
        let transport = &mut self.transport;
        while let Some(transmit) = self.sender.poll_transmit() {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
            let mut count = 0;
            for (slot, slice) in slices.iter_mut().zip(transmit.slices()) {
                *slot = IoSlice::new(slice);
                count += 1;
            }
            let Some(n) = try_write(&mut transport.stream, &slices[..count])? else {
                return Ok(WriteOutcome::Blocked);
            };
            transport.needs_flush = true;
            self.sender.transmitted(n);
            if transport.has_timeouts && self.sender.queued() > 0 && turn.is_over() {
                return Ok(WriteOutcome::Blocked);
            }
        }
        while transport.needs_flush {
            match try_flush(&mut transport.stream)? {
                true => transport.needs_flush = false,
                false => return Ok(WriteOutcome::Blocked),
            }
        }
        Ok(WriteOutcome::Done)
    }
}

/// Updates the sender after a write. An error discards the queue. When everything is written, this
/// end's side is closed if that is due.
pub(crate) fn after_write(
    sender: &mut Sender,
    is_shut_down: &mut bool,
    has_timeouts: bool,
    result: &io::Result<WriteOutcome>,
    shutdown: impl FnOnce() -> io::Result<()>,
) {
    match result {
        Ok(WriteOutcome::Done) => {}
        Ok(WriteOutcome::OtherThread) => return,
        Ok(WriteOutcome::Blocked) => {
            // No buffer is lent, so none is returned.
            sender.handle_blocked();
            return;
        }
        Err(_) => sender.handle_write_error(),
    }
    if sender.wants_shutdown() && !*is_shut_down {
        *is_shut_down = true;
        // This fails if the peer closed first. The read reports that.
        let _ = shutdown();
    }
    let is_done = sender.wants_shutdown() || sender.close_info().is_some_and(|info| info.clean);
    if is_done && !has_timeouts && sender.state() != State::Closed {
        // Without a timeout, waiting for the peer to close the stream could take forever.
        sender.handle_eof();
    }
}

/// Measures how long one thread has been writing.
#[derive(Debug, Default)]
pub(crate) struct WriteTurn {
    began: Option<StdInstant>,
}

impl WriteTurn {
    /// Returns whether the turn has lasted a [`WRITE_TURN`]. Call it after each write that left a
    /// part of the queue. The first call starts the clock.
    pub(crate) fn is_over(&mut self) -> bool {
        self.began.get_or_insert_with(StdInstant::now).elapsed() >= WRITE_TURN
    }
}

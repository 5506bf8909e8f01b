//! The side of a connection that writes, and the one step that both kinds of it have in common.

use std::io::{self, IoSlice, Write};
use std::time::{Duration, Instant as StdInstant};

use sockeye_core::{Instant, Sender, State};

use crate::clock::{self, ReadTimeout, is_timeout, supported};
use crate::stream::Stream;

/// How long a write that is blocked keeps a thread from reading, or from looking at the clock.
pub(crate) const TURN: Duration = Duration::from_millis(10);

/// Slices in one vectored write.
const SLICES: usize = 16;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Nothing waits any more.
    All,
    /// The peer does not read fast enough: some of it waits.
    Blocked,
    /// The other thread is at it, and writes everything.
    Elsewhere,
}

/// The sender and the stream of a connection: one thread's own, or shared by two.
pub(crate) trait Link {
    /// Calls `f` with the sender. `f` does not wait.
    fn with<R>(&mut self, f: impl FnOnce(&mut Sender) -> R) -> R;

    /// Writes what is queued, for a [`TURN`] or two if the peer does not read; closes this end's side when that is due.
    fn write(&mut self) -> io::Result<Written>;

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// How long a read may wait at most, because another thread may set a deadline in the meantime.
    fn patience(&self) -> Option<Duration>;
}

/// What the sender wants before its thread waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The connection is over.
    Over,
    /// A deadline had passed: something may wait to be written now.
    Again,
    /// Nothing, until then.
    Until(Option<Instant>),
}

/// Tells the sender the time if it wants to know it.
pub(crate) fn look(sender: &mut Sender) -> Look {
    if sender.state() == State::Closed {
        return Look::Over;
    }
    let Some(deadline) = sender.poll_timeout() else { return Look::Until(None) };
    let now = clock::now();
    if deadline > now {
        return Look::Until(Some(deadline));
    }
    sender.handle_timeout(now);
    Look::Again
}

/// A stream that no other thread uses.
#[derive(Debug)]
pub(crate) struct Own<S> {
    pub(crate) sender: Sender,
    pub(crate) wire: Wire<S>,
}

impl<S: Stream> Link for Own<S> {
    fn with<R>(&mut self, f: impl FnOnce(&mut Sender) -> R) -> R {
        f(&mut self.sender)
    }

    fn write(&mut self) -> io::Result<Written> {
        let result = self.write_queue();
        settle(&mut self.sender, &mut self.wire.shut, self.wire.is_timed, &result, || {
            self.wire.stream.shutdown_write()
        });
        result
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wire.stream.read(buffer)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.wire.read_timeout.set(&self.wire.stream, timeout)
    }

    fn patience(&self) -> Option<Duration> {
        None
    }
}

impl<S: Stream> Own<S> {
    /// Writes everything that is queued, however long it takes the peer, but no longer than the connection lives.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.write()? != Written::All {
            look(&mut self.sender);
            if self.sender.state() == State::Closed {
                // What waited has been forgotten.
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    fn write_queue(&mut self) -> io::Result<Written> {
        let mut turn = Turn::default();
        let wire = &mut self.wire;
        while let Some(transmit) = self.sender.poll_transmit() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slot, slice) in slices.iter_mut().zip(transmit.slices()) {
                *slot = IoSlice::new(slice);
                count += 1;
            }
            let Some(n) = write_some(&mut wire.stream, &slices[..count])? else {
                return Ok(Written::Blocked);
            };
            wire.dirty = true;
            self.sender.transmitted(n);
            if wire.is_timed && self.sender.queued() > 0 && turn.is_over() {
                return Ok(Written::Blocked);
            }
        }
        while wire.dirty {
            match flush_some(&mut wire.stream)? {
                true => wire.dirty = false,
                false => return Ok(Written::Blocked),
            }
        }
        Ok(Written::All)
    }
}

/// A stream, and what is known of it.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    pub(crate) read_timeout: ReadTimeout,
    /// It has timeouts.
    pub(crate) is_timed: bool,
    /// Written since the last flush.
    pub(crate) dirty: bool,
    /// This end's side has been closed.
    pub(crate) shut: bool,
}

impl<S: Stream> Wire<S> {
    /// `limit` is how long a write may be blocked where it cannot be gone on with afterwards.
    pub(crate) fn new(stream: S, limit: Duration) -> io::Result<Self> {
        let timeout = if cfg!(windows) { limit.max(TURN) } else { TURN };
        let is_timed = supported(stream.set_write_timeout(Some(timeout)))?;
        Ok(Wire { stream, read_timeout: ReadTimeout::default(), is_timed, dirty: false, shut: false })
    }
}

/// What follows from a write: after an error nothing more is written, and what waited is forgotten; and when all is
/// written, this end's side may have to be closed.
pub(crate) fn settle(
    sender: &mut Sender,
    shut: &mut bool,
    is_timed: bool,
    result: &io::Result<Written>,
    shutdown: impl FnOnce() -> io::Result<()>,
) {
    match result {
        Ok(Written::All) => {}
        Ok(_) => return,
        Err(_) => sender.handle_write_error(),
    }
    if sender.wants_shutdown() && !*shut {
        *shut = true;
        // It may fail because the peer was faster: the read will tell.
        let _ = shutdown();
    }
    let is_done = sender.wants_shutdown() || sender.close_info().is_some_and(|info| info.clean);
    if is_done && !is_timed && sender.state() != State::Closed {
        // The end of this stream could be waited for without end.
        sender.handle_eof();
    }
}

/// How long one thread has been writing.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    began: Option<StdInstant>,
}

impl Turn {
    /// Asked after a write that left something. A first one like that only starts the clock.
    pub(crate) fn is_over(&mut self) -> bool {
        self.began.get_or_insert_with(StdInstant::now).elapsed() >= TURN
    }
}

/// One write; `None` if there was no room in time.
pub(crate) fn write_some(stream: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
    let result = match slices {
        [slice] => stream.write(slice),
        slices => stream.write_vectored(slices),
    };
    match result {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Some(0)),
        Err(error) if may_go_on(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One flush; `false` if there was no room in time.
pub(crate) fn flush_some(stream: &mut impl Write) -> io::Result<bool> {
    match stream.flush() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) if may_go_on(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a write that failed like this may be tried again. On Windows a send that timed out leaves the socket "in an
/// indeterminate state" (`SO_SNDTIMEO`): how much of it went out is not known.
fn may_go_on(error: &io::Error) -> bool {
    is_timeout(error) && !cfg!(windows)
}

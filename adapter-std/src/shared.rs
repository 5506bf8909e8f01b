//! The writing side of a split connection, which two threads share.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use sockeye_core::{Instant, Sender};

use crate::clock::{self, ReadTimeout};
use crate::link::{Link, OwnedLink, WriteOutcome, WriteTurn, after_write, run_timers};
use crate::reader::{Reader, RecvOutcome};
use crate::stream::Stream;
use crate::transport::{Transport, try_flush, try_write};
use crate::wire::{Wire, by_ref};

/// The maximum number of bytes that are copied out of the queue for one write.
const CHUNK: usize = 64 << 10;

/// How often the sending half looks for input after the receiving half was dropped.
const READ_INTERVAL: Duration = Duration::from_millis(100);

/// How long such a look waits for input.
const LOOK: Duration = Duration::from_millis(1);

/// The sender and the stream, protected by two locks.
///
/// `state` is held for moments only, `write_lock` for as long as its holder writes. Bytes are
/// copied out of the queue before they are written, so that a blocked write keeps no thread from
/// queueing or reading.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    pub(crate) stream: Wire<S>,
    state: Mutex<State>,
    write_lock: Mutex<()>,
    has_timeouts: bool,
    max_read_wait: Duration,
    /// The reading side of a receiving half that was dropped. The sending half uses it.
    abandoned: OnceLock<Mutex<Abandoned>>,
}

/// The reading side of a receiving half that was dropped.
#[derive(Debug)]
struct Abandoned {
    reader: Reader,
    read_timeout: ReadTimeout,
    /// The time of the last look for input.
    read_at: Option<Instant>,
}

#[derive(Debug)]
struct State {
    sender: Sender,
    needs_flush: bool,
    is_shut_down: bool,
    /// A write failed, or the end discarded the queue. Both threads must see it.
    write_error: Option<io::ErrorKind>,
}

impl<S> Shared<S> {
    /// `max_read_wait` is how long the receiving thread may wait before it checks what the other
    /// thread has done.
    pub(crate) fn new(link: OwnedLink<S>, max_read_wait: Duration) -> Self {
        let OwnedLink { sender, transport } = link;
        let Transport { stream, has_timeouts, needs_flush, is_shut_down, .. } = transport;
        let state = State { sender, needs_flush, is_shut_down, write_error: None };
        let (state, write_lock, abandoned) = (Mutex::new(state), Mutex::new(()), OnceLock::new());
        Shared { stream, state, write_lock, has_timeouts, max_read_wait, abandoned }
    }

    pub(crate) fn into_owned(self, read_timeout: ReadTimeout) -> OwnedLink<S> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let State { sender, needs_flush, is_shut_down, .. } = state;
        let Shared { stream, has_timeouts, .. } = self;
        let transport = Transport { stream, read_timeout, has_timeouts, needs_flush, is_shut_down };
        OwnedLink { sender, transport }
    }

    /// Leaves the reading side to the sending half.
    pub(crate) fn abandon(&self, reader: Reader, read_timeout: ReadTimeout) {
        if !self.has_timeouts {
            // A look for input would wait until some arrives.
            return;
        }
        let _ = self.abandoned.set(Mutex::new(Abandoned { reader, read_timeout, read_at: None }));
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.get().is_some()
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Sender) -> R) -> R {
        let mut state = self.lock();
        let queued = state.sender.queued();
        let result = f(&mut state.sender);
        if queued > 0 && state.sender.queued() == 0 && state.write_error.is_none() {
            // `f` cannot write, so the connection has ended and the queue was discarded. A thread
            // that waits for the queue to be written must not take that for success.
            state.write_error = Some(io::ErrorKind::TimedOut);
        }
        result
    }

    /// Ignores poisoning: all progress is in the sender, so a panic leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Shared<S>
where
    for<'s> &'s S: Stream,
{
    /// Writes everything that is queued. Waits for the peer until the connection ends.
    pub(crate) fn flush(self: &Arc<Self>) -> io::Result<()> {
        while self.write(true)? != WriteOutcome::Done {
            self.with(run_timers);
            // The peer may wait until this end reads.
            self.serve_abandoned(true);
        }
        Ok(())
    }

    /// Reads and discards what has arrived if the receiving half was dropped. So pings and Closes
    /// are answered, and the deadlines enforced. Once the connection is closing, waits for its end.
    ///
    /// A look for input may take some milliseconds, so unless it `is_urgent`, this looks only now
    /// and then.
    pub(crate) fn serve_abandoned(self: &Arc<Self>, is_urgent: bool) {
        let Some(abandoned) = self.abandoned.get() else { return };
        let now = clock::now();
        let is_due = |at: Instant| is_urgent || now.since(at) >= READ_INTERVAL;
        if !lock(abandoned).read_at.is_none_or(is_due) {
            return;
        }
        let look = Some(now + LOOK);
        // The operation that called this reports the end.
        while matches!(self.read_abandoned(look), Ok(RecvOutcome::Item(()))) && clock::now() < now + LOOK {}
        if self.with(|sender| sender.state() != sockeye_core::State::Open) {
            let _ = self.end_abandoned();
        }
    }

    /// Receives and discards messages until the connection is over, if the receiving half was
    /// dropped. Returns an abnormal end as an error, once.
    pub(crate) fn end_abandoned(self: &Arc<Self>) -> Result<(), sockeye_driver::Error> {
        while !matches!(self.read_abandoned(None)?, RecvOutcome::Closed) {}
        Ok(())
    }

    fn read_abandoned(
        self: &Arc<Self>,
        until: Option<Instant>,
    ) -> Result<RecvOutcome<()>, sockeye_driver::Error> {
        let Some(abandoned) = self.abandoned.get() else { return Ok(RecvOutcome::Closed) };
        let mut abandoned = lock(abandoned);
        let read_timeout = std::mem::take(&mut abandoned.read_timeout);
        let mut link = SharedLink { shared: self.clone(), read_timeout };
        let outcome = abandoned.reader.message(&mut link, until, |_, _| ());
        abandoned.read_timeout = link.read_timeout;
        abandoned.read_at = Some(clock::now());
        outcome
    }

    /// Makes room for a message, like [`OwnedLink::make_room`]. If the other thread is writing,
    /// that makes room already, so this does not wait for it.
    pub(crate) fn make_room(&self) {
        if self.has_timeouts && !self.with(|sender| sender.is_writable()) {
            // An error closes the connection, which the next message reports.
            let _ = self.write(false);
        }
    }

    /// Writes the queue. The thread that holds the write lock also writes what the other thread
    /// queues meanwhile. If the other thread holds it, this waits for the lock or returns
    /// [`WriteOutcome::OtherThread`].
    fn write(&self, wait_for_lock: bool) -> io::Result<WriteOutcome> {
        loop {
            if self.lock().is_written() {
                break;
            }
            let write_guard = match self.write_lock.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
                Err(TryLockError::WouldBlock) if !wait_for_lock => return Ok(WriteOutcome::OtherThread),
                Err(TryLockError::WouldBlock) => {
                    self.write_lock.lock().unwrap_or_else(PoisonError::into_inner)
                }
            };
            let outcome = self.write_queue()?;
            drop(write_guard);
            if outcome == WriteOutcome::Blocked {
                return Ok(outcome);
            }
            // Look again: the other thread may have queued something and found the write lock
            // taken.
        }
        let mut state = self.lock();
        if let Some(kind) = state.write_error {
            return Err(kind.into());
        }
        state.after_write(&self.stream, self.has_timeouts, &Ok(WriteOutcome::Done));
        Ok(WriteOutcome::Done)
    }

    fn write_queue(&self) -> io::Result<WriteOutcome> {
        let mut turn = WriteTurn::default();
        let mut chunk = Vec::new();
        let mut state = self.lock();
        let result = loop {
            if state.is_written() {
                break Ok(WriteOutcome::Done);
            }
            chunk.clear();
            for slice in state.sender.poll_transmit().into_iter().flat_map(|transmit| transmit.slices()) {
                let room = CHUNK.saturating_sub(chunk.len());
                chunk.extend_from_slice(slice.get(..room).unwrap_or(slice));
            }
            drop(state);
            let mut stream = by_ref(&self.stream);
            let result = if chunk.is_empty() {
                try_flush(&mut stream).map(|flushed| flushed.then_some(0))
            } else {
                try_write(&mut stream, &[IoSlice::new(&chunk)])
            };
            state = self.lock();
            match result {
                Ok(Some(n)) => {
                    state.needs_flush = !chunk.is_empty();
                    state.sender.transmitted(n);
                }
                Ok(None) => break Ok(WriteOutcome::Blocked),
                Err(error) => {
                    state.write_error = Some(error.kind());
                    break Err(error);
                }
            }
            if self.has_timeouts && !state.is_written() && turn.is_over() {
                break Ok(WriteOutcome::Blocked);
            }
        };
        state.after_write(&self.stream, self.has_timeouts, &result);
        result
    }
}

impl State {
    /// Returns whether nothing is left to write or to flush, or if writing has failed.
    fn is_written(&self) -> bool {
        self.write_error.is_some() || self.sender.queued() == 0 && !self.needs_flush
    }

    fn after_write<S>(&mut self, stream: &Wire<S>, has_timeouts: bool, result: &io::Result<WriteOutcome>)
    where
        for<'s> &'s S: Stream,
    {
        after_write(&mut self.sender, &mut self.is_shut_down, has_timeouts, result, || {
            let mut stream = by_ref(stream);
            Stream::shutdown_write(&mut stream)
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The link of a receiving half.
#[derive(Debug)]
pub(crate) struct SharedLink<S> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) read_timeout: ReadTimeout,
}

impl<S> Link for SharedLink<S>
where
    for<'s> &'s S: Stream,
{
    fn with<R>(&mut self, f: impl FnOnce(&mut Sender) -> R) -> R {
        self.shared.with(f)
    }

    fn write(&mut self) -> io::Result<WriteOutcome> {
        self.shared.write(false)
    }

    fn is_shut_down(&self) -> bool {
        self.shared.lock().is_shut_down
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut by_ref(&self.shared.stream), buffer)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.set(&by_ref(&self.shared.stream), timeout)
    }

    fn max_read_wait(&self) -> Option<Duration> {
        Some(self.shared.max_read_wait)
    }
}

//! The side of a split connection that writes: two threads share it.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use sockeye_core::Sender;

use crate::clock::ReadTimeout;
use crate::link::{Link, Own, Turn, Wire, Written, flush_some, look, settle, write_some};
use crate::stream::Stream;

/// As much is written at a time.
const CHUNK: usize = 64 << 10;

/// Two locks: `state` is held for moments only, `pen` while its holder writes. What is written is copied out of the queue
/// first, so that a write that is blocked keeps nobody from queueing or from reading.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    pub(crate) stream: S,
    state: Mutex<SharedState>,
    pen: Mutex<()>,
    is_timed: bool,
    patience: Duration,
}

#[derive(Debug)]
struct SharedState {
    sender: Sender,
    dirty: bool,
    shut: bool,
    /// A write failed, or was given up: it is told to both threads.
    broken: Option<io::ErrorKind>,
}

impl<S> Shared<S> {
    /// `patience` is how long the thread that reads may wait before it looks what the other one has done.
    pub(crate) fn new(own: Own<S>, patience: Duration) -> Self {
        let Own { sender, wire } = own;
        let state = SharedState { sender, dirty: wire.dirty, shut: wire.shut, broken: None };
        Shared {
            stream: wire.stream,
            state: Mutex::new(state),
            pen: Mutex::new(()),
            is_timed: wire.is_timed,
            patience,
        }
    }

    pub(crate) fn into_own(self, read_timeout: ReadTimeout) -> Own<S> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let wire = Wire {
            stream: self.stream,
            read_timeout,
            is_timed: self.is_timed,
            dirty: state.dirty,
            shut: state.shut,
        };
        Own { sender: state.sender, wire }
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Sender) -> R) -> R {
        let mut state = self.lock();
        let queued = state.sender.queued();
        let result = f(&mut state.sender);
        if queued > 0 && state.sender.queued() == 0 && state.broken.is_none() {
            // Nothing was written, so it was forgotten: the end has come. A thread that waits to write it must not take that
            // for success.
            state.broken = Some(io::ErrorKind::TimedOut);
        }
        result
    }

    /// A panic inside leaves nothing half done that the next could not go on with: the progress is in the sender.
    fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Shared<S>
where
    for<'s> &'s S: Stream,
{
    /// As [`Own::flush`].
    pub(crate) fn flush(&self) -> io::Result<()> {
        while self.write(true)? != Written::All {
            self.with(look);
        }
        Ok(())
    }

    /// Writes what is queued, if no other thread does. Whoever holds the pen writes what others queue meanwhile.
    fn write(&self, wait_for_pen: bool) -> io::Result<Written> {
        loop {
            if self.lock().is_done() {
                break;
            }
            let pen = match self.pen.try_lock() {
                Ok(pen) => pen,
                Err(TryLockError::Poisoned(pen)) => pen.into_inner(),
                Err(TryLockError::WouldBlock) if !wait_for_pen => return Ok(Written::Elsewhere),
                Err(TryLockError::WouldBlock) => self.pen.lock().unwrap_or_else(PoisonError::into_inner),
            };
            let written = self.write_queue()?;
            drop(pen);
            if written == Written::Blocked {
                return Ok(written);
            }
            // What was queued before the pen was laid down has found it taken: look again.
        }
        let mut state = self.lock();
        if let Some(kind) = state.broken {
            return Err(kind.into());
        }
        state.settle(&self.stream, self.is_timed, &Ok(Written::All));
        Ok(Written::All)
    }

    fn write_queue(&self) -> io::Result<Written> {
        let mut turn = Turn::default();
        let mut chunk = Vec::new();
        let mut state = self.lock();
        let result = loop {
            if state.is_done() {
                break Ok(Written::All);
            }
            chunk.clear();
            for slice in state.sender.poll_transmit().into_iter().flat_map(|transmit| transmit.slices()) {
                let room = CHUNK.saturating_sub(chunk.len());
                chunk.extend_from_slice(slice.get(..room).unwrap_or(slice));
            }
            drop(state);
            let mut stream = &self.stream;
            let result = if chunk.is_empty() {
                flush_some(&mut stream).map(|flushed| flushed.then_some(0))
            } else {
                write_some(&mut stream, &[IoSlice::new(&chunk)])
            };
            state = self.lock();
            match result {
                Ok(Some(n)) => {
                    state.dirty = !chunk.is_empty();
                    state.sender.transmitted(n);
                }
                Ok(None) => break Ok(Written::Blocked),
                Err(error) => {
                    state.broken = Some(error.kind());
                    break Err(error);
                }
            }
            if self.is_timed && !state.is_done() && turn.is_over() {
                break Ok(Written::Blocked);
            }
        };
        state.settle(&self.stream, self.is_timed, &result);
        result
    }
}

impl SharedState {
    fn is_done(&self) -> bool {
        self.broken.is_some() || self.sender.queued() == 0 && !self.dirty
    }

    fn settle<S>(&mut self, stream: &S, is_timed: bool, result: &io::Result<Written>)
    where
        for<'s> &'s S: Stream,
    {
        settle(&mut self.sender, &mut self.shut, is_timed, result, || {
            let mut stream = stream;
            Stream::shutdown_write(&mut stream)
        });
    }
}

/// The link as the receiving half has it.
#[derive(Debug)]
pub(crate) struct Reading<S> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) read_timeout: ReadTimeout,
}

impl<S> Link for Reading<S>
where
    for<'s> &'s S: Stream,
{
    fn with<R>(&mut self, f: impl FnOnce(&mut Sender) -> R) -> R {
        self.shared.with(f)
    }

    fn write(&mut self) -> io::Result<Written> {
        self.shared.write(false)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.shared.stream, buffer)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.set(&&self.shared.stream, timeout)
    }

    fn patience(&self) -> Option<Duration> {
        Some(self.shared.patience)
    }
}

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use sockeye_driver::Io;

use super::executor::{cancel_idle_wake, wake_when_idle};
use super::faults::{Fail, Faults, Pending, Probe, Stats};

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) bytes: VecDeque<u8>,
    capacity: usize,
    /// The writer has closed its side.
    pub(super) end: bool,
    /// The reader takes no more bytes.
    pub(super) gone: bool,
    pub(super) reset: bool,
    /// The reader was dropped: a write resets the writer.
    dropped: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// One end of an in-memory transport that misbehaves as its [`Faults`] say.
///
/// It follows the polling contract strictly: it wakes only the last waker, and no waker after the
/// operation has finished. Like a TCP socket, a pipe that is dropped with unread bytes resets the
/// connection, and so does a write after the reader was dropped. The end that remains then loses
/// the bytes that it has not read.
#[derive(Debug)]
pub struct Pipe {
    pub(super) rx: Arc<Mutex<Channel>>,
    pub(super) tx: Arc<Mutex<Channel>>,
    faults: Faults,
    pub(super) stats: Arc<Mutex<Stats>>,
}

/// Returns two ends of a transport that holds `capacity` bytes in each direction.
#[must_use]
pub fn pipe(capacity: usize) -> (Pipe, Pipe) {
    pipe_with(capacity, Faults::default())
}

/// Returns two ends of a transport. The first end has the faults.
#[must_use]
pub fn pipe_with(capacity: usize, faults: Faults) -> (Pipe, Pipe) {
    let channel = || Arc::new(Mutex::new(Channel { capacity, ..Channel::default() }));
    let (a, b) = (channel(), channel());
    let end = |rx, tx, faults| Pipe { rx, tx, faults, stats: Arc::default() };
    (end(a.clone(), b.clone(), faults), end(b, a, Faults::default()))
}

#[derive(Clone, Copy)]
enum Op {
    Read,
    Write,
    Flush,
    Close,
}

impl Pipe {
    /// Replaces the faults of this end.
    #[must_use]
    pub fn with(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Returns an observer of this end.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe(self.stats.clone())
    }

    /// Decides whether the operation runs, is made pending or fails. Returns `Ok(true)` at the end
    /// of the input.
    fn begin(&self, op: Op, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut stats = self.stats.lock().unwrap();
        if self.faults.interrupted {
            stats.interrupted[op as usize] ^= true;
            if stats.interrupted[op as usize] {
                return Poll::Ready(Err(ErrorKind::Interrupted.into()));
            }
        }
        if self.faults.pending != Pending::Never {
            match stats.made_pending[op as usize].take() {
                None => {
                    let until_idle = self.faults.pending == Pending::UntilIdle;
                    let id = if until_idle { wake_when_idle(cx.waker()) } else { usize::MAX };
                    if !until_idle {
                        cx.waker().wake_by_ref();
                    }
                    stats.made_pending[op as usize] = Some(id);
                    return Poll::Pending;
                }
                Some(id) => cancel_idle_wake(id),
            }
        }
        let number = stats.ops;
        stats.ops += 1;
        let Some((at, fail)) = self.faults.fail else { return Poll::Ready(Ok(false)) };
        if number < at {
            return Poll::Ready(Ok(false));
        }
        stats.failed = true;
        drop(stats);
        self.sever();
        match fail {
            Fail::Eof => Poll::Ready(Ok(true)),
            Fail::Error(kind) => Poll::Ready(Err(kind.into())),
        }
    }

    /// Records that the operation is pending anyway, so that its next poll is not made pending
    /// again.
    fn would_block(&self, op: Op) {
        if self.faults.pending != Pending::Never {
            self.stats.lock().unwrap().made_pending[op as usize] = Some(usize::MAX);
        }
    }

    /// Ends both directions: the peer reads the end of the input.
    fn sever(&self) {
        self.shut();
        let mut rx = self.rx.lock().unwrap();
        rx.gone = true;
        wake(&mut rx.writer);
    }

    /// Returns the maximum number of bytes of one write.
    fn write_limit(&self) -> usize {
        self.faults.chunk.min(self.tx.lock().unwrap().capacity.max(self.faults.buffer))
    }

    fn buffer_is_full(&self) -> bool {
        self.stats.lock().unwrap().buffer.len() >= self.faults.buffer
    }

    fn poll_buffer(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stats = self.stats.lock().unwrap();
        while !stats.buffer.is_empty() {
            let n = ready!(self.send(cx, &stats.buffer))?;
            stats.buffer.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes some of `bytes` to the pipe.
    fn send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut tx = self.tx.lock().unwrap();
        tx.writer = None;
        if tx.gone && !tx.dropped {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if tx.gone || tx.reset {
            let mut rx = self.rx.lock().unwrap();
            rx.reset = true;
            rx.bytes.clear();
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        assert!(!tx.end, "a write after the end");
        let n = bytes.len().min(tx.capacity.saturating_sub(tx.bytes.len()));
        if n == 0 {
            tx.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        tx.bytes.extend(&bytes[..n]);
        wake(&mut tx.reader);
        Poll::Ready(Ok(n))
    }
}

pub(super) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Io for Pipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        assert!(!buffer.is_empty(), "a read into an empty buffer looks like the end of the input");
        if ready!(self.begin(Op::Read, cx))? {
            return Poll::Ready(Ok(0));
        }
        self.stats.lock().unwrap().reads += 1;
        let mut rx = self.rx.lock().unwrap();
        rx.reader = None;
        if rx.bytes.is_empty() {
            if rx.reset {
                // Like Linux: a reset is reported once, and later reads return EOF.
                (rx.reset, rx.end) = (false, true);
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            if rx.end {
                drop(rx);
                let ends = {
                    let mut stats = self.stats.lock().unwrap();
                    stats.ends += 1;
                    stats.ends
                };
                assert!(ends < 1000, "it keeps reading after the end");
                return Poll::Ready(Ok(0));
            }
            rx.reader = Some(cx.waker().clone());
            drop(rx);
            self.would_block(Op::Read);
            return Poll::Pending;
        }
        let n = buffer.len().min(self.faults.chunk).min(rx.bytes.len());
        for (slot, byte) in buffer.iter_mut().zip(rx.bytes.drain(..n)) {
            *slot = byte;
        }
        wake(&mut rx.writer);
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        assert!(slices.iter().any(|slice| !slice.is_empty()), "a write of no bytes");
        let discard = ready!(self.begin(Op::Write, cx));
        if matches!(&discard, Err(error) if error.kind() == ErrorKind::WriteZero) {
            return Poll::Ready(Ok(0));
        }
        let discard = discard?;
        let count = if self.faults.vectored { slices.len() } else { 1 };
        let mut bytes = Vec::new();
        for slice in &slices[..count] {
            let room = self.write_limit().saturating_sub(bytes.len());
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        if discard {
            return Poll::Ready(Ok(bytes.len()));
        }
        let n = if self.faults.buffer > 0 {
            // Sending a part of a full buffer makes room too.
            if self.buffer_is_full() && self.poll_buffer(cx)?.is_pending() && self.buffer_is_full() {
                self.would_block(Op::Write);
                return Poll::Pending;
            }
            let buffer = &mut self.stats.lock().unwrap().buffer;
            let n = bytes.len().min(self.faults.buffer - buffer.len());
            buffer.extend_from_slice(&bytes[..n]);
            n
        } else {
            let sent = self.send(cx, &bytes);
            if sent.is_pending() {
                self.would_block(Op::Write);
            }
            ready!(sent)?
        };
        let mut stats = self.stats.lock().unwrap();
        stats.writes += 1;
        stats.log.extend_from_slice(&bytes[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if ready!(self.begin(Op::Flush, cx))? {
            return Poll::Ready(Ok(()));
        }
        let flushed = self.poll_buffer(cx);
        if flushed.is_pending() {
            self.would_block(Op::Flush);
        }
        flushed
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !ready!(self.begin(Op::Close, cx))? && self.poll_buffer(cx)?.is_pending() {
            self.would_block(Op::Close);
            return Poll::Pending;
        }
        self.stats.lock().unwrap().closed = true;
        self.shut();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let unread = {
            let mut rx = self.rx.lock().unwrap();
            (rx.gone, rx.dropped) = (true, true);
            wake(&mut rx.writer);
            !rx.bytes.is_empty()
        };
        let mut tx = self.tx.lock().unwrap();
        tx.end = true;
        if unread {
            tx.reset = true;
            tx.bytes.clear();
        }
        wake(&mut tx.reader);
    }
}

//! An in-memory transport that misbehaves as told.
//!
//! It keeps the contract of polling to the letter: only the last waker is woken, and none after the operation has been
//! polled to its end. Like a TCP socket it is reset when it is dropped with unread bytes in it, or written to after that, and
//! then the peer loses what it has not read.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use sockeye_driver::Io;

use super::executor::{call_off, lazily};

/// Whether operations are put off although they could be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Pending {
    #[default]
    Never,
    /// The first poll of every operation is Pending, and wakes at once.
    First,
    /// The same, but it wakes when nothing else goes on, and not if it was polled again before: as a timer does.
    Lazily,
}

/// How the transport breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fail {
    /// The peer vanishes: no more bytes come, and those that are written go nowhere.
    Eof,
    Error(ErrorKind),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) pending: Pending,
    /// Most bytes of one read, and of one write.
    pub(crate) chunk: usize,
    /// Every operation is interrupted first.
    pub(crate) interrupted: bool,
    /// The operation of this number fails, and all that follow.
    pub(crate) fail: Option<(usize, Fail)>,
    pub(crate) vectored: bool,
    /// What is written waits in a buffer of this size until it is flushed; 0: there is none.
    pub(crate) buffer: usize,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            pending: Pending::Never,
            chunk: usize::MAX,
            interrupted: false,
            fail: None,
            vectored: true,
            buffer: 0,
        }
    }
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) bytes: VecDeque<u8>,
    capacity: usize,
    /// The writer has closed its side.
    pub(super) end: bool,
    /// The reader has gone.
    pub(super) gone: bool,
    pub(super) reset: bool,
    /// The reader has gone for good: who writes to it is reset.
    reset_peer: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// What an end has done so far.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Operations polled, without those that were put off or interrupted.
    pub(crate) ops: usize,
    pub(crate) reads: usize,
    /// Reads that found the end.
    ends: usize,
    /// Writes that took something.
    pub(crate) writes: usize,
    pub(crate) closed: bool,
    pub(crate) failed: bool,
    /// All bytes written.
    pub(crate) log: Vec<u8>,
    put_off: [Option<usize>; 4],
    interrupted: [bool; 4],
    buffer: Vec<u8>,
}

/// Looks at an end of a pipe from outside.
#[derive(Debug, Clone)]
pub(crate) struct Probe(Arc<Mutex<Stats>>);

impl Probe {
    pub(crate) fn get(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(super) rx: Arc<Mutex<Channel>>,
    pub(super) tx: Arc<Mutex<Channel>>,
    faults: Faults,
    pub(super) stats: Arc<Mutex<Stats>>,
}

/// Two ends that hold `capacity` bytes each way.
pub(crate) fn pipe(capacity: usize) -> (Pipe, Pipe) {
    pipe_with(capacity, Faults::default())
}

/// The same; the faults are those of the first end.
pub(crate) fn pipe_with(capacity: usize, faults: Faults) -> (Pipe, Pipe) {
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
    pub(crate) fn with(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    pub(crate) fn probe(&self) -> Probe {
        Probe(self.stats.clone())
    }

    /// Decides whether the operation is done, put off or fails. `Ok(true)` is the end of the input.
    fn begin(&self, op: Op, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut stats = self.stats.lock().unwrap();
        if self.faults.interrupted {
            stats.interrupted[op as usize] ^= true;
            if stats.interrupted[op as usize] {
                return Poll::Ready(Err(ErrorKind::Interrupted.into()));
            }
        }
        if self.faults.pending != Pending::Never {
            match stats.put_off[op as usize].take() {
                None => {
                    let lazy = self.faults.pending == Pending::Lazily;
                    let id = if lazy { lazily(cx.waker()) } else { usize::MAX };
                    if !lazy {
                        cx.waker().wake_by_ref();
                    }
                    stats.put_off[op as usize] = Some(id);
                    return Poll::Pending;
                }
                Some(id) => call_off(id),
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

    /// The operation cannot be done now: the next poll tries again, and is not put off first.
    fn would_block(&self, op: Op) {
        if self.faults.pending != Pending::Never {
            self.stats.lock().unwrap().put_off[op as usize] = Some(usize::MAX);
        }
    }

    /// Cuts the line: the peer sees the end.
    fn sever(&self) {
        self.shut();
        let mut rx = self.rx.lock().unwrap();
        rx.gone = true;
        wake(&mut rx.writer);
    }

    /// Bytes of one write at most.
    fn most(&self) -> usize {
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

    /// Puts some of `bytes` into the pipe.
    fn send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut tx = self.tx.lock().unwrap();
        tx.writer = None;
        if tx.gone && !tx.reset_peer {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if tx.gone || tx.reset {
            let mut rx = self.rx.lock().unwrap();
            rx.reset = true;
            rx.bytes.clear();
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        assert!(!tx.end, "a write behind the end");
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
        assert!(!buffer.is_empty(), "a read of nothing looks like the end");
        if ready!(self.begin(Op::Read, cx))? {
            return Poll::Ready(Ok(0));
        }
        self.stats.lock().unwrap().reads += 1;
        let mut rx = self.rx.lock().unwrap();
        rx.reader = None;
        if rx.bytes.is_empty() {
            if rx.reset {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            if rx.end {
                drop(rx);
                let ends = {
                    let mut stats = self.stats.lock().unwrap();
                    stats.ends += 1;
                    stats.ends
                };
                assert!(ends < 1000, "it reads on and on behind the end");
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
        assert!(slices.iter().any(|slice| !slice.is_empty()), "a write of nothing");
        let void = ready!(self.begin(Op::Write, cx));
        if matches!(&void, Err(error) if error.kind() == ErrorKind::WriteZero) {
            return Poll::Ready(Ok(0));
        }
        let void = void?;
        let count = if self.faults.vectored { slices.len() } else { 1 };
        let mut bytes = Vec::new();
        for slice in &slices[..count] {
            let room = self.most().saturating_sub(bytes.len());
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        if void {
            return Poll::Ready(Ok(bytes.len()));
        }
        let n = if self.faults.buffer > 0 {
            // It can be that not all of a full buffer goes out: there is room then all the same.
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
            (rx.gone, rx.reset_peer) = (true, true);
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

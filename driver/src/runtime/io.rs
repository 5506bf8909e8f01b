//! The traits that a runtime implements: a byte stream and a clock.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use sockeye_core::Instant;

/// A byte stream that can be polled: a socket, a pipe, or TLS over either.
///
/// It is what the async I/O traits of the runtimes have in common, with `&mut self` for `Unpin`
/// types. Each runtime's crate implements it once, for all its streams.
pub trait Io {
    /// Reads some bytes into `buffer`. Returns zero when the peer has closed its side.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some bytes of `slices`, which hold at least one byte, and returns how many.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Passes on everything that was written, for streams that buffer.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Closes this end's side for writing. Reading remains possible.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A monotonic clock with one timer.
pub trait Clock {
    /// Returns the current time.
    fn now(&self) -> Instant;

    /// Sets the timer to wake the task at `deadline`, in place of any earlier deadline.
    ///
    /// Returns `Ready` when the timer fires. That may be early or late: call [`now`](Clock::now)
    /// again to know whether the deadline has passed.
    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()>;

    /// Cancels the timer and frees its memory.
    fn cancel(&mut self);
}

/// Flushes `io`, again if it is interrupted.
pub(crate) fn poll_flush<I: Io>(io: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    loop {
        match io.poll_flush(cx) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            flushed => return flushed,
        }
    }
}

/// Closes this end's side of `io`.
///
/// It ignores errors: closing fails if the peer has gone, and the next read reports that.
pub(crate) fn poll_close<I: Io>(io: &mut I, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        match ready!(io.poll_close(cx)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return Poll::Ready(()),
        }
    }
}

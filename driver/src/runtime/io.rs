//! What a runtime brings: bytes and time.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use sockeye_core::Instant;

/// A byte stream that can be polled: a socket, a pipe, TLS over either.
///
/// It is what the async I/O traits of the runtimes have in common, with `&mut self` for `Unpin` types. Each runtime's
/// crate implements it once, for all its streams.
pub trait Io {
    /// Reads some bytes into `buffer`; zero means that the peer closed its side.
    ///
    /// # Errors
    ///
    /// The transport broke.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some bytes of `slices`, which hold at least one.
    ///
    /// # Errors
    ///
    /// The transport broke.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Sends on what was written, for streams that buffer.
    ///
    /// # Errors
    ///
    /// The transport broke.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Closes this end's side; reading goes on.
    ///
    /// # Errors
    ///
    /// The transport broke.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A monotonic clock with one alarm.
pub trait Clock {
    /// The time.
    fn now(&self) -> Instant;

    /// Wakes the task when `deadline` has passed, and forgets any other deadline. `Ready` means: look at the clock again.
    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()>;

    /// Forgets the deadline, and the memory it takes.
    fn cancel(&mut self);
}

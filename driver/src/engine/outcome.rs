//! How far a link reads and writes before it returns.

use std::io;

/// The outcome of waiting for the peer.
#[derive(Debug)]
pub(crate) enum ReadOutcome {
    /// The buffer holds new bytes.
    Bytes,
    /// The peer has sent so much in a row that other tasks must run first. The task is woken again.
    Yield,
    /// The connection is over. Holds the error if the transport broke first.
    End(Option<io::Error>),
}

/// The point up to which [`Link::poll_drain`] drains the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DrainTo {
    /// Until nothing is queued.
    Empty,
    /// Until the queue is below the high-water mark, or the connection is no longer open.
    Mark,
}

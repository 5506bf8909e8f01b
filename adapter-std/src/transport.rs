//! A stream with its state, and single writes that return when the peer does not read.

use std::io::{self, IoSlice, Write};
use std::time::Duration;

use crate::clock::{ReadTimeout, is_supported, is_timeout};
use crate::stream::Stream;
use crate::wire::Wire;

/// The time that a blocked write may keep a thread from reading, or from checking the deadlines.
pub(crate) const WRITE_TURN: Duration = Duration::from_millis(10);

/// A stream with its state.
#[derive(Debug)]
pub(crate) struct Transport<S> {
    pub(crate) stream: Wire<S>,
    pub(crate) read_timeout: ReadTimeout,
    pub(crate) has_timeouts: bool,
    /// Bytes were written since the last flush.
    pub(crate) needs_flush: bool,
    /// This end's side of the stream has been closed.
    pub(crate) is_shut_down: bool,
}

impl<S: Stream> Transport<S> {
    /// `write_limit` is how long a write may block on platforms where a timed-out write cannot be
    /// resumed.
    pub(crate) fn new(stream: Wire<S>, write_limit: Duration) -> io::Result<Self> {
        let timeout = if cfg!(windows) { write_limit.max(WRITE_TURN) } else { WRITE_TURN };
        let has_timeouts = is_supported(stream.set_write_timeout(Some(timeout)))?;
        Ok(Transport {
            stream,
            read_timeout: ReadTimeout::default(),
            has_timeouts,
            needs_flush: false,
            is_shut_down: false,
        })
    }
}

/// Writes once. Returns `None` if the stream had no room in time.
pub(crate) fn try_write(stream: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
    let result = match slices {
        [slice] => stream.write(slice),
        slices => stream.write_vectored(slices),
    };
    match result {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Some(0)),
        Err(error) if is_resumable(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Flushes once. Returns false if the stream had no room in time.
pub(crate) fn try_flush(stream: &mut impl Write) -> io::Result<bool> {
    match stream.flush() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) if is_resumable(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether a write that failed with this error may be tried again. On Windows a send that
/// timed out leaves the socket "in an indeterminate state" (`SO_SNDTIMEO`): the number of bytes
/// that went out is unknown.
pub(crate) fn is_resumable(error: &io::Error) -> bool {
    is_timeout(error) && !cfg!(windows)
}

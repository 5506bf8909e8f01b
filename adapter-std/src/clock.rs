//! The current time, and the timeouts of a stream.

use std::io;
use std::time::{Duration, Instant as StdInstant};

use sockeye_core::Instant;
use sockeye_driver::to_core_instant;

use crate::stream::Stream;

pub(crate) fn now() -> Instant {
    to_core_instant(StdInstant::now())
}

/// Returns whether a read or write failed because its timeout passed. The error kind depends on the
/// platform.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The longest timeout that is set. Every platform accepts it, and a longer wait repeats it.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// The shortest timeout that is set: the resolution of sockets. Zero would be an error.
const MIN_TIMEOUT: Duration = Duration::from_micros(1);

/// The read timeout of a stream. Each change is a system call, so it is set only when it differs.
#[derive(Debug, Default)]
pub(crate) struct ReadTimeout {
    /// Unknown at first, because the stream existed before the connection.
    current: Option<Option<Duration>>,
}

impl ReadTimeout {
    pub(crate) fn set(&mut self, stream: &impl Stream, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| timeout.clamp(MIN_TIMEOUT, MAX_TIMEOUT));
        if self.current != Some(timeout) {
            is_supported(stream.set_read_timeout(timeout))?;
            self.current = Some(timeout);
        }
        Ok(())
    }
}

/// Returns false if the stream does not support timeouts.
pub(crate) fn is_supported(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
        Err(error) => Err(error),
    }
}

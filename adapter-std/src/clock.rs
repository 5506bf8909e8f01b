//! The time, and the timeouts of a socket.

use std::io;
use std::time::{Duration, Instant as StdInstant};

use sockeye_core::Instant;
use sockeye_driver::to_core_instant;

use crate::stream::Stream;

pub(crate) fn now() -> Instant {
    to_core_instant(StdInstant::now())
}

/// Whether a read or write ended because its time was up. Which of the two it is depends on the platform.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// No platform refuses a timeout of this length. Who waits longer waits again.
const LONGEST: Duration = Duration::from_secs(3600);

/// The read timeout of a stream, changed only when it has to be: a system call each time.
#[derive(Debug, Default)]
pub(crate) struct ReadTimeout {
    /// Not known at first: the stream was somebody else's before.
    set: Option<Option<Duration>>,
}

impl ReadTimeout {
    pub(crate) fn set(&mut self, stream: &impl Stream, timeout: Option<Duration>) -> io::Result<()> {
        // Zero would be an error. A microsecond is what the sockets count in.
        let timeout = timeout.map(|timeout| timeout.clamp(Duration::from_micros(1), LONGEST));
        if self.set != Some(timeout) {
            supported(stream.set_read_timeout(timeout))?;
            self.set = Some(timeout);
        }
        Ok(())
    }
}

/// Whether a stream has done what was asked; `false` if it has no such thing.
pub(crate) fn supported(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
        Err(error) => Err(error),
    }
}

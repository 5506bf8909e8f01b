//! The rule for accept loops: which errors of a listening socket pass, and how long to wait.
//!
//! Every accept loop uses it: those of the servers, and `serve` and `accept_tcp` of the adapters.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// The shortest and the longest pause. Most likely the process has no file descriptors left, and
/// other connections must end first.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// The pauses of an accept loop after errors.
///
/// No error of `accept` should end the loop: the process may have no file descriptors left
/// (`EMFILE`), or a client may have gone before it was accepted (`ECONNABORTED`). A loop that
/// retries without a pause uses up a processor instead.
///
/// ```
/// use std::net::{TcpListener, TcpStream};
///
/// use sockeye_driver::AcceptBackoff;
///
/// /// Accepts one connection on a blocking socket.
/// fn accept(listener: &TcpListener) -> TcpStream {
///     let mut backoff = AcceptBackoff::new();
///     loop {
///         match listener.accept() {
///             Ok((stream, _)) => return stream,
///             Err(error) => std::thread::sleep(backoff.pause_after(&error)),
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct AcceptBackoff {
    /// The pause after the latest error; zero after a success.
    latest: Duration,
}

impl AcceptBackoff {
    /// Returns the state of a loop that has met no error yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how long to wait before the next `accept` when one has failed with `error`.
    ///
    /// The pause is zero if the error concerns a single connection: its kind is aborted, refused,
    /// reset, interrupted or timed out. Otherwise it grows from 5 ms to 1 s. With the feature
    /// `tracing`, such an error is logged.
    pub fn pause_after(&mut self, error: &io::Error) -> Duration {
        if is_connection_error(error) {
            return Duration::ZERO;
        }
        self.latest = (self.latest * 2).clamp(PAUSES.0, PAUSES.1);
        #[cfg(feature = "tracing")]
        tracing::warn!(%error, pause = ?self.latest, "cannot accept connections; trying again after a pause");
        self.latest
    }

    /// Makes the next pause the shortest one again, because a connection was accepted.
    pub fn reset(&mut self) {
        self.latest = Duration::ZERO;
    }
}

/// Returns whether an error of `accept` concerns one connection, not the listening socket.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut)
}

/// Logs, with the feature `tracing`, that a connection has ended with an error. For the accept
/// loops of adapters, whose connections have no other place to report it.
#[cfg_attr(
    not(feature = "tracing"),
    expect(unused_variables, reason = "without the feature, nothing is logged")
)]
pub fn log_connection_error(peer: &dyn fmt::Display, error: &(dyn Error + Send + Sync)) {
    #[cfg(feature = "tracing")]
    tracing::debug!(%peer, %error, "a connection has failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o8_pauses_grow_and_errors_of_one_connection_need_none() {
        let mut backoff = AcceptBackoff::new();
        let full = io::Error::other("no file descriptors");
        let aborted = io::Error::from(io::ErrorKind::ConnectionAborted);
        let mut pause = |error| backoff.pause_after(error).as_millis();
        assert_eq!([&full, &full, &aborted, &full].map(&mut pause), [5, 10, 0, 20]);
        assert_eq!([&full; 8].map(&mut pause), [40, 80, 160, 320, 640, 1000, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.pause_after(&full), PAUSES.0);
    }
}

//! The error for a host that cannot be reached.

use std::net::SocketAddr;
use std::{fmt, io};

/// The reason why no address of a host could be connected to, with the error of each address.
///
/// It is inside the [`io::Error`] of [`ConnectError::Io`](crate::ConnectError::Io):
///
/// ```
/// use sockeye_driver::ConnectError;
/// use sockeye_driver::dial::Unreachable;
///
/// fn count_addresses(error: &ConnectError) -> usize {
///     let ConnectError::Io(error) = error else { return 0 };
///     let unreachable = error.get_ref().and_then(|inner| inner.downcast_ref::<Unreachable>());
///     unreachable.map_or(0, |unreachable| unreachable.attempts().len())
/// }
/// ```
#[derive(Debug)]
pub struct Unreachable {
    attempts: Vec<(SocketAddr, Option<io::Error>)>,
}

impl Unreachable {
    /// Records the attempts in the order in which they began, each with its error, or `None` if it
    /// was not answered within the timeout.
    #[must_use]
    pub fn new(attempts: Vec<(SocketAddr, Option<io::Error>)>) -> Self {
        Unreachable { attempts }
    }

    /// Returns the addresses in the order in which they were tried. An address that did not answer
    /// within the timeout has no error.
    #[must_use]
    pub fn attempts(&self) -> &[(SocketAddr, Option<io::Error>)] {
        &self.attempts
    }

    /// Returns the kind of the whole: `TimedOut` if an address did not answer, else that of the first
    /// address.
    fn kind(&self) -> io::ErrorKind {
        match self.attempts.first() {
            _ if self.attempts.iter().any(|(_, error)| error.is_none()) => io::ErrorKind::TimedOut,
            Some((_, Some(error))) => error.kind(),
            _ => io::ErrorKind::NotFound,
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempts.len() {
            0 => f.write_str("the host has no address")?,
            1 => {}
            n => write!(f, "none of {n} addresses can be reached: ")?,
        }
        for (index, (address, error)) in self.attempts.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            match error {
                Some(error) => write!(f, "{separator}{address}: {error}")?,
                None => write!(f, "{separator}{address}: no answer within the timeout")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Unreachable {}

impl From<Unreachable> for io::Error {
    fn from(error: Unreachable) -> Self {
        io::Error::new(error.kind(), error)
    }
}

/// Returns the error for a name that could not be resolved.
#[doc(hidden)]
#[must_use]
pub fn unresolved(name: &str, error: Option<io::Error>) -> io::Error {
    match error {
        Some(error) => io::Error::new(error.kind(), format!("cannot resolve the name {name:?}: {error}")),
        None => io::Error::new(io::ErrorKind::TimedOut, format!("resolving the name {name:?} took too long")),
    }
}

/// Returns the error for a proxy that is late.
#[doc(hidden)]
#[must_use]
pub fn late_proxy() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the proxy did not answer within the timeout")
}

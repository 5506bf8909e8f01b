//! The errors of an open connection.

use std::{fmt, io};

use sockeye_core::{CloseCode, CloseInfo, ProtocolError, SendError, Side};

/// The reason why an operation on a [`WebSocket`](crate::WebSocket) failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The transport broke. The connection is over.
    Io(io::Error),
    /// The peer violated the protocol or exceeded a limit. It was sent a Close with the reason, and
    /// the connection is over.
    Protocol(ProtocolError),
    /// The connection ended without a complete closing handshake: the peer vanished, or did not
    /// answer in time. It is no error if the peer's Close arrived but could not be answered.
    Abnormal(CloseInfo),
    /// The message or frame cannot be sent. Nothing was sent. Unless it is
    /// [`SendError::Closed`], the connection remains usable.
    Send(SendError),
}

impl Error {
    /// Returns the error to report when a connection has ended, or `None` if it closed cleanly or
    /// the peer has closed it. A fault of the peer takes precedence over a broken transport.
    ///
    /// `failure` is [`Decoder::failure`](crate::Decoder::failure), `transport` the error that broke
    /// the transport, and `info` is [`Sender::close_info`](sockeye_core::Sender::close_info).
    #[must_use]
    pub fn from_end(
        failure: Option<ProtocolError>,
        transport: Option<io::Error>,
        info: Option<CloseInfo>,
    ) -> Option<Self> {
        if let Some(error) = failure {
            return Some(Error::Protocol(error));
        }
        let is_orderly = |info: &CloseInfo| info.clean || has_peer_closed(info);
        if info.as_ref().is_some_and(is_orderly) {
            return None;
        }
        transport.map(Error::Io).or(info.map(Error::Abnormal))
    }

    /// Returns whether the connection remains usable: only this one operation failed.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        matches!(self, Error::Send(error) if *error != SendError::Closed)
    }
}

/// Returns whether the peer ended the connection with a Close.
///
/// A peer that does not wait for the answer may close its socket while this end still writes. That
/// breaks the transport, but the application has received everything, and the peer no longer
/// expects anything.
fn has_peer_closed(info: &CloseInfo) -> bool {
    info.by == Side::Peer && info.code != CloseCode::ABNORMAL
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(_) => f.write_str("the transport broke"),
            Error::Protocol(error) => error.fmt(f),
            Error::Abnormal(info) => write!(f, "the connection ended without a closing handshake: {info}"),
            Error::Send(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => Some(error),
            // These display the error that they wrap, so the next source is the source of that
            // error.
            Error::Protocol(error) => error.source(),
            Error::Send(error) => error.source(),
            Error::Abnormal(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Error::Protocol(error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Error::Send(error)
    }
}

//! The error of a command to a connection.

use std::fmt;

use sockeye_core::{InvalidOpcode, SendError};

/// The error of a push, or of another command to a connection.
///
/// Nothing was sent, and the connection is unchanged, unless
/// [`SlowReader::Close`](crate::server::SlowReader::Close) closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushError {
    /// No connection has this id, or it has ended.
    UnknownConnection,
    /// The connection is not a WebSocket, or not yet.
    NotWebSocket,
    /// The closing handshake has begun.
    Closing,
    /// The message is larger than [`Config::max_send_size`](sockeye_core::Config::max_send_size).
    TooBig {
        /// The size of the message in bytes, with the fragments already sent.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The peer reads too slowly:
    /// [`Config::high_water_mark`](sockeye_core::Config::high_water_mark) bytes or more wait for
    /// it, and its socket takes no more. Or so many bytes wait for the 101 to be sent.
    Backpressure {
        /// The number of bytes that wait.
        queued: usize,
    },
    /// The queues of all connections together have reached
    /// [`Limits::max_queued`](crate::server::Limits#structfield.max_queued), after the socket of
    /// this one has taken what it takes.
    ServerBackpressure {
        /// The number of bytes that wait.
        queued: usize,
    },
    /// The number is not an opcode.
    InvalidOpcode(u8),
    /// A continuation frame without a fragmented message to continue.
    UnexpectedContinuation,
    /// A new message while a fragmented one is unfinished.
    ExpectedContinuation,
    /// The text is not UTF-8.
    InvalidUtf8,
    /// A ping, pong or Close frame that is invalid.
    InvalidControl(SendError),
}

impl From<SendError> for PushError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closed => PushError::Closing,
            SendError::Backpressure { queued } => PushError::Backpressure { queued },
            SendError::TooBig { size, limit } => PushError::TooBig { size, limit },
            SendError::UnexpectedContinuation => PushError::UnexpectedContinuation,
            SendError::ExpectedContinuation => PushError::ExpectedContinuation,
            SendError::InvalidUtf8 => PushError::InvalidUtf8,
            error => PushError::InvalidControl(error),
        }
    }
}

impl From<InvalidOpcode> for PushError {
    fn from(InvalidOpcode(number): InvalidOpcode) -> Self {
        PushError::InvalidOpcode(number)
    }
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            PushError::UnknownConnection => f.write_str("no connection has this id"),
            PushError::NotWebSocket => f.write_str("the connection is not a WebSocket"),
            PushError::Closing => SendError::Closed.fmt(f),
            PushError::TooBig { size, limit } => SendError::TooBig { size, limit }.fmt(f),
            PushError::Backpressure { queued } => {
                write!(
                    f,
                    "the peer reads too slowly: {queued} bytes wait for it, and its socket takes no more; \
                     push again when the queue has drained, or use send, which waits"
                )
            }
            PushError::ServerBackpressure { queued } => {
                write!(f, "{queued} bytes wait on all connections together, the limit of this server")
            }
            PushError::InvalidOpcode(number) => InvalidOpcode(number).fmt(f),
            PushError::UnexpectedContinuation => SendError::UnexpectedContinuation.fmt(f),
            PushError::ExpectedContinuation => SendError::ExpectedContinuation.fmt(f),
            PushError::InvalidUtf8 => SendError::InvalidUtf8.fmt(f),
            PushError::InvalidControl(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PushError {}

//! Why something could not be done to a connection.

use std::fmt;

use sockeye_core::{InvalidOpcode, SendError};

/// A push, or another command to a connection, that was not done. Nothing was sent, and the connection is as it was,
/// unless [`SlowReader::Close`](crate::server::SlowReader::Close) says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushError {
    /// There is no connection of this id (any more).
    UnknownConnection,
    /// It is not a WebSocket, or not yet.
    NotWebSocket,
    /// The closing handshake has begun.
    Closing,
    /// The message is above [`Config::max_send_size`](sockeye_core::Config::max_send_size).
    TooBig {
        /// Its size in bytes, with the fragments already sent.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The peer reads too slowly: [`Config::high_water_mark`](sockeye_core::Config::high_water_mark) bytes or more wait for it.
    Backpressure {
        /// How many bytes wait.
        queued: usize,
    },
    /// [`Limits::max_queued`](crate::server::Limits#structfield.max_queued) bytes wait on all connections together.
    ServerBackpressure {
        /// How many bytes wait.
        queued: usize,
    },
    /// A number that is no opcode.
    InvalidOpcode(u8),
    /// A continuation with no fragmented message to continue.
    UnexpectedContinuation,
    /// A new message while a fragmented one is not finished.
    ExpectedContinuation,
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// A ping, pong or Close that cannot be sent as it is.
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
            PushError::UnknownConnection => f.write_str("there is no such connection"),
            PushError::NotWebSocket => f.write_str("the connection is not a WebSocket"),
            PushError::Closing => SendError::Closed.fmt(f),
            PushError::TooBig { size, limit } => SendError::TooBig { size, limit }.fmt(f),
            PushError::Backpressure { queued } => {
                write!(
                    f,
                    "the peer reads too slowly: {queued} bytes wait for it; push again when it has drained, or send and wait"
                )
            }
            PushError::ServerBackpressure { queued } => {
                write!(f, "{queued} bytes wait on all connections together, which is the limit of the server")
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

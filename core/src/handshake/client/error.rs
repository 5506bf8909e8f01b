//! How a client's handshake can fail.

use core::fmt;

use crate::deflate::InvalidAnswer;
use crate::http::{HeadError, Response};

/// Why there is no connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The server answered with another status than 101: here is all of it, with its body.
    Refused(Response),
    /// What came is not a valid answer to the handshake (RFC 6455 4.1).
    BadResponse(BadResponse),
    /// The time for the handshake was up.
    TimedOut {
        /// How many bytes had come.
        received: usize,
    },
    /// The server closed the connection before its answer was complete.
    Eof {
        /// How many bytes had come.
        received: usize,
    },
    /// The outcome was handed out before; this `Handshake` has nothing more to give.
    Over,
}

/// The rule that a response broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadResponse {
    /// It is not a valid HTTP/1 head, or passes a limit.
    Head(HeadError),
    /// The 101 is not HTTP/1.1.
    HttpVersion,
    /// `Upgrade` is not there once with the value `websocket`.
    Upgrade,
    /// `Connection` does not have the token `upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is not there once with the value that follows from the key.
    Accept,
    /// The subprotocol is none that was offered, or there are several.
    Subprotocol,
    /// An extension that was not offered.
    Extension,
    /// An answer that does not fit the compression that was offered.
    Deflate(InvalidAnswer),
    /// One interim response (1xx) followed another without end.
    TooManyInterim,
}

impl From<BadResponse> for HandshakeError {
    fn from(fault: BadResponse) -> Self {
        HandshakeError::BadResponse(fault)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Refused(response) => {
                write!(f, "the server refused with {} {}", response.status(), response.reason())
            }
            HandshakeError::BadResponse(fault) => write!(f, "not a valid WebSocket response: {fault}"),
            HandshakeError::TimedOut { received } => {
                write!(f, "no answer within the handshake timeout; {received} bytes came")
            }
            HandshakeError::Eof { received } => {
                write!(f, "the server closed the connection during the handshake; {received} bytes came")
            }
            HandshakeError::Over => f.write_str("the handshake is over; its outcome was given before"),
        }
    }
}

impl core::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            HandshakeError::BadResponse(fault) => Some(fault),
            _ => None,
        }
    }
}

impl fmt::Display for BadResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadResponse::Head(error) => return error.fmt(f),
            BadResponse::Deflate(error) => return error.fmt(f),
            BadResponse::HttpVersion => "the 101 is not HTTP/1.1",
            BadResponse::Upgrade => "the Upgrade header must be 'websocket', once",
            BadResponse::Connection => "the Connection header must have the token 'Upgrade'",
            BadResponse::Accept => "the Sec-WebSocket-Accept header does not answer the key that was sent",
            BadResponse::Subprotocol => "the server chose a subprotocol that was not offered",
            BadResponse::Extension => "the server uses an extension that was not offered",
            BadResponse::TooManyInterim => "too many 1xx responses before the final one",
        })
    }
}

impl core::error::Error for BadResponse {}

//! The errors of a client.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use sockeye_core::handshake::client::{BadResponse, UrlError};
use sockeye_core::http::InvalidHeader;

use crate::UpgradeError;

/// The reason why a client could not open a WebSocket.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The request cannot open a WebSocket.
    Request(InvalidRequest),
    /// The HTTP connection broke, or the server has reset the stream.
    Http(hyper::Error),
    /// The server refused, with this response. Its body is empty if it has more than 16 KiB.
    Refused(Box<http::Response<Bytes>>),
    /// The server sent an invalid response.
    BadResponse(BadResponse),
    /// The server did not respond within
    /// [`Config::handshake_timeout`](sockeye_core::Config::handshake_timeout).
    TimedOut,
    /// The HTTP client has not handed over the connection.
    Upgrade(UpgradeError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Request(error) => error.fmt(f),
            ConnectError::Http(_) => f.write_str("the HTTP connection has failed"),
            ConnectError::Refused(response) => {
                write!(f, "the server refused the handshake with {}", response.status())
            }
            ConnectError::BadResponse(_) => f.write_str("the server sent an invalid handshake response"),
            ConnectError::TimedOut => f.write_str("the server did not respond within the handshake timeout"),
            ConnectError::Upgrade(error) => error.fmt(f),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ConnectError::Request(error) => error.source(),
            ConnectError::Http(error) => Some(error),
            ConnectError::BadResponse(error) => Some(error),
            ConnectError::Upgrade(error) => error.source(),
            ConnectError::Refused(_) | ConnectError::TimedOut => None,
        }
    }
}

impl From<InvalidRequest> for ConnectError {
    fn from(error: InvalidRequest) -> Self {
        ConnectError::Request(error)
    }
}

impl From<hyper::Error> for ConnectError {
    fn from(error: hyper::Error) -> Self {
        ConnectError::Http(error)
    }
}

impl From<UpgradeError> for ConnectError {
    fn from(error: UpgradeError) -> Self {
        ConnectError::Upgrade(error)
    }
}

/// The reason why a request cannot open a WebSocket.
#[derive(Debug)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The URI is not one of a WebSocket, or has no host although the header `Host` is missing too.
    Url(UrlError),
    /// A header is malformed, repeats a subprotocol, or belongs to the handshake.
    Header(InvalidHeader),
    /// The `http` crate refuses the target or a header.
    Http(http::Error),
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidRequest::Url(error) => error.fmt(f),
            InvalidRequest::Header(error) => error.fmt(f),
            InvalidRequest::Http(error) => error.fmt(f),
        }
    }
}

impl Error for InvalidRequest {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            InvalidRequest::Url(error) => error.source(),
            InvalidRequest::Header(error) => error.source(),
            InvalidRequest::Http(error) => error.source(),
        }
    }
}

impl From<UrlError> for InvalidRequest {
    fn from(error: UrlError) -> Self {
        InvalidRequest::Url(error)
    }
}

impl From<InvalidHeader> for InvalidRequest {
    fn from(error: InvalidHeader) -> Self {
        InvalidRequest::Header(error)
    }
}

impl From<http::Error> for InvalidRequest {
    fn from(error: http::Error) -> Self {
        InvalidRequest::Http(error)
    }
}

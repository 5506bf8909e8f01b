//! Errors of the client's handshake.

use core::fmt;

use crate::deflate::InvalidAnswer;
use crate::http::{Excerpt, HeadError, Response};

/// The reason why a handshake failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientHandshakeError {
    /// The server responded with a status other than 101. The response includes its body, up to
    /// 64 KiB. If only the end of the connection would end the body, it includes what arrived
    /// within 500 ms, and [`Response::is_truncated`] says that there may be more.
    Refused(Response),
    /// The server sent an invalid response (RFC 6455 4.1).
    BadResponse(BadResponse),
    /// The response was not complete within
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout).
    TimedOut {
        /// The number of bytes that arrived.
        received: usize,
    },
    /// The server closed the connection before its response was complete.
    Eof {
        /// The number of bytes that arrived.
        received: usize,
    },
    /// This `ClientHandshake` has already returned its outcome.
    Over,
}

/// The rule that a server's response broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadResponse {
    /// The head is not valid HTTP/1, or exceeds a limit.
    Head(HeadError),
    /// The 101 is not HTTP/1.1.
    HttpVersion,
    /// `Upgrade` is missing, repeated or not `websocket`.
    Upgrade,
    /// `Connection` does not contain the token `upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is missing, repeated or does not match the key.
    Accept,
    /// The server chose a subprotocol that was not offered, or several.
    Subprotocol,
    /// `Sec-WebSocket-Extensions` is not a list of extensions, for instance because it is empty.
    MalformedExtensions,
    /// The server uses an extension that was not offered.
    Extension,
    /// The server's answer does not match the offer of compression.
    Deflate(InvalidAnswer),
    /// The server sent more than 8 interim responses (1xx), or together more than
    /// [`Config::max_head_size`](crate::Config::max_head_size) bytes of them.
    TooManyInterim,
}

impl From<BadResponse> for ClientHandshakeError {
    fn from(fault: BadResponse) -> Self {
        ClientHandshakeError::BadResponse(fault)
    }
}

impl fmt::Display for ClientHandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientHandshakeError::Refused(response) => {
                write!(
                    f,
                    "the server refused the handshake with {} {}",
                    response.status(),
                    response.reason()
                )?;
                match redirect(response) {
                    Some(target) => write!(f, ", which points to {}", Excerpt::new(target)),
                    None => Ok(()),
                }
            }
            ClientHandshakeError::BadResponse(_) => {
                f.write_str("the server sent an invalid handshake response")
            }
            ClientHandshakeError::TimedOut { received } => {
                write!(
                    f,
                    "the server did not respond within the handshake timeout; received {received} bytes"
                )
            }
            ClientHandshakeError::Eof { received } => {
                write!(f, "the server closed the connection during the handshake; received {received} bytes")
            }
            ClientHandshakeError::Over => {
                f.write_str("this handshake is over; it has already returned its outcome")
            }
        }
    }
}

impl core::error::Error for ClientHandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            ClientHandshakeError::BadResponse(fault) => Some(fault),
            _ => None,
        }
    }
}

/// Returns the target of a redirect, without parts that may be secret: the user and the query.
fn redirect(response: &Response) -> Option<&[u8]> {
    if !matches!(response.status(), 300..=399) {
        return None;
    }
    let location = response.headers().all("location").next()?;
    let target = location.split(|byte| matches!(byte, b'?' | b'#')).next()?;
    // RFC 3986 3.2: `authority = [ userinfo "@" ] host [ ":" port ]`
    if target.contains(&b'@') { None } else { Some(target) }
}

impl fmt::Display for BadResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadResponse::Head(error) => return error.fmt(f),
            BadResponse::Deflate(error) => return error.fmt(f),
            BadResponse::HttpVersion => "the 101 is not HTTP/1.1",
            BadResponse::Upgrade => "the Upgrade header must appear once, with the value 'websocket'",
            BadResponse::Connection => "the Connection header must contain the token 'Upgrade'",
            BadResponse::Accept => "the Sec-WebSocket-Accept header does not match the key that was sent",
            BadResponse::Subprotocol => "the server chose a subprotocol that was not offered",
            BadResponse::MalformedExtensions => {
                "the Sec-WebSocket-Extensions header must be a list of extensions"
            }
            BadResponse::Extension => "the server uses an extension that was not offered",
            BadResponse::TooManyInterim => "the server sent too many or too long 1xx responses",
        })
    }
}

impl core::error::Error for BadResponse {}

//! Why there is no connection.

use std::time::{Duration, SystemTime};
use std::{fmt, io};

use sockeye_core::dial::ProxyError;
use sockeye_core::handshake::client::ClientHandshakeError;
use sockeye_core::http::Response;
use sockeye_core::{CloseCode, CloseInfo, Side};

use crate::error::Error;
use crate::handshake::connect::ConnectError;

/// The reason why an attempt failed, or why a connection was lost.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The connection could not be opened.
    Connect(ConnectError),
    /// The connection was closed with a Close.
    Closed(CloseInfo),
    /// The connection broke, or the closure of
    /// [`on_connect`](crate::reconnect::Reconnecting::on_connect) failed with this error.
    Broken(Error),
    /// The attempt took longer than
    /// [`attempt_timeout`](crate::reconnect::ReconnectPolicy::attempt_timeout).
    TimedOut,
    /// A closure of the application failed.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Cause {
    /// Wraps an error of the application.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Cause::Other(error.into())
    }

    /// Returns the response with which the server refused, or the HTTP proxy, if one of them did.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match self {
            Cause::Connect(
                ConnectError::Handshake(ClientHandshakeError::Refused(response))
                | ConnectError::Proxy(ProxyError::Refused(response)),
            ) => Some(response),
            _ => None,
        }
    }

    /// Returns the status with which the server refused, or the HTTP proxy, if one of them did.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.response().map(Response::status)
    }

    /// Returns the code of the Close that ended the connection, of either end.
    #[must_use]
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Cause::Closed(info) | Cause::Broken(Error::Abnormal(info)) => Some(info.code),
            Cause::Broken(Error::Protocol(error)) => Some(error.close_code()),
            _ => None,
        }
    }

    /// Returns whether another attempt would fail in the same way:
    ///
    /// - the server or the HTTP proxy refused with 4xx, except 408 (Request Timeout) and 429 (Too
    ///   Many Requests),
    /// - the connection ended with 1002 (protocol error), or the server closed it with 1008 (policy
    ///   violation). This end sends 1008 itself to a server that answers no ping, which is no
    ///   policy,
    /// - the URL is invalid, or needs TLS that the program was built without,
    /// - the proxy needs other credentials or a shorter name of the host, or a variable of the
    ///   environment names none.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Cause::Connect(ConnectError::Url(_) | ConnectError::Tls | ConnectError::ProxyVariable(_)) => true,
            Cause::Connect(ConnectError::Proxy(
                ProxyError::CredentialsRequired | ProxyError::CredentialsRefused | ProxyError::HostTooLong,
            )) => true,
            _ => {
                let refused = self.status().is_some_and(|status| matches!(status, 400..=499));
                let is_temporary = matches!(self.status(), Some(408 | 429));
                let code = self.close_code();
                (refused && !is_temporary)
                    || code == Some(CloseCode::PROTOCOL_ERROR)
                    || (code == Some(CloseCode::POLICY_VIOLATION) && self.is_closed_by_peer())
            }
        }
    }

    fn is_closed_by_peer(&self) -> bool {
        match self {
            Cause::Closed(info) | Cause::Broken(Error::Abnormal(info)) => info.by == Side::Peer,
            _ => false,
        }
    }

    /// Returns how long the server asks to wait, by the `Retry-After` of its refusal: seconds, or a
    /// date (RFC 9110 10.2.3). A date counts from the response's own `Date` if it has one,
    /// otherwise from `now`.
    #[must_use]
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let headers = self.response()?.headers();
        let value = headers.first("retry-after")?;
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number above 64 bits only means "very long".
            return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
        }
        let at = httpdate::parse_http_date(value).ok()?;
        let date = headers.first("date").and_then(|date| httpdate::parse_http_date(date).ok());
        Some(at.duration_since(date.unwrap_or(now)).unwrap_or_default())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Connect(error) => error.fmt(f),
            Cause::Closed(info) => write!(f, "the connection was {info}"),
            Cause::Broken(error) => error.fmt(f),
            Cause::TimedOut => f.write_str("the attempt to connect took too long"),
            Cause::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // All of these display the error that they wrap, so the next source is that error's.
        match self {
            Cause::Connect(error) => error.source(),
            Cause::Broken(error) => error.source(),
            Cause::Other(error) => error.source(),
            Cause::Closed(_) | Cause::TimedOut => None,
        }
    }
}

impl From<ConnectError> for Cause {
    fn from(error: ConnectError) -> Self {
        Cause::Connect(error)
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Cause::Broken(error)
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Cause::Connect(ConnectError::Io(error))
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Cause {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Cause::Other(error)
    }
}

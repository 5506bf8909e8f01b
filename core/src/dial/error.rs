//! The errors of tunnels through proxies.

use core::fmt;

use crate::http::{HeadError, Response};

/// The reason why a proxy did not connect the client to the server. No text contains credentials.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ProxyError {
    /// The HTTP proxy responded with a status other than 2xx and 407. The response has no body.
    Refused(Response),
    /// The SOCKS proxy could not or would not connect to the server.
    Socks(SocksRefusal),
    /// The proxy requires a user name and a password.
    CredentialsRequired,
    /// The proxy refused the user name or the password.
    CredentialsRefused,
    /// The response of the HTTP proxy is not valid HTTP/1, or exceeds a limit.
    BadResponse(HeadError),
    /// The HTTP proxy sent too many interim responses (1xx).
    TooManyInterim,
    /// The proxy does not speak SOCKS5: its answer does not follow RFC 1928.
    NotSocks,
    /// The name of the server is longer than the 255 bytes that SOCKS5 allows.
    HostTooLong,
    /// The proxy closed the connection before its answer was complete.
    Eof,
}

/// The reply of a SOCKS proxy that did not connect (RFC 1928 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocksRefusal(pub u8);

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyError::Refused(response) => {
                return write!(
                    f,
                    "the proxy refused the tunnel with {} {}",
                    response.status(),
                    response.reason()
                );
            }
            ProxyError::Socks(refusal) => return refusal.fmt(f),
            ProxyError::CredentialsRequired => "the proxy requires a user name and a password",
            ProxyError::CredentialsRefused => "the proxy refused the user name or the password",
            ProxyError::BadResponse(_) => "the proxy sent an invalid response; is it an HTTP proxy?",
            ProxyError::TooManyInterim => "the proxy sent too many 1xx responses",
            ProxyError::NotSocks => "the proxy sent an invalid response; is it a SOCKS5 proxy?",
            ProxyError::HostTooLong => "the server's name is longer than the 255 bytes that SOCKS5 allows",
            ProxyError::Eof => "the proxy closed the connection before it answered",
        })
    }
}

impl core::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            ProxyError::BadResponse(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for SocksRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "the proxy failed for a reason that it does not name",
            2 => "the rules of the proxy do not allow this connection",
            3 => "the proxy cannot reach the server's network",
            4 => "the proxy cannot reach the server's host",
            5 => "the server refused the proxy's connection",
            6 => "the time to live of the proxy's connection expired",
            7 => "the proxy does not support the command CONNECT",
            8 => "the proxy does not support this type of address",
            code => return write!(f, "the proxy refused the connection with the unknown code {code}"),
        })
    }
}

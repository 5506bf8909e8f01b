//! The refusal of a connection or a request, as an event.

use std::fmt;

use sockeye_core::handshake::server::{Rejection, ServerHandshakeError};
use sockeye_core::http::Request;
use sockeye_core::proxy::ProxyHeaderError;

use crate::server::registry::admission::FullLimit;
#[cfg(feature = "_tls")]
use crate::tls::TlsError;

/// A refusal: its reason, and the request if one was read.
///
/// It displays the reason. Texts of the client that the reason contains are escaped and cut: see
/// [`Excerpt`](sockeye_core::http::Excerpt). Do the same with the values that the methods return.
#[derive(Debug)]
#[non_exhaustive]
pub struct RefusalInfo<'a> {
    /// The reason.
    pub reason: RefusalReason,
    request: Option<&'a Request>,
}

impl<'a> RefusalInfo<'a> {
    pub(crate) fn new(reason: RefusalReason, request: Option<&'a Request>) -> Self {
        RefusalInfo { reason, request }
    }

    /// Returns the status of the response, or `None` if the connection is closed without one. Under
    /// a flood of connections above a limit, some are closed without their 503.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.reason {
            RefusalReason::Limit(_) => Some(503),
            RefusalReason::Connect { status } => *status,
            RefusalReason::ProxyHeader(_) => Some(400),
            #[cfg(feature = "_tls")]
            RefusalReason::Tls(error) => matches!(error, TlsError::PlainClient).then_some(400),
            RefusalReason::Request(error) => error.response().map(|response| response.status()),
            RefusalReason::Handshake(rejection) => Some(rejection.status()),
            RefusalReason::Application { status } => Some(*status),
            RefusalReason::Subprotocol { .. } => Some(500),
            RefusalReason::Failed => self.request.map(|_| 500),
        }
    }

    /// Returns the request, or `None` if none was read or it was malformed.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        match &self.reason {
            RefusalReason::Handshake(rejection) => Some(rejection.request()),
            _ => self.request,
        }
    }

    /// Returns the `Origin` of the request.
    #[must_use]
    pub fn origin(&self) -> Option<&[u8]> {
        self.request()?.headers().all("origin").next()
    }

    /// Returns the requested host.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.request()?.host()
    }

    /// Returns the requested path.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.request().map(Request::path)
    }
}

impl fmt::Display for RefusalInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

/// The reason for a [refusal](crate::server::Handler::refused).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RefusalReason {
    /// One of the server's [`Limits`](crate::server::Limits) is reached.
    Limit(FullLimit),
    /// [`Handler::connect`](crate::server::Handler::connect) refused the connection.
    Connect {
        /// The status of the response, if there is one.
        status: Option<u16>,
    },
    /// A trusted proxy did not begin with a valid PROXY protocol header, which the
    /// [port](crate::server::Port::proxy_protocol) expects.
    ProxyHeader(ProxyHeaderError),
    /// The TLS handshake failed. A client that sent plain HTTP receives a 400.
    #[cfg(feature = "_tls")]
    Tls(TlsError),
    /// The client sent no valid HTTP request in time: its head is malformed, late or incomplete.
    Request(ServerHandshakeError),
    /// The request is not a valid opening handshake, or the port's policy refused it.
    Handshake(Rejection),
    /// The handler refused the handshake.
    Application {
        /// The status of the response.
        status: u16,
    },
    /// The handler chose a subprotocol that the client did not offer.
    Subprotocol {
        /// The subprotocol.
        name: String,
    },
    /// A method of the handler failed. [`Handler::failed`](crate::server::Handler::failed) received
    /// the failure.
    Failed,
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefusalReason::Limit(limit) => limit.fmt(f),
            RefusalReason::Connect { status: Some(status) } => {
                write!(f, "the handler refused the connection with {status}")
            }
            RefusalReason::Connect { status: None } => f.write_str("the handler refused the connection"),
            RefusalReason::ProxyHeader(error) => write!(f, "bad request: {error}"),
            #[cfg(feature = "_tls")]
            RefusalReason::Tls(error) => error.fmt(f),
            RefusalReason::Request(ServerHandshakeError::Head(error)) => write!(f, "bad request: {error}"),
            RefusalReason::Request(error) => error.fmt(f),
            RefusalReason::Handshake(rejection) => rejection.fmt(f),
            RefusalReason::Application { status } => {
                write!(f, "the handler refused the handshake with {status}")
            }
            RefusalReason::Subprotocol { name } => {
                write!(f, "the handler chose the subprotocol {name:?}, which the client did not offer")
            }
            RefusalReason::Failed => f.write_str("a method of the handler failed"),
        }
    }
}

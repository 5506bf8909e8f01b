//! Rejecting a handshake.

use alloc::boxed::Box;
use alloc::format;
use core::fmt;

use crate::handshake::InvalidKey;
use crate::http::{Excerpt, Request, Response};

/// A request that does not become a WebSocket, with the reason.
///
/// ```
/// # use std::sync::Arc;
/// # use sockeye_core::{Config, RecvBuf, handshake::server::{ServerHandshake, Upgrade}};
/// # let mut bytes = *b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// # let request = ServerHandshake::new(Arc::new(Config::new()))
/// #     .poll_request(&mut RecvBuf::new(&mut bytes))?.expect("a whole head");
/// match Upgrade::new(request) {
///     Ok(_upgrade) => { /* Accept it. */ }
///     Err(rejection) => {
///         // A plain HTTP request: answer it as HTTP, or send the default response.
///         let _bytes: Vec<u8> = rejection.response().encode();
///         assert_eq!(rejection.status(), 400);
///     }
/// }
/// # Ok::<(), sockeye_core::handshake::server::ServerHandshakeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Rejection {
    request: Request,
    refusal: Refusal,
    /// The requested host, or the one that the origin was compared with, if it is not the
    /// request's.
    host: Option<Box<str>>,
}

impl Rejection {
    pub(crate) fn new(request: Request, refusal: Refusal) -> Self {
        Rejection { request, refusal, host: None }
    }

    pub(super) fn with_host(mut self, host: impl Into<Box<str>>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Returns the rule that the request broke.
    #[must_use]
    pub fn reason(&self) -> Refusal {
        self.refusal
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.refusal.status()
    }

    /// Returns the response to send before closing the connection.
    #[must_use]
    pub fn response(&self) -> Response {
        let response = match self.refusal {
            Refusal::Origin | Refusal::Host => Response::text(self.status(), format!("{self}\n")),
            refusal => refusal.response(),
        };
        response.in_answer_to(&self.request)
    }

    /// Returns the request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Returns the request by value, to be answered as plain HTTP.
    #[must_use]
    pub fn into_request(self) -> Request {
        self.request
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = || Excerpt::new(self.host.as_deref().or_else(|| self.request.host()).unwrap_or_default());
        match self.refusal {
            Refusal::Origin => {}
            Refusal::Host => return write!(f, "this server does not serve the host '{}'", host()),
            refusal => return refusal.fmt(f),
        }
        let mut origins = self.request.headers().all("origin");
        let origin = Excerpt::new(origins.next().unwrap_or_default());
        if origins.next().is_some() {
            return write!(f, "the Origin header must appear only once; the first one is '{origin}'");
        }
        write!(f, "pages of the origin '{origin}' may not connect to the host '{}'", host())
    }
}

impl core::error::Error for Rejection {}

/// Converts into [`Rejection::response`], so that a function that returns a [`Response`] as its
/// error can refuse with `?`.
impl From<Rejection> for Response {
    fn from(rejection: Rejection) -> Self {
        rejection.response()
    }
}

/// The page for a plain HTTP request, for people who open the URL in a browser.
/// A browser shows the body alone, so the text repeats the status.
const NOT_WEBSOCKET_PAGE: &str = "HTTP 400 Bad Request: this is a WebSocket endpoint (RFC 6455), and \
    the request has no 'Upgrade: websocket' header. A client sends GET over HTTP/1.1 with Host, Upgrade: \
    websocket, Connection: Upgrade, Sec-WebSocket-Version: 13 and Sec-WebSocket-Key: 16 random bytes in \
    base64.\n";

/// The reason for rejecting a handshake: a rule of RFC 6455 4.2.1 that the request broke, or the
/// server's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The request has no `Upgrade: websocket`: it is plain HTTP.
    NotWebSocket,
    /// The method is not GET.
    Method,
    /// The version is below HTTP/1.1.
    HttpVersion,
    /// `Connection` does not contain the token `upgrade`.
    Connection,
    /// `Sec-WebSocket-Version` is missing, or is not 13.
    Version,
    /// `Sec-WebSocket-Version` is repeated.
    RepeatedVersion,
    /// `Sec-WebSocket-Key` is missing.
    MissingKey,
    /// `Sec-WebSocket-Key` is repeated.
    RepeatedKey,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64.
    InvalidKey(InvalidKey),
    /// `Sec-WebSocket-Protocol` is not a list of tokens.
    Subprotocol,
    /// `Sec-WebSocket-Extensions` is not a list of extensions.
    Extensions,
    /// The request announces a body.
    Body,
    /// The `:protocol` of an Extended CONNECT is not `websocket` (RFC 8441).
    Protocol,
    /// `Expect` names an expectation other than `100-continue` (RFC 9110 10.1.1).
    Expectation,
    /// The server's policy does not allow the origin (RFC 6455 10.2).
    Origin,
    /// The server does not serve the requested host (RFC 9110 7.4).
    Host,
}

impl Refusal {
    /// Returns the status of the response: 405 for the method, 426 for the version, 417 for the
    /// expectation, 403 for the origin, 421 for the host, 501 for the protocol, otherwise 400.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Refusal::Method => 405,
            // RFC 6455 4.2.2: "an appropriate HTTP error code (such as 426 Upgrade Required) and a
            // |Sec-WebSocket-Version| header field indicating the version(s) the server is capable
            // of".
            Refusal::Version => 426,
            // RFC 9110 10.1.1: "A server that receives an Expect field value containing a member
            // other than 100-continue MAY respond with a 417 (Expectation Failed) status code".
            Refusal::Expectation => 417,
            // RFC 6455 4.2.2: "it MUST return an appropriate HTTP error code (e.g., 403
            // Forbidden)".
            Refusal::Origin => 403,
            // RFC 9110 15.5.20: "The 421 (Misdirected Request) status code indicates that the
            // request was directed at a server that is unable or unwilling to produce an
            // authoritative response for the target URI."
            Refusal::Host => 421,
            // RFC 9220 3: a request for an unknown protocol "SHOULD" get a 501.
            Refusal::Protocol => 501,
            _ => 400,
        }
    }

    /// Returns the response to send, whose text explains the reason.
    #[must_use]
    pub fn response(self) -> Response {
        let response = match self {
            Refusal::NotWebSocket => Response::text(self.status(), NOT_WEBSOCKET_PAGE),
            _ => Response::text(self.status(), format!("{self}\n")),
        };
        match self {
            // RFC 9110 15.5.6: "The origin server MUST generate an Allow header field in a 405
            // response".
            Refusal::Method => response.with_valid_header("Allow", "GET"),
            // RFC 9110 15.5.22: "The server MUST send an Upgrade header field in a 426 response",
            // and 7.8: its sender "MUST also send an "Upgrade" connection option in the Connection
            // header field".
            Refusal::Version => response
                .with_valid_header("Sec-WebSocket-Version", "13")
                .with_valid_header("Upgrade", "websocket")
                .with_valid_header("Connection", "Upgrade, close"),
            _ => response,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NotWebSocket => "the request has no 'Upgrade: websocket' header",
            Refusal::Method => "a WebSocket handshake must be a GET request",
            Refusal::HttpVersion => "a WebSocket handshake needs HTTP/1.1",
            Refusal::Connection => "the Connection header must contain the token 'Upgrade'",
            Refusal::Version => "the Sec-WebSocket-Version header must be 13",
            Refusal::RepeatedVersion => "the Sec-WebSocket-Version header must appear only once",
            Refusal::MissingKey => "the Sec-WebSocket-Key header is missing",
            Refusal::RepeatedKey => "the Sec-WebSocket-Key header must appear only once",
            Refusal::InvalidKey(error) => {
                return write!(f, "the Sec-WebSocket-Key header must be 16 bytes in base64: {error}");
            }
            Refusal::Subprotocol => "the Sec-WebSocket-Protocol header must be a list of tokens",
            Refusal::Extensions => "the Sec-WebSocket-Extensions header must be a list of extensions",
            Refusal::Body => {
                "a WebSocket handshake must not have a body: remove Content-Length and Transfer-Encoding"
            }
            Refusal::Protocol => "the :protocol of an Extended CONNECT must be websocket",
            Refusal::Expectation => "the only supported expectation is 100-continue",
            Refusal::Origin => "pages of this origin may not connect to this server",
            Refusal::Host => "this server does not serve the requested host",
        })
    }
}

impl core::error::Error for Refusal {}

/// Converts into [`Refusal::response`], so that a function that returns a [`Response`] as its error
/// can refuse with `?`.
impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        refusal.response()
    }
}

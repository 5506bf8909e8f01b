//! The events of a session.

use core::fmt;

use crate::assembler::Assembled;
use crate::close::CloseInfo;
use crate::deflate::Negotiated;
use crate::error::ProtocolError;
use crate::event::{Control, Data};
use crate::handshake::client;
use crate::handshake::server::{Rejection, ServerHandshakeError, Upgrade};
use crate::http::{BodyError, Request, Response};

/// An event of a [`Session`](super::Session).
///
/// Data borrows the input (`'a`) or, if it arrived in parts, the session (`'m`).
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionEvent<'a, 'm> {
    /// A client asks to open a WebSocket, and its request is valid (RFC 6455 section 4.2.1).
    /// Answer with [`decide`](super::Session::decide), [`accept`](super::Session::accept) or
    /// [`reject`](super::Session::reject), now or later: the client waits.
    Upgrade(Upgrade),
    /// A plain HTTP request, only with [`with_http`](super::Session::with_http). Answer with
    /// [`respond`](super::Session::respond), now or after its [`Body`](SessionEvent::Body).
    Request(Request),
    /// The next bytes of the request's body; never empty.
    Body(&'a [u8]),
    /// The request's body failed. The connection ends with the response:
    /// [`respond`](super::Session::respond) with [`BodyFailure::response`] or another one.
    BodyFailed(BodyFailure),
    /// The request's body is complete. A request without a body reports this too, unless it has
    /// already been answered.
    BodyEnd,
    /// The WebSocket is open.
    Open(Opened),
    /// A whole message. It can borrow the session: to answer with it, first call
    /// [`into_message`](Assembled::into_message) in a statement of its own.
    Message(Assembled<'a, 'm>),
    /// A part of a message, only with [`with_parts`](super::Session::with_parts). Text is not
    /// validated: use a [`Utf8Stream`](crate::Utf8Stream).
    Part(Data<'a>),
    /// A ping, a pong or the peer's Close.
    Control(Control<'a>),
    /// The peer broke the protocol. A Close with the reason has been queued, and
    /// [`Ended`](SessionEvent::Ended) follows when it has been written.
    Failed(ProtocolError),
    /// The opening handshake failed. A server's response has been queued;
    /// [`Ended`](SessionEvent::Ended) follows.
    NotOpened(OpenError),
    /// The last event, reported once: drop the session and its transport. Carries how the WebSocket
    /// ended, if it was open.
    Ended(Option<CloseInfo>),
}

/// An opening handshake that succeeded.
#[derive(Debug)]
#[non_exhaustive]
pub enum Opened {
    /// On a server.
    Server {
        /// The request that was accepted.
        request: Request,
        /// The subprotocol that the 101 names.
        subprotocol: Option<alloc::string::String>,
        /// The agreed compression.
        deflate: Option<Negotiated>,
    },
    /// On a client.
    Client {
        /// The 101.
        response: Response,
        /// The subprotocol that the server chose.
        subprotocol: Option<alloc::string::String>,
        /// The agreed compression.
        deflate: Option<Negotiated>,
    },
}

impl Opened {
    /// Returns the agreed subprotocol, if any (RFC 6455 section 1.9).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        let (Opened::Server { subprotocol, .. } | Opened::Client { subprotocol, .. }) = self;
        subprotocol.as_deref()
    }

    /// Returns the agreed compression, if any (RFC 7692).
    #[must_use]
    pub fn deflate(&self) -> Option<Negotiated> {
        let (Opened::Server { deflate, .. } | Opened::Client { deflate, .. }) = self;
        *deflate
    }
}

/// The reason why a session did not become a WebSocket.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum OpenError {
    /// On a server: the client sent no valid HTTP request in time.
    Request(ServerHandshakeError),
    /// On a server: the request is not a valid upgrade or has an unknown expectation, or the policy
    /// refused it.
    Refused(Rejection),
    /// On a server: the application rejected the request with this status.
    Rejected(u16),
    /// On a client: the server refused, sent an invalid response, or did not answer in time.
    Response(client::ClientHandshakeError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Request(_) => f.write_str("the client sent no valid request in time"),
            OpenError::Refused(_) => f.write_str("the request was refused"),
            OpenError::Rejected(status) => {
                write!(f, "the application rejected the request with status {status}")
            }
            OpenError::Response(_) => f.write_str("the server did not open the WebSocket"),
        }
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            OpenError::Request(error) => Some(error),
            OpenError::Refused(rejection) => Some(rejection),
            OpenError::Response(error) => Some(error),
            OpenError::Rejected(_) => None,
        }
    }
}

/// The reason why the body of a plain HTTP request was not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyFailure {
    /// The body is too long or malformed, or the connection ended in the middle of it.
    Body(BodyError),
    /// The body did not arrive in time.
    TimedOut,
}

impl BodyFailure {
    /// Returns the response that names the failure: 413, 408 or 400.
    #[must_use]
    pub fn response(&self) -> Response {
        let status = match self {
            BodyFailure::Body(error) => error.status(),
            BodyFailure::TimedOut => 408,
        };
        Response::text(status, alloc::format!("bad request: {self}\n"))
    }
}

impl fmt::Display for BodyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyFailure::Body(error) => error.fmt(f),
            BodyFailure::TimedOut => f.write_str("the body did not arrive in time"),
        }
    }
}

impl core::error::Error for BodyFailure {}

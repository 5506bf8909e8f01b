//! The server's opening handshake over a transport.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::ready;
use std::{fmt, io};

use sockeye_core::handshake::server::{
    Accept, Accepted, Handshake, HandshakeError, Refusal, SubprotocolNotOffered, Upgrade,
};
use sockeye_core::http::{Request, Response};
use sockeye_core::{Config, RecvBuf};

use crate::handshake::opening::{Opening, WaitOutcome};
use crate::runtime::io::{Clock, Io};
use crate::websocket::WebSocket;

/// A valid request to open a WebSocket, to be accepted or refused.
///
/// The decision has no deadline: the client waits.
#[derive(Debug)]
#[must_use = "the client waits for a response"]
pub struct PendingUpgrade<I, C> {
    inner: Box<Inner<I, C>>,
}

#[derive(Debug)]
struct Inner<I, C> {
    opening: Opening<I, C>,
    upgrade: Upgrade,
    config: Arc<Config>,
}

/// Reads one request, within [`Config::handshake_timeout`].
///
/// If the request is not a valid upgrade, it sends a response with the reason and closes the
/// transport.
///
/// # Errors
///
/// Returns an error if no valid request arrived. The client has been sent the reason, if it could
/// be.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the transport.
pub async fn read_upgrade<I: Io, C: Clock>(
    io: I,
    clock: C,
    config: Arc<Config>,
) -> Result<PendingUpgrade<I, C>, AcceptError> {
    // Boxed, like everything that only the handshake needs: a task's future is as large as its
    // largest state, for its whole life.
    Box::pin(read_upgrade_inline(io, clock, config)).await
}

async fn read_upgrade_inline<I: Io, C: Clock>(
    io: I,
    clock: C,
    config: Arc<Config>,
) -> Result<PendingUpgrade<I, C>, AcceptError> {
    let mut opening = Opening::new(io, clock);
    let (error, response) = match read_request(&mut opening, &config).await {
        Ok(request) => match Upgrade::new(request) {
            Ok(upgrade) => return Ok(PendingUpgrade { inner: Box::new(Inner { opening, upgrade, config }) }),
            Err(rejection) => (AcceptError::Refused(rejection.reason()), Some(rejection.response())),
        },
        Err(error) => {
            let response = error.response();
            (error, response)
        }
    };
    if let Some(response) = response {
        // Ignore an error here: the caller needs to know why the request was refused.
        let _ = opening.end_with(&response.encode()).await;
    }
    Err(error)
}

/// Reads one request within [`Config::handshake_timeout`].
pub(crate) async fn read_request<I: Io, C: Clock>(
    opening: &mut Opening<I, C>,
    config: &Arc<Config>,
) -> Result<Request, AcceptError> {
    let mut handshake = Handshake::new(config.clone());
    poll_fn(|cx| {
        loop {
            match ready!(opening.poll_wait(cx, handshake.poll_timeout()))? {
                WaitOutcome::Bytes => {}
                WaitOutcome::Eof => return Err(handshake.handle_eof().into()).into(),
                WaitOutcome::Time(now) => handshake.handle_timeout(now)?,
            }
            let mut view = RecvBuf::new(opening.input.unread());
            let request = handshake.poll_request(&mut view)?;
            let used = view.consumed();
            opening.input.consume(used);
            if let Some(request) = request {
                // The decision about the request may take long: hold little memory meanwhile.
                opening.input.release();
                return Ok(request).into();
            }
        }
    })
    .await
}

/// Accepts a WebSocket: reads one request, like [`read_upgrade`], and opens or refuses the
/// connection as `decide` returns.
///
/// # Errors
///
/// Returns an error if no valid request arrived or `decide` refused it. The client has been sent
/// the reason, if it could be.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the transport.
pub async fn accept_with<I: Io, C: Clock>(
    io: I,
    clock: C,
    config: Arc<Config>,
    decide: impl AsyncFnOnce(&Upgrade) -> Result<Accept, Response>,
) -> Result<WebSocket<I, C>, AcceptError> {
    Box::pin(async {
        let pending = read_upgrade_inline(io, clock, config).await?;
        match decide(pending.upgrade()).await {
            Ok(accept) => pending.accept(&accept).await,
            Err(response) => {
                let status = response.status();
                // Ignore an error here: the request is refused, whether the client reads that or
                // not.
                let _ = pending.reject(&response).await;
                Err(AcceptError::Rejected(status))
            }
        }
    })
    .await
}

impl<I: Io, C: Clock> PendingUpgrade<I, C> {
    /// Returns what the client requests.
    #[must_use]
    pub fn upgrade(&self) -> &Upgrade {
        &self.inner.upgrade
    }

    /// Sends the 101 response, within [`Config::handshake_timeout`], and returns the open
    /// connection.
    ///
    /// # Errors
    ///
    /// Returns an error if `accept` chooses a subprotocol that the client did not offer (the client
    /// is sent a 500) or if the transport broke.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future drops the transport.
    pub async fn accept(self, accept: &Accept) -> Result<WebSocket<I, C>, AcceptError> {
        Box::pin(self.accept_inline(accept)).await
    }

    async fn accept_inline(self, accept: &Accept) -> Result<WebSocket<I, C>, AcceptError> {
        let Inner { mut opening, upgrade, config } = *self.inner;
        let deadline = opening.clock.now() + config.handshake_timeout;
        match upgrade.accept(accept, config) {
            Ok(Accepted { connection, subprotocol, .. }) => {
                opening.clock.cancel();
                let Opening { io, clock, input } = opening;
                let mut websocket = WebSocket::with_input(connection, input, io, clock);
                websocket.set_subprotocol(subprotocol);
                poll_fn(|cx| websocket.poll_flush_opening(cx, deadline)).await?;
                Ok(websocket)
            }
            Err(error) => {
                // Ignore an error here: the caller needs to know about the subprotocol.
                let _ = opening.end_with(&error.response().encode()).await;
                Err(AcceptError::Subprotocol(error))
            }
        }
    }

    /// Refuses the request with `response`, which may have any status but 101. Closes the transport
    /// once the client had time to read the response.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future drops the transport.
    pub async fn reject(self, response: &Response) -> io::Result<()> {
        Box::pin(self.inner.opening.end_with(&response.encode())).await
    }
}

/// Why a server did not get a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The transport broke.
    Io(io::Error),
    /// The HTTP request was incomplete, invalid or late.
    Handshake(HandshakeError),
    /// The request is not a valid WebSocket upgrade.
    Refused(Refusal),
    /// The application refused the request, with this status.
    Rejected(u16),
    /// The application chose a subprotocol that the client did not offer.
    Subprotocol(SubprotocolNotOffered),
}

impl AcceptError {
    /// Returns the response for the client, if it still expects one.
    pub(crate) fn response(&self) -> Option<Response> {
        match self {
            AcceptError::Handshake(error) => error.response(),
            AcceptError::Refused(refusal) => Some(refusal.response()),
            _ => None,
        }
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcceptError::Io(error) => write!(f, "the transport broke in the opening handshake: {error}"),
            AcceptError::Handshake(error) => error.fmt(f),
            AcceptError::Refused(refusal) => {
                write!(f, "the request was refused with {}: {refusal}", refusal.status())
            }
            AcceptError::Rejected(status) => write!(f, "the application refused the request with {status}"),
            AcceptError::Subprotocol(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AcceptError::Io(error) => Some(error),
            AcceptError::Handshake(error) => Some(error),
            AcceptError::Refused(refusal) => Some(refusal),
            AcceptError::Rejected(_) => None,
            AcceptError::Subprotocol(error) => Some(error),
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        AcceptError::Io(error)
    }
}

impl From<HandshakeError> for AcceptError {
    fn from(error: HandshakeError) -> Self {
        AcceptError::Handshake(error)
    }
}

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

/// A valid request to open a WebSocket that waits for an answer. Take as long as you like: the peer waits.
#[derive(Debug)]
#[must_use = "the client waits for an answer"]
pub struct PendingUpgrade<I, C> {
    inner: Box<Inner<I, C>>,
}

#[derive(Debug)]
struct Inner<I, C> {
    opening: Opening<I, C>,
    upgrade: Upgrade,
    config: Arc<Config>,
}

/// Reads one request, within [`Config::handshake_timeout`]. What is not a valid upgrade is answered with the
/// reason, and the transport closed.
///
/// # Errors
///
/// No valid request came; the peer has been told.
///
/// # Cancel safety
///
/// Dropping the future drops the transport.
pub async fn read_upgrade<I: Io, C: Clock>(
    io: I,
    clock: C,
    config: Arc<Config>,
) -> Result<PendingUpgrade<I, C>, AcceptError> {
    // In a box, like all that is only of the beginning: a task's future is as large as its largest moment, for good.
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
        // The peer may be gone; what it did wrong is what matters to the caller.
        let _ = opening.end_with(&response.encode()).await;
    }
    Err(error)
}

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
                // Who decides may take long.
                opening.input.release();
                return Ok(request).into();
            }
        }
    })
    .await
}

/// Reads one request, lets `decide` accept or refuse it, and does as it says: [`read_upgrade`] and what follows it.
///
/// # Errors
///
/// No valid request came, or it was refused; the peer has been told.
///
/// # Cancel safety
///
/// Dropping the future drops the transport.
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
                // The peer may be gone before it has read it: refused it is all the same.
                let _ = pending.reject(&response).await;
                Err(AcceptError::Rejected(status))
            }
        }
    })
    .await
}

impl<I: Io, C: Clock> PendingUpgrade<I, C> {
    /// What the client asks for.
    #[must_use]
    pub fn upgrade(&self) -> &Upgrade {
        &self.inner.upgrade
    }

    /// Sends the 101, within [`Config::handshake_timeout`], and opens the connection.
    ///
    /// # Errors
    ///
    /// A subprotocol that the client did not offer: the client is refused with 500. Or a broken transport.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the transport.
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
                let response = Response::text(500, "the server chose a subprotocol that was not offered\n");
                let _ = opening.end_with(&response.encode()).await;
                Err(AcceptError::Subprotocol(error))
            }
        }
    }

    /// Refuses with any response but a 101, and closes the transport when the client has had time to read it.
    ///
    /// # Errors
    ///
    /// The transport broke.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the transport.
    pub async fn reject(self, response: &Response) -> io::Result<()> {
        Box::pin(self.inner.opening.end_with(&response.encode())).await
    }
}

/// Why a transport did not become a WebSocket.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The transport broke.
    Io(io::Error),
    /// No complete and valid HTTP request came, or not in time.
    Handshake(HandshakeError),
    /// The request is no valid upgrade.
    Refused(Refusal),
    /// The application refused, with this status.
    Rejected(u16),
    /// The application chose a subprotocol that the client did not offer.
    Subprotocol(SubprotocolNotOffered),
}

impl AcceptError {
    /// What the peer is told.
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
            AcceptError::Refused(refusal) => write!(f, "refused with {}: {refusal}", refusal.status()),
            AcceptError::Rejected(status) => write!(f, "the application refused with {status}"),
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

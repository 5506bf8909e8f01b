//! The server's opening handshake over a transport.

use std::sync::Arc;
use std::{fmt, io};

use sockeye_core::handshake::server::{
    Accept, Rejection, ServerHandshakeError, SubprotocolNotOffered, Upgrade,
};
use sockeye_core::http::Response;
use sockeye_core::session::{OpenError, Session};
use sockeye_core::{Config, Instant};

use crate::handshake::opening::{Opening, OpeningEvent};
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
/// Returns an error if no valid request arrived. The client has been sent the reason, if
/// possible.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the transport.
pub fn read_upgrade<I: Io, C: Clock>(
    io: I,
    clock: C,
    config: impl Into<Arc<Config>>,
) -> impl Future<Output = Result<PendingUpgrade<I, C>, AcceptError>> {
    // Boxed, like everything that only the handshake needs: a task's future is as large as its
    // largest state, for its whole life. An async function would also keep the arguments.
    Box::pin(read_upgrade_inline(io, clock, config.into(), None))
}

async fn read_upgrade_inline<I: Io, C: Clock>(
    io: I,
    clock: C,
    config: Arc<Config>,
    since: Option<Instant>,
) -> Result<PendingUpgrade<I, C>, AcceptError> {
    let mut session = Session::server(config.clone());
    if let Some(since) = since {
        // The session's deadline counts from here.
        session.handle_timeout(since);
    }
    let mut opening = Opening::new(session, io, clock);
    let error = loop {
        match opening.next_event().await? {
            OpeningEvent::Upgrade(upgrade) => {
                // The decision about the request may take a long time: hold little memory
                // meanwhile.
                opening.release();
                return Ok(PendingUpgrade { inner: Box::new(Inner { opening, upgrade, config }) });
            }
            OpeningEvent::NotOpened(error) => break error,
            OpeningEvent::Ended => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => {}
        }
    };
    // Ignore an error here: the caller needs to know why the request was refused.
    let _ = opening.finish().await;
    Err(error.into())
}

/// Accepts a WebSocket: reads one request, like [`read_upgrade`], and opens or refuses the
/// connection as `decide` requests.
///
/// # Errors
///
/// Returns an error if no valid request arrived or `decide` refused it. The client has been sent
/// the reason, if possible.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the transport.
pub fn accept_with<I: Io, C: Clock>(
    io: I,
    clock: C,
    config: impl Into<Arc<Config>>,
    decide: impl AsyncFnOnce(&Upgrade) -> Result<Accept, Response>,
) -> impl Future<Output = Result<WebSocket<I, C>, AcceptError>> {
    Box::pin(accept_inline(io, clock, config.into(), None, decide))
}

async fn accept_inline<I: Io, C: Clock>(
    io: I,
    clock: C,
    config: Arc<Config>,
    since: Option<Instant>,
    decide: impl AsyncFnOnce(&Upgrade) -> Result<Accept, Response>,
) -> Result<WebSocket<I, C>, AcceptError> {
    let pending = read_upgrade_inline(io, clock, config, since).await?;
    match decide(pending.upgrade()).await {
        Ok(accept) => pending.accept(&accept).await,
        Err(response) => {
            let status = response.status();
            // Ignore an error here: the request is refused even if the client cannot read the
            // response.
            let _ = pending.reject(&response).await;
            Err(AcceptError::Rejected(status))
        }
    }
}

/// Begins TLS over an accepted transport, and accepts a WebSocket over it like [`accept_with`].
/// [`Config::handshake_timeout`] includes both.
///
/// A client that speaks plain HTTP receives a 400 in plain text. `wrap` converts the transport, for
/// adapters that have a type of their own.
///
/// # Errors
///
/// Returns an error if the TLS handshake fails, and otherwise like [`accept_with`].
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the transport.
#[cfg(feature = "_tls")]
pub fn accept_tls_with<I: Io, J: Io, C: Clock>(
    io: I,
    mut clock: C,
    tls: &crate::tls::ServerTls,
    config: impl Into<Arc<Config>>,
    decide: impl AsyncFnOnce(&Upgrade) -> Result<Accept, Response>,
    wrap: impl FnOnce(crate::tls::TlsIo<I>) -> J,
) -> impl Future<Output = Result<WebSocket<J, C>, AcceptError>> {
    use crate::tls::{TlsError, accept_tls};

    let config = config.into();
    Box::pin(async move {
        let since = clock.now();
        let deadline = since + config.handshake_timeout;
        match accept_tls(io, &mut clock, tls, deadline).await {
            Ok(io) => accept_inline(wrap(io), clock, config, Some(since), decide).await,
            Err((error, io)) => {
                if matches!(error, TlsError::PlainClient) {
                    let mut opening = Opening::new(Session::server(config), io, clock);
                    opening.session.reject(TlsError::plain_response());
                    // Ignore an error here: the caller needs to know about the missing TLS.
                    let _ = opening.finish().await;
                }
                Err(AcceptError::Tls(error))
            }
        }
    })
}

impl<I: Io, C: Clock> PendingUpgrade<I, C> {
    /// Returns the client's request.
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
        let deadline = opening.now() + config.handshake_timeout;
        if let Err(error) = opening.session.accept(upgrade, accept) {
            opening.session.reject(error.response());
            // Ignore an error here: the caller needs to know about the subprotocol.
            let _ = opening.finish().await;
            return Err(AcceptError::Subprotocol(error));
        }
        let subprotocol = loop {
            if let OpeningEvent::Open(opened) = opening.next_event().await? {
                break opened.subprotocol().map(str::to_owned);
            }
        };
        opening.flush(deadline).await?;
        Ok(WebSocket::opened(opening, subprotocol)?)
    }

    /// Refuses the request with `response`, which may have any status but 101. Closes the transport
    /// once the client has had time to read the response.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future drops the transport.
    pub async fn reject(self, response: &Response) -> io::Result<()> {
        let Inner { mut opening, .. } = *self.inner;
        opening.session.reject(response.clone());
        Box::pin(opening.finish()).await
    }
}

/// The reason why a server did not open a WebSocket.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The transport broke.
    Io(io::Error),
    /// The TLS handshake failed.
    #[cfg(feature = "_tls")]
    Tls(crate::tls::TlsError),
    /// The HTTP request was incomplete, invalid or late.
    Handshake(ServerHandshakeError),
    /// The request is not a valid WebSocket upgrade.
    Refused(Rejection),
    /// The application refused the request, with this status.
    Rejected(u16),
    /// The application chose a subprotocol that the client did not offer.
    Subprotocol(SubprotocolNotOffered),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcceptError::Io(_) => f.write_str("the transport broke in the opening handshake"),
            #[cfg(feature = "_tls")]
            AcceptError::Tls(error) => error.fmt(f),
            AcceptError::Handshake(error) => error.fmt(f),
            AcceptError::Refused(rejection) => {
                write!(f, "the request was refused with {}", rejection.status())
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
            #[cfg(feature = "_tls")]
            AcceptError::Tls(error) => error.source(),
            // `Handshake` and `Subprotocol` display the error that they wrap, so the next source is
            // the source of that error.
            AcceptError::Handshake(error) => error.source(),
            AcceptError::Refused(rejection) => Some(rejection),
            AcceptError::Rejected(_) => None,
            AcceptError::Subprotocol(error) => error.source(),
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        AcceptError::Io(error)
    }
}

impl From<OpenError> for AcceptError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Request(error) => AcceptError::Handshake(error),
            OpenError::Refused(rejection) => AcceptError::Refused(rejection),
            OpenError::Rejected(status) => AcceptError::Rejected(status),
            error => AcceptError::Io(io::Error::other(error)),
        }
    }
}

impl From<ServerHandshakeError> for AcceptError {
    fn from(error: ServerHandshakeError) -> Self {
        AcceptError::Handshake(error)
    }
}

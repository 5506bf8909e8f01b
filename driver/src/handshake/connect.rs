//! The client's opening handshake over a transport.

use std::convert::Infallible;
use std::sync::Arc;
use std::{fmt, io};

use sockeye_core::Config;
use sockeye_core::handshake::client::{ClientHandshakeError, ClientRequest, UrlError};
use sockeye_core::http::Response;
use sockeye_core::session::{OpenError, Opened, Session};

use crate::handshake::entropy::Entropy;
use crate::handshake::opening::{Opening, OpeningEvent};
use crate::runtime::io::{Clock, Io};
use crate::websocket::WebSocket;

/// Opens a WebSocket over a connected transport, like [`client_with`], with random mask keys and a
/// random nonce.
///
/// # Errors
///
/// Returns an error if the transport broke, the server refused ([`ClientHandshakeError::Refused`]
/// holds its response), or the response is invalid or late.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the transport.
#[cfg(feature = "rand")]
pub async fn client<I: Io, C: Clock>(
    io: I,
    clock: C,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
) -> Result<(WebSocket<I, C>, Response), ConnectError> {
    client_with(io, clock, request, config, Entropy::random()).await
}

/// Opens a WebSocket over a connected transport, with the caller's mask keys and nonce. Returns it
/// and the server's 101 response.
///
/// It sends `request` and verifies the response, within [`Config::handshake_timeout`].
///
/// # Errors
///
/// Returns an error if the transport broke, the server refused ([`ClientHandshakeError::Refused`]
/// holds its response), or the response is invalid or late.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the transport.
pub async fn client_with<I: Io, C: Clock>(
    io: I,
    clock: C,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
    entropy: Entropy,
) -> Result<(WebSocket<I, C>, Response), ConnectError> {
    // Boxed, because a task's future is as large as its largest state, for its whole life.
    Box::pin(client_inline(io, clock, request, config.into(), entropy)).await
}

async fn client_inline<I: Io, C: Clock>(
    io: I,
    clock: C,
    request: ClientRequest,
    config: Arc<Config>,
    entropy: Entropy,
) -> Result<(WebSocket<I, C>, Response), ConnectError> {
    let timeout = config.handshake_timeout;
    let session = Session::client(request, entropy.nonce, entropy.mask_keys, config);
    let mut opening = Opening::new(session, io, clock);
    let deadline = opening.now() + timeout;
    let (subprotocol, response) = loop {
        match opening.next_event().await? {
            OpeningEvent::Open(Opened::Client { response, subprotocol, .. }) => {
                break (subprotocol, response);
            }
            OpeningEvent::NotOpened(OpenError::Response(error)) => {
                // A server that closed the transport before it had the request did not respond.
                return Err(match (error, opening.take_write_error()) {
                    (ClientHandshakeError::Eof { .. }, Some(error)) => ConnectError::Io(error),
                    (error, _) => ConnectError::Handshake(error),
                });
            }
            OpeningEvent::Ended => return Err(ConnectError::Handshake(ClientHandshakeError::Over)),
            _ => {}
        }
    };
    // The server may respond before it has read the whole request.
    opening.flush(deadline).await?;
    Ok((WebSocket::opened(opening, subprotocol)?, response))
}

/// The reason why a client did not open a WebSocket.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The transport could not be opened, or it broke.
    Io(io::Error),
    /// The URL is not a WebSocket URL.
    Url(UrlError),
    /// The URL begins with `wss://`, but the function does not speak TLS. Connect a TLS stream and
    /// open the WebSocket over it with `client`.
    Tls,
    /// The server refused, or its response is invalid or late.
    Handshake(ClientHandshakeError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Io(_) => f.write_str("cannot connect"),
            ConnectError::Url(error) => error.fmt(f),
            ConnectError::Tls => {
                f.write_str("this function does not speak TLS; connect a TLS stream and open the WebSocket over it with `client`")
            }
            ConnectError::Handshake(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConnectError::Io(error) => Some(error),
            // These display the error that they wrap, so the next source is the source of that
            // error.
            ConnectError::Url(error) => error.source(),
            ConnectError::Tls => None,
            ConnectError::Handshake(error) => error.source(),
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        ConnectError::Io(error)
    }
}

/// For the conversion of a [`Url`](sockeye_core::handshake::client::Url), which cannot fail.
impl From<Infallible> for ConnectError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<UrlError> for ConnectError {
    fn from(error: UrlError) -> Self {
        ConnectError::Url(error)
    }
}

impl From<ClientHandshakeError> for ConnectError {
    fn from(error: ClientHandshakeError) -> Self {
        ConnectError::Handshake(error)
    }
}

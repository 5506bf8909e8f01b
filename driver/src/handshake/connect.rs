//! The client's opening handshake over a transport.

use std::convert::Infallible;
use std::sync::Arc;
use std::{fmt, io};

use sockeye_core::dial::{InvalidProxyVariable, ProxyError, RedirectError};
use sockeye_core::handshake::client::{ClientHandshakeError, ClientRequest, UrlError};
use sockeye_core::http::Response;
use sockeye_core::session::{OpenError, Opened, Session};
use sockeye_core::{Config, Instant};

use crate::engine::buffer::ReadBuffer;
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
pub fn client<I: Io, C: Clock>(
    io: I,
    clock: C,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
) -> impl Future<Output = Result<(WebSocket<I, C>, Response), ConnectError>> {
    client_with(io, clock, request, config, Entropy::random())
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
pub fn client_with<I: Io, C: Clock>(
    io: I,
    clock: C,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
    entropy: Entropy,
) -> impl Future<Output = Result<(WebSocket<I, C>, Response), ConnectError>> {
    // Boxed, because a task's future is as large as its largest state, for its whole life. An async
    // function would also keep the arguments.
    Box::pin(client_inline(io, clock, request, config.into(), entropy, None, &[]))
}

/// Begins TLS over a connected transport, and opens a WebSocket over it like [`client_with`].
/// [`Config::handshake_timeout`] includes both.
///
/// `host` is the name that the server's certificate must have, unless
/// [`ClientTls::server_name`](crate::tls::ClientTls::server_name) has set another. `wrap` converts
/// the transport, for adapters that have a type of their own.
///
/// # Errors
///
/// Returns an error if the server cannot be authenticated (nothing of the request is sent to it), and
/// otherwise like [`client_with`].
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the transport.
#[cfg(all(feature = "_tls", feature = "rand"))]
pub fn client_tls<I: Io, J: Io, C: Clock>(
    io: I,
    mut clock: C,
    (tls, host): (&crate::tls::ClientTls, &str),
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
    wrap: impl FnOnce(crate::tls::TlsIo<I>) -> J,
) -> impl Future<Output = Result<(WebSocket<J, C>, Response), ConnectError>> {
    let config = config.into();
    Box::pin(async move {
        let since = clock.now();
        let deadline = since + config.handshake_timeout;
        let io = crate::tls::connect_tls(io, &mut clock, tls, host, deadline).await?;
        client_inline(wrap(io), clock, request, config, Entropy::random(), Some(since), &[]).await
    })
}

/// Opens a WebSocket like [`client_with`]. The deadline counts from `since`, and `unread` has been
/// read from the transport.
pub(crate) async fn client_inline<I: Io, C: Clock>(
    io: I,
    clock: C,
    request: ClientRequest,
    config: Arc<Config>,
    entropy: Entropy,
    since: Option<Instant>,
    unread: &[u8],
) -> Result<(WebSocket<I, C>, Response), ConnectError> {
    let since = since.unwrap_or_else(|| clock.now());
    let deadline = since + config.handshake_timeout;
    let mut session = Session::client(request, entropy.nonce, entropy.mask_keys, config);
    // The session's deadline counts from here.
    session.handle_timeout(since);
    let mut opening = Opening::with_input(session, io, clock, ReadBuffer::new(unread), false);
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
    /// The URL begins with `wss://`, but the crate was built without TLS: enable its feature
    /// `rustls`, or connect a TLS stream and open the WebSocket over it with `client`.
    Tls,
    /// The TLS handshake failed. Nothing of the request was sent.
    #[cfg(feature = "_tls")]
    TlsHandshake(crate::tls::TlsError),
    /// The proxy did not connect to the server.
    Proxy(ProxyError),
    /// An environment variable does not name a proxy.
    ProxyVariable(InvalidProxyVariable),
    /// A redirect was not followed, although the options allow redirects.
    Redirect(RedirectError),
    /// The server refused, or its response is invalid or late.
    Handshake(ClientHandshakeError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Io(_) => f.write_str("cannot connect"),
            ConnectError::Url(error) => error.fmt(f),
            ConnectError::Tls => {
                f.write_str("this program was built without TLS; enable the feature `rustls`, or connect a TLS stream and open the WebSocket over it with `client`")
            }
            #[cfg(feature = "_tls")]
            ConnectError::TlsHandshake(error) => error.fmt(f),
            ConnectError::Proxy(error) => error.fmt(f),
            ConnectError::ProxyVariable(error) => error.fmt(f),
            ConnectError::Redirect(error) => error.fmt(f),
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
            #[cfg(feature = "_tls")]
            ConnectError::TlsHandshake(error) => error.source(),
            ConnectError::Proxy(error) => error.source(),
            ConnectError::ProxyVariable(error) => error.source(),
            ConnectError::Redirect(error) => error.source(),
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

#[cfg(feature = "_tls")]
impl From<crate::tls::TlsError> for ConnectError {
    fn from(error: crate::tls::TlsError) -> Self {
        ConnectError::TlsHandshake(error)
    }
}

impl From<ProxyError> for ConnectError {
    fn from(error: ProxyError) -> Self {
        ConnectError::Proxy(error)
    }
}

impl From<InvalidProxyVariable> for ConnectError {
    fn from(error: InvalidProxyVariable) -> Self {
        ConnectError::ProxyVariable(error)
    }
}

impl From<RedirectError> for ConnectError {
    fn from(error: RedirectError) -> Self {
        ConnectError::Redirect(error)
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

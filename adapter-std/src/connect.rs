//! The client's opening handshake.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;

use sockeye_core::handshake::client::{ClientHandshakeError, ClientRequest, Url};
use sockeye_core::http::Response;
use sockeye_core::session::{OpenError, Opened, Session};
use sockeye_core::{Config, Instant};
use sockeye_driver::{ConnectError, mask_keys, nonce};

use crate::clock::now;
use crate::opening::{Opening, OpeningEvent};
use crate::stream::Stream;
use crate::websocket::WebSocket;
use crate::wire::{Wire, plain};

/// Connects to a `ws://` or `wss://` URL with the defaults of [`Config`].
///
/// `wss://` needs the feature `rustls`. The server's certificate must be one that the operating
/// system trusts; `connect_tls` takes another configuration.
///
/// # Errors
///
/// Returns an error if the URL is invalid, if the host cannot be reached in time, if its certificate
/// is not trusted, or if the server refuses.
pub fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    let url = Url::parse(url)?;
    let (websocket, _) = connect_with(&url, ClientRequest::new(&url), Config::new())?;
    Ok(websocket)
}

/// Connects with a custom request, which may carry headers and subprotocols. Also returns the
/// server's response.
///
/// Connecting takes [`Config::handshake_timeout`] at most, over all addresses of the host. The
/// handshakes of TLS and of the WebSocket together take the same time again. The time that the
/// operating system takes to resolve a name cannot be limited.
///
/// # Errors
///
/// Returns an error if the host cannot be reached in time, if its certificate is not trusted, or if
/// the server refuses. Without the feature `rustls`, `wss://` is an error.
pub fn connect_with(
    url: impl TryInto<Url, Error: Into<ConnectError>>,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
) -> Result<(WebSocket, Response), ConnectError> {
    let (url, config) = (url.try_into().map_err(Into::into)?, config.into());
    if url.is_secure() {
        #[cfg(feature = "_tls")]
        return crate::connect_tls(url, request, config, &crate::tls::ClientTls::shared()?);
        #[cfg(not(feature = "_tls"))]
        return Err(ConnectError::Tls);
    }
    client(open(&url, &config)?, request, config)
}

/// Connects to the first address of the host that answers.
pub(crate) fn open(url: &Url, config: &Config) -> io::Result<TcpStream> {
    let addresses = (url.host(), url.port()).to_socket_addrs()?;
    let deadline = now() + config.handshake_timeout;
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        let left = deadline.since(now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

/// Opens a WebSocket as a client over any connected stream: TLS, a tunnel through a proxy, a pipe.
///
/// Sends `request` and verifies the response, within [`Config::handshake_timeout`].
///
/// # Errors
///
/// Returns an error if the stream breaks, if the server refuses ([`ClientHandshakeError::Refused`]
/// holds its response), or if its response is invalid.
pub fn client<S: Stream>(
    stream: S,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
) -> Result<(WebSocket<S>, Response), ConnectError> {
    client_over(plain(stream), request, config.into(), now())
}

/// Opens a WebSocket over a stream that may have TLS. The deadline counts from `since`.
pub(crate) fn client_over<S: Stream>(
    wire: Wire<S>,
    request: ClientRequest,
    config: Arc<Config>,
    since: Instant,
) -> Result<(WebSocket<S>, Response), ConnectError> {
    let mut session = Session::client(request, nonce(), mask_keys(), config.clone());
    session.handle_timeout(since);
    let mut opening = Opening::new(session, wire, config.close_timeout)?;
    loop {
        match opening.next_event()? {
            OpeningEvent::Open(opened) => {
                // The server may respond before it has read the whole request.
                opening.flush(now() + config.handshake_timeout)?;
                let websocket = opening.into_websocket(&config, &opened)?;
                return match opened {
                    Opened::Client { response, .. } => Ok((websocket, response)),
                    _ => Err(ConnectError::Handshake(ClientHandshakeError::Over)),
                };
            }
            OpeningEvent::NotOpened(OpenError::Response(error)) => {
                // A server that closed the stream before it had the request did not respond.
                return Err(match (error, opening.take_write_error()) {
                    (ClientHandshakeError::Eof { received: 0 }, Some(error)) => ConnectError::Io(error),
                    (error, _) => ConnectError::Handshake(error),
                });
            }
            OpeningEvent::Ended => return Err(ConnectError::Handshake(ClientHandshakeError::Over)),
            OpeningEvent::Upgrade(_) | OpeningEvent::NotOpened(_) => {}
        }
    }
}

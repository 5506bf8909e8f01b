//! The client's opening handshake.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;

use sockeye_core::Config;
use sockeye_core::handshake::client::{ClientHandshakeError, ClientRequest, Url};
use sockeye_core::http::Response;
use sockeye_core::session::{OpenError, Opened, Session};
use sockeye_driver::{ConnectError, mask_keys, nonce};

use crate::clock::now;
use crate::opening::{Opening, OpeningEvent};
use crate::stream::Stream;
use crate::websocket::WebSocket;

/// Connects to a `ws://` URL with the defaults of [`Config`].
///
/// # Errors
///
/// Returns an error if the URL is invalid or `wss://`, if the host cannot be reached in time, or if
/// the server refuses.
pub fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    let url = Url::parse(url)?;
    let (websocket, _) = connect_with(&url, ClientRequest::new(&url), Config::new())?;
    Ok(websocket)
}

/// Connects with a custom request, which may carry headers and subprotocols. Also returns the
/// server's response.
///
/// Connecting takes [`Config::handshake_timeout`] at most, over all addresses of the host, and the
/// handshake takes the same time again. The time that the operating system takes to resolve a name
/// cannot be limited.
///
/// # Errors
///
/// Returns an error if the URL is `wss://`, if the host cannot be reached in time, or if the server
/// refuses.
pub fn connect_with(
    url: impl TryInto<Url, Error: Into<ConnectError>>,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
) -> Result<(WebSocket, Response), ConnectError> {
    let (url, config) = (url.try_into().map_err(Into::into)?, config.into());
    if url.is_secure() {
        return Err(ConnectError::Tls);
    }
    let stream = open(&url, &config)?;
    stream.set_nodelay(true)?;
    client(stream, request, config)
}

/// Connects to the first address of the host that answers.
fn open(url: &Url, config: &Config) -> io::Result<TcpStream> {
    let addresses = (url.host(), url.port()).to_socket_addrs()?;
    let deadline = now() + config.handshake_timeout;
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        let left = deadline.since(now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
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
    let config = config.into();
    let session = Session::client(request, nonce(), mask_keys(), config.clone());
    let mut opening = Opening::new(session, stream, config.close_timeout)?;
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

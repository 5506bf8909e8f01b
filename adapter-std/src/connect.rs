//! The client's opening handshake.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;

use sockeye_core::handshake::client::{Established, Handshake, HandshakeError, Request, Url};
use sockeye_core::http::Response;
use sockeye_core::{Config, RecvBuf};
use sockeye_driver::{ConnectError, mask_keys, nonce};

use crate::clock::now;
use crate::opening::{Opening, WaitOutcome};
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
    let (websocket, _) = connect_with(&url, Request::new(&url), Arc::default())?;
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
    url: &Url,
    request: Request,
    config: Arc<Config>,
) -> Result<(WebSocket, Response), ConnectError> {
    if url.is_secure() {
        return Err(ConnectError::Tls);
    }
    let stream = open(url, &config)?;
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
/// Returns an error if the stream breaks, if the server refuses ([`HandshakeError::Refused`] holds
/// its response), or if its response is invalid.
pub fn client<S: Stream>(
    stream: S,
    request: Request,
    config: Arc<Config>,
) -> Result<(WebSocket<S>, Response), ConnectError> {
    let mut opening = Opening::new(stream, config.close_timeout)?;
    let mut handshake = request.start(nonce(), mask_keys(), config.clone());
    let mut write_error = None;
    if let Some(bytes) = handshake.poll_transmit() {
        let n = bytes.len();
        // A server that refused and closed may have sent its response first, so read even after a
        // failed write.
        write_error = opening.write(bytes, config.handshake_timeout).err();
        handshake.transmitted(n);
    }
    let established = match (read_response(&mut opening, &mut handshake), write_error) {
        (Ok(established), _) => established,
        (Err(ConnectError::Handshake(HandshakeError::Eof { received: 0 })), Some(error)) => {
            return Err(error.into());
        }
        (Err(error), _) => return Err(error),
    };
    let Established { connection, response, subprotocol, .. } = established;
    let Opening { transport, input } = opening;
    Ok((WebSocket::with_transport(connection, input, transport, &config, subprotocol), response))
}

fn read_response<S: Stream>(
    opening: &mut Opening<S>,
    handshake: &mut Handshake,
) -> Result<Established, ConnectError> {
    loop {
        match opening.wait(handshake.poll_timeout())? {
            WaitOutcome::Bytes => {}
            WaitOutcome::Eof => return Err(handshake.handle_eof().into()),
            WaitOutcome::Time(now) => handshake.handle_timeout(now)?,
        }
        let mut view = RecvBuf::new(opening.input.unread());
        let established = handshake.poll_response(&mut view)?;
        let used = view.consumed();
        opening.input.consume(used);
        if let Some(established) = established {
            return Ok(established);
        }
    }
}

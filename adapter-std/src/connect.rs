//! The client's opening handshake.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;

use sockeye_core::handshake::client::{Established, Handshake, HandshakeError, Request, Url};
use sockeye_core::http::Response;
use sockeye_core::{Config, RecvBuf};
use sockeye_driver::{ConnectError, mask_keys, nonce};

use crate::clock::now;
use crate::opening::{Opening, Waited};
use crate::stream::Stream;
use crate::websocket::WebSocket;

/// Connects to a `ws://` URL with the defaults of [`Config`].
///
/// # Errors
///
/// The URL is not one, the host cannot be reached, or the server refused.
pub fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    let url = Url::parse(url)?;
    let (websocket, _) = connect_with(&url, Request::new(&url), Arc::default())?;
    Ok(websocket)
}

/// Connects with a request of one's own: headers, subprotocols; gives the server's answer too.
///
/// Connecting takes [`Config::handshake_timeout`] at most, over all addresses of the host, and so does the handshake behind it. How
/// long the operating system takes to resolve a name cannot be bounded.
///
/// # Errors
///
/// As [`connect`].
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

/// Tries one address after the other.
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

/// Opens a WebSocket as a client over any stream that is connected: TLS, a proxy's tunnel, a pipe. Sends `request` and verifies
/// the answer, all within [`Config::handshake_timeout`].
///
/// # Errors
///
/// The stream broke, the server refused ([`HandshakeError::Refused`] has its response), or its answer is not valid.
pub fn client<S: Stream>(
    stream: S,
    request: Request,
    config: Arc<Config>,
) -> Result<(WebSocket<S>, Response), ConnectError> {
    let mut opening = Opening::new(stream, config.close_timeout)?;
    let mut handshake = request.start(nonce(), mask_keys(), config.clone());
    let mut broken = None;
    if let Some(bytes) = handshake.poll_transmit() {
        let n = bytes.len();
        // A server that has refused and gone may have left its answer: it is looked for all the same.
        broken = opening.write(bytes, config.handshake_timeout).err();
        handshake.transmitted(n);
    }
    let established = match (answer(&mut opening, &mut handshake), broken) {
        (Ok(established), _) => established,
        (Err(ConnectError::Handshake(HandshakeError::Eof { received: 0 })), Some(error)) => {
            return Err(error.into());
        }
        (Err(error), _) => return Err(error),
    };
    let Established { connection, response, subprotocol, .. } = established;
    let Opening { wire, input } = opening;
    Ok((WebSocket::with_wire(connection, input, wire, &config, subprotocol), response))
}

fn answer<S: Stream>(
    opening: &mut Opening<S>,
    handshake: &mut Handshake,
) -> Result<Established, ConnectError> {
    loop {
        match opening.wait(handshake.poll_timeout())? {
            Waited::Bytes => {}
            Waited::Eof => return Err(handshake.handle_eof().into()),
            Waited::Time(now) => handshake.handle_timeout(now)?,
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

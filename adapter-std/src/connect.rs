//! The client's opening handshake.

use std::sync::Arc;

use sockeye_core::handshake::client::{ClientHandshakeError, ClientRequest, Url};
use sockeye_core::http::Response;
use sockeye_core::session::{OpenError, Opened, Session};
use sockeye_core::{Config, Instant};
use sockeye_driver::dial::{Hop, Plan};
use sockeye_driver::{ConnectError, ConnectOptions, mask_keys, nonce};

use crate::clock::now;
use crate::dial::{open_tunnel, race};
use crate::opening::{Opening, OpeningEvent};
use crate::stream::Stream;
use crate::websocket::WebSocket;
use crate::wire::{Wire, plain};

/// Connects to a `ws://` or `wss://` URL with the defaults of [`ConnectOptions`].
///
/// `wss://` needs the feature `rustls`. The server's certificate must be one that the operating
/// system trusts, unless [`ConnectOptions`] say otherwise.
///
/// # Errors
///
/// Returns an error if the URL is invalid, if the host cannot be reached in time, if its certificate
/// is not trusted, or if the server refuses.
pub fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    let (websocket, _) = connect_with(url, ConnectOptions::new())?;
    Ok(websocket)
}

/// Connects with options: headers, subprotocols, compression, limits, certificates, a proxy. Also
/// returns the server's response.
///
/// ```no_run
/// # fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_std::ConnectOptions;
///
/// let options = ConnectOptions::new()
///     .header("Authorization", "Bearer 1234")?
///     .subprotocol("chat")?
///     .compression(true)
///     .proxy_from_env();
/// let (ws, response) = sockeye_std::connect_with("ws://example.com/", options)?;
/// println!("the server is {:?}", response.headers().first("server"));
/// # drop(ws);
/// # Ok(()) }
/// ```
///
/// The addresses of the host are tried as RFC 8305 says (Happy Eyeballs). Resolving the name,
/// connecting, the proxy, TLS, the opening handshake and redirects together take
/// [`Config::handshake_timeout`] at most.
///
/// A thread resolves the name, and if there are several addresses a thread connects to each. The
/// resolver of the system has timeouts of its own, so that its thread may stay after the error.
///
/// # Errors
///
/// Returns an error if the URL is invalid, if the host or the proxy cannot be reached in time, if
/// the server's certificate is not trusted, or if the server refuses. Without the feature `rustls`,
/// `wss://` is an error.
pub fn connect_with(
    url: impl TryInto<Url, Error: Into<ConnectError>>,
    options: impl Into<ConnectOptions>,
) -> Result<(WebSocket, Response), ConnectError> {
    let mut plan = Plan::new(url.try_into().map_err(Into::into)?, options.into());
    let since = now();
    loop {
        match dial(&plan, since) {
            Ok(opened) => return Ok(opened),
            Err(error) => plan.follow(error)?,
        }
    }
}

/// Opens a WebSocket to a URL over a stream of your own that leads to its host: a socket with
/// options, a Unix socket, a tunnel. Begins TLS for `wss://`.
///
/// The options for the way to the server, such as a proxy, have no effect. [`client`] does the same
/// with a request and no URL.
///
/// # Errors
///
/// Returns an error if the URL is invalid, if the stream breaks, if the server's certificate is not
/// trusted, or if the server refuses.
pub fn connect_over<S: Stream>(
    stream: S,
    url: impl TryInto<Url, Error: Into<ConnectError>>,
    options: impl Into<ConnectOptions>,
) -> Result<(WebSocket<S>, Response), ConnectError> {
    let plan = Plan::new(url.try_into().map_err(Into::into)?, options.into());
    open(stream, &plan, now(), &[])
}

fn dial(plan: &Plan, since: Instant) -> Result<(WebSocket, Response), ConnectError> {
    check_tls(plan)?;
    let deadline = since + plan.config().handshake_timeout;
    let Hop { destination, tunnel } = plan.hop()?;
    let mut stream = race(destination, deadline)?;
    let unread = match tunnel {
        Some(tunnel) => open_tunnel(&mut stream, tunnel, deadline)?,
        None => Vec::new(),
    };
    open(stream, plan, since, &unread)
}

/// Returns an error if the URL needs TLS that is not there, before anything is connected.
fn check_tls(plan: &Plan) -> Result<(), ConnectError> {
    #[cfg(feature = "_tls")]
    return plan.tls().map(drop);
    #[cfg(not(feature = "_tls"))]
    return if plan.is_secure() { Err(ConnectError::Tls) } else { Ok(()) };
}

/// Opens a WebSocket over a stream of which `unread` has been read.
fn open<S: Stream>(
    stream: S,
    plan: &Plan,
    since: Instant,
    unread: &[u8],
) -> Result<(WebSocket<S>, Response), ConnectError> {
    check_tls(plan)?;
    let (request, config) = (plan.request(), plan.config().clone());
    #[cfg(feature = "_tls")]
    if let Some(tls) = plan.tls()? {
        let wire =
            crate::tls::begin(stream, &tls, plan.url().host(), since + config.handshake_timeout, unread)?;
        return client_over(wire, request, config, since, &[]);
    }
    client_over(plain(stream), request, config, since, unread)
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
    client_over(plain(stream), request, config.into(), now(), &[])
}

/// Opens a WebSocket over a stream that may have TLS. The deadline counts from `since`, and `unread`
/// has been read from the stream.
pub(crate) fn client_over<S: Stream>(
    wire: Wire<S>,
    request: ClientRequest,
    config: Arc<Config>,
    since: Instant,
    unread: &[u8],
) -> Result<(WebSocket<S>, Response), ConnectError> {
    let mut session = Session::client(request, nonce(), mask_keys(), config.clone());
    session.handle_timeout(since);
    let mut opening = Opening::new(session, wire, config.close_timeout)?.with_unread(unread);
    loop {
        match opening.next_event()? {
            OpeningEvent::Open(opened) => {
                // The server may respond before it has read the whole request.
                opening.flush(since + config.handshake_timeout)?;
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

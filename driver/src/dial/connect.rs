//! From a URL to an open WebSocket, on the network of a runtime.

use sockeye_core::Instant;
use sockeye_core::handshake::client::Url;
use sockeye_core::http::Response;

use super::network::{IntoIo, Network};
use super::options::ConnectOptions;
use super::plan::{Hop, Plan};
use super::race::race;
use super::tunnel::open_tunnel;
use crate::handshake::connect::{ConnectError, client_inline};
use crate::handshake::entropy::Entropy;
use crate::runtime::io::{Clock, Io};
use crate::websocket::WebSocket;

type Opened<I, C> = Result<(WebSocket<I, C>, Response), ConnectError>;

/// Connects to a URL on this network: resolves the host, races its addresses, asks the proxy, begins
/// TLS, opens the WebSocket, and follows redirects as far as the options say.
///
/// [`Config::handshake_timeout`](sockeye_core::Config#structfield.handshake_timeout) is for all of
/// that together.
///
/// # Errors
///
/// Returns an error if the URL is invalid, if the host or the proxy cannot be reached in time, if
/// the server's certificate is not trusted, or if the server refuses.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the connection.
pub fn connect<N: Network>(
    network: &N,
    url: impl TryInto<Url, Error: Into<ConnectError>>,
    options: impl Into<ConnectOptions>,
) -> impl Future<Output = Opened<N::Io, N::Clock>> {
    let plan = url.try_into().map(|url| Plan::new(url, options.into()));
    // Boxed, because a task's future is as large as its largest state, for its whole life. An async
    // function would also keep the arguments.
    Box::pin(async move {
        let mut plan = plan.map_err(Into::into)?;
        let since = network.clock().now();
        loop {
            match dial(network, &plan, since).await {
                Ok(opened) => return Ok(opened),
                Err(error) => plan.follow(error)?,
            }
        }
    })
}

/// Opens a WebSocket to a URL over a socket that is connected to its host, or a tunnel to it: begins
/// TLS for `wss://`, and sends the request. The options for the way to the server have no effect.
///
/// # Errors
///
/// Returns an error like [`connect`].
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the socket.
pub fn connect_over<S: Io, I: Io, C: Clock>(
    socket: S,
    clock: C,
    into_io: IntoIo<S, I>,
    url: impl TryInto<Url, Error: Into<ConnectError>>,
    options: impl Into<ConnectOptions>,
) -> impl Future<Output = Opened<I, C>> {
    let plan = url.try_into().map(|url| Plan::new(url, options.into()));
    Box::pin(async move {
        let (plan, since) = (plan.map_err(Into::into)?, clock.now());
        open(socket, clock, &into_io, &plan, since, Vec::new()).await
    })
}

async fn dial<N: Network>(network: &N, plan: &Plan, since: Instant) -> Opened<N::Io, N::Clock> {
    let (mut clock, into_io) = (network.clock(), network.transport());
    check_tls(&into_io, plan)?;
    let deadline = since + plan.config().handshake_timeout;
    let Hop { destination, tunnel } = plan.hop()?;
    let mut socket = race(network, &mut clock, destination, deadline).await?;
    let unread = match tunnel {
        Some(tunnel) => open_tunnel(&mut socket, &mut clock, tunnel, deadline).await?,
        None => Vec::new(),
    };
    open(socket, clock, &into_io, plan, since, unread).await
}

/// Returns an error if the URL needs TLS that is not there, before anything is connected.
fn check_tls<S, I>(into_io: &IntoIo<S, I>, plan: &Plan) -> Result<(), ConnectError> {
    #[cfg(feature = "_tls")]
    let has_tls = into_io.secure.is_some();
    #[cfg(not(feature = "_tls"))]
    let has_tls = {
        let _ = into_io;
        false
    };
    if plan.is_secure() && !has_tls {
        return Err(ConnectError::Tls);
    }
    #[cfg(feature = "_tls")]
    plan.tls()?;
    Ok(())
}

/// Opens a WebSocket over a socket of which `unread` has been read.
#[cfg_attr(not(feature = "_tls"), expect(unused_mut, reason = "the clock times the TLS handshake"))]
async fn open<S: Io, I: Io, C: Clock>(
    socket: S,
    mut clock: C,
    into_io: &IntoIo<S, I>,
    plan: &Plan,
    since: Instant,
    unread: Vec<u8>,
) -> Opened<I, C> {
    check_tls(into_io, plan)?;
    let (request, config) = (plan.request(), plan.config().clone());
    #[cfg(feature = "_tls")]
    if let (Some(tls), Some(secure)) = (plan.tls()?, into_io.secure) {
        let deadline = since + config.handshake_timeout;
        let host = plan.url().host();
        let io = crate::tls::connect_tls_after(socket, &mut clock, &tls, host, deadline, &unread).await?;
        return client_inline(secure(io), clock, request, config, Entropy::random(), Some(since), &[]).await;
    }
    let io = (into_io.plain)(socket);
    client_inline(io, clock, request, config, Entropy::random(), Some(since), &unread).await
}

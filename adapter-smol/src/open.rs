//! The opening handshakes of servers and clients.

use std::sync::Arc;

use async_net::TcpStream;
use futures_io::{AsyncRead, AsyncWrite};
use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::handshake::server::{Accept, Policy, Upgrade};
use sockeye_core::http::Response;
use sockeye_core::{Config, Connection};
use sockeye_driver::{AcceptError, ConnectError, ConnectOptions, async_io};

use crate::{FuturesIo, SmolClock};

/// A WebSocket connection over a stream with the I/O traits of `futures`.
pub type WebSocket<S = TcpStream> = sockeye_driver::WebSocket<FuturesIo<S>, SmolClock>;

/// The receiving half of a [`WebSocket`].
pub type RecvHalf<S = TcpStream> = sockeye_driver::RecvHalf<FuturesIo<S>, SmolClock>;

/// The sending half of a [`WebSocket`].
pub type SendHalf<S = TcpStream> = sockeye_driver::SendHalf<FuturesIo<S>, SmolClock>;

/// A message that is sent in parts, see [`WebSocket::begin`](sockeye_driver::WebSocket::begin).
pub type MessageWriter<'w, S = TcpStream> = sockeye_driver::MessageWriter<'w, FuturesIo<S>, SmolClock>;

/// A valid request to open a WebSocket over a stream with the I/O traits of `futures`, to be
/// accepted or rejected.
pub type PendingUpgrade<S = TcpStream> = sockeye_driver::PendingUpgrade<FuturesIo<S>, SmolClock>;

/// Accepts a WebSocket with the defaults of [`Config`] and [`Policy`]: any path, no subprotocol,
/// and only pages from the same host.
///
/// Set `TCP_NODELAY` on a TCP stream first, as [`accept_tcp`](crate::accept_tcp) does. Otherwise a
/// small message may wait until the peer has acknowledged the previous one.
///
/// # Errors
///
/// Returns an error if no valid request arrives within [`Config::handshake_timeout`], if the
/// request is refused (the client receives a response that says why), or if the stream breaks.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<WebSocket<S>, AcceptError> {
    accept_with(
        stream,
        Arc::<Config>::default(),
        async |upgrade: &Upgrade| Ok(Policy::new().decide(upgrade)?),
    )
    .await
}

/// Accepts a WebSocket if `decide` accepts the request.
///
/// `decide` returns the contents of the 101 response, or a response that refuses the request. It
/// may wait.
///
/// ```no_run
/// # async fn f(stream: smol::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_smol::{Accept, Config, Response, Upgrade};
///
/// let config = Config::new().max_message_size(64 << 10);
/// let decide = async |upgrade: &Upgrade| match upgrade.path() {
///     "/chat" => Ok(Accept::new().header("Set-Cookie", "seen=1")?),
///     _ => Err(Response::text(404, "the only path is /chat\n")),
/// };
/// let ws = sockeye_smol::accept_with(stream, config, decide).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Returns an error if no valid request arrives within [`Config::handshake_timeout`], if the
/// request is refused, if `decide` chooses a subprotocol that the client did not offer, or if the
/// stream breaks.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub fn accept_with<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: impl Into<Arc<Config>>,
    decide: impl AsyncFnOnce(&Upgrade) -> Result<Accept, Response>,
) -> impl Future<Output = Result<WebSocket<S>, AcceptError>> {
    sockeye_driver::accept_with(FuturesIo::new(stream), SmolClock::default(), config, decide)
}

/// Reads one request, within [`Config::handshake_timeout`], and leaves the decision to the caller.
///
/// Answers an invalid request with the reason, and closes the stream.
///
/// # Errors
///
/// Returns an error if no valid request arrives in time, or if the stream breaks.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub fn read_upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: impl Into<Arc<Config>>,
) -> impl Future<Output = Result<PendingUpgrade<S>, AcceptError>> {
    sockeye_driver::read_upgrade(FuturesIo::new(stream), SmolClock::default(), config)
}

/// Drives a WebSocket over a stream whose opening handshake another HTTP library has carried.
///
/// `opened` is the outcome of the handshake: [`Accepted`] of a server, or [`Established`] of a
/// client. If the library has read bytes ahead and does not return them with the stream, use
/// [`WebSocket::new`](sockeye_driver::WebSocket::new) instead.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use sockeye_smol::protocol::handshake::server::Upgrade;
/// # async fn f(upgrade: Upgrade, stream: smol::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_smol::{Accept, Config};
///
/// let accepted = upgrade.accept_parts(&Accept::new(), Arc::new(Config::new()))?;
/// // Send `accepted.response` through the library.
/// let mut ws = sockeye_smol::websocket(stream, accepted);
/// ws.send("hello").await?;
/// # Ok(()) }
/// ```
///
/// [`Accepted`]: sockeye_core::handshake::server::Accepted
/// [`Established`]: sockeye_core::handshake::client::Established
pub fn websocket<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    opened: impl Into<(Connection, Option<String>)>,
) -> WebSocket<S> {
    let (connection, subprotocol) = opened.into();
    let websocket = WebSocket::new(connection, &[], FuturesIo::new(stream), SmolClock::default());
    websocket.with_subprotocol(subprotocol)
}

/// Connects to a `ws://` or `wss://` URL with the defaults of [`ConnectOptions`].
///
/// `wss://` needs the feature `rustls`. The server's certificate must be one that the operating
/// system trusts, unless [`ConnectOptions`] say otherwise.
///
/// # Errors
///
/// Returns an error if the URL is invalid, if the host cannot be reached in time, if its certificate
/// is not trusted, or if the server refuses.
///
/// # Cancel safety
///
/// Dropping the future drops the connection.
pub async fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    let (websocket, _) = connect_with(url, ConnectOptions::new()).await?;
    Ok(websocket)
}

/// Connects with options: headers, subprotocols, compression, limits, certificates, a proxy. Also
/// returns the server's response.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_smol::ConnectOptions;
///
/// let options = ConnectOptions::new()
///     .header("Authorization", "Bearer 1234")?
///     .subprotocol("chat")?
///     .compression(true)
///     .proxy_from_env();
/// let (ws, response) = sockeye_smol::connect_with("ws://example.com/", options).await?;
/// println!("the server is {:?}", response.headers().first("server"));
/// # drop(ws);
/// # Ok(()) }
/// ```
///
/// The addresses of the host are tried as RFC 8305 says (Happy Eyeballs). Resolving the name,
/// connecting, the proxy, TLS, the opening handshake and redirects together take
/// [`Config::handshake_timeout`] at most.
///
/// # Errors
///
/// Returns an error if the URL is invalid, if the host or the proxy cannot be reached in time, if
/// the server's certificate is not trusted, or if the server refuses. Without the feature `rustls`,
/// `wss://` is an error.
///
/// # Cancel safety
///
/// Dropping the future drops the connection.
pub fn connect_with(
    url: impl TryInto<Url, Error: Into<ConnectError>>,
    options: impl Into<ConnectOptions>,
) -> impl Future<Output = Result<(WebSocket, Response), ConnectError>> {
    async_io::connect(url, options)
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
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub fn connect_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: impl TryInto<Url, Error: Into<ConnectError>>,
    options: impl Into<ConnectOptions>,
) -> impl Future<Output = Result<(WebSocket<S>, Response), ConnectError>> {
    async_io::connect_over(stream, url, options)
}

/// Opens a WebSocket as a client over any connected stream: TLS, a tunnel through a proxy, a pipe.
///
/// Sends `request` and verifies the response, within [`Config::handshake_timeout`].
///
/// # Errors
///
/// Returns an error if the stream breaks, if the server refuses, or if its response is invalid.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub fn client<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
) -> impl Future<Output = Result<(WebSocket<S>, Response), ConnectError>> {
    sockeye_driver::client(FuturesIo::new(stream), SmolClock::default(), request, config)
}

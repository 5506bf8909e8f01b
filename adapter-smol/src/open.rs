//! Opening WebSockets: accepting and connecting.

use std::io;
use std::sync::Arc;

use async_io::Timer;
use async_net::TcpStream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::future;
use sockeye_core::Config;
use sockeye_core::handshake::client::{Request, Url};
use sockeye_core::handshake::server::{Accept, Policy, Upgrade};
use sockeye_core::http::Response;
use sockeye_driver::{AcceptError, ConnectError};

use crate::{FuturesIo, SmolClock};

/// A WebSocket over a stream with the I/O traits of futures.
pub type WebSocket<S = TcpStream> = sockeye_driver::WebSocket<FuturesIo<S>, SmolClock>;

/// The receiving half of a [`WebSocket`].
pub type RecvHalf<S = TcpStream> = sockeye_driver::RecvHalf<FuturesIo<S>, SmolClock>;

/// The sending half of a [`WebSocket`].
pub type SendHalf<S = TcpStream> = sockeye_driver::SendHalf<FuturesIo<S>, SmolClock>;

/// A message of a [`WebSocket`] that is written in parts.
pub type MessageWriter<'w, S = TcpStream> = sockeye_driver::MessageWriter<'w, FuturesIo<S>, SmolClock>;

/// A valid upgrade over a stream with the I/O traits of futures that waits for an answer.
pub type PendingUpgrade<S = TcpStream> = sockeye_driver::PendingUpgrade<FuturesIo<S>, SmolClock>;

/// Accepts a WebSocket with the defaults of [`Config`] and of [`Policy`]: any path, no subprotocol, and pages of the same
/// host only.
///
/// Set `TCP_NODELAY` on a TCP stream before: without it a small message may wait for the acknowledgement of the last.
///
/// # Errors
///
/// No valid request came, or it was refused; the client has been told why.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<WebSocket<S>, AcceptError> {
    accept_with(stream, Arc::default(), async |upgrade: &Upgrade| Ok(Policy::new().decide(upgrade)?)).await
}

/// Accepts a WebSocket if `decide` does, which sees the request, may wait, and answers with what goes into the 101, or
/// with a refusal.
///
/// ```no_run
/// # use std::sync::Arc;
/// # async fn f(stream: smol::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_smol::{Accept, Config, Response, Upgrade};
///
/// let config = Arc::new(Config::new().max_message_size(64 << 10));
/// let ws = sockeye_smol::accept_with(stream, config, async |upgrade: &Upgrade| match upgrade.path() {
///     "/chat" => Ok(Accept::new().header("Set-Cookie", "seen=1").expect("a valid header")),
///     _ => Err(Response::text(404, "there is only /chat\n")),
/// })
/// .await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// As [`accept`].
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn accept_with<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: Arc<Config>,
    decide: impl AsyncFnOnce(&Upgrade) -> Result<Accept, Response>,
) -> Result<WebSocket<S>, AcceptError> {
    sockeye_driver::accept_with(FuturesIo::new(stream), SmolClock::default(), config, decide).await
}

/// Reads a request to open a WebSocket, to be accepted or refused later, elsewhere, by whatever code.
///
/// # Errors
///
/// As [`accept`].
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn read_upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: Arc<Config>,
) -> Result<PendingUpgrade<S>, AcceptError> {
    sockeye_driver::read_upgrade(FuturesIo::new(stream), SmolClock::default(), config).await
}

/// Connects to a `ws://` URL with the defaults of [`Config`].
///
/// # Errors
///
/// The URL is not one, the host cannot be reached, or the server refused.
///
/// # Cancel safety
///
/// Dropping the future drops the connection.
pub async fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    let url = Url::parse(url)?;
    let (websocket, _) = connect_with(&url, Request::new(&url), Arc::default()).await?;
    Ok(websocket)
}

/// Connects with a request of one's own: headers, subprotocols; gives the server's answer too.
///
/// Resolving the name and connecting take [`Config::handshake_timeout`] at most, and so does the handshake behind them.
///
/// # Errors
///
/// As [`connect`].
///
/// # Cancel safety
///
/// Dropping the future drops the connection.
pub async fn connect_with(
    url: &Url,
    request: Request,
    config: Arc<Config>,
) -> Result<(WebSocket, Response), ConnectError> {
    if url.is_secure() {
        return Err(ConnectError::Tls);
    }
    let connecting = TcpStream::connect((url.host(), url.port()));
    let alarm = async {
        Timer::after(config.handshake_timeout).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let stream = future::or(connecting, alarm).await?;
    stream.set_nodelay(true)?;
    client(stream, request, config).await
}

/// Opens a WebSocket as a client over any stream that is connected: TLS, a proxy's tunnel, a pipe.
///
/// # Errors
///
/// The stream broke, or the server refused.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn client<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request,
    config: Arc<Config>,
) -> Result<(WebSocket<S>, Response), ConnectError> {
    sockeye_driver::client(FuturesIo::new(stream), SmolClock::default(), request, config).await
}

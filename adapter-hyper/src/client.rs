//! WebSockets on connections of an HTTP client.
//!
//! A connection of hyper's client becomes a WebSocket over HTTP/1.1, and carries many of them over
//! HTTP/2:
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use http_body_util::Empty;
//! use hyper_util::rt::{TokioExecutor, TokioIo};
//! use sockeye_hyper::{Bytes, Config, client};
//!
//! let stream = TokioIo::new(tokio::net::TcpStream::connect("example.com:80").await?);
//! let (mut http, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
//! tokio::spawn(connection);
//! for room in ["blue", "green"] {
//!     let request = http::Request::get(format!("ws://example.com/chat/{room}")).body(Empty::<Bytes>::new())?;
//!     let (mut ws, _) = client::http2(&mut http, request, Config::new()).await?;
//!     ws.send("hello").await?;
//! }
//! # Ok(()) }
//! ```
//!
//! A [`Handshake`] opens WebSockets with any other client that supports upgrades, such as reqwest or
//! the pooled client of hyper-util.

use std::sync::Arc;
use std::time::Duration;

use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn;
use sockeye_core::Config;

mod error;
mod handshake;

pub use error::{ConnectError, InvalidRequest};
pub use handshake::Handshake;

use crate::WebSocket;

/// The longest body of a refusal that is kept. The rest is discarded.
const MAX_REFUSAL: usize = 16 << 10;

/// Opens a WebSocket on an HTTP/1.1 connection, which the WebSocket uses up.
///
/// The request has a `ws://`, `wss://`, `http://` or `https://` URI, or a path and the header `Host`.
/// This function adds the headers of the handshake. Offer subprotocols with the header
/// `Sec-WebSocket-Protocol`, and compression with [`Config::deflate`]. The body of the request must
/// be empty.
///
/// Also returns the server's response. The connection must be driven with `with_upgrades`:
///
/// ```no_run
/// # async fn f(stream: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use http_body_util::Empty;
/// use hyper_util::rt::TokioIo;
/// use sockeye_hyper::{Bytes, Config, client};
///
/// let (mut http, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
/// tokio::spawn(connection.with_upgrades());
/// let request = http::Request::get("ws://example.com/chat").body(Empty::<Bytes>::new())?;
/// let (mut ws, response) = client::http1(&mut http, request, Config::new()).await?;
/// ws.send("hello").await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Returns an error if the request is invalid, if the connection breaks, if the server refuses or its
/// response is invalid, and after [`Config::handshake_timeout`].
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub async fn http1<B>(
    connection: &mut conn::http1::SendRequest<B>,
    request: http::Request<B>,
    config: impl Into<Arc<Config>>,
) -> Result<(WebSocket, http::Response<()>), ConnectError>
where
    B: Body + 'static,
{
    let config = config.into();
    let timeout = config.handshake_timeout;
    let (handshake, request) = Handshake::start(request, |request| Handshake::http1(request, config))?;
    let response = async {
        connection.ready().await?;
        connection.send_request(request).await
    };
    finish(handshake, response, timeout).await
}

/// Opens a WebSocket as a stream of an HTTP/2 connection (RFC 8441). The connection can carry others,
/// and other requests: clone the `SendRequest` to use it from several tasks.
///
/// The request is as for [`http1`]; this function makes an Extended CONNECT of it. The server must
/// have enabled that with the setting SETTINGS_ENABLE_CONNECT_PROTOCOL, or it resets the stream.
/// `is_extended_connect_protocol_enabled` of hyper's `Connection` returns whether it has, once its
/// settings have arrived.
///
/// # Errors
///
/// Returns an error like [`http1`].
///
/// # Cancel safety
///
/// Dropping the future resets the stream. The connection remains.
#[cfg(feature = "http2")]
pub async fn http2<B>(
    connection: &mut conn::http2::SendRequest<B>,
    request: http::Request<B>,
    config: impl Into<Arc<Config>>,
) -> Result<(WebSocket, http::Response<()>), ConnectError>
where
    B: Body + 'static,
{
    let config = config.into();
    let timeout = config.handshake_timeout;
    let (handshake, request) = Handshake::start(request, |request| Handshake::http2(request, config))?;
    let response = async {
        connection.ready().await?;
        connection.send_request(request).await
    };
    finish(handshake, response, timeout).await
}

/// Waits for the response and for the WebSocket, for at most `timeout`.
async fn finish(
    handshake: Handshake,
    response: impl Future<Output = hyper::Result<http::Response<Incoming>>>,
    timeout: Duration,
) -> Result<(WebSocket, http::Response<()>), ConnectError> {
    let opening = async {
        let mut response = response.await?;
        match handshake.finish(&mut response) {
            Ok(opening) => Ok((opening.await?, response.map(drop))),
            Err(ConnectError::Refused(_)) => {
                Err(ConnectError::Refused(Box::new(read_refusal(response).await)))
            }
            Err(error) => Err(error),
        }
    };
    tokio::time::timeout(timeout, opening).await.unwrap_or(Err(ConnectError::TimedOut))
}

/// Reads the body of a refusal, which may explain it. A longer one is left out.
async fn read_refusal(response: http::Response<Incoming>) -> http::Response<bytes::Bytes> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_REFUSAL).collect().await;
    http::Response::from_parts(head, body.map(|body| body.to_bytes()).unwrap_or_default())
}

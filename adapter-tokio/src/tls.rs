//! TLS, by [rustls].
//!
//! `wss://` URLs need no more than the feature `rustls`. For a private authority, a client
//! certificate, or another name than the host's, pass a [`ClientTls`]:
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use sockeye_tokio::ConnectOptions;
//! use sockeye_tokio::tls::ClientTls;
//!
//! let tls = ClientTls::with_ca_pem(&std::fs::read("ca.pem")?)?;
//! let options = ConnectOptions::new().tls(tls);
//! let (mut ws, _) = sockeye_tokio::connect_with("wss://chat.internal/", options).await?;
//! ws.send("hello").await?;
//! # Ok(()) }
//! ```
//!
//! A server speaks TLS on the ports of `listen_tls`, or on single connections with
//! [`accept_tls`]:
//!
//! ```no_run
//! # #[cfg(feature = "server")]
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use sockeye_tokio::server::{Callbacks, Port, Server};
//! use sockeye_tokio::tls::ServerTls;
//!
//! let tls = ServerTls::from_pem(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?;
//! let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
//! let server = Server::builder().listen_tls("0.0.0.0:443", tls.clone(), Port::new(echo))?.build();
//! server.run().await?;
//! # Ok(()) }
//! ```
//!
//! `ws` and `wss` have the same type, [`WebSocket`]. [`TokioIo::tls`] returns what the handshake has
//! agreed on: `ws.io().tls()`.

use std::sync::Arc;

use sockeye_core::Config;
use sockeye_core::handshake::client::ClientRequest;
use sockeye_core::handshake::server::{Accept, Policy, Upgrade};
use sockeye_core::http::Response;
use sockeye_driver::{AcceptError, ConnectError};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::stream::Raw;
use crate::{TokioClock, TokioIo, WebSocket};

pub use sockeye_driver::tls::{ClientTls, ServerTls, TlsError, TlsInfo, rustls};

/// Begins TLS over any connected stream, such as a tunnel through a proxy, and opens a WebSocket
/// over it as a client, like [`client`](crate::client).
///
/// `host` is the name that the server's certificate must have, unless [`ClientTls::server_name`] has
/// set another. [`Config::handshake_timeout`] includes both handshakes.
///
/// # Errors
///
/// Returns an error if the server cannot be authenticated, if the stream breaks, or if the server
/// refuses. Nothing of the request is sent before the server is authenticated.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub fn client_tls<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: &ClientTls,
    host: &str,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
) -> impl Future<Output = Result<(WebSocket<S>, Response), ConnectError>> {
    let (io, clock) = (Raw(stream), TokioClock::default());
    sockeye_driver::client_tls(io, clock, (tls, host), request, config, TokioIo::with_tls)
}

/// Begins TLS over an accepted stream, and accepts a WebSocket like [`accept`](crate::accept).
///
/// # Errors
///
/// Returns an error if the TLS handshake fails, and otherwise like [`accept`](crate::accept). A
/// client that speaks plain HTTP receives a 400.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn accept_tls<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: &ServerTls,
) -> Result<WebSocket<S>, AcceptError> {
    let decide = async |upgrade: &Upgrade| Ok(Policy::new().decide(upgrade)?);
    accept_tls_with(stream, tls, Arc::<Config>::default(), decide).await
}

/// Begins TLS over an accepted stream, and accepts a WebSocket if `decide` accepts the request, like
/// [`accept_with`](crate::accept_with). [`Config::handshake_timeout`] includes both handshakes.
///
/// # Errors
///
/// Returns an error if the TLS handshake fails, and otherwise like
/// [`accept_with`](crate::accept_with). A client that speaks plain HTTP receives a 400.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub fn accept_tls_with<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: &ServerTls,
    config: impl Into<Arc<Config>>,
    decide: impl AsyncFnOnce(&Upgrade) -> Result<Accept, Response>,
) -> impl Future<Output = Result<WebSocket<S>, AcceptError>> {
    let (io, clock) = (Raw(stream), TokioClock::default());
    sockeye_driver::accept_tls_with(io, clock, tls, config, decide, TokioIo::with_tls)
}

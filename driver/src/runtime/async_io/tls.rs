//! TLS over the streams of async-io.

use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use sockeye_core::Config;
#[cfg(feature = "rand")]
use sockeye_core::handshake::client::ClientRequest;
use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::Response;

use crate::handshake::accept::{self, AcceptError};
#[cfg(feature = "rand")]
use crate::handshake::connect::{self, ConnectError};
use crate::runtime::async_io::{AsyncIoClock, FuturesIo, Raw};
#[cfg(feature = "rand")]
use crate::tls::ClientTls;
use crate::tls::{ServerTls, TlsInfo, TlsIo};
use crate::websocket::WebSocket;

impl<S> FuturesIo<S> {
    pub(super) fn with_tls(tls: TlsIo<Raw<S>>) -> Self {
        FuturesIo(tls.into())
    }

    /// Returns what the TLS handshake has agreed on, with the certificates of the peer; `None`
    /// without TLS, or if the stream itself is a TLS stream.
    #[must_use]
    pub fn tls(&self) -> Option<TlsInfo> {
        self.0.tls()
    }
}

/// Begins TLS over a connected stream, and opens a WebSocket over it, like
/// [`client_tls`](crate::client_tls).
///
/// # Errors
///
/// Returns an error like [`client_tls`](crate::client_tls).
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the stream.
#[cfg(feature = "rand")]
pub async fn client_tls<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: &ClientTls,
    host: &str,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
) -> Result<(WebSocket<FuturesIo<S>, AsyncIoClock>, Response), ConnectError> {
    let (io, clock) = (Raw(stream), AsyncIoClock::default());
    connect::client_tls(io, clock, (tls, host), request, config, FuturesIo::with_tls).await
}

/// Begins TLS over an accepted stream, and accepts a WebSocket over it, like
/// [`accept_tls_with`](crate::accept_tls_with).
///
/// # Errors
///
/// Returns an error like [`accept_tls_with`](crate::accept_tls_with).
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the stream.
pub async fn accept_tls_with<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: &ServerTls,
    config: impl Into<Arc<Config>>,
    decide: impl AsyncFnOnce(&Upgrade) -> Result<Accept, Response>,
) -> Result<WebSocket<FuturesIo<S>, AsyncIoClock>, AcceptError> {
    let (io, clock) = (Raw(stream), AsyncIoClock::default());
    accept::accept_tls_with(io, clock, tls, config, decide, FuturesIo::with_tls).await
}

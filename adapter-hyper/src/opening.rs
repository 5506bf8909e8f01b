//! Waiting for hyper to hand over a connection.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::OnUpgrade;
use sockeye_core::Connection;
use sockeye_tokio::TokioClock;

use crate::{HyperIo, WebSocket};

/// A future of the [`WebSocket`] whose opening handshake has succeeded.
///
/// On a server it is ready once hyper has written the response. So return the response first, and
/// await this in a task of its own.
///
/// Return the response as it is, but for more headers. If a middleware replaces it, the connection
/// does not open over HTTP/2; over HTTP/1.1 hyper may still hand it over once it has closed. So
/// decide before the handshake is accepted.
///
/// # Errors
///
/// The output is an [`UpgradeError`] if hyper does not hand over the connection.
///
/// # Cancel safety
///
/// Dropping the future drops the connection.
#[must_use = "the WebSocket opens only if this is awaited"]
pub struct Opening {
    upgrade: OnUpgrade,
    opened: Option<(Connection, Option<String>)>,
}

impl Opening {
    pub(crate) fn new(upgrade: OnUpgrade, opened: impl Into<(Connection, Option<String>)>) -> Self {
        Opening { upgrade, opened: Some(opened.into()) }
    }

    /// Returns the subprotocol that the two ends agreed on, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.opened.as_ref()?.1.as_deref()
    }
}

impl Future for Opening {
    type Output = Result<WebSocket, UpgradeError>;

    /// # Panics
    ///
    /// Panics if it is polled after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let upgraded = ready!(Pin::new(&mut self.upgrade).poll(cx)).map_err(UpgradeError)?;
        let (connection, subprotocol) = self.opened.take().expect("polled after it was ready");
        let (io, unread) = HyperIo::new(upgraded);
        let websocket = WebSocket::new(connection, &unread, io, TokioClock::default());
        Poll::Ready(Ok(websocket.with_subprotocol(subprotocol)))
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("subprotocol", &self.subprotocol()).finish_non_exhaustive()
    }
}

/// The error for a connection that hyper has not handed over, although the opening handshake has
/// succeeded.
///
/// The client may have gone before the response was written, or a middleware has replaced the
/// response. If it happens to every connection, the server does not call `with_upgrades`
/// (`serve_connection_with_upgrades` of hyper-util).
#[derive(Debug)]
pub struct UpgradeError(hyper::Error);

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hyper has not handed over the connection")
    }
}

impl Error for UpgradeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

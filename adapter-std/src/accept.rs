//! The server's opening handshake.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use sockeye_core::handshake::server::{Accept, Policy, Upgrade};
use sockeye_core::http::Response;
use sockeye_core::session::Session;
use sockeye_core::{Config, Instant};
use sockeye_driver::AcceptError;

use crate::clock::now;
use crate::opening::{Opening, OpeningEvent};
use crate::stream::Stream;
use crate::websocket::WebSocket;
use crate::wire::{Wire, plain};

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
pub fn accept<S: Stream>(stream: S) -> Result<WebSocket<S>, AcceptError> {
    accept_with(stream, Config::new(), |upgrade| Ok(Policy::new().decide(upgrade)?))
}

/// Accepts a WebSocket if `decide` accepts the request.
///
/// `decide` returns the contents of the 101 response, or a response that refuses the request. It
/// may block.
///
/// ```no_run
/// # fn f(stream: std::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_std::{Accept, Config, Response};
///
/// let config = Config::new().max_message_size(64 << 10);
/// let ws = sockeye_std::accept_with(stream, config, |upgrade| match upgrade.path() {
///     "/chat" => Ok(Accept::new().header("Set-Cookie", "seen=1")?),
///     _ => Err(Response::text(404, "the only path is /chat\n")),
/// })?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Returns an error if no valid request arrives within [`Config::handshake_timeout`], if the
/// request is refused, if `decide` chooses a subprotocol that the client did not offer, or if the
/// stream breaks.
pub fn accept_with<S: Stream>(
    stream: S,
    config: impl Into<Arc<Config>>,
    decide: impl FnOnce(&Upgrade) -> Result<Accept, Response>,
) -> Result<WebSocket<S>, AcceptError> {
    accept_over(plain(stream), config.into(), now(), decide)
}

/// Accepts a WebSocket over a stream that may have TLS. The deadline counts from `since`.
pub(crate) fn accept_over<S: Stream>(
    wire: Wire<S>,
    config: Arc<Config>,
    since: Instant,
    decide: impl FnOnce(&Upgrade) -> Result<Accept, Response>,
) -> Result<WebSocket<S>, AcceptError> {
    let pending = read_upgrade_over(wire, config, since)?;
    match decide(pending.upgrade()) {
        Ok(accept) => pending.accept(&accept),
        Err(response) => {
            let status = response.status();
            pending.reject(&response)?;
            Err(AcceptError::Rejected(status))
        }
    }
}

/// Reads one request, within [`Config::handshake_timeout`], and leaves the decision to the caller.
///
/// Answers an invalid request with the reason, and closes the stream.
///
/// # Errors
///
/// Returns an error if no valid request arrives in time, or if the stream breaks.
pub fn read_upgrade<S: Stream>(
    stream: S,
    config: impl Into<Arc<Config>>,
) -> Result<PendingUpgrade<S>, AcceptError> {
    read_upgrade_over(plain(stream), config.into(), now())
}

fn read_upgrade_over<S: Stream>(
    wire: Wire<S>,
    config: Arc<Config>,
    since: Instant,
) -> Result<PendingUpgrade<S>, AcceptError> {
    let mut session = Session::server(config.clone());
    session.handle_timeout(since);
    let mut opening = Opening::new(session, wire, config.close_timeout)?;
    let error = loop {
        match opening.next_event()? {
            OpeningEvent::Upgrade(upgrade) => return Ok(PendingUpgrade { opening, upgrade, config }),
            OpeningEvent::NotOpened(error) => break error,
            OpeningEvent::Ended => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            OpeningEvent::Open(_) => {}
        }
    };
    // Ignore an error here: the caller needs to know what was wrong with the request.
    let _ = opening.finish();
    Err(error.into())
}

/// A valid request to open a WebSocket. The client waits until it is accepted or rejected.
#[derive(Debug)]
#[must_use = "the client waits for an answer"]
pub struct PendingUpgrade<S = TcpStream> {
    opening: Opening<S>,
    upgrade: Upgrade,
    config: Arc<Config>,
}

impl<S: Stream> PendingUpgrade<S> {
    /// Returns the request.
    #[must_use]
    pub fn upgrade(&self) -> &Upgrade {
        &self.upgrade
    }

    /// Sends the 101 response and opens the connection.
    ///
    /// # Errors
    ///
    /// Returns an error if `accept` chooses a subprotocol that the client did not offer (the client
    /// receives a 500), or if the stream breaks.
    pub fn accept(self, accept: &Accept) -> Result<WebSocket<S>, AcceptError> {
        let PendingUpgrade { mut opening, upgrade, config } = self;
        let deadline = now() + config.handshake_timeout;
        if let Err(error) = opening.session.accept(upgrade, accept) {
            opening.session.reject(error.response());
            opening.finish()?;
            return Err(AcceptError::Subprotocol(error));
        }
        loop {
            if let OpeningEvent::Open(opened) = opening.next_event()? {
                opening.flush(deadline)?;
                return Ok(opening.into_websocket(&config, &opened)?);
            }
        }
    }

    /// Sends a response that refuses the request, and closes the stream once the client has had
    /// time to read it. The status must not be 101.
    ///
    /// # Errors
    ///
    /// Returns an error if the stream breaks.
    pub fn reject(mut self, response: &Response) -> io::Result<()> {
        self.opening.session.reject(response.clone());
        self.opening.finish()
    }
}

//! The server's opening handshake.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use sockeye_core::handshake::server::{Accept, Accepted, Handshake, Policy, Upgrade};
use sockeye_core::http::{Request, Response};
use sockeye_core::{Config, RecvBuf};
use sockeye_driver::AcceptError;

use crate::opening::{Opening, Waited};
use crate::stream::Stream;
use crate::websocket::WebSocket;

/// Accepts a WebSocket with the defaults of [`Config`] and of [`Policy`]: any path, no subprotocol, and pages of the same
/// host only.
///
/// Set `TCP_NODELAY` on a TCP stream before: without it a small message may wait for the acknowledgement of the last.
///
/// # Errors
///
/// No valid request came, or it was refused; the client has been told why.
pub fn accept<S: Stream>(stream: S) -> Result<WebSocket<S>, AcceptError> {
    accept_with(stream, Arc::default(), |upgrade| Ok(Policy::new().decide(upgrade)?))
}

/// Accepts a WebSocket if `decide` does, which sees the request, may take its time, and answers with what goes into the 101,
/// or with a refusal.
///
/// ```no_run
/// # use std::sync::Arc;
/// # fn f(stream: std::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_std::{Accept, Config, Response};
///
/// let config = Arc::new(Config::new().max_message_size(64 << 10));
/// let ws = sockeye_std::accept_with(stream, config, |upgrade| match upgrade.path() {
///     "/chat" => Ok(Accept::new().header("Set-Cookie", "seen=1").expect("a valid header")),
///     _ => Err(Response::text(404, "there is only /chat\n")),
/// })?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// As [`accept`].
pub fn accept_with<S: Stream>(
    stream: S,
    config: Arc<Config>,
    decide: impl FnOnce(&Upgrade) -> Result<Accept, Response>,
) -> Result<WebSocket<S>, AcceptError> {
    let pending = read_upgrade(stream, config)?;
    match decide(pending.upgrade()) {
        Ok(accept) => pending.accept(&accept),
        Err(response) => {
            let status = response.status();
            pending.reject(&response)?;
            Err(AcceptError::Rejected(status))
        }
    }
}

/// Reads one request, within [`Config::handshake_timeout`], to be accepted or refused later, elsewhere, by whatever code. What is
/// not a valid upgrade is answered with the reason, and the stream closed.
///
/// # Errors
///
/// As [`accept`].
pub fn read_upgrade<S: Stream>(stream: S, config: Arc<Config>) -> Result<PendingUpgrade<S>, AcceptError> {
    let mut opening = Opening::new(stream, config.close_timeout)?;
    let (error, response) = match read_request(&mut opening, &config) {
        Ok(request) => match Upgrade::new(request) {
            Ok(upgrade) => return Ok(PendingUpgrade { opening, upgrade, config }),
            Err(rejection) => (AcceptError::Refused(rejection.reason()), Some(rejection.response())),
        },
        Err(AcceptError::Handshake(error)) => (AcceptError::Handshake(error), error.response()),
        Err(error) => (error, None),
    };
    if let Some(response) = response {
        // The peer may be gone; what it did wrong is what matters to the caller.
        let _ = opening.end_with(&response.encode());
    }
    Err(error)
}

fn read_request<S: Stream>(opening: &mut Opening<S>, config: &Arc<Config>) -> Result<Request, AcceptError> {
    let mut handshake = Handshake::new(config.clone());
    loop {
        match opening.wait(handshake.poll_timeout())? {
            Waited::Bytes => {}
            Waited::Eof => return Err(handshake.handle_eof().into()),
            Waited::Time(now) => handshake.handle_timeout(now)?,
        }
        let mut view = RecvBuf::new(opening.input.unread());
        let request = handshake.poll_request(&mut view)?;
        let used = view.consumed();
        opening.input.consume(used);
        if let Some(request) = request {
            return Ok(request);
        }
    }
}

/// A valid request to open a WebSocket that waits for an answer. Take as long as you like: the peer waits.
#[derive(Debug)]
#[must_use = "the client waits for an answer"]
pub struct PendingUpgrade<S = TcpStream> {
    opening: Opening<S>,
    upgrade: Upgrade,
    config: Arc<Config>,
}

impl<S: Stream> PendingUpgrade<S> {
    /// What the client asks for.
    #[must_use]
    pub fn upgrade(&self) -> &Upgrade {
        &self.upgrade
    }

    /// Sends the 101, and opens the connection.
    ///
    /// # Errors
    ///
    /// A subprotocol that the client did not offer: the client is refused with 500. Or a broken stream.
    pub fn accept(self, accept: &Accept) -> Result<WebSocket<S>, AcceptError> {
        let PendingUpgrade { opening, upgrade, config } = self;
        match upgrade.accept(accept, config.clone()) {
            Ok(Accepted { connection, subprotocol, .. }) => {
                let Opening { wire, input } = opening;
                let mut websocket = WebSocket::with_wire(connection, input, wire, &config, subprotocol);
                websocket.flush_opening()?;
                Ok(websocket)
            }
            Err(error) => {
                opening.end_with(&error.response().encode())?;
                Err(AcceptError::Subprotocol(error))
            }
        }
    }

    /// Refuses with any response but a 101, and closes the stream when the client has had time to read it.
    ///
    /// # Errors
    ///
    /// The stream broke.
    pub fn reject(self, response: &Response) -> io::Result<()> {
        self.opening.end_with(&response.encode())
    }
}

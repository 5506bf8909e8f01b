//! TLS, by [rustls].
//!
//! `wss://` URLs need no more than the feature `rustls`. For a private authority, a client
//! certificate, or another name than the host's, pass a [`ClientTls`]:
//!
//! ```no_run
//! # fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use sockeye_std::ConnectOptions;
//! use sockeye_std::tls::ClientTls;
//!
//! let tls = ClientTls::with_ca_pem(&std::fs::read("ca.pem")?)?;
//! let options = ConnectOptions::new().tls(tls);
//! let (mut ws, _) = sockeye_std::connect_with("wss://chat.internal/", options)?;
//! ws.send("hello")?;
//! # Ok(()) }
//! ```
//!
//! A server speaks TLS on the ports of `listen_tls`, or on single connections with
//! [`accept_tls`]:
//!
//! ```no_run
//! # #[cfg(feature = "server")]
//! # fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use sockeye_std::server::{Callbacks, Port, Server};
//! use sockeye_std::tls::ServerTls;
//!
//! let tls = ServerTls::from_pem(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?;
//! let echo = Callbacks::on_message(|client, message| client.push(message));
//! let server = Server::builder().listen_tls("0.0.0.0:443", tls.clone(), Port::new(echo))?.build();
//! server.run()?;
//! # Ok(()) }
//! ```
//!
//! `ws` and `wss` have the same type, [`WebSocket`]. [`WebSocket::tls`] returns what the handshake
//! has agreed on. The halves of a connection with TLS work on two threads at once, like those of one
//! without.

mod handshake;
pub(crate) mod wire;

use std::sync::Arc;

use sockeye_core::handshake::client::ClientRequest;
use sockeye_core::handshake::server::{Accept, Policy, Upgrade};
use sockeye_core::http::Response;
use sockeye_core::session::Session;
use sockeye_core::{Config, Instant};
use sockeye_driver::{AcceptError, ConnectError};

use crate::accept::accept_over;
use crate::clock::now;
use crate::connect::client_over;
use crate::opening::Opening;
use crate::stream::Stream;
use crate::websocket::WebSocket;
use handshake::shake_hands;
use sockeye_driver::tls::TlsSession;
use wire::{Wire, plain};

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
pub fn client_tls<S: Stream>(
    stream: S,
    tls: &ClientTls,
    host: &str,
    request: ClientRequest,
    config: impl Into<Arc<Config>>,
) -> Result<(WebSocket<S>, Response), ConnectError> {
    let (config, since) = (config.into(), now());
    let wire = begin(stream, tls, host, since + config.handshake_timeout, &[])?;
    client_over(wire, request, config, since, &[])
}

/// Begins TLS over a stream of which `unread` has been read.
pub(crate) fn begin<S: Stream>(
    mut stream: S,
    tls: &ClientTls,
    host: &str,
    deadline: Instant,
    unread: &[u8],
) -> Result<Wire<S>, TlsError> {
    let mut session = TlsSession::client(tls, tls.name_for(host)?)?;
    session.receive_unread(unread)?;
    shake_hands(&mut stream, &mut session, deadline)?;
    Ok(Wire::with_tls(stream, session))
}

/// Begins TLS over an accepted stream, and accepts a WebSocket like [`accept`](crate::accept).
///
/// # Errors
///
/// Returns an error if the TLS handshake fails, and otherwise like [`accept`](crate::accept). A
/// client that speaks plain HTTP receives a 400.
pub fn accept_tls<S: Stream>(stream: S, tls: &ServerTls) -> Result<WebSocket<S>, AcceptError> {
    accept_tls_with(stream, tls, Config::new(), |upgrade| Ok(Policy::new().decide(upgrade)?))
}

/// Begins TLS over an accepted stream, and accepts a WebSocket if `decide` accepts the request, like
/// [`accept_with`](crate::accept_with). [`Config::handshake_timeout`] includes both handshakes.
///
/// # Errors
///
/// Returns an error if the TLS handshake fails, and otherwise like
/// [`accept_with`](crate::accept_with). A client that speaks plain HTTP receives a 400.
pub fn accept_tls_with<S: Stream>(
    mut stream: S,
    tls: &ServerTls,
    config: impl Into<Arc<Config>>,
    decide: impl FnOnce(&Upgrade) -> Result<Accept, Response>,
) -> Result<WebSocket<S>, AcceptError> {
    let (config, since) = (config.into(), now());
    let mut session = TlsSession::server(tls).map_err(AcceptError::Tls)?;
    match shake_hands(&mut stream, &mut session, since + config.handshake_timeout) {
        Ok(()) => accept_over(Wire::with_tls(stream, session), config, since, decide),
        Err(error) => {
            if matches!(error, TlsError::PlainClient) {
                let close_timeout = config.close_timeout;
                let mut opening = Opening::new(Session::server(config), plain(stream), close_timeout)?;
                opening.session.reject(TlsError::plain_response());
                // Ignore an error here: the caller needs to know about the missing TLS.
                let _ = opening.finish();
            }
            Err(AcceptError::Tls(error))
        }
    }
}

impl<S> WebSocket<S> {
    /// Returns what the TLS handshake has agreed on, with the certificates of the peer; `None`
    /// without TLS, or if the stream itself is a TLS stream.
    #[must_use]
    pub fn tls(&self) -> Option<TlsInfo> {
        self.link.transport.stream.tls()
    }
}

//! WebSocket servers and clients on tokio.
//!
//! An echo server:
//!
//! ```no_run
//! use sockeye_tokio::WebSocket;
//!
//! # async fn f() -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:9501").await?;
//! let echo = |mut ws: WebSocket| async move {
//!     while let Some(message) = ws.recv().await? {
//!         ws.feed(message).await?;
//!     }
//!     Ok(())
//! };
//! sockeye_tokio::serve(listener, echo).await
//! # }
//! ```
//!
//! A client:
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use sockeye_tokio::CloseCode;
//!
//! let mut ws = sockeye_tokio::connect("ws://127.0.0.1:9501/").await?;
//! ws.send("hello").await?;
//! println!("{:?}", ws.recv().await?);
//! ws.close(CloseCode::NORMAL, "").await?;
//! # Ok(()) }
//! ```
//!
//! This crate contains the sockets and timers. [`sockeye_driver`] contains the I/O loop and the
//! documentation of [`WebSocket`], and [`protocol`] the protocol. This crate re-exports everything
//! that an application needs from both.
//!
//! Libraries for a subprotocol, such as JSON-RPC, run over these connections and over blocking
//! ones: see [`protocol::channel`].
//!
//! Every operation is cancel safe and works in `select!` and `timeout`.
//!
//! # Features
//!
//! | Feature | Default | |
//! |---|---|---|
//! | `zlib-rs` | yes | permessage-deflate with zlib-rs: faster, and efficient with small windows |
//! | `deflate` | | permessage-deflate with miniz_oxide (no `unsafe`), unless `zlib-rs` is on |
//! | `server` | yes | the module `server` |
//! | `tracing` | yes | servers log failures and refusals with `tracing`; without a subscriber, failures are written to the standard error |
//! | `json` | | the module `json`: messages in JSON, by serde |
//! | `rustls` | | `wss://` and TLS ports, with ring as the cryptography: see the module `tls` |
//! | `rustls-no-provider` | | the same, with the cryptography that the application installs |
//! | `webpki-roots` | | `ClientTls::webpki_roots`: the certificates that Mozilla trusts |
//! | `http`, `url` | | `http::Uri` and `url::Url` as the URL of a client |
//! | `futures` | | `Stream` and `Sink` for [`WebSocket`] and its halves |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod clock;
mod network;
mod open;
pub mod reconnect;
#[cfg(feature = "server")]
mod runtime;
mod serve;
mod stream;
#[cfg(feature = "_tls")]
pub mod tls;

/// Servers: they call a [`Handler`](server::Handler) for each event, and any task can push messages
/// to any connection.
///
/// ```no_run
/// use sockeye_tokio::server::{Client, Handler, HandlerResult, Inbound, Server};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
///         client.push(message)?;
///         Ok(())
///     }
/// }
///
/// #[tokio::main]
/// async fn main() -> std::io::Result<()> {
///     Server::bind("127.0.0.1:9501", Echo)?.run().await
/// }
/// ```
///
/// With the feature `rustls`, `listen_tls` opens a port with TLS.
///
/// For another transport, implement [`Io`] for its connections, [`Listener`] for its
/// source of connections, and [`Runtime`] with [`TokioClock`]. Then build a
/// [`driver::server::Server`] with `builder_on` and `listen_with`.
///
/// [`Listener`]: server::Listener
/// [`Runtime`]: server::Runtime
#[cfg(feature = "server")]
pub mod server {
    pub use crate::runtime::{Server, ServerBuilder, TokioListener, TokioRuntime};
    #[cfg(feature = "json")]
    pub use sockeye_driver::server::PushJsonError;
    pub use sockeye_driver::server::{
        Accepted, Address, Adopt, AdoptError, Adopted, BoxError, Broadcast, Callbacks, Client, ConnectionId,
        Decision, Drain, Endpoint, Excess, Failure, ForwardedFields, FullLimit, Handler, HandlerResult,
        HttpBodyError, HttpConnection, HttpContext, HttpExchange, HttpIo, HttpRequest, HttpService,
        HttpUpgrade, Inbound, Info, InvalidNetwork, Limits, ListenOptions, Listener, Outcome, Port,
        PortStats, Presence, PresenceChange, PresenceWatch, Publish, PushError, Pushed, RateLimit,
        RefusalInfo, RefusalReason, Refused, RefusedCounts, Runtime, ServerHandle, SlowReader, Socket, Stats,
        Status, TopicChange, TopicWatch, Traffic, TrustedProxies,
    };
}

pub use clock::TokioClock;
#[cfg(feature = "json")]
pub use sockeye_driver::json;

pub use open::{
    MessageWriter, PendingUpgrade, RecvHalf, SendHalf, WebSocket, accept, accept_with, client, connect,
    connect_over, connect_with, read_upgrade, websocket,
};
pub use reconnect::Reconnecting;
pub use serve::{accept_tcp, serve};
pub use sockeye_core as protocol;
pub use sockeye_core::dial::Proxy;
pub use sockeye_core::handshake::client::{ClientRequest, Url};
pub use sockeye_core::handshake::server::{Accept, Origins, Policy, Upgrade};
pub use sockeye_core::http::Response;
pub use sockeye_core::{
    ByteString, Bytes, CloseCode, CloseFrame, CloseInfo, Config, Frame, Message, MessageKind, MessageRef,
    Opcode, Payload, Prepared, ProtocolError, SendError, State, TrySendError,
};
pub use sockeye_driver as driver;
pub use sockeye_driver::{AcceptError, Clock, ConnectError, ConnectOptions, Error, Io, Part, WebSocketEvent};
pub use stream::TokioIo;
#[cfg(feature = "_tls")]
pub use tls::{accept_tls, accept_tls_with, client_tls};

/// Runs the examples of the README as tests.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;

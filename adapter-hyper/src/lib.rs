//! WebSockets for [hyper](https://docs.rs/hyper) and [axum](https://docs.rs/axum), over HTTP/1.1 and
//! HTTP/2.
//!
//! - [`upgrade`] answers any `http::Request` of a hyper server, or of a tower service.
//! - [`PendingUpgrade`] leaves the decision to the application.
//! - The module `axum` (feature `axum`) has an extractor for handlers of axum.
//! - The module `port` (feature `server`) lets a tower service, such as an application of axum, answer
//!   the plain requests on the port of a [`Server`](sockeye_driver::server::Server).
//! - The module `client` (feature `client`) opens WebSockets on connections of hyper's client.
//!
//! [`sockeye_tokio`] has servers and clients that need no hyper, and documents the types that this
//! crate re-exports. All operations of a [`WebSocket`] are cancel safe.
//!
//! # Features
//!
//! | Feature | Default | |
//! |---|---|---|
//! | `http2` | yes | WebSockets over HTTP/2 (RFC 8441) |
//! | `axum` | | the module `axum`: an extractor for axum 0.8 |
//! | `client` | | the module `client` |
//! | `server` | | the module `port`: hyper and tower services on the ports of a server |
//! | `rustls` | | TLS on these ports, by rustls |
//! | `zlib-rs` | yes | permessage-deflate with zlib-rs: faster, and efficient with small windows |
//! | `deflate` | | permessage-deflate with miniz_oxide (no `unsafe`), unless `zlib-rs` is on |
//! | `tracing` | yes | WebSockets whose handlers fail are logged with `tracing`, at debug level |
//! | `json` | | `send_json` and `recv_json`: messages in JSON, by serde |
//! | `futures` | | `Stream` and `Sink` for [`WebSocket`] and its halves |
//!
//! # HTTP/3
//!
//! RFC 9220 opens a WebSocket over HTTP/3 with the same Extended CONNECT as over HTTP/2. hyper does
//! not speak HTTP/3. With another library, use the handshake by parts of [`sockeye_core`] and drive
//! the connection over the library's stream: see the guide `docs/embedding.md` of the repository.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "client")]
pub mod client;
mod io;
mod opening;
#[cfg(feature = "server")]
pub mod port;
mod server;

use sockeye_tokio::TokioClock;

/// A WebSocket connection that hyper has opened.
pub type WebSocket = sockeye_driver::WebSocket<HyperIo, TokioClock>;

/// The receiving half of a [`WebSocket`].
pub type RecvHalf = sockeye_driver::RecvHalf<HyperIo, TokioClock>;

/// The sending half of a [`WebSocket`].
pub type SendHalf = sockeye_driver::SendHalf<HyperIo, TokioClock>;

pub use io::HyperIo;
pub use opening::{Opening, UpgradeError};
pub use server::{PendingUpgrade, Refused, is_upgrade, upgrade};
pub use sockeye_tokio::{
    Accept, ByteString, Bytes, CloseCode, CloseFrame, CloseInfo, Config, Error, Message, MessageKind,
    MessageRef, Origins, Part, Payload, Policy, Prepared, State, Upgrade, WebSocketEvent, driver, protocol,
};

/// Runs the examples of the README as tests.
#[cfg(all(doctest, feature = "axum", feature = "client", feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;

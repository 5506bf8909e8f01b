//! Blocking WebSocket servers and clients: a thread for each connection, and no async runtime.
//!
//! An echo server:
//!
//! ```no_run
//! use sockeye_std::WebSocket;
//!
//! # fn f() -> std::io::Result<()> {
//! let listener = std::net::TcpListener::bind("127.0.0.1:9501")?;
//! sockeye_std::serve(listener, |mut ws: WebSocket| {
//!     while let Some(message) = ws.recv()? {
//!         ws.feed(message)?;
//!     }
//!     Ok(())
//! })
//! # }
//! ```
//!
//! A client:
//!
//! ```no_run
//! # fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use sockeye_std::CloseCode;
//!
//! let mut ws = sockeye_std::connect("ws://127.0.0.1:9501/")?;
//! ws.send("hello")?;
//! println!("{:?}", ws.recv()?);
//! ws.close(CloseCode::NORMAL, "")?;
//! # Ok(()) }
//! ```
//!
//! The protocol is in [`protocol`]; this crate drives it with blocking reads and writes. The
//! timeouts of the socket enforce the deadlines of [`Config`]: see [`Stream`] for what a custom
//! transport needs. A name that also exists in `sockeye-tokio` and `sockeye-smol` means the same
//! here, without the `await`.
//!
//! A receive keeps reading while a write is blocked, so two ends that send large amounts at the
//! same time do not block each other. On Windows a write that times out cannot be resumed, because
//! the number of bytes that went out is unknown. There a write for which the peer makes no room
//! within [`Config::close_timeout`] ends the connection. The connections of a `Server` are not
//! affected, because their sockets do not block.
//!
//! Libraries that are generic over [`Channel`](protocol::channel::Channel) run over these
//! connections too. [`block_on`] runs their futures:
//!
//! ```no_run
//! use sockeye_std::protocol::channel::Channel;
//!
//! // In the library:
//! async fn greet<C: Channel>(channel: &mut C) -> Result<(), C::Error> {
//!     channel.send("hello").await
//! }
//!
//! # fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ws = sockeye_std::connect("ws://127.0.0.1:9501/")?;
//! sockeye_std::block_on(greet(&mut ws))?;
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! | Feature | Default | |
//! |---|---|---|
//! | `zlib-rs` | yes | permessage-deflate with zlib-rs: faster, and efficient with small windows |
//! | `deflate` | | permessage-deflate with miniz_oxide (no `unsafe`), unless `zlib-rs` is on |
//! | `server` | | the module `server`, on the sockets and timers of async-io |
//! | `json` | | the module `json`: messages in JSON, by serde |
//! | `rustls` | | `wss://` and TLS ports, with ring as the cryptography: see the module `tls` |
//! | `rustls-no-provider` | | the same, with the cryptography that the application installs |
//! | `webpki-roots` | | `ClientTls::webpki_roots`: the certificates that Mozilla trusts |
//! | `http`, `url` | | `http::Uri` and `url::Url` as the URL of a client |
//! | `tracing` | yes | servers log failures and refusals with `tracing`; without a subscriber, failures are written to the standard error |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod accept;
mod channel;
mod clock;
mod connect;
mod dial;
mod events;
#[cfg(feature = "json")]
pub mod json;
mod link;
mod opening;
mod read_buffer;
mod reader;
mod received;
pub mod reconnect;
mod serve;
#[cfg(feature = "server")]
pub mod server;
mod shared;
mod split;
mod stream;
#[cfg(feature = "_tls")]
pub mod tls;
mod transport;
mod websocket;
mod wire;
mod writer;

pub use accept::{PendingUpgrade, accept, accept_with, read_upgrade};
pub use connect::{client, connect, connect_over, connect_with};
pub use received::{Received, ReceivedEvent};
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
pub use sockeye_driver::{AcceptError, ConnectError, ConnectOptions, Error, Part, WebSocketEvent, block_on};
pub use split::{RecvHalf, SendHalf};
pub use stream::{Stream, Untimed};
#[cfg(feature = "_tls")]
pub use tls::{accept_tls, accept_tls_with, client_tls};
pub use websocket::WebSocket;
pub use writer::MessageWriter;

/// Runs the examples of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

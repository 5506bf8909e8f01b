//! WebSocket servers and clients on smol.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = smol::net::TcpListener::bind("127.0.0.1:9501").await?;
//! loop {
//!     let (stream, _) = listener.accept().await?;
//!     stream.set_nodelay(true)?;
//!     smol::spawn(async move {
//!         let Ok(mut ws) = sockeye_smol::accept(stream).await else { return };
//!         while let Ok(Some(message)) = ws.recv().await {
//!             if ws.feed(message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     })
//!     .detach();
//! }
//! # }
//! ```
//!
//! and the other end:
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use sockeye_smol::CloseCode;
//!
//! let mut ws = sockeye_smol::connect("ws://127.0.0.1:9501/").await?;
//! ws.send("hello").await?;
//! println!("{:?}", ws.recv().await?);
//! ws.close(CloseCode::NORMAL, "").await?;
//! # Ok(()) }
//! ```
//!
//! This crate brings the sockets and timers of smol, through its parts `async-net` and `async-io`; they have their own thread
//! for I/O, so that any executor will do. The protocol is in [`core`], the way it is driven, and the documentation of
//! [`WebSocket`], in [`sockeye_driver`]; what an application needs of both is re-exported here.
//!
//! Every operation is cancel safe, so `future::or` and a timer may be put around any of them.
//!
//! # Features
//!
//! | Feature | Default | |
//! |---|---|---|
//! | `zlib-rs` | yes | permessage-deflate with zlib-rs, which is faster and keeps its ratio with small windows |
//! | `deflate` | | permessage-deflate with miniz_oxide, which has no `unsafe` code; with both, zlib-rs is used |
//! | `smol` | yes | servers run on the executor of `smol::spawn` unless another is given |
//! | `tracing` | yes | servers log failures with `tracing` |
//! | `futures` | | `Stream` and `Sink` for [`WebSocket`] and its halves |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod open;
mod runtime;

/// Servers: what happens is told to a [`Handler`](server::Handler), and pushes come from anywhere.
///
/// ```no_run
/// use sockeye_smol::server::{Client, Handler, HandlerResult, Inbound, Server};
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
/// fn main() -> std::io::Result<()> {
///     smol::block_on(Server::bind("127.0.0.1:9501", Echo)?.run())
/// }
/// ```
pub mod server {
    pub use crate::runtime::{Server, ServerBuilder, SmolIo, SmolListener, SmolRuntime, Task};
    pub use sockeye_driver::server::{
        Address, BoxError, Broadcast, Callbacks, Client, ConnectionId, Decision, Failure, Handler,
        HandlerResult, HttpBodyError, HttpExchange, HttpRequest, Inbound, Info, Limits, ListenOptions,
        Outcome, Port, PushError, Refused, ServerHandle, SlowReader, Status,
    };
}

pub use open::{
    MessageWriter, PendingUpgrade, RecvHalf, SendHalf, WebSocket, accept, accept_with, client, connect,
    connect_with, read_upgrade,
};
pub use sockeye_core as core;
pub use sockeye_core::handshake::client::{Request, Url};
pub use sockeye_core::handshake::server::{Accept, Origins, Policy, Upgrade};
pub use sockeye_core::http::Response;
pub use sockeye_core::{
    CloseCode, CloseFrame, CloseInfo, Config, Frame, Message, MessageKind, MessageRef, Opcode, Payload,
    Prepared, ProtocolError, SendError, State,
};
pub use sockeye_driver::async_io::{AsyncIoClock as SmolClock, FuturesIo};
pub use sockeye_driver::{AcceptError, ConnectError, Error, Part};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! The one poll loop that drives [`sockeye_core`] on any async runtime.
//!
//! ```text
//!        recv ▲        │ send, feed           recv ▲ RecvHalf      │ SendHalf
//!    ┌────────┴────────▼────────┐         ┌────────┴──────┐  ┌─────▼──────┐
//!    │ WebSocket                │  split  │     Reader    │  │            │
//!    │   Reader ─── react ──▶ Link        │               └──▶ Mutex<Link>│
//!    └───────▲──────────────────┬──┘      └──────────▲────────┴─────┬──────┘
//!     bytes  │                  │ bytes, time        │              │
//!         Io::poll_read    Io::poll_write, Clock   (as on the left)
//! ```
//!
//! A runtime implements [`Io`] and [`Clock`] in about a hundred lines. `sockeye-tokio` and
//! `sockeye-smol` contain these implementations and the functions that open sockets. This crate has
//! everything else:
//!
//! - [`WebSocket`] and its halves send and receive messages, close the connection, and enforce
//!   deadlines.
//! - [`read_upgrade`], [`accept_with`] and [`client_with`] perform the opening handshake over a
//!   transport.
//! - The module [`dial`] connects to URLs: addresses, proxies, redirects.
//! - [`Entropy`] is the randomness of a client.
//! - The module `reconnect` has a client that stays connected.
//! - The module `server` runs a server: its listeners, its connections and the handler's events.
//! - The module `tls` puts TLS over any transport.
//!
//! The loop writes what is queued, reads a batch, delivers every message in it, and writes again
//! only before it would wait. So one write answers everything that one read returned. Buffers for
//! reading and queueing belong to the thread. A connection borrows them while they hold something,
//! so an idle connection owns none.
//!
//! # For library authors
//!
//! A library that talks over a WebSocket need not name a transport or a clock. Write it over the
//! trait [`Channel`](sockeye_core::channel::Channel) of the core, which [`WebSocket`] implements.
//! It then also runs over the blocking connections of `sockeye-std`:
//!
//! ```
//! use sockeye_core::Message;
//! use sockeye_core::channel::Channel;
//! use sockeye_driver::{Clock, Error, Io, WebSocket};
//!
//! async fn ask<C: Channel>(mut channel: C, question: &str) -> Result<Option<Message>, C::Error> {
//!     channel.send(question).await?;
//!     channel.recv().await
//! }
//!
//! async fn ask_any_transport<I: Io, C: Clock>(ws: &mut WebSocket<I, C>) -> Result<(), Error> {
//!     println!("{:?}", ask(ws, "how are you?").await?);
//!     Ok(())
//! }
//! ```
//!
//! The module [`channel`](sockeye_core::channel) explains the traits for halves, blocking
//! connections, and servers with handlers.
//!
//! # Write an adapter
//!
//! An adapter brings Sockeye to a runtime or a transport. It contains no rule of the protocol:
//!
//! 1. Implement [`Io`] for the streams of the runtime and [`Clock`] for its timers. Each trait
//!    states its contract and shows an implementation.
//! 2. Run the checks of the module `conformance` on both in a test (feature `conformance`).
//! 3. Wrap [`accept_with`], [`read_upgrade`] and [`client_with`] in functions that take a stream:
//!
//! ```
//! use sockeye_core::Config;
//! use sockeye_core::handshake::server::{Policy, Upgrade};
//! use sockeye_driver::AcceptError;
//! # use sockeye_driver::{Clock, Io};
//! # type MyIo = Box<dyn Io>;
//! # type MyStream = MyIo;
//! # #[derive(Default)]
//! # struct MyClock;
//! # impl Clock for MyClock {
//! #     fn now(&self) -> sockeye_core::Instant { sockeye_core::Instant::default() }
//! #     fn poll_until(&mut self, _: &mut std::task::Context<'_>, _: sockeye_core::Instant)
//! #     -> std::task::Poll<()> { std::task::Poll::Pending }
//! #     fn cancel(&mut self) {}
//! # }
//!
//! pub type WebSocket = sockeye_driver::WebSocket<MyIo, MyClock>;
//!
//! /// Accepts a WebSocket with the defaults of `Config` and `Policy`.
//! pub async fn accept(stream: MyStream) -> Result<WebSocket, AcceptError> {
//!     let decide = async |upgrade: &Upgrade| Ok(Policy::new().decide(upgrade)?);
//!     sockeye_driver::accept_with(MyIo::from(stream), MyClock::default(), Config::new(), decide).await
//! }
//! ```
//!
//! 4. For `connect` implement `Network` of the module [`dial`], which resolves names and opens
//!    sockets.
//! 5. For servers (feature `server`) implement `Runtime` and `Listener`. The documentation of both
//!    states which threads use them.
//! 6. Re-export the types that applications need, and the rest with
//!    `pub use sockeye_driver as driver;`.
//!
//! Only a server needs `Send`: a [`WebSocket`] over an `Rc` works in a local task. The driver
//! itself never reads [`std::time::Instant`], which panics on `wasm32-unknown-unknown`. Only
//! [`to_core_instant`] and [`to_std_instant`] use it, for clocks that call them.
//!
//! # Features
//!
//! | Feature | Default | |
//! |---|---|---|
//! | `rand` | yes | `client`, which draws the nonce and the mask keys; [`client_with`] takes them from the caller |
//! | `reconnect` | yes | the module `reconnect`: a client that stays connected |
//! | `server` | yes | the module `server` |
//! | `async-io` | | the module `async_io`: sockets and timers of async-io |
//! | `conformance` | | the module `conformance`: checks for the author of an adapter |
//! | `rustls` | | the module `tls`: TLS by rustls, with ring |
//! | `rustls-no-provider` | | the same, with the cryptography that the application installs |
//! | `webpki-roots` | | TLS clients can trust the certificates that Mozilla trusts |
//! | `json` | | the module `json`: messages in JSON, by serde |
//! | `futures` | | `Stream` and `Sink` for [`WebSocket`] and its halves |
//! | `tracing` | | servers and accept loops log failed handlers, refused connections and requests, and listening errors with `tracing` |
//!
//! Without the default features the crate builds for `wasm32-unknown-unknown`.
//!
//! Compression is a feature of `sockeye-core`: `deflate` or `zlib-rs`.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod accepting;
mod channel;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod dial;
mod engine;
mod error;
mod event;
#[cfg(feature = "futures")]
mod futures;
mod handshake;
#[cfg(feature = "json")]
pub mod json;
mod lock;
#[cfg(feature = "reconnect")]
pub mod reconnect;
mod runtime;
#[cfg(feature = "server")]
pub mod server;
mod split;
mod sync;
#[cfg(feature = "_tls")]
pub mod tls;
pub mod tuning;
mod websocket;
mod writer;

pub use accepting::{AcceptBackoff, log_connection_error};
pub use dial::ConnectOptions;
pub use engine::decoder::{Decoded, Decoder, Part, SenderAccess};
pub use error::Error;
pub use event::WebSocketEvent;
#[cfg(feature = "_tls")]
pub use handshake::accept::accept_tls_with;
pub use handshake::accept::{AcceptError, PendingUpgrade, accept_with, read_upgrade};
#[cfg(feature = "rand")]
pub use handshake::connect::client;
#[cfg(all(feature = "_tls", feature = "rand"))]
pub use handshake::connect::client_tls;
pub use handshake::connect::{ConnectError, client_with};
pub use handshake::entropy::Entropy;
#[cfg(feature = "rand")]
pub use handshake::entropy::{mask_keys, nonce};
#[cfg(feature = "async-io")]
pub use runtime::async_io;
pub use runtime::block_on::block_on;
pub use runtime::clock::{to_core_instant, to_std_instant};
#[doc(hidden)]
pub use runtime::io::end_of_input;
pub use runtime::io::{Clock, Io};
pub use split::{RecvHalf, SendHalf};
pub use websocket::WebSocket;
pub use writer::MessageWriter;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

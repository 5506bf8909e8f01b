//! The one poll loop that drives [`sockeye_core`] on any async runtime.
//!
//! ```text
//!        recv ▲        │ send, feed           recv ▲ RecvHalf      │ SendHalf
//!    ┌────────┴────────▼────────┐         ┌────────┴──────┐  ┌─────▼──────┐
//!    │ WebSocket                │  split  │   Reader   │  │            │
//!    │   Reader ── react ─▶ Link       │               └──▶ Mutex<Link>│
//!    └───────▲──────────────────┬──┘      └──────────▲────────┴─────┬──────┘
//!     bytes  │                  │ bytes, time        │              │
//!         Io::poll_read    Io::poll_write, Clock   (as on the left)
//! ```
//!
//! A runtime brings an [`Io`] and a [`Clock`], about a hundred lines; `sockeye-tokio` and `sockeye-smol` are these lines, and what
//! opens sockets. Everything else is here, once:
//!
//! - [`WebSocket`] and its halves: receiving and sending messages, closing, deadlines.
//! - [`read_upgrade`], [`accept_with`] and [`client`]: the opening handshakes over a transport.
//! - [`mask_keys`] and [`nonce`]: the randomness of a client.
//!
//! The loop writes what is queued, reads a batch, hands out every message in it, and writes again only when it would
//! wait: one write answers all that one read brought. Buffers to read into and to queue in belong to the thread and are
//! borrowed while there is something in them, so an idle connection owns none.
//!
//! # Features
//!
//! None is on by default.
//!
//! | Feature | |
//! |---|---|
//! | `async-io` | the module `async_io`: sockets and timers of async-io |
//! | `futures` | `Stream` and `Sink` for [`WebSocket`] and its halves |
//! | `tracing` | servers log failed handlers, refused connections and listening errors with `tracing` |
//!
//! Compression is a feature of `sockeye-core`: `deflate` or `zlib-rs`.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod engine;
mod error;
#[cfg(feature = "futures")]
mod futures;
mod handshake;
mod runtime;
pub mod server;
mod split;
pub mod tuning;
mod websocket;
mod writer;

pub use engine::codec_pool::{codec_pool, shared_codec_pool};
pub use engine::decoder::{Decoded, Decoder, Part, SenderAccess};
pub use error::Error;
pub use handshake::accept::{AcceptError, PendingUpgrade, accept_with, read_upgrade};
pub use handshake::connect::{ConnectError, client};
pub use handshake::entropy::{mask_keys, nonce};
#[cfg(feature = "async-io")]
pub use runtime::async_io;
pub use runtime::clock::{to_core_instant, to_std_instant};
pub use runtime::io::{Clock, Io};
pub use split::{RecvHalf, SendHalf};
pub use websocket::WebSocket;
pub use writer::MessageWriter;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

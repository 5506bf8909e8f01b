//! The one poll loop that drives [`sockeye_core`] on any async runtime.
//!
//! ```text
//!        recv ▲        │ send, feed           recv ▲ RecvHalf      │ SendHalf
//!    ┌────────┴────────▼────────┐         ┌────────┴──────┐  ┌─────▼──────┐
//!    │ WebSocket                │  split  │   Receiving   │  │            │
//!    │   Receiving ── react ─▶ Link       │               └──▶ Mutex<Link>│
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
#![forbid(unsafe_code)]

mod accept;
mod buffer;
mod clock;
mod connect;
mod decoder;
mod entropy;
mod error;
#[cfg(feature = "futures")]
mod futures;
mod io;
mod link;
mod opening;
mod pool;
mod receiving;
pub mod server;
mod shared;
mod split;
mod websocket;
mod writer;
pub use accept::{AcceptError, PendingUpgrade, accept_with, read_upgrade};
pub use clock::{to_core_instant, to_std_instant};
pub use connect::{ConnectError, client};
pub use decoder::{Answer, Decoder, Part};
pub use entropy::{mask_keys, nonce};
pub use error::Error;
pub use io::{Clock, Io};
pub use pool::{codec_pool, shared_codec_pool};
pub use split::{RecvHalf, SendHalf};
pub use websocket::WebSocket;
pub use writer::MessageWriter;

//! A server of WebSockets, and of HTTP on the same port, once for all runtimes.
//!
//! ```text
//!    Handler (events)                       ServerHandle, Client (push from anywhere)
//!        ▲                                            │
//!        │ one at a time                              ▼  registry: id ─▶ Entry
//!   ┌────┴──── the task of a connection ────┐    Mutex<Served> ── wakes ──▶ the task
//!   │ Greeting: HTTP, opening handshake     │         ▲   the core's Sender: its errors, its queue
//!   │ Serving:  batches of messages ────────┼─────────┘
//!   └───────▲───────────────────────────────┘
//!           │ spawn                              limits, budget, shutdown: Hub
//!   accept loop of each port (Runtime, Listener)
//! ```
//!
//! A push locks the connection's link, queues, and wakes its task, which writes everything that was queued meanwhile
//! at once. There is no channel and no second queue.
//!
//! The runtimes' crates bring a [`Runtime`]; applications use these types through them.

mod accepting;
mod admission;
pub mod blocking;
mod body;
mod broadcast;
mod callbacks;
mod client;
mod connection;
mod entry;
mod error;
mod greeting;
mod guard;
mod handle;
mod handler;
mod http;
mod hub;
mod line;
mod listen;
mod log;
mod options;
mod push;
mod running;
mod runtime;
mod sending;
mod served;
mod status;
mod waiting;

pub use body::HttpBodyError;
pub use broadcast::Broadcast;
pub use callbacks::{Callbacks, HttpExchange, Outcome};
pub use client::Client;
pub use error::PushError;
pub use handle::ServerHandle;
pub use handler::{BoxError, Decision, Failure, Handler, HandlerResult, Inbound, Refused};
pub use http::HttpRequest;
pub use options::{Limits, ListenOptions, Port, SlowReader};
pub use running::{Server, ServerBuilder};
pub use runtime::{Accepted, Address, Listener, Runtime, Socket};
pub use status::{ConnectionId, Info, Status};

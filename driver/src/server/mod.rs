//! A server of WebSockets, and of HTTP on the same port, once for all runtimes.
//!
//! ```text
//!    Handler (events)                       ServerHandle, Client (push from anywhere)
//!        ▲                                            │
//!        │ one at a time                              ▼  registry: id ─▶ Entry
//!   ┌────┴──── the task of a connection ────┐    Mutex<Served> ── wakes ──▶ the task
//!   │ HttpPhase: HTTP, opening handshake     │         ▲   the core's Sender: its errors, its queue
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

mod accept;
mod api;
mod connection;
mod lifecycle;
mod log;
mod registry;

pub use crate::runtime::address::Address;
pub use crate::runtime::server::{Accepted, Listener, Runtime, Socket};
pub use accept::listen::ListenOptions;
pub use api::blocking;
pub use api::callbacks::{Callbacks, HttpExchange, Outcome};
pub use api::client::Client;
pub use api::handle::ServerHandle;
pub use api::handler::{BoxError, Decision, Failure, Handler, HandlerResult, Inbound, Refused};
pub use api::http_request::{HttpBodyError, HttpRequest};
pub use api::port::Port;
pub use lifecycle::{Server, ServerBuilder};
pub use registry::broadcast::Broadcast;
pub use registry::error::PushError;
pub use registry::info::{ConnectionId, Info, Status};
pub use registry::settings::{Limits, SlowReader};

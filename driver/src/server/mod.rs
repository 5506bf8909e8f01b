//! A server of WebSockets, and of HTTP on the same port, for every runtime.
//!
//! ```text
//!    Handler (events)                        Client, ServerHandle (push from anywhere)
//!        ▲                                            │
//!        │ one at a time                              ▼  Hub: id ─▶ Entry ─▶ PushTarget
//!   ┌────┴──── the task of a connection ────┐    Mutex<SharedLink> ── wakes ──▶ the task
//!   │ HttpPhase:    HTTP, opening handshake │         ▲  the core's Sender: its rules, its queue
//!   │ MessagePhase: batches of messages ────┼─────────┘
//!   └────▲──────────────────────────────────┘
//!        │ spawn                              limits, budget, shutdown: Hub
//!   AcceptLoop of each port (Runtime, Listener)
//! ```
//!
//! A push locks the connection's link, queues, and wakes the connection's task, which then writes
//! everything in the queue at once. The only queue is the core's, and no channel leads to it.
//! Pushes that are made during the opening handshake wait in `EarlyPushes` until the 101 is sent.
//!
//! The modules are layers, and each imports only earlier ones: `registry` (the connections that
//! the server knows, and the path of a push to each), `api` (the types that applications use),
//! `connection` (the task), `service` (another HTTP
//! implementation on a port), `accept` (listening sockets and the accept loop), `adopt` (WebSockets
//! that something else opened), `lifecycle` (the whole server).
//!
//! A WebSocket that something else opened joins a server by [`ServerHandle::adopt`]. Then a server
//! needs no port, and no runtime of its own but to run its shutdown.
//!
//! Each runtime's crate implements [`Runtime`] and re-exports these types.
//!
//! # Threads
//!
//! Any thread may push, and a push that waits for room writes to the transport itself. So the
//! transports, clocks, listeners and handlers of a server are `Send`, with any executor.
//! [`Runtime`] states which of their methods only one task calls. Connections over a transport that
//! is not `Send` need no server: accept each with [`accept_with`](crate::accept_with) in a local
//! task.

mod accept;
mod adopt;
mod api;
mod connection;
mod lifecycle;
mod log;
#[cfg(all(test, sockeye_loom))]
mod models;
mod panics;
mod registry;
mod service;

pub use crate::runtime::address::Address;
pub use crate::runtime::server::{Accepted, Listener, Runtime, Socket};
pub use adopt::{Adopt, AdoptError, Adopted};
pub use api::blocking;
pub use api::callbacks::{Callbacks, HttpExchange};
pub use api::client::Client;
pub use api::endpoint::Endpoint;
pub use api::handle::ServerHandle;
pub use api::handler::{BoxError, Decision, Failure, Handler, HandlerResult, Refused};
pub use api::http_request::{HttpBodyError, HttpRequest};
pub use api::inbound::Inbound;
#[cfg(feature = "json")]
pub use api::json::PushJsonError;
pub use api::listen_options::ListenOptions;
pub use api::outcome::Outcome;
pub use api::port::Port;
pub use api::presence::{Presence, PresenceChange, PresenceWatch, TopicChange, TopicWatch};
pub use api::publish::Publish;
pub use api::stats::{PortStats, Stats};
pub use lifecycle::{Server, ServerBuilder};
pub use registry::admission::FullLimit;
pub use registry::broadcast::Broadcast;
pub use registry::counters::{RefusedCounts, Traffic};
pub use registry::drain::Drain;
pub use registry::error::PushError;
pub use registry::info::{ConnectionId, Info, Status};
pub use registry::pushed::Pushed;
pub use registry::rate_limit::{Excess, RateLimit};
pub use registry::refusal::{RefusalInfo, RefusalReason};
pub use registry::settings::{Limits, SlowReader};
pub use service::upgrade::HttpUpgrade;
pub use service::{HttpConnection, HttpContext, HttpIo, HttpService};
pub use sockeye_core::proxy::{ForwardedFields, InvalidNetwork, TrustedProxies};

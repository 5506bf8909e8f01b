//! Scenarios for servers over real sockets: each adapter runs all of them. README.md says how to
//! add one.
//!
//! An adapter's `tests/server.rs` includes this module by its path and defines `Runtime`, `serve` and
//! `TLS`, which [`TestServer`] uses. `tests/server_tls.rs` does the same with TLS. The clients are
//! blocking sockets that send and read bytes, so every server sees the same ones.

mod adopt;
mod backpressure;
mod budgets;
mod bursts;
mod busy;
mod data;
mod drops;
mod early;
mod events;
mod frames;
mod handshake;
mod heartbeat;
mod http;
mod limits;
mod methods;
mod proxies;
mod pushing;
mod refusals;
mod sending;
mod shutdown;
mod stats;
mod test_server;
#[cfg(feature = "rustls")]
mod tls;
mod topics;

use test_server::{Echo, TestServer, await_open};

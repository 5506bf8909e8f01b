//! The server scenarios of `driver/tests/server`, with a thread for each connection.
#![cfg(feature = "server")]

use sockeye_driver::server::blocking::block_on;
use sockeye_driver::server::{Server, ServerBuilder};
use sockeye_std::server::Threads;

// Every adapter includes the same scenarios. They use `Runtime`, `TLS` and `serve` of this file.
#[path = "../../driver/tests/server/mod.rs"]
mod scenarios;

type Runtime = Threads;

/// The scenarios run without TLS; those of `server_tls.rs` with it.
const TLS: bool = false;

/// Builds a server on the runtime, passes it to `built` and runs it until it stops.
fn serve(
    build: impl FnOnce(ServerBuilder<Runtime>) -> Server<Runtime>,
    built: impl FnOnce(&Server<Runtime>),
) {
    let server = build(Server::builder());
    built(&server);
    block_on(server.run()).unwrap();
}

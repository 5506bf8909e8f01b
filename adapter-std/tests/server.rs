//! The behaviour of servers, with a thread for each connection.
#![cfg(feature = "server")]

use sockeye_driver::server::blocking::block_on;
use sockeye_driver::server::{Server, ServerBuilder};
use sockeye_std::server::Threads;

#[macro_use]
#[path = "../../driver/tests/server/mod.rs"]
mod suite;

struct Std;

impl suite::Harness for Std {
    type Runtime = Threads;

    fn serve(
        build: impl FnOnce(ServerBuilder<Threads>) -> Server<Threads> + Send + 'static,
        built: impl FnOnce(&Server<Threads>) + Send + 'static,
    ) {
        let server = build(Server::builder());
        built(&server);
        block_on(server.run()).unwrap();
    }
}

server_tests!(super::Std);

//! The behaviour of servers, on tokio.

use sockeye_driver::server::{Server, ServerBuilder};
use sockeye_tokio::server::TokioRuntime;

#[macro_use]
#[path = "../../driver/tests/server/mod.rs"]
mod suite;

struct Tokio;

impl suite::Harness for Tokio {
    type Runtime = TokioRuntime;

    fn serve(
        build: impl FnOnce(ServerBuilder<TokioRuntime>) -> Server<TokioRuntime> + Send + 'static,
        built: impl FnOnce(&Server<TokioRuntime>) + Send + 'static,
    ) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let server = build(Server::builder());
            built(&server);
            server.run().await.unwrap();
        });
    }
}

server_tests!(super::Tokio);

//! The server scenarios of `driver/tests/server` with TLS, on tokio.

use sockeye_driver::server::{Server, ServerBuilder};
use sockeye_tokio::server::TokioRuntime;

// Every adapter includes the same scenarios. They use `Runtime`, `TLS` and `serve` of this file.
#[path = "../../driver/tests/server/mod.rs"]
mod scenarios;

type Runtime = TokioRuntime;

const TLS: bool = true;

/// Builds a server on the runtime, passes it to `built` and runs it until it stops.
fn serve(
    build: impl FnOnce(ServerBuilder<Runtime>) -> Server<Runtime>,
    built: impl FnOnce(&Server<Runtime>),
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = build(Server::builder());
        built(&server);
        server.run().await.unwrap();
    });
}

//! The server scenarios of `driver/tests/server`, on smol.

use std::sync::Arc;

use sockeye_driver::server::{Server, ServerBuilder};
use sockeye_smol::server::SmolRuntime;

// Every adapter includes the same scenarios. They use `Runtime`, `TLS` and `serve` of this file.
#[path = "../../driver/tests/server/mod.rs"]
mod scenarios;

type Runtime = SmolRuntime;

/// The scenarios run without TLS; those of `server_tls.rs` with it.
const TLS: bool = false;

/// Builds a server on the runtime, passes it to `built` and runs it until it stops.
fn serve(
    build: impl FnOnce(ServerBuilder<Runtime>) -> Server<Runtime>,
    built: impl FnOnce(&Server<Runtime>),
) {
    let executor = Arc::new(smol::Executor::new());
    let spawner = executor.clone();
    let runtime = SmolRuntime::new(move |task| spawner.spawn(task).detach());
    // A second thread runs tasks too. It ends when `_stop` is dropped.
    let (_stop, stopped) = smol::channel::bounded::<()>(1);
    let worker = executor.clone();
    std::thread::spawn(move || smol::block_on(worker.run(stopped.recv())));
    smol::block_on(executor.run(async {
        let server = build(Server::builder_on(runtime));
        built(&server);
        server.run().await.unwrap();
    }));
}

//! The behaviour of servers, on smol.

use std::sync::Arc;

use sockeye_driver::server::{Server, ServerBuilder};
use sockeye_smol::server::SmolRuntime;

#[macro_use]
#[path = "../../driver/tests/server/mod.rs"]
mod suite;

struct Smol;

impl suite::Harness for Smol {
    type Runtime = SmolRuntime;

    fn serve(
        build: impl FnOnce(ServerBuilder<SmolRuntime>) -> Server<SmolRuntime> + Send + 'static,
        built: impl FnOnce(&Server<SmolRuntime>) + Send + 'static,
    ) {
        let executor = Arc::new(smol::Executor::new());
        let spawner = executor.clone();
        let runtime = SmolRuntime::new(move |task| spawner.spawn(task).detach());
        let (_stop, stopped) = smol::channel::bounded::<()>(1);
        let worker = (executor.clone(), stopped.clone());
        std::thread::spawn(move || smol::block_on(worker.0.run(worker.1.recv())));
        smol::block_on(executor.run(async {
            let server = build(Server::builder_on(runtime));
            built(&server);
            server.run().await.unwrap();
        }));
    }
}

server_tests!(super::Smol);

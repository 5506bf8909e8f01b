use std::time::Duration;

use sockeye_core::{CloseInfo, Config};
use sockeye_driver::server::{Limits, Port, ServerHandle};

use super::{Connector, Echo, Executor, Faults, Handle, Pipe, SimRuntime};
use crate::handshake::UPGRADE_REQUEST;

/// A running [`Echo`] server with its executor, clock and clients.
#[derive(Debug)]
pub struct World {
    /// Runs the server and its connections.
    pub executor: Executor,
    /// The handle of the server.
    pub server: ServerHandle,
    /// Connects clients.
    pub connector: Connector,
    /// The output of [`Server::run`](sockeye_driver::server::Server::run).
    pub ended: Handle<std::io::Result<()>>,
    echo: Echo,
}

impl World {
    /// A server whose connections have this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        World::with(config, |port| port)
    }

    /// A server whose port `set` changes.
    #[must_use]
    pub fn with(config: Config, set: impl FnOnce(Port<Echo>) -> Port<Echo>) -> Self {
        World::limited(config, set, Limits::new())
    }

    /// A server with limits, whose port `set` changes.
    #[must_use]
    pub fn limited(config: Config, set: impl FnOnce(Port<Echo>) -> Port<Echo>, limits: Limits) -> Self {
        let executor = Executor::new();
        let runtime = SimRuntime::new(&executor);
        World::start(runtime, executor, set, config, limits)
    }

    /// A server on the runtime that `set` returns.
    #[must_use]
    pub fn on_runtime(config: Config, set: impl FnOnce(SimRuntime) -> SimRuntime) -> Self {
        World::on_runtime_with(config, set, |port| port)
    }

    /// A server on the runtime that `set` returns, whose port `set_port` changes.
    #[must_use]
    pub fn on_runtime_with(
        config: Config,
        set: impl FnOnce(SimRuntime) -> SimRuntime,
        set_port: impl FnOnce(Port<Echo>) -> Port<Echo>,
    ) -> Self {
        let executor = Executor::new();
        let runtime = set(SimRuntime::new(&executor));
        World::start(runtime, executor, set_port, config, Limits::new())
    }

    fn start(
        runtime: SimRuntime,
        mut executor: Executor,
        set: impl FnOnce(Port<Echo>) -> Port<Echo>,
        config: Config,
        limits: Limits,
    ) -> Self {
        let echo = Echo::default();
        let port = set(Port::new(echo.clone()).config(config));
        let (server, connector, ended) = runtime.serve_on(&mut executor, port, limits);
        executor.run_until_idle();
        World { executor, server, connector, ended, echo }
    }

    /// Connects a client that sends nothing yet.
    #[must_use]
    pub fn connect(&mut self) -> Pipe {
        let pipe = self.connector.connect(1 << 20, Faults::default());
        self.executor.run_until_idle();
        pipe
    }

    /// Opens a WebSocket and returns the client's end.
    #[must_use]
    pub fn open(&mut self) -> Pipe {
        let pipe = self.connect();
        self.send(&pipe, UPGRADE_REQUEST);
        assert!(pipe.take_all().starts_with(b"HTTP/1.1 101 "));
        pipe
    }

    /// Opens a WebSocket over a transport that holds `capacity` bytes in each direction.
    #[must_use]
    pub fn open_with_capacity(&mut self, capacity: usize) -> Pipe {
        let pipe = self.connector.connect(capacity, Faults::default());
        pipe.push(UPGRADE_REQUEST);
        self.executor.run_until_idle();
        while !pipe.take_all().is_empty() {
            self.executor.run_until_idle();
        }
        pipe
    }

    /// Sends bytes as a client and lets the server react.
    pub fn send(&mut self, pipe: &Pipe, bytes: &[u8]) {
        pipe.push(bytes);
        self.executor.run_until_idle();
    }

    /// Lets time pass in one step.
    pub fn wait(&mut self, millis: u64) {
        self.executor.time.advance(Duration::from_millis(millis));
        self.executor.run_until_idle();
    }

    /// Returns how each connection ended: the info passed to `close`, or `None` for `disconnect`.
    #[must_use]
    pub fn ends(&self) -> Vec<Option<CloseInfo>> {
        self.echo.record().ends.clone()
    }

    /// Returns how many times a queue has drained.
    #[must_use]
    pub fn drained(&self) -> usize {
        self.echo.record().drained
    }

    /// Lets the handler continue that waits at the gate.
    pub fn open_gate(&mut self) {
        self.echo.open_gate();
        self.executor.run_until_idle();
    }

    /// Returns the failures of handlers.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.echo.record().failures.clone()
    }

    /// Asserts that the server has no connection and no queued bytes.
    pub fn assert_empty(&self) {
        assert_eq!((self.server.connections(), self.server.queued()), (Vec::new(), 0));
    }
}

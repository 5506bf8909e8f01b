//! A server in the hands of a test.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use sockeye_core::http::Response;
use sockeye_core::{CloseInfo, Config};
use sockeye_driver::server::{
    BoxError, Client, Failure, Handler, HandlerResult, HttpRequest, Inbound, Limits, Port, ServerHandle,
};

use super::{Door, Executor, Faults, Handle, Pipe, Sim, UPGRADE, cancelled_after, woken};

/// Echoes, and writes down what else it is told.
#[derive(Clone, Default)]
pub(crate) struct Echo(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    ends: Vec<Option<CloseInfo>>,
    failures: Vec<String>,
    drained: usize,
    /// Who waits at the gate, until it is open.
    gate: Option<Waker>,
    gate_is_open: bool,
}

impl Echo {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }
}

impl Handler for Echo {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        if message.as_text() == Some("wait for ever") {
            std::future::pending::<()>().await;
        }
        if message.as_text() == Some("wait at the gate") {
            poll_fn(|cx| {
                let mut told = self.told();
                told.gate = Some(cx.waker().clone());
                if told.gate_is_open { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        if message.as_text() == Some("fail") {
            return Err("as asked".into());
        }
        client.push(message)?;
        Ok(())
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.told().ends.push(Some(info.clone()));
        Ok(())
    }

    async fn drained(&self, _: &Client) -> HandlerResult {
        self.told().drained += 1;
        Ok(())
    }

    async fn disconnect(&self, _: &Client) -> HandlerResult {
        self.told().ends.push(None);
        Ok(())
    }

    async fn request(&self, _: &Client, request: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        if request.path() == "/impatient" {
            // Looked at, and left to the next, until there is nothing left of it.
            loop {
                if let Some(body) = cancelled_after(1, request.body()).await {
                    return Ok(Some(Response::text(200, body?)));
                }
                woken().await;
            }
        }
        let body = request.body().await?;
        Ok(Some(Response::text(200, body)))
    }

    fn failed(&self, _: &Client, failure: &Failure) {
        self.told().failures.push(failure.to_string());
    }
}

/// A server on a [`Sim`], in the hands of a test.
pub(crate) struct World {
    pub(crate) executor: Executor,
    pub(crate) server: ServerHandle,
    pub(crate) door: Door,
    pub(crate) ended: Handle<std::io::Result<()>>,
    echo: Echo,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        World::with(config, |port| port)
    }

    pub(crate) fn with(config: Config, set: impl FnOnce(Port<Echo>) -> Port<Echo>) -> Self {
        World::limited(config, set, Limits::new())
    }

    pub(crate) fn limited(
        config: Config,
        set: impl FnOnce(Port<Echo>) -> Port<Echo>,
        limits: Limits,
    ) -> Self {
        let executor = Executor::new();
        let sim = Sim::new(&executor);
        World::on(sim, executor, set, config, limits)
    }

    /// On a [`Sim`] that is told something.
    pub(crate) fn on_sim(config: Config, tell: impl FnOnce(Sim) -> Sim) -> Self {
        let executor = Executor::new();
        let sim = tell(Sim::new(&executor));
        World::on(sim, executor, |port| port, config, Limits::new())
    }

    fn on(
        sim: Sim,
        mut executor: Executor,
        set: impl FnOnce(Port<Echo>) -> Port<Echo>,
        config: Config,
        limits: Limits,
    ) -> Self {
        let echo = Echo::default();
        let port = set(Port::new(echo.clone()).config(config));
        let (server, door, ended) = sim.serve_on(&mut executor, port, limits);
        executor.run_until_idle();
        World { executor, server, door, ended, echo }
    }

    pub(crate) fn connect(&mut self) -> Pipe {
        let pipe = self.door.connect(1 << 20, Faults::default());
        self.executor.run_until_idle();
        pipe
    }

    pub(crate) fn open(&mut self) -> Pipe {
        let pipe = self.connect();
        self.say(&pipe, UPGRADE);
        assert!(pipe.take_all().starts_with(b"HTTP/1.1 101 "));
        pipe
    }

    pub(crate) fn say(&mut self, pipe: &Pipe, bytes: &[u8]) {
        pipe.push(bytes);
        self.executor.run_until_idle();
    }

    /// An open connection that takes this many bytes before its client reads them.
    pub(crate) fn open_narrow(&mut self, capacity: usize) -> Pipe {
        let pipe = self.door.connect(capacity, Faults::default());
        pipe.push(UPGRADE);
        self.executor.run_until_idle();
        while !pipe.take_all().is_empty() {
            self.executor.run_until_idle();
        }
        pipe
    }

    /// Lets time pass, exactly.
    pub(crate) fn wait(&mut self, millis: u64) {
        self.executor.time.advance(Duration::from_millis(millis));
        self.executor.run_until_idle();
    }

    pub(crate) fn ends(&self) -> Vec<Option<CloseInfo>> {
        self.echo.told().ends.clone()
    }

    /// How often a queue has drained.
    pub(crate) fn drained(&self) -> usize {
        self.echo.told().drained
    }

    /// Lets the handlers go on that wait at the gate.
    pub(crate) fn open_gate(&mut self) {
        let mut told = self.echo.told();
        told.gate_is_open = true;
        let waker = told.gate.take();
        drop(told);
        waker.into_iter().for_each(Waker::wake);
        self.executor.run_until_idle();
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.echo.told().failures.clone()
    }

    /// Nothing is left of any connection.
    pub(crate) fn assert_empty(&self) {
        assert_eq!((self.server.connections(), self.server.queued()), (Vec::new(), 0));
    }
}

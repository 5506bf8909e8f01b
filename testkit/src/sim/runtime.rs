use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;

use sockeye_core::Instant;
use sockeye_driver::server::{
    Accepted, Address, Handler, Limits, Listener, Port, Runtime, Server, ServerHandle,
};

use super::clock::{TestClock, Time};
use super::executor::{Executor, Handle, Spawner};
use super::faults::Faults;
use super::pipe::{Pipe, pipe_with, wake};

/// A server runtime of pipes, virtual clocks and the test's [`Executor`].
#[derive(Debug, Clone)]
pub struct SimRuntime {
    time: Time,
    spawner: Spawner,
    thread: Option<ThreadId>,
}

/// Connects clients to a server on a [`SimRuntime`].
#[derive(Debug, Clone, Default)]
pub struct Connector(Arc<Mutex<Backlog>>);

#[derive(Debug, Default)]
struct Backlog {
    queue: VecDeque<io::Result<Pipe>>,
    server: Option<Waker>,
    /// The times at which the server accepted each connection or error.
    accepted_at: Vec<Instant>,
}

impl SimRuntime {
    /// A runtime on this executor.
    #[must_use]
    pub fn new(executor: &Executor) -> Self {
        SimRuntime { time: executor.time.clone(), spawner: executor.spawner(), thread: None }
    }

    /// Reports that each task has its own thread, which is never the pushing one.
    ///
    /// # Panics
    ///
    /// Panics if the system starts no thread.
    #[must_use]
    pub fn threads(self) -> Self {
        let thread = std::thread::spawn(|| std::thread::current().id()).join().unwrap();
        self.thread(thread)
    }

    /// Reports `thread` as each task's own thread.
    #[must_use]
    pub fn thread(mut self, thread: ThreadId) -> Self {
        self.thread = Some(thread);
        self
    }

    /// Starts a server with one port.
    pub fn serve<H: Handler>(
        executor: &mut Executor,
        port: Port<H>,
        limits: Limits,
    ) -> (ServerHandle, Connector, Handle<io::Result<()>>) {
        SimRuntime::new(executor).serve_on(executor, port, limits)
    }

    /// Starts a server with one port. Its own task runs on `executor`, the tasks of its connections
    /// on the runtime's.
    pub fn serve_on<H: Handler>(
        self,
        executor: &mut Executor,
        port: Port<H>,
        limits: Limits,
    ) -> (ServerHandle, Connector, Handle<io::Result<()>>) {
        let connector = Connector::default();
        let listener = SimListener::new(&connector, &self.time);
        let server =
            Server::builder_on(self).limits(limits).listen_with(listener, Address::Unix(None), port).build();
        let handle = server.handle();
        (handle, connector, executor.spawn("the server", server.run()))
    }
}

impl Connector {
    /// Connects and returns the client's end. The server's end has the faults.
    #[must_use]
    pub fn connect(&self, capacity: usize, faults: Faults) -> Pipe {
        let (server, client) = pipe_with(capacity, faults);
        self.offer(Ok(server));
        client
    }

    /// Queues the result of a later `accept`.
    pub fn offer(&self, accepted: io::Result<Pipe>) {
        let mut backlog = self.0.lock().unwrap();
        backlog.queue.push_back(accepted);
        wake(&mut backlog.server);
    }

    /// Returns when the server accepted each connection or error.
    #[must_use]
    pub fn accepted_at(&self) -> Vec<Instant> {
        self.0.lock().unwrap().accepted_at.clone()
    }
}

/// The listening socket of a [`SimRuntime`].
#[derive(Debug)]
pub struct SimListener {
    connector: Connector,
    time: Time,
}

impl SimListener {
    /// A listener that accepts the connections of a connector.
    #[must_use]
    pub fn new(connector: &Connector, time: &Time) -> Self {
        SimListener { connector: connector.clone(), time: time.clone() }
    }
}

impl Listener for SimListener {
    type Io = Pipe;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<Pipe>>> {
        let mut backlog = self.connector.0.lock().unwrap();
        let Some(accepted) = backlog.queue.pop_front() else {
            backlog.server = Some(cx.waker().clone());
            return Poll::Pending;
        };
        backlog.accepted_at.push(self.time.now());
        let nowhere = Address::Unix(None);
        Poll::Ready(accepted.map(|io| Accepted { io, peer: nowhere.clone(), local: nowhere }))
    }
}

impl Runtime for SimRuntime {
    type Io = Pipe;
    type Clock = TestClock;
    type Listener = SimListener;

    fn clock(&self) -> TestClock {
        self.time.clock()
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        self.spawner.spawn(future);
        Ok(())
    }

    fn own_thread(&self) -> Option<ThreadId> {
        self.thread
    }
}

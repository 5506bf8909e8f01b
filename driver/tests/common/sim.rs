//! A runtime for servers that is made of the pipes, clocks and executor of these tests.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;

use sockeye_driver::server::{Accepted, Address, Handler, Listener, Port, Runtime, Server, ServerHandle};

use super::clock::{TestClock, Time};
use super::executor::{Executor, Handle, Spawner};
use super::pipe::{Faults, Pipe, pipe_with, wake};

/// A request for a WebSocket.
pub(crate) const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[derive(Clone)]
pub(crate) struct Sim {
    time: Time,
    spawner: Spawner,
    thread: Option<ThreadId>,
}

/// Where clients come in.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    queue: VecDeque<io::Result<Pipe>>,
    server: Option<Waker>,
    /// When the server asked for the next one.
    asked: Vec<sockeye_core::Instant>,
}

impl Sim {
    pub(crate) fn new(executor: &Executor) -> Self {
        Sim { time: executor.time.clone(), spawner: executor.spawner(), thread: None }
    }

    /// Says that each task has a thread of its own, which is never the one that pushes.
    pub(crate) fn threads(self) -> Self {
        let thread = std::thread::spawn(|| std::thread::current().id()).join().unwrap();
        self.thread(thread)
    }

    /// Says that this is each task's own thread.
    pub(crate) fn thread(mut self, thread: ThreadId) -> Self {
        self.thread = Some(thread);
        self
    }

    /// A server with one port that runs.
    pub(crate) fn serve<H: Handler>(
        executor: &mut Executor,
        port: Port<H>,
        limits: sockeye_driver::server::Limits,
    ) -> (ServerHandle, Door, Handle<io::Result<()>>) {
        Sim::new(executor).serve_on(executor, port, limits)
    }

    /// The same; its own task runs on another executor than those of its connections.
    pub(crate) fn serve_on<H: Handler>(
        self,
        executor: &mut Executor,
        port: Port<H>,
        limits: sockeye_driver::server::Limits,
    ) -> (ServerHandle, Door, Handle<io::Result<()>>) {
        let door = Door::default();
        let listener = SimListener { door: door.clone(), time: self.time.clone() };
        let server =
            Server::builder_on(self).limits(limits).listen_with(listener, Address::Unix(None), port).build();
        let handle = server.handle();
        (handle, door, executor.spawn("the server", server.run()))
    }
}

impl Door {
    /// A client's end. The faults are those of the server's.
    pub(crate) fn connect(&self, capacity: usize, faults: Faults) -> Pipe {
        let (server, client) = pipe_with(capacity, faults);
        self.offer(Ok(server));
        client
    }

    /// What the listening socket says next.
    pub(crate) fn offer(&self, accepted: io::Result<Pipe>) {
        let mut waiting = self.0.lock().unwrap();
        waiting.queue.push_back(accepted);
        wake(&mut waiting.server);
    }

    /// When the server took what was offered.
    pub(crate) fn taken_at(&self) -> Vec<sockeye_core::Instant> {
        self.0.lock().unwrap().asked.clone()
    }
}

pub(crate) struct SimListener {
    door: Door,
    time: Time,
}

impl Listener for SimListener {
    type Io = Pipe;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<Pipe>>> {
        let mut waiting = self.door.0.lock().unwrap();
        let Some(accepted) = waiting.queue.pop_front() else {
            waiting.server = Some(cx.waker().clone());
            return Poll::Pending;
        };
        waiting.asked.push(self.time.now());
        let nowhere = Address::Unix(None);
        Poll::Ready(accepted.map(|io| Accepted { io, peer: nowhere.clone(), local: nowhere }))
    }
}

impl Runtime for Sim {
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

    fn listen(&self, _: std::net::TcpListener) -> io::Result<SimListener> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(unix)]
    fn listen_unix(&self, _: std::os::unix::net::UnixListener) -> io::Result<SimListener> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

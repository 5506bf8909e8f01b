//! Servers and bare WebSockets in memory, for the cost that a server adds to a message.

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use sockeye_core::{Config, Connection};
use sockeye_driver::server::{
    Accepted, Address, Client, Handler, HandlerResult, Inbound, Listener, Port, Runtime, Server, ServerHandle,
};
use sockeye_driver::{Io, WebSocket};
use sockeye_testkit::handshake::UPGRADE_REQUEST;

use crate::{Still, spin};

/// The bytes that one connection reads: the same batch a number of times. The reader waits once
/// after each batch.
#[derive(Debug, Clone)]
pub struct Batches {
    head: &'static [u8],
    batch: Arc<[u8]>,
    /// The number of bytes of the batch that have been read.
    at: usize,
    left: u64,
    waited: bool,
    /// Do not end after the last batch.
    stays: bool,
}

impl Batches {
    /// Creates a stream of `count` batches.
    #[must_use]
    pub fn new(batch: &Arc<[u8]>, count: u64) -> Self {
        Batches { head: b"", batch: batch.clone(), at: 0, left: count, waited: true, stays: false }
    }

    /// Begins with the request of an opening handshake.
    fn with_handshake(self) -> Self {
        Batches { head: UPGRADE_REQUEST, ..self }
    }

    /// Copies the next bytes into `buffer`. Returns `None` if the reader must wait.
    fn next(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let head = std::mem::take(&mut self.head);
        if !head.is_empty() {
            buffer[..head.len()].copy_from_slice(head);
            return Some(head.len());
        }
        if self.left == 0 {
            return if self.stays { None } else { Some(0) };
        }
        if !std::mem::replace(&mut self.waited, true) {
            return None;
        }
        let rest = &self.batch[self.at..];
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        if n < rest.len() {
            self.at += n;
        } else {
            (self.at, self.waited) = (0, false);
            self.left -= 1;
        }
        Some(n)
    }
}

impl Io for Batches {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.next(buffer) {
            Some(n) => Poll::Ready(Ok(n)),
            None => {
                if self.left > 0 {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(std::hint::black_box(slices).iter().map(|slice| slice.len()).sum()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Read for Batches {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A blocking read waits itself.
        Ok(self.next(buffer).or_else(|| self.next(buffer)).unwrap_or(0))
    }
}

impl Write for Batches {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(std::hint::black_box(bytes).len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(std::hint::black_box(slices).iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl sockeye_std::Stream for Batches {
    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Echoes `count` batches through a bare WebSocket of the async adapters.
pub fn echo_alone(batch: &Arc<[u8]>, count: u64) {
    let io = Batches::new(batch, count);
    let mut ws = WebSocket::new(Connection::server(Arc::new(Config::new())), &[], io, Still);
    spin(
        async move { while let Ok(Some(_)) = ws.recv_with(|message, sender| sender.send(message)).await {} },
    );
}

/// Echoes `count` batches through a WebSocket of the blocking adapter.
pub fn echo_blocking(batch: &Arc<[u8]>, count: u64) {
    let (config, stream) = (Arc::new(Config::new()), Batches::new(batch, count));
    let ws = sockeye_std::WebSocket::new(Connection::server(config.clone()), &[], stream, &config);
    let Ok(mut ws) = ws else { return };
    while let Ok(Some(_)) = ws.recv_with(|message, sender| sender.send(message)) {}
}

/// Echoes `count` batches through a server, whose tasks share their threads.
pub fn echo_served(batch: &Arc<[u8]>, count: u64) {
    World::new(Tasks::default(), Batches::new(batch, count), 1).run_to_end();
}

/// Echoes `count` batches through a server with a thread for each connection, as in the blocking
/// adapter.
pub fn echo_on_thread(batch: &Arc<[u8]>, count: u64) {
    let tasks = Tasks { own_thread: true, ..Tasks::default() };
    World::new(tasks, Batches::new(batch, count), 1).run_to_end();
}

/// Opens `count` connections to a server, and returns it while they are idle.
#[must_use]
pub fn idle(own_thread: bool, count: u64) -> World {
    let io = Batches { stays: true, ..Batches::new(&Arc::from([]), 0) };
    let mut world = World::new(Tasks { own_thread, ..Tasks::default() }, io, count);
    world.run_until_idle();
    assert_eq!(world.handle.connections().len() as u64, count, "all connections are open");
    world
}

/// The way to send one message to many connections.
#[derive(Debug, Clone, Copy)]
pub enum ToMany {
    /// A broadcast to all.
    Broadcast,
    /// A publish to a topic to which all subscribe.
    Topic,
    /// A publish to each of several topics, each with ten subscribers.
    TopicsOfTen,
}

/// Sends 100 bytes to each of the world's connections, `rounds` times.
pub fn send_to_many(world: &mut World, how: ToMany, rounds: u64) {
    let message = [b'x'; 100];
    let handle = world.handle.clone();
    let ids = handle.connections();
    let topics = if matches!(how, ToMany::TopicsOfTen) { ids.len() / 10 } else { 1 };
    let topics: Vec<String> = (0..topics).map(|topic| format!("topic {topic}")).collect();
    for (n, id) in ids.iter().enumerate() {
        handle.subscribe(*id, &topics[n % topics.len()]).expect("the connection is open");
    }
    for _ in 0..rounds {
        let reached: usize = match how {
            ToMany::Broadcast => handle.broadcast(|_| true, &message).queued,
            _ => topics.iter().map(|topic| handle.publish(topic, &message).queued).sum(),
        };
        assert_eq!(reached, ids.len(), "the message reaches all connections");
        world.run_until_idle();
    }
}

/// A server in memory, and the executor of its tasks.
#[derive(Debug)]
pub struct World {
    handle: ServerHandle,
    tasks: Tasks,
    running: Vec<Task>,
}

impl World {
    /// Starts a server that accepts `count` connections.
    fn new(tasks: Tasks, io: Batches, count: u64) -> Self {
        let server = Server::builder_on(tasks.clone())
            .listen_with(Repeat(io.with_handshake(), count), Address::Unix(None), Port::new(Echo))
            .build();
        let handle = server.handle();
        let run = async move { drop(server.run().await) };
        World { handle, tasks, running: vec![Task::new(Box::pin(run))] }
    }

    fn run_until_idle(&mut self) {
        let mut is_idle = false;
        while !is_idle {
            is_idle = true;
            self.running.retain_mut(|task| match task.poll() {
                None => true,
                Some(polled) => {
                    is_idle = false;
                    polled.is_pending()
                }
            });
            let spawned = std::mem::take(&mut *self.tasks.lock());
            is_idle &= spawned.is_empty();
            self.running.extend(spawned);
        }
    }

    /// Runs until all connections have ended and the server has stopped.
    fn run_to_end(&mut self) {
        self.run_until_idle();
        assert!(self.handle.connections().is_empty(), "all connections have ended");
        self.handle.shutdown(Duration::ZERO);
        self.run_until_idle();
        assert!(self.running.is_empty(), "the server has stopped");
    }
}

struct Echo;

impl Handler for Echo {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }
}

/// The runtime: a queue of the tasks that have not run yet.
#[derive(Debug, Clone, Default)]
struct Tasks {
    spawned: Arc<Mutex<Vec<Task>>>,
    own_thread: bool,
}

impl Tasks {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Task>> {
        self.spawned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime for Tasks {
    type Io = Batches;
    type Clock = Still;
    type Listener = Repeat;

    fn clock(&self) -> Still {
        Still
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        self.lock().push(Task::new(Box::pin(future)));
        Ok(())
    }

    fn own_thread(&self) -> Option<ThreadId> {
        self.own_thread.then(|| std::thread::current().id())
    }

    fn listen(&self, _: std::net::TcpListener) -> io::Result<Repeat> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(unix)]
    fn listen_unix(&self, _: std::os::unix::net::UnixListener) -> io::Result<Repeat> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A task, and whether it has been woken.
struct Task {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Task {
    fn new(future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Self {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        Task { future, waker: woken.clone().into(), woken }
    }

    /// Polls the task if it has been woken.
    fn poll(&mut self) -> Option<Poll<()>> {
        let is_woken = self.woken.0.swap(false, Ordering::Relaxed);
        is_woken.then(|| self.future.as_mut().poll(&mut Context::from_waker(&self.waker)))
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("woken", &self.woken).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A listener with a number of equal connections.
#[derive(Debug)]
struct Repeat(Batches, u64);

impl Listener for Repeat {
    type Io = Batches;

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Accepted<Batches>>> {
        let Repeat(io, left) = self;
        if *left == 0 {
            return Poll::Pending;
        }
        *left -= 1;
        let nowhere = Address::Unix(None);
        Poll::Ready(Ok(Accepted { io: io.clone(), peer: nowhere.clone(), local: nowhere }))
    }
}

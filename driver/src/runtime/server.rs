//! The traits that a runtime implements for servers: tasks and listening sockets.

use std::future::Future;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::ThreadId;

use sockeye_core::deflate::{CodecPool, codec_pool};

use crate::runtime::address::Address;
use crate::runtime::io::{Clock, Io};

/// A runtime that servers can run on: tasks, timers, and listening sockets with their connections.
///
/// # Contract
///
/// **Threads.** A server may run its tasks on any thread, and any thread may push to a connection.
/// A push that waits for room writes to the transport itself, on its own thread, so [`Io`] and
/// [`Clock`] must be `Send`. Still, each belongs to one task:
///
/// - A [`Listener`] is polled by the task of its port and nowhere else.
/// - Until the 101 has been sent, the transport and clock of a connection are used by its task
///   only.
/// - Afterwards the task alone reads and closes. Pushes only write and flush the transport and read
///   and set the clock, under a lock and never at the same time as the task.
/// - If each task runs on [its own thread](Runtime::own_thread), one more task of the server uses
///   the transport and the clock like the connection's task, under the same lock, while a handler
///   blocks that thread.
/// - The last push to hold the connection may drop both.
///
/// A server cannot use a transport that is not `Send`. Accept such connections with
/// [`accept_with`](crate::accept_with) and drive each [`WebSocket`](crate::WebSocket) in a local
/// task, which needs no `Send`.
///
/// **Cloning.** A clone must be cheap, because each connection has one. All clones start tasks on
/// the same runtime.
///
/// # Examples
///
/// A thread for each task, with connections that another part of the program opens, such as a TLS
/// listener:
///
/// ```
/// use std::future::Future;
/// use std::io;
/// use std::task::{Context, Poll};
///
/// use sockeye_driver::server::{Accepted, Callbacks, Listener, Port, Runtime, Server};
/// use sockeye_driver::{Clock, Io};
/// # use sockeye_core::Instant;
/// # fn block_on(_: impl Future<Output = ()>) {}
/// # #[derive(Default)]
/// # struct MyClock;
/// # impl Clock for MyClock {
/// #     fn now(&self) -> Instant { Instant::default() }
/// #     fn poll_until(&mut self, _: &mut Context<'_>, _: Instant) -> Poll<()> { Poll::Pending }
/// #     fn cancel(&mut self) {}
/// # }
/// # struct MyListener;
/// # impl Listener for MyListener {
/// #     type Io = Box<dyn Io + Send>;
/// #     fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Accepted<Self::Io>>> {
/// #         Poll::Pending
/// #     }
/// # }
///
/// #[derive(Clone)]
/// struct Threads;
///
/// impl Runtime for Threads {
///     type Io = Box<dyn Io + Send>;
///     type Clock = MyClock;
///     type Listener = MyListener;
///
///     fn clock(&self) -> MyClock {
///         MyClock::default()
///     }
///
///     fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
///         std::thread::Builder::new().spawn(move || block_on(future)).map(drop)
///     }
/// }
///
/// # use sockeye_driver::server::Address;
/// let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
/// let server = Server::builder_on(Threads)
///     .listen_with(MyListener, Address::Unix(None), Port::new(echo))
///     .build();
/// # let _ = server;
/// ```
pub trait Runtime: Clone + Send + Sync + 'static {
    /// The runtime's connections.
    type Io: Io + Send + 'static;
    /// The runtime's clock.
    type Clock: Clock + Send + 'static;
    /// The runtime's listening sockets.
    type Listener: Listener<Io = Self::Io> + Send + 'static;

    /// Returns a clock whose timer is not set. All clocks of a runtime share an epoch.
    ///
    /// Any thread may call this, including threads outside the runtime:
    /// [`ServerHandle::info`](crate::server::ServerHandle::info) calls it on its caller's thread.
    fn clock(&self) -> Self::Clock;

    /// Spawns a task that runs `future` to its end. The server calls this only from its own tasks:
    /// in [`Server::run`](crate::server::Server::run) and in the task of each port.
    ///
    /// The future catches the panics of handlers. A runtime that drops it early ends the
    /// connection, without a Close.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime is not running or cannot start another task. The future is
    /// dropped.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()>;

    /// Returns the current thread, if each task runs on its own thread and a handler may block that
    /// thread.
    ///
    /// A push from another thread then writes to the transport at once. The connection's own thread
    /// may be busy for a long time, and waking it takes longer than writing. The server also spawns
    /// one task that reads from connections whose handler blocks for more than a tenth of a second.
    /// By default it returns `None`.
    fn own_thread(&self) -> Option<ThreadId> {
        None
    }

    /// Takes over a listening TCP socket, which is in non-blocking mode. By default it returns
    /// [`Unsupported`](io::ErrorKind::Unsupported), for runtimes whose listeners are all passed to
    /// [`listen_with`](crate::server::ServerBuilder::listen_with).
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime cannot register the socket, for instance because the runtime
    /// does not run on this thread.
    fn listen(&self, socket: std::net::TcpListener) -> io::Result<Self::Listener> {
        drop(socket);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes over a listening Unix socket, which is in non-blocking mode. By default it returns
    /// [`Unsupported`](io::ErrorKind::Unsupported).
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime cannot register the socket, and
    /// [`Unsupported`](io::ErrorKind::Unsupported) if it has no Unix sockets.
    #[cfg(unix)]
    fn listen_unix(&self, socket: std::os::unix::net::UnixListener) -> io::Result<Self::Listener> {
        drop(socket);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns the pool of the connections' codecs. By default it keeps them per thread. A runtime
    /// that runs each connection on its own thread returns
    /// [`shared_codec_pool`](sockeye_core::deflate::shared_codec_pool) instead.
    fn codec_pool(&self) -> Arc<dyn CodecPool> {
        codec_pool()
    }
}

/// A source of connections: a listening socket, or anything that hands over transports.
///
/// # Contract
///
/// The task of the port polls the listener until the server shuts down, and then drops it. It polls
/// again at once after each connection. So accepting must be quick: a TLS handshake belongs in the
/// first reads and writes of the connection, or in a task that passes on finished connections.
///
/// # Examples
///
/// A queue that another task or thread fills with connections:
///
/// ```
/// use std::collections::VecDeque;
/// use std::io;
/// use std::sync::{Arc, Mutex};
/// use std::task::{Context, Poll, Waker};
///
/// use sockeye_driver::Io;
/// use sockeye_driver::server::{Accepted, Address, Listener};
///
/// type Connection = Box<dyn Io + Send>;
///
/// #[derive(Clone, Default)]
/// struct Queue(Arc<Mutex<(VecDeque<Connection>, Option<Waker>)>>);
///
/// impl Queue {
///     fn push(&self, connection: Connection) {
///         let waker = {
///             let mut queue = self.0.lock().unwrap();
///             queue.0.push_back(connection);
///             queue.1.take()
///         };
///         waker.into_iter().for_each(Waker::wake);
///     }
/// }
///
/// impl Listener for Queue {
///     type Io = Connection;
///
///     fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<Connection>>> {
///         let mut queue = self.0.lock().unwrap();
///         let Some(io) = queue.0.pop_front() else {
///             queue.1 = Some(cx.waker().clone());
///             return Poll::Pending;
///         };
///         Poll::Ready(Ok(Accepted { io, peer: Address::Unix(None), local: Address::Unix(None) }))
///     }
/// }
/// ```
pub trait Listener {
    /// The type of the connections that it accepts.
    type Io;

    /// Waits for the next connection. While it returns `Pending`, it keeps the waker of the latest
    /// poll and wakes it when a connection arrives.
    ///
    /// # Errors
    ///
    /// Returns an error if a connection could not be accepted. The server then polls the listener
    /// again: at once if the error concerns only that connection (its kind is aborted, refused,
    /// reset, interrupted or timed out), otherwise after a pause that grows from 5 ms to 1 s.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<Self::Io>>>;
}

/// An accepted connection with its addresses.
#[derive(Debug)]
pub struct Accepted<I> {
    /// The connection.
    pub io: I,
    /// The address of the client.
    pub peer: Address,
    /// The address that the client connected to.
    pub local: Address,
}

/// A connection over TCP or a Unix socket, for runtimes that have a type for each.
#[derive(Debug)]
pub enum Socket<T, U> {
    /// Over TCP.
    Tcp(T),
    /// Over a Unix socket.
    Unix(U),
}

macro_rules! either {
    ($self:expr, $io:ident => $call:expr) => {
        match $self {
            Socket::Tcp($io) => $call,
            Socket::Unix($io) => $call,
        }
    };
}

impl<T: Io, U: Io> Io for Socket<T, U> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_read(cx, buffer))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write(cx, slices))
    }

    fn poll_write_now(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write_now(cx, slices))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_flush(cx))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_close(cx))
    }
}

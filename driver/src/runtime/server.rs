//! The traits that a runtime implements for servers: tasks and listening sockets.

use std::future::Future;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::ThreadId;

use sockeye_core::deflate::CodecPool;

use crate::codec_pool::codec_pool;
use crate::runtime::address::Address;
use crate::runtime::io::{Clock, Io};

/// A runtime that servers can run on.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// The runtime's connections.
    type Io: Io + Send + 'static;
    /// The runtime's clock.
    type Clock: Clock + Send + 'static;
    /// The runtime's listening sockets.
    type Listener: Listener<Io = Self::Io> + Send + 'static;

    /// Returns a clock whose timer is not set.
    fn clock(&self) -> Self::Clock;

    /// Spawns a task that runs `future` to its end.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime is not running or cannot start another task. The future is
    /// dropped.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()>;

    /// Returns the thread of the calling task, if each task runs on its own thread, which a handler
    /// may block.
    ///
    /// A push from another thread then writes to the transport at once. The connection's own thread
    /// may be busy for a long time, and waking it takes longer than writing. By default it returns
    /// `None`.
    fn own_thread(&self) -> Option<ThreadId> {
        None
    }

    /// Takes over a listening TCP socket, which is in non-blocking mode.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime cannot register the socket, for instance because it does not
    /// run on this thread.
    fn listen(&self, socket: std::net::TcpListener) -> io::Result<Self::Listener>;

    /// Takes over a listening Unix socket, which is in non-blocking mode.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime cannot register the socket, and
    /// [`Unsupported`](io::ErrorKind::Unsupported) if it has no Unix sockets.
    #[cfg(unix)]
    fn listen_unix(&self, socket: std::os::unix::net::UnixListener) -> io::Result<Self::Listener>;

    /// Returns the pool of the connections' codecs. By default it keeps them per thread. A runtime
    /// that runs each connection on its own thread returns
    /// [`shared_codec_pool`](crate::shared_codec_pool) instead.
    fn codec_pool(&self) -> Arc<dyn CodecPool> {
        codec_pool()
    }
}

/// A listening socket.
pub trait Listener {
    /// The type of its connections.
    type Io;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// Returns an error if a connection could not be accepted. Accepting the next one may succeed.
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

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_flush(cx))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_close(cx))
    }
}

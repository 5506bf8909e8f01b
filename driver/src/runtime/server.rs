//! What a runtime brings for a server: sockets that listen, and tasks.

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
    /// Its connections.
    type Io: Io + Send + 'static;
    /// Its time.
    type Clock: Clock + Send + 'static;
    /// Its listening sockets.
    type Listener: Listener<Io = Self::Io> + Send + 'static;

    /// A clock, with no alarm set.
    fn clock(&self) -> Self::Clock;

    /// Runs a future to its end, beside everything else.
    ///
    /// # Errors
    ///
    /// There is nothing to run it on, or no room for it. The future is dropped.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()>;

    /// The thread that the calling task has to itself, if it has one, and its handler may block it. Then who pushes from another
    /// thread writes at once, too: the connection's own may be busy for long, and to wake it takes longer than to write.
    fn own_thread(&self) -> Option<ThreadId> {
        None
    }

    /// Takes over a socket that listens and does not block.
    ///
    /// # Errors
    ///
    /// The runtime cannot take it, for instance because it does not run here.
    fn listen(&self, socket: std::net::TcpListener) -> io::Result<Self::Listener>;

    /// The same for a Unix socket.
    ///
    /// # Errors
    ///
    /// As [`listen`](Runtime::listen); [`Unsupported`](io::ErrorKind::Unsupported) where the runtime has none.
    #[cfg(unix)]
    fn listen_unix(&self, socket: std::os::unix::net::UnixListener) -> io::Result<Self::Listener>;

    /// Where the connections' compressors come from: those of the thread, unless each connection has its own.
    fn codec_pool(&self) -> Arc<dyn CodecPool> {
        codec_pool()
    }
}

/// A socket that listens.
pub trait Listener {
    /// The connections it makes.
    type Io;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// This one could not be accepted; the next may be.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<Self::Io>>>;
}

/// A connection, and its two ends.
#[derive(Debug)]
pub struct Accepted<I> {
    /// The connection.
    pub io: I,
    /// Who connected.
    pub peer: Address,
    /// What to.
    pub local: Address,
}

/// A connection of either kind, for runtimes that have a type for each.
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

//! Sockets and timers of [`async-io`](https://docs.rs/async-io), for `sockeye-smol` and the servers
//! of `sockeye-std`. They run on any executor, because async-io has its own thread for I/O.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant as StdInstant;

use async_io::{Async, Timer};
use async_net::TcpStream;
#[cfg(unix)]
use async_net::unix::UnixStream;
use futures_io::{AsyncRead, AsyncWrite};
use sockeye_core::Instant;

use crate::runtime::address::Address;
use crate::runtime::clock::{to_core_instant, to_std_instant};
use crate::runtime::io::{Clock, Io};
#[cfg(unix)]
use crate::runtime::server::{Accepted, Listener, Socket};

pub use async_io::block_on;

/// Any stream with the I/O traits of `futures`: a `TcpStream` or `UnixStream` of smol, or a TLS
/// stream over one.
#[derive(Debug)]
pub struct FuturesIo<S>(S);

impl<S> FuturesIo<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        FuturesIo(stream)
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> &S {
        &self.0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io for FuturesIo<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        match slices {
            [slice] => stream.poll_write(cx, slice),
            slices => stream.poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// The clock of the standard library, with a timer of `async-io` that exists only while a deadline
/// is set.
#[derive(Default)]
pub struct AsyncIoClock {
    // Boxed, because most connections have no deadline most of the time.
    timer: Option<Box<DeadlineTimer>>,
}

struct DeadlineTimer {
    deadline: Instant,
    timer: Timer,
}

impl Clock for AsyncIoClock {
    fn now(&self) -> Instant {
        to_core_instant(StdInstant::now())
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let new = || DeadlineTimer { deadline, timer: Timer::at(to_std_instant(deadline)) };
        let current = self.timer.get_or_insert_with(|| Box::new(new()));
        if current.deadline != deadline {
            **current = new();
        }
        if Pin::new(&mut current.timer).poll(cx).is_ready() {
            // A timer that has fired never wakes again.
            self.timer = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn cancel(&mut self) {
        self.timer = None;
    }
}

impl fmt::Debug for AsyncIoClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncIoClock").field("armed", &self.timer.is_some()).finish()
    }
}

/// A connection that an [`AsyncIoListener`] accepted.
#[cfg(unix)]
pub type AsyncIoStream = Socket<FuturesIo<TcpStream>, FuturesIo<UnixStream>>;
/// A connection that an [`AsyncIoListener`] accepted.
#[cfg(not(unix))]
pub type AsyncIoStream = Socket<FuturesIo<TcpStream>, FuturesIo<TcpStream>>;

/// A listening socket.
#[derive(Debug)]
pub enum AsyncIoListener {
    /// A TCP socket.
    Tcp(Async<std::net::TcpListener>),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(Async<std::os::unix::net::UnixListener>),
}

impl AsyncIoListener {
    /// Takes over a listening TCP socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket cannot be registered for events.
    pub fn tcp(socket: std::net::TcpListener) -> io::Result<Self> {
        Async::new(socket).map(AsyncIoListener::Tcp)
    }

    /// Takes over a listening Unix socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket cannot be registered for events.
    #[cfg(unix)]
    pub fn unix(socket: std::os::unix::net::UnixListener) -> io::Result<Self> {
        Async::new(socket).map(AsyncIoListener::Unix)
    }
}

impl Listener for AsyncIoListener {
    type Io = AsyncIoStream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<AsyncIoStream>>> {
        match self {
            AsyncIoListener::Tcp(listener) => {
                let (stream, peer) = ready!(poll_accept(listener, cx, std::net::TcpListener::accept))?;
                // A push must not wait for the acknowledgement of the one before it. If the option
                // cannot be set, the socket is broken and the first read reports it.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().unwrap_or(peer).into();
                let stream = TcpStream::from(Async::new(stream)?);
                Poll::Ready(Ok(Accepted {
                    io: Socket::Tcp(FuturesIo::new(stream)),
                    peer: peer.into(),
                    local,
                }))
            }
            #[cfg(unix)]
            AsyncIoListener::Unix(listener) => {
                let (stream, peer) =
                    ready!(poll_accept(listener, cx, std::os::unix::net::UnixListener::accept))?;
                let local = stream.local_addr().map_or(Address::Unix(None), Into::into);
                let stream = UnixStream::from(Async::new(stream)?);
                Poll::Ready(Ok(Accepted {
                    io: Socket::Unix(FuturesIo::new(stream)),
                    peer: peer.into(),
                    local,
                }))
            }
        }
    }
}

/// Accepts a connection, or registers the task for the next one.
fn poll_accept<S, T>(
    socket: &Async<S>,
    cx: &mut Context<'_>,
    accept: fn(&S) -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        match accept(socket.get_ref()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_readable(cx))?,
            accepted => return Poll::Ready(accepted),
        }
    }
}

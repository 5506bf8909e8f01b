//! Listening sockets of async-io.

use std::io;
use std::task::{Context, Poll, ready};

use async_io::Async;
use async_net::TcpStream;
#[cfg(unix)]
use async_net::unix::UnixStream;

#[cfg(unix)]
use crate::runtime::address::Address;
use crate::runtime::async_io::FuturesIo;
use crate::runtime::server::{Accepted, Listener, Socket};

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

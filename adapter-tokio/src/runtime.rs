//! The runtime of servers: listening sockets and tasks of tokio.

use std::future::Future;
use std::io;
use std::task::{Context, Poll};

use sockeye_driver::server::{Accepted, Listener, Runtime, Socket};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;

use crate::{TokioClock, TokioIo};

/// A server on tokio.
///
/// ```no_run
/// use sockeye_tokio::server::{Callbacks, Server};
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let handler = Callbacks::on_message(|client, message| async move { client.push(message) });
/// let server = Server::bind("127.0.0.1:9501", handler)?;
/// let handle = server.handle();
/// tokio::spawn(async move {
///     let _ = tokio::signal::ctrl_c().await;
///     handle.shutdown(std::time::Duration::from_secs(10));
/// });
/// server.run().await?;
/// # Ok(()) }
/// ```
///
/// Bind it and run it inside a tokio runtime with I/O and time enabled.
pub type Server = sockeye_driver::server::Server<TokioRuntime>;

/// A builder of a [`Server`].
pub type ServerBuilder = sockeye_driver::server::ServerBuilder<TokioRuntime>;

/// The tokio runtime of the current thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioRuntime;

#[cfg(unix)]
type UnixIo = TokioIo<UnixStream>;
#[cfg(not(unix))]
type UnixIo = TokioIo<TcpStream>;

impl Runtime for TokioRuntime {
    type Io = Socket<TokioIo<TcpStream>, UnixIo>;
    type Clock = TokioClock;
    type Listener = TokioListener;

    fn clock(&self) -> TokioClock {
        TokioClock::default()
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        Handle::try_current().map_err(io::Error::other)?.spawn(future);
        Ok(())
    }

    fn listen(&self, socket: std::net::TcpListener) -> io::Result<TokioListener> {
        // Without a runtime the next line would panic.
        Handle::try_current().map_err(io::Error::other)?;
        TcpListener::from_std(socket).map(TokioListener::Tcp)
    }

    #[cfg(unix)]
    fn listen_unix(&self, socket: std::os::unix::net::UnixListener) -> io::Result<TokioListener> {
        Handle::try_current().map_err(io::Error::other)?;
        UnixListener::from_std(socket).map(TokioListener::Unix)
    }
}

/// A listening socket.
#[derive(Debug)]
pub enum TokioListener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener for TokioListener {
    type Io = <TokioRuntime as Runtime>::Io;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<Self::Io>>> {
        match self {
            TokioListener::Tcp(listener) => listener.poll_accept(cx).map_ok(|(stream, peer)| {
                // A push must not wait for the acknowledgement of the one before it. If the option
                // cannot be set, the socket is broken and the first read reports it.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().unwrap_or(peer).into();
                Accepted { io: Socket::Tcp(TokioIo::new(stream)), peer: peer.into(), local }
            }),
            #[cfg(unix)]
            TokioListener::Unix(listener) => listener.poll_accept(cx).map_ok(|(stream, peer)| {
                let peer = std::os::unix::net::SocketAddr::from(peer).into();
                let local = stream.local_addr().map(std::os::unix::net::SocketAddr::from);
                let local = local.map_or(sockeye_driver::server::Address::Unix(None), Into::into);
                Accepted { io: Socket::Unix(TokioIo::new(stream)), peer, local }
            }),
        }
    }
}

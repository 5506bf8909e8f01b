//! What smol brings for a server: sockets that listen, and tasks.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_io::Async;
use async_net::TcpStream;
#[cfg(unix)]
use async_net::unix::UnixStream;
#[cfg(unix)]
use sockeye_driver::server::Address;
use sockeye_driver::server::{Accepted, Listener, Runtime, Socket};

use crate::{FuturesIo, SmolClock};

/// A server on smol.
///
/// ```no_run
/// use sockeye_smol::server::{Callbacks, Port, Server, SmolRuntime};
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let handler = Callbacks::on_message(|client, message| async move { client.push(message) });
/// // On the threads of `smol::spawn`; how many these are says the environment variable `SMOL_THREADS`.
/// Server::bind("127.0.0.1:9501", handler)?.run().await?;
///
/// // On an executor of one's own.
/// let handler = Callbacks::on_message(|client, message| async move { client.push(message) });
/// static EXECUTOR: smol::Executor = smol::Executor::new();
/// let runtime = SmolRuntime::new(|task| EXECUTOR.spawn(task).detach());
/// let server = Server::builder_on(runtime).listen("127.0.0.1:9502", Port::new(handler))?.build();
/// EXECUTOR.run(server.run()).await?;
/// # Ok(()) }
/// ```
pub type Server = sockeye_driver::server::Server<SmolRuntime>;

/// Puts a [`Server`] together.
pub type ServerBuilder = sockeye_driver::server::ServerBuilder<SmolRuntime>;

/// A connection of a server.
#[cfg(unix)]
pub type SmolIo = Socket<FuturesIo<TcpStream>, FuturesIo<UnixStream>>;
/// A connection of a server.
#[cfg(not(unix))]
pub type SmolIo = Socket<FuturesIo<TcpStream>, FuturesIo<TcpStream>>;

/// Any executor, with the sockets and timers of smol. With the feature `smol`, the default is the one of `smol::spawn`.
#[derive(Clone)]
pub struct SmolRuntime {
    spawn: Arc<dyn Fn(Task) + Send + Sync>,
}

/// What an executor is given to run.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl SmolRuntime {
    /// Runs tasks by `spawn`, which detaches them.
    pub fn new(spawn: impl Fn(Task) + Send + Sync + 'static) -> Self {
        SmolRuntime { spawn: Arc::new(spawn) }
    }
}

#[cfg(feature = "smol")]
impl Default for SmolRuntime {
    fn default() -> Self {
        SmolRuntime::new(|task| smol::spawn(task).detach())
    }
}

impl Runtime for SmolRuntime {
    type Io = SmolIo;
    type Clock = SmolClock;
    type Listener = SmolListener;

    fn clock(&self) -> SmolClock {
        SmolClock::default()
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        (self.spawn)(Box::pin(future));
        Ok(())
    }

    fn listen(&self, socket: std::net::TcpListener) -> io::Result<SmolListener> {
        SmolListener::tcp(socket)
    }

    #[cfg(unix)]
    fn listen_unix(&self, socket: std::os::unix::net::UnixListener) -> io::Result<SmolListener> {
        SmolListener::unix(socket)
    }
}

/// A listening socket of smol.
#[derive(Debug)]
pub enum SmolListener {
    /// For TCP.
    Tcp(Async<std::net::TcpListener>),
    /// At a path.
    #[cfg(unix)]
    Unix(Async<std::os::unix::net::UnixListener>),
}

impl SmolListener {
    /// Takes over a socket that listens.
    ///
    /// # Errors
    ///
    /// It cannot be watched for connections.
    pub fn tcp(socket: std::net::TcpListener) -> io::Result<Self> {
        Async::new(socket).map(SmolListener::Tcp)
    }

    /// The same for a Unix socket.
    ///
    /// # Errors
    ///
    /// As [`tcp`](SmolListener::tcp).
    #[cfg(unix)]
    pub fn unix(socket: std::os::unix::net::UnixListener) -> io::Result<Self> {
        Async::new(socket).map(SmolListener::Unix)
    }
}

impl Listener for SmolListener {
    type Io = SmolIo;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<SmolIo>>> {
        match self {
            SmolListener::Tcp(listener) => {
                let (stream, peer) = ready!(poll_with(listener, cx, std::net::TcpListener::accept))?;
                // A push must not wait for the acknowledgement of the one before it. Where it cannot be set the socket is as
                // good as closed, which the first read will tell.
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
            SmolListener::Unix(listener) => {
                let (stream, peer) =
                    ready!(poll_with(listener, cx, std::os::unix::net::UnixListener::accept))?;
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

/// Tries until it succeeds, and waits in between.
fn poll_with<S, T>(
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

impl fmt::Debug for SmolRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmolRuntime").finish_non_exhaustive()
    }
}

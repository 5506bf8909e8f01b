//! The runtime of servers: sockets and timers of smol, and tasks on any executor.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use sockeye_driver::server::Runtime;

use crate::SmolClock;

pub use sockeye_driver::async_io::{AsyncIoListener as SmolListener, AsyncIoStream as SmolIo};

/// A server on smol.
///
/// ```no_run
/// use sockeye_smol::server::{Callbacks, Port, Server, SmolRuntime};
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let handler = Callbacks::on_message(|client, message| async move { client.push(message) });
/// // Runs on the threads of `smol::spawn`. The variable `SMOL_THREADS` sets their number.
/// Server::bind("127.0.0.1:9501", handler)?.run().await?;
///
/// // Runs on another executor.
/// let handler = Callbacks::on_message(|client, message| async move { client.push(message) });
/// static EXECUTOR: smol::Executor = smol::Executor::new();
/// let runtime = SmolRuntime::new(|task| EXECUTOR.spawn(task).detach());
/// let server = Server::builder_on(runtime).listen("127.0.0.1:9502", Port::new(handler))?.build();
/// EXECUTOR.run(server.run()).await?;
/// # Ok(()) }
/// ```
pub type Server = sockeye_driver::server::Server<SmolRuntime>;

/// A builder of a [`Server`].
pub type ServerBuilder = sockeye_driver::server::ServerBuilder<SmolRuntime>;

/// An executor, with the sockets and timers of smol. With the feature `smol`, the default is the
/// executor of `smol::spawn`.
#[derive(Clone)]
pub struct SmolRuntime {
    spawn: Arc<dyn Fn(Task) + Send + Sync>,
}

/// A task for an executor.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl SmolRuntime {
    /// Returns a runtime that starts tasks with `spawn`, which must detach them.
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

impl fmt::Debug for SmolRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmolRuntime").finish_non_exhaustive()
    }
}

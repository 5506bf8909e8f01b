//! Servers with a thread for each connection.
//!
//! The server is that of `sockeye-smol`, driven by the thread of each connection; what an application writes are plain
//! functions, which may block.
//!
//! ```no_run
//! use sockeye_std::server::{Client, Handler, HandlerResult, Inbound, Server};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
//!         client.push(message)?;
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     Server::bind("127.0.0.1:9501", Echo)?.run()
//! }
//! ```

use std::future::Future;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread::ThreadId;

use sockeye_core::deflate::CodecPool;
use sockeye_driver::server::{self, Runtime};
use sockeye_driver::shared_codec_pool;
use sockeye_smol::SmolClock;
use sockeye_smol::server::{SmolIo, SmolListener};

pub use sockeye_driver::server::blocking::{Blocking, Callbacks, Handler, HttpRequest};
pub use sockeye_driver::server::{
    Address, BoxError, Broadcast, Client, ConnectionId, Decision, Failure, HandlerResult, HttpBodyError,
    HttpExchange, Inbound, Info, Limits, ListenOptions, Outcome, Port, PushError, Refused, ServerHandle,
    SlowReader, Status,
};

/// A thread for each connection, and one for each port.
#[derive(Debug, Clone, Default)]
pub struct Threads {
    stack_size: Option<usize>,
}

impl Threads {
    /// With the standard library's size of stacks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the size of each thread's stack, in bytes.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }
}

impl Runtime for Threads {
    type Io = SmolIo;
    type Clock = SmolClock;
    type Listener = SmolListener;

    fn clock(&self) -> SmolClock {
        SmolClock::default()
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let mut thread = std::thread::Builder::new().name("sockeye".to_owned());
        if let Some(bytes) = self.stack_size {
            thread = thread.stack_size(bytes);
        }
        // In a box: it is handed over to the thread by moving it.
        let future = Box::pin(future);
        thread.spawn(move || async_io::block_on(future)).map(drop)
    }

    fn own_thread(&self) -> Option<ThreadId> {
        Some(std::thread::current().id())
    }

    fn listen(&self, socket: std::net::TcpListener) -> io::Result<SmolListener> {
        SmolListener::tcp(socket)
    }

    #[cfg(unix)]
    fn listen_unix(&self, socket: std::os::unix::net::UnixListener) -> io::Result<SmolListener> {
        SmolListener::unix(socket)
    }

    fn codec_pool(&self) -> Arc<dyn CodecPool> {
        shared_codec_pool()
    }
}

/// A server whose ports are open; [`run`](Server::run) accepts their connections.
#[derive(Debug)]
pub struct Server {
    server: server::Server<Threads>,
}

impl Server {
    /// A server with one port, and defaults for everything else. Of several addresses that a name stands for, it is the first
    /// that can be listened on.
    ///
    /// # Errors
    ///
    /// None of the addresses can be listened on.
    pub fn bind<H: Handler>(address: impl ToSocketAddrs, handler: H) -> io::Result<Self> {
        Ok(Self::builder().listen(address, Port::blocking(handler))?.build())
    }

    /// A server with several ports, limits, or other options.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        Self::builder_on(Threads::new())
    }

    /// The same with threads of one's own making.
    #[must_use]
    pub fn builder_on(threads: Threads) -> ServerBuilder {
        ServerBuilder { builder: server::Server::builder_on(threads) }
    }

    /// The way to its connections, from anywhere.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Where it listens, in the order of its ports.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        self.server.addresses()
    }

    /// Serves until [`shutdown`](ServerHandle::shutdown) is called and done. Handlers that still run then are left to
    /// themselves.
    ///
    /// # Errors
    ///
    /// There can be no more threads.
    pub fn run(self) -> io::Result<()> {
        async_io::block_on(self.server.run())
    }
}

/// Puts a [`Server`] together: limits, and ports, each with its own handler and options. A port is made by
/// [`Port::blocking`].
#[derive(Debug)]
pub struct ServerBuilder {
    builder: server::ServerBuilder<Threads>,
}

impl ServerBuilder {
    /// Limits of the whole server.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        ServerBuilder { builder: self.builder.limits(limits) }
    }

    /// How the ports that follow are opened.
    #[must_use]
    pub fn listen_options(self, options: ListenOptions) -> Self {
        ServerBuilder { builder: self.builder.listen_options(options) }
    }

    /// Listens on a TCP port, from now on: who connects waits for [`run`](Server::run). Of several addresses that a name stands for, it
    /// is the first that can be listened on.
    ///
    /// # Errors
    ///
    /// None of the addresses can be listened on.
    pub fn listen<H: Handler>(
        self,
        address: impl ToSocketAddrs,
        port: Port<Blocking<H>>,
    ) -> io::Result<Self> {
        Ok(ServerBuilder { builder: self.builder.listen(address, port)? })
    }

    /// The same on a socket that listens already.
    ///
    /// # Errors
    ///
    /// It cannot be watched for connections.
    pub fn listen_on<H: Handler>(
        self,
        socket: std::net::TcpListener,
        port: Port<Blocking<H>>,
    ) -> io::Result<Self> {
        Ok(ServerBuilder { builder: self.builder.listen_on(socket, port)? })
    }

    /// The same on a Unix socket at this path. What a server that has ended left there is removed first.
    ///
    /// # Errors
    ///
    /// The path is taken.
    #[cfg(unix)]
    pub fn listen_unix<H: Handler>(
        self,
        path: impl AsRef<std::path::Path>,
        port: Port<Blocking<H>>,
    ) -> io::Result<Self> {
        Ok(ServerBuilder { builder: self.builder.listen_unix(path, port)? })
    }

    /// The server, with all its ports.
    #[must_use]
    pub fn build(self) -> Server {
        Server { server: self.builder.build() }
    }
}

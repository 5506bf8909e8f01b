//! Servers with a thread for each connection.
//!
//! The handlers are plain functions, which may block:
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
//!
//! The server is the one of [`sockeye_driver::server`]. Its sockets and timers need one more
//! thread, which waits for the operating system for all connections. Another thread answers pings,
//! keeps deadlines and reads on for connections whose handler takes long; otherwise it sleeps.
//!
//! With the feature `rustls`, `listen_tls` opens a port with TLS.
//!
//! A [`WebSocket`](crate::WebSocket) of this crate blocks its thread, so a server cannot adopt it.
//! [`ServerHandle::adopt`](sockeye_driver::server::ServerHandle::adopt) takes those of
//! [`sockeye_driver`], over any transport; run the returned future with
//! [`block_on`](sockeye_driver::block_on) on a thread.
//!
//! For another transport, implement [`Io`] for its connections, [`Listener`] for its
//! source of connections, and [`Runtime`] with the clock and threads of [`Threads`]. Then build a
//! [`sockeye_driver::server::Server`] with `builder_on` and `listen_with`.

mod threads;

use std::io;
use std::net::ToSocketAddrs;

use sockeye_driver::async_io::block_on;
use sockeye_driver::server;

#[cfg(feature = "json")]
pub use sockeye_driver::server::PushJsonError;
pub use sockeye_driver::server::blocking::{Blocking, BlockingPort, Callbacks, Handler, HttpRequest};
pub use sockeye_driver::server::{
    Accepted, Address, BoxError, Broadcast, Client, ConnectionId, Decision, Drain, Excess, Failure,
    ForwardedFields, FullLimit, HandlerResult, HttpBodyError, HttpExchange, Inbound, Info, InvalidNetwork,
    Limits, ListenOptions, Listener, Outcome, Port, PortStats, Presence, PresenceChange, PresenceWatch,
    Publish, PushError, Pushed, RateLimit, RefusalInfo, RefusalReason, Refused, RefusedCounts, Runtime,
    ServerHandle, SlowReader, Socket, Stats, Status, TopicChange, TopicWatch, Traffic, TrustedProxies,
};
pub use sockeye_driver::{Clock, Io};
pub use threads::{ThreadClock, ThreadIo, ThreadListener, Threads};

/// A server whose ports are open; [`run`](Server::run) accepts their connections.
#[derive(Debug)]
pub struct Server {
    server: server::Server<Threads>,
}

impl Server {
    /// Returns a server with one port, and defaults for everything else. If the name has several
    /// addresses, the server listens on the first address that works.
    ///
    /// # Errors
    ///
    /// Returns an error if none of the addresses can be listened on.
    pub fn bind<H: Handler>(address: impl ToSocketAddrs, handler: H) -> io::Result<Self> {
        Ok(Self::builder().listen(address, Port::blocking(handler))?.build())
    }

    /// Returns a builder, for several ports, limits or other options.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        Self::builder_on(Threads::new())
    }

    /// Returns a builder of a server that runs on `threads`.
    #[must_use]
    pub fn builder_on(threads: Threads) -> ServerBuilder {
        ServerBuilder { builder: server::Server::builder_on(threads) }
    }

    /// Returns a handle, which reaches the connections from any thread.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Returns the addresses that the server listens on, in the order of its ports.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        self.server.addresses()
    }

    /// Serves until a [`shutdown`](ServerHandle::shutdown) has completed. Does not wait for
    /// handlers that are still running.
    ///
    /// # Errors
    ///
    /// Returns an error if a thread for a port cannot be created.
    pub fn run(self) -> io::Result<()> {
        block_on(self.server.run())
    }
}

/// A builder of a [`Server`]: limits, and ports with their own handlers and options.
/// [`Port::new`] creates a port.
#[derive(Debug)]
pub struct ServerBuilder {
    builder: server::ServerBuilder<Threads>,
}

impl ServerBuilder {
    /// Sets the limits of the whole server, also for the ports that were added before.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        ServerBuilder { builder: self.builder.limits(limits) }
    }

    /// Starts to listen on a TCP port. Clients that connect wait until the server
    /// [runs](Server::run). If the name has several addresses, the server listens on the first
    /// address that works.
    ///
    /// # Errors
    ///
    /// Returns an error if none of the addresses can be listened on.
    pub fn listen(self, address: impl ToSocketAddrs, port: impl BlockingPort) -> io::Result<Self> {
        Ok(ServerBuilder { builder: self.builder.listen(address, port.into_blocking())? })
    }

    /// Starts to listen on a TCP port with TLS, like [`listen`](ServerBuilder::listen). For other
    /// sockets, use [`Port::tls`].
    ///
    /// # Errors
    ///
    /// Returns an error if none of the addresses can be listened on.
    #[cfg(feature = "_tls")]
    pub fn listen_tls(
        self,
        address: impl ToSocketAddrs,
        tls: impl Into<crate::tls::ServerTls>,
        port: impl BlockingPort,
    ) -> io::Result<Self> {
        Ok(ServerBuilder { builder: self.builder.listen_tls(address, tls, port.into_blocking())? })
    }

    /// Adds a port on a TCP socket that listens already.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket cannot be registered for events.
    pub fn listen_on(self, socket: std::net::TcpListener, port: impl BlockingPort) -> io::Result<Self> {
        Ok(ServerBuilder { builder: self.builder.listen_on(socket, port.into_blocking())? })
    }

    /// Starts to listen on a Unix socket at this path. First removes a socket that an earlier
    /// server left there.
    ///
    /// # Errors
    ///
    /// Returns an error if the path is in use.
    #[cfg(unix)]
    pub fn listen_unix(self, path: impl AsRef<std::path::Path>, port: impl BlockingPort) -> io::Result<Self> {
        Ok(ServerBuilder { builder: self.builder.listen_unix(path, port.into_blocking())? })
    }

    /// Adds a port on a Unix socket that listens already.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket cannot be registered for events.
    #[cfg(unix)]
    pub fn listen_unix_on(
        self,
        socket: std::os::unix::net::UnixListener,
        port: impl BlockingPort,
    ) -> io::Result<Self> {
        Ok(ServerBuilder { builder: self.builder.listen_unix_on(socket, port.into_blocking())? })
    }

    /// Returns the server, with all its ports.
    #[must_use]
    pub fn build(self) -> Server {
        Server { server: self.builder.build() }
    }
}

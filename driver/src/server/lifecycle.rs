//! A server: built, bound, run, and ended.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::ToSocketAddrs;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::runtime::address::Address;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::Clock;
use crate::runtime::server::Runtime;
use crate::server::accept::accept_loop::AcceptLoop;
use crate::server::accept::listen;
use crate::server::accept::listen::ListenOptions;
use crate::server::api::handle::ServerHandle;
use crate::server::api::handler::Handler;
use crate::server::api::port::Port;
use crate::server::registry::hub::Hub;
use crate::server::registry::settings::Limits;

/// What is left when the grace is over has this long to see that it is aborted.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// A server whose ports are open; [`run`](Server::run) accepts their connections.
pub struct Server<R> {
    runtime: R,
    hub: Arc<Hub>,
    addresses: Vec<Address>,
    ports: Vec<StartAcceptLoop<R>>,
}

/// The loop of a port, whatever its handler.
type StartAcceptLoop<R> = Box<dyn FnOnce(R, Arc<Hub>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Puts a [`Server`] together: limits, and ports, each with its own handler and options.
///
/// ```
/// use sockeye_driver::server::{Callbacks, Limits, Port, Runtime, Server, SlowReader};
///
/// fn build<R: Runtime + Default>() -> std::io::Result<Server<R>> {
///     let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
///     let news = Callbacks::on_message(|client, message| async move {
///         client.server().broadcast(|_| true, &message);
///     });
///     Ok(Server::builder()
///         .limits(Limits::new().max_connections(10_000).max_queued(256 << 20))
///         .listen("0.0.0.0:9501", Port::new(echo))?
///         // From within only, and to all connections of both.
///         .listen("127.0.0.1:9502", Port::new(news).slow_reader(SlowReader::Drop))?
///         .build())
/// }
/// ```
pub struct ServerBuilder<R> {
    server: Server<R>,
    options: ListenOptions,
}

impl<R: Runtime + Default> Server<R> {
    /// A server with one port, and defaults for everything else. Of several addresses that a name stands for, it is the first
    /// that can be listened on.
    ///
    /// # Errors
    ///
    /// None of the addresses can be listened on, or the runtime does not run here.
    pub fn bind<H: Handler>(address: impl ToSocketAddrs, handler: H) -> io::Result<Self> {
        Ok(Self::builder().listen(address, Port::new(handler))?.build())
    }

    /// A server with several ports, limits, or other options.
    #[must_use]
    pub fn builder() -> ServerBuilder<R> {
        Self::builder_on(R::default())
    }
}

impl<R: Runtime> Server<R> {
    /// As [`builder`](Server::builder), on this runtime.
    #[must_use]
    pub fn builder_on(runtime: R) -> ServerBuilder<R> {
        let hub = Arc::new(Hub::new(Limits::default()));
        let server = Server { runtime, hub, addresses: Vec::new(), ports: Vec::new() };
        ServerBuilder { server, options: ListenOptions::default() }
    }

    /// The way to its connections, from anywhere.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(self.hub.clone())
    }

    /// Where it listens, in the order of its ports.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Serves until [`shutdown`](ServerHandle::shutdown) is called and done.
    ///
    /// # Errors
    ///
    /// The runtime cannot run it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the server at once: nothing more is accepted, and every connection is aborted.
    pub async fn run(self) -> io::Result<()> {
        let Server { runtime, hub, ports, .. } = self;
        let ends = StopOnDrop(hub.clone());
        for start in ports {
            let (is_open, port) = (hub.count_port(), start(runtime.clone(), hub.clone()));
            runtime.spawn(async move {
                port.await;
                drop(is_open);
            })?;
        }
        let grace = poll_fn(|cx| {
            hub.register_waiter(cx.waker());
            if hub.is_stopping() { Poll::Ready(()) } else { Poll::Pending }
        });
        grace.await;
        let mut clock = runtime.clock();
        let begun = clock.now();
        let all_ended =
            |wait: &dyn Fn() -> Duration, clock: &mut R::Clock, cx: &mut std::task::Context<'_>| {
                hub.register_waiter(cx.waker());
                if hub.has_drained() {
                    return Poll::Ready(());
                }
                // A second call of `shutdown` may have shortened the grace.
                poll_deadline(clock, cx, begun + wait()).map(drop)
            };
        let grace = || hub.grace().unwrap_or_default();
        poll_fn(|cx| all_ended(&grace, &mut clock, cx)).await;
        hub.abort_all();
        poll_fn(|cx| all_ended(&|| grace().saturating_add(ABORT_GRACE), &mut clock, cx)).await;
        drop(ends);
        Ok(())
    }
}

/// Ends everything, whatever the reason.
struct StopOnDrop(Arc<Hub>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.shutdown(Duration::ZERO);
        self.0.abort_all();
        self.0.set_stopped();
    }
}

impl<R: Runtime> ServerBuilder<R> {
    /// Limits of the whole server.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.server.hub = Arc::new(Hub::new(limits));
        self
    }

    /// How the ports that follow are opened.
    #[must_use]
    pub fn listen_options(mut self, options: ListenOptions) -> Self {
        self.options = options;
        self
    }

    /// Listens on a TCP port, from now on: who connects waits for [`run`](Server::run). Of several addresses that a name stands for, it
    /// is the first that can be listened on.
    ///
    /// # Errors
    ///
    /// None of the addresses can be listened on, or the runtime does not run here.
    pub fn listen<H: Handler>(self, address: impl ToSocketAddrs, port: Port<H>) -> io::Result<Self> {
        let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the name stands for no address");
        for address in address.to_socket_addrs()? {
            match listen::listen_tcp(address, &self.options) {
                Ok(socket) => return self.listen_on(socket, port),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// The same on a socket that listens already, for instance one that was handed over by a supervisor.
    ///
    /// # Errors
    ///
    /// The runtime cannot take it.
    pub fn listen_on<H: Handler>(mut self, socket: std::net::TcpListener, port: Port<H>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?.into();
        let listener = self.server.runtime.listen(socket)?;
        self.server.add(address, listener, port);
        Ok(self)
    }

    /// The same on a Unix socket at this path. What a server that has ended left there is removed first; what this one leaves
    /// there is not.
    ///
    /// # Errors
    ///
    /// The path is taken, or the runtime has no Unix sockets.
    #[cfg(unix)]
    pub fn listen_unix<H: Handler>(
        mut self,
        path: impl AsRef<std::path::Path>,
        port: Port<H>,
    ) -> io::Result<Self> {
        let socket = listen::listen_unix(path.as_ref())?;
        let address = socket.local_addr()?.into();
        let listener = self.server.runtime.listen_unix(socket)?;
        self.server.add(address, listener, port);
        Ok(self)
    }

    /// The same with a listener of the runtime's own, for whatever it listens to; `address` is what
    /// [`addresses`](Server::addresses) says of it.
    #[must_use]
    pub fn listen_with<H: Handler>(mut self, listener: R::Listener, address: Address, port: Port<H>) -> Self {
        self.server.add(address, listener, port);
        self
    }

    /// The server, with all its ports.
    #[must_use]
    pub fn build(self) -> Server<R> {
        self.server
    }
}

impl<R: Runtime> Server<R> {
    fn add<H: Handler>(&mut self, address: Address, listener: R::Listener, port: Port<H>) {
        let settings = Arc::new(port.settings.with_implied());
        let bound = AcceptLoop::<R, H> { listener, settings, handler: port.handler };
        self.addresses.push(address);
        self.ports.push(Box::new(|runtime, hub| Box::pin(bound.run(runtime, hub))));
    }
}

impl<R> fmt::Debug for Server<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for ServerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("server", &self.server).finish_non_exhaustive()
    }
}

//! A server, from its first port to the end of its last connection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::ToSocketAddrs;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sockeye_core::Instant;

use crate::runtime::address::Address;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::Clock;
use crate::runtime::server::Runtime;
use crate::server::accept::accept_loop::AcceptLoop;
use crate::server::accept::listen;
use crate::server::api::handle::ServerHandle;
use crate::server::api::handler::Handler;
use crate::server::api::port::Port;
use crate::server::connection::guard::isolate_panics;
use crate::server::registry::counters::CountedPort;
use crate::server::registry::drain::Drain;
use crate::server::registry::entry::Entry;
use crate::server::registry::hub::Hub;
use crate::server::registry::keeper::Keeper;
use crate::server::registry::push_target::Command;
use crate::server::registry::settings::Limits;
use crate::server::service::AnyService;

mod http;

/// The additional time, after the grace period, in which aborted connections may still end.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// The shortest time between two Closes of a shutdown that spreads them. If they are due more
/// often, several are sent at a time.
const SPREAD_STEP: Duration = Duration::from_millis(10);

/// A server whose ports are open. [`run`](Server::run) accepts their connections.
///
/// A server may have no port: then all its connections are [adopted](ServerHandle::adopt), and
/// `run` waits for the shutdown.
pub struct Server<R> {
    runtime: R,
    hub: Arc<Hub>,
    addresses: Vec<Address>,
    accept_loops: Vec<StartAcceptLoop<R>>,
}

/// Starts the accept loop of a port. It hides the type of the port's handler.
type StartAcceptLoop<R> = Box<dyn FnOnce(R, Arc<Hub>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Builds a [`Server`] with limits, and with ports that each have a handler and options.
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
///         // Only local clients reach this port. It broadcasts to the connections of both ports.
///         .listen("127.0.0.1:9502", Port::new(news).slow_reader(SlowReader::Drop))?
///         .build())
/// }
/// ```
pub struct ServerBuilder<R> {
    server: Server<R>,
}

impl<R: Runtime + Default> Server<R> {
    /// Opens a server with one port and default options.
    ///
    /// If a name has several addresses, the server listens on the first address that works.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot listen on any of the addresses, or if the runtime does
    /// not run.
    pub fn bind<H: Handler>(address: impl ToSocketAddrs, handler: H) -> io::Result<Self> {
        Ok(Self::builder().listen(address, Port::new(handler))?.build())
    }

    /// Returns a builder for a server with several ports, limits, or other options.
    #[must_use]
    pub fn builder() -> ServerBuilder<R> {
        Self::builder_on(R::default())
    }
}

impl<R: Runtime> Server<R> {
    /// Returns a builder like [`builder`](Server::builder), for this runtime.
    #[must_use]
    pub fn builder_on(runtime: R) -> ServerBuilder<R> {
        let hub = new_hub(&runtime, Limits::default());
        let server = Server { runtime, hub, addresses: Vec::new(), accept_loops: Vec::new() };
        ServerBuilder { server }
    }

    /// Returns a handle, to push to connections from anywhere and to shut the server down.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(self.hub.clone())
    }

    /// Returns the addresses that the server listens on, in the order of its ports.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Accepts and serves connections until a [`shutdown`](ServerHandle::shutdown) is complete, and
    /// also waits for [adopted](ServerHandle::adopt) ones.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime cannot run the server.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the server at once: the server accepts no more connections, and
    /// aborts the existing ones.
    pub async fn run(self) -> io::Result<()> {
        #[cfg(feature = "metrics")]
        crate::server::api::metrics::describe();
        let Server { runtime, hub, accept_loops, .. } = self;
        let stop = StopOnDrop(hub.clone());
        if runtime.own_thread().is_some() {
            runtime.spawn(Keeper::new(hub.clone(), runtime.clock()).run())?;
        }
        for start in accept_loops {
            let (slot, accept_loop) = (hub.count_port(), start(runtime.clone(), hub.clone()));
            // Isolated, because the accept loop may drop the handler.
            runtime.spawn(isolate_panics(async move {
                accept_loop.await;
                drop(slot);
            }))?;
        }
        poll_fn(|cx| {
            hub.register_waiter(cx.waker());
            if hub.is_stopping() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let mut shutdown = Shutdown::new(&hub, runtime.clock());
        poll_fn(|cx| shutdown.poll(cx)).await;
        hub.abort_all();
        poll_fn(|cx| shutdown.poll_aborted(cx)).await;
        drop(stop);
        Ok(())
    }
}

fn new_hub<R: Runtime>(runtime: &R, limits: Limits) -> Arc<Hub> {
    let runtime = runtime.clone();
    Arc::new(Hub::new(limits, move || runtime.clock().now()))
}

/// A shutdown in progress: it closes the connections, and waits for their ends.
struct Shutdown<'a, C> {
    hub: &'a Hub,
    clock: C,
    began: Instant,
    /// The connections whose turn to be closed has not come yet.
    waiting: Vec<Arc<Entry>>,
    /// The number of connections at the beginning.
    count: usize,
    /// Connections whose handlers still run have been closed, too.
    has_closed_busy: bool,
}

impl<'a, C: Clock> Shutdown<'a, C> {
    fn new(hub: &'a Hub, clock: C) -> Self {
        let waiting = hub.snapshot();
        Shutdown { hub, began: clock.now(), clock, count: waiting.len(), waiting, has_closed_busy: false }
    }

    fn drain(&self) -> Arc<Drain> {
        self.hub.drain().unwrap_or_else(|| Arc::new(Drain::new(Duration::ZERO)))
    }

    /// Closes the connections, each at its time. Waits until all have ended or the time is up.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.hub.register_waiter(cx.waker());
            if self.hub.has_drained() {
                return Poll::Ready(());
            }
            // Another call may have shortened the times.
            let drain = self.drain();
            let elapsed = self.clock.now().since(self.began);
            let closed = drain.due(elapsed, self.count);
            let rest = self.count - closed;
            self.waiting.drain(rest.min(self.waiting.len())..).for_each(|entry| {
                entry.start_draining(&drain.frame());
            });
            if elapsed >= drain.handler_limit() && !self.has_closed_busy {
                self.has_closed_busy = true;
                self.hub.snapshot().iter().for_each(|entry| {
                    let _ = entry.dispatch(Command::Close(&drain.frame()));
                });
            }
            if elapsed >= drain.total() {
                return Poll::Ready(());
            }
            let next = if rest > 0 {
                drain.due_at(closed, self.count).max(elapsed + SPREAD_STEP)
            } else if self.has_closed_busy {
                drain.total()
            } else {
                drain.handler_limit()
            };
            ready!(poll_deadline(&mut self.clock, cx, self.began + next));
        }
    }

    /// Waits until all connections have ended after they were aborted, but not for long.
    fn poll_aborted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.hub.register_waiter(cx.waker());
        if self.hub.has_drained() {
            return Poll::Ready(());
        }
        let deadline = self.began + self.drain().total().saturating_add(ABORT_GRACE);
        poll_deadline(&mut self.clock, cx, deadline).map(drop)
    }
}

/// Stops the server when `run` returns, fails or is dropped.
struct StopOnDrop(Arc<Hub>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.shutdown(Drain::new(Duration::ZERO));
        self.0.abort_all();
        self.0.set_stopped();
    }
}

impl<R: Runtime> ServerBuilder<R> {
    /// Sets the limits of the whole server, also for the ports that were added before.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        let hub = new_hub(&self.server.runtime, limits);
        hub.add_ports(self.server.hub.ports());
        self.server.hub = hub;
        self
    }

    /// Listens on a TCP port. Clients can connect at once, but wait until [`run`](Server::run)
    /// accepts them.
    ///
    /// If a name has several addresses, the server listens on the first address that works.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot listen on any of the addresses, or if the runtime does
    /// not run.
    pub fn listen<H: Handler>(self, address: impl ToSocketAddrs, port: Port<H>) -> io::Result<Self> {
        let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
        for address in address.to_socket_addrs()? {
            match listen::listen_tcp(address, &port.listen_options) {
                Ok(socket) => return self.listen_on(socket, port),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Listens on a TCP port with TLS: [`listen`](ServerBuilder::listen) on a port with
    /// [these certificates](Port::tls).
    ///
    /// # Errors
    ///
    /// Returns an error like [`listen`](ServerBuilder::listen).
    #[cfg(feature = "_tls")]
    pub fn listen_tls<H: Handler>(
        self,
        address: impl ToSocketAddrs,
        tls: impl Into<crate::tls::ServerTls>,
        port: Port<H>,
    ) -> io::Result<Self> {
        self.listen(address, port.tls(tls))
    }

    /// Takes over a TCP socket that already listens, for instance one that a supervisor such as
    /// systemd opened (see docs/production.md).
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime cannot take the socket.
    pub fn listen_on<H: Handler>(mut self, socket: std::net::TcpListener, port: Port<H>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?.into();
        let listener = self.server.runtime.listen(socket)?;
        self.server.add_port(address, listener, port, None);
        Ok(self)
    }

    /// Listens on a Unix socket at this path.
    ///
    /// A socket file that an earlier server left there is removed first. This server leaves its own
    /// socket file there when it ends. [`ListenOptions::unix_mode`] sets who may connect.
    ///
    /// [`ListenOptions::unix_mode`]: crate::server::ListenOptions::unix_mode
    ///
    /// # Errors
    ///
    /// Returns an error if the path is in use, or if the runtime has no Unix sockets.
    #[cfg(unix)]
    pub fn listen_unix<H: Handler>(
        self,
        path: impl AsRef<std::path::Path>,
        port: Port<H>,
    ) -> io::Result<Self> {
        let socket = listen::listen_unix(path.as_ref(), &port.listen_options)?;
        self.listen_unix_on(socket, port)
    }

    /// Takes over a Unix socket that already listens, for instance one that a supervisor such as
    /// systemd opened (see docs/production.md).
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime cannot take the socket, or has no Unix sockets.
    #[cfg(unix)]
    pub fn listen_unix_on<H: Handler>(
        mut self,
        socket: std::os::unix::net::UnixListener,
        port: Port<H>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?.into();
        let listener = self.server.runtime.listen_unix(socket)?;
        self.server.add_port(address, listener, port, None);
        Ok(self)
    }

    /// Accepts connections from any listener of the runtime's type.
    ///
    /// [`addresses`](Server::addresses) includes `address` for this listener.
    #[must_use]
    pub fn listen_with<H: Handler>(mut self, listener: R::Listener, address: Address, port: Port<H>) -> Self {
        self.server.add_port(address, listener, port, None);
        self
    }

    /// Returns the server, with all its ports.
    #[must_use]
    pub fn build(self) -> Server<R> {
        self.server
    }
}

impl<R: Runtime> Server<R> {
    fn add_port<H: Handler>(
        &mut self,
        address: Address,
        listener: R::Listener,
        port: Port<H>,
        service: Option<Arc<dyn AnyService<R::Io, H>>>,
    ) {
        let settings = Arc::new(port.settings.with_implied());
        self.hub.add_ports([CountedPort { address: address.clone(), counters: settings.counters.clone() }]);
        let accept_loop = AcceptLoop::<R, H> { listener, settings, handler: port.handler, service };
        self.addresses.push(address);
        self.accept_loops.push(Box::new(|runtime, hub| Box::pin(accept_loop.run(runtime, hub))));
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

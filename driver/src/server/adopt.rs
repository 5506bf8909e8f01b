//! WebSockets that something else opened, as connections of a server.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sockeye_core::CloseCode;
use sockeye_core::http::Request;

use crate::engine::decoder::SenderAccess;
use crate::runtime::address::Address;
use crate::runtime::io::{Clock, Io};
use crate::server::api::client::Client;
use crate::server::api::endpoint::Endpoint;
use crate::server::api::handle::ServerHandle;
use crate::server::api::handler::Handler;
use crate::server::connection::guard::report_refusal;
use crate::server::connection::proxied::find_client;
use crate::server::connection::shared_link::SharedLink;
use crate::server::connection::shared_link::task_side::TaskLink;
use crate::server::connection::task::{RegistryGuard, serve_open};
use crate::server::connection::transport::Transport;
use crate::server::connection::upgrade::{FirstEvent, Upgraded};
use crate::server::panics::{catch, drop_isolated};
use crate::server::registry::admission::{FullLimit, Slot};
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::Hub;
use crate::server::registry::refusal::RefusalReason;
use crate::websocket::WebSocket;

impl ServerHandle {
    /// Makes a WebSocket that something else opened a connection of this server: one that a web
    /// framework upgraded, one over HTTP/2, or one over any other transport.
    ///
    /// It gets an id, the events of the endpoint's [`Handler`] from [`open`](Handler::open) on,
    /// pushes and broadcasts, and counts against the [`Limits`](crate::server::Limits). A shutdown
    /// closes it and waits for it. There is no [`connect`](Handler::connect) or
    /// [`handshake`](Handler::handshake) event, and `open` needs the [request](Adopt::request).
    ///
    /// The returned value is a future that serves the connection until its end. Await it, or spawn
    /// it on any runtime: the server itself need not have a port, or run on the same runtime.
    ///
    /// ```
    /// use sockeye_driver::server::{AdoptError, Endpoint, Handler, ServerHandle};
    /// use sockeye_driver::{AcceptError, Clock, Io, accept_with};
    ///
    /// /// Accepts a WebSocket over a transport that the server does not know, and serves it.
    /// async fn serve<H: Handler>(
    ///     io: impl Io + Send + 'static,
    ///     clock: impl Clock + Send + 'static,
    ///     server: &ServerHandle,
    ///     endpoint: &Endpoint<H>,
    /// ) -> Result<(), Box<dyn std::error::Error>> {
    ///     let mut request = None;
    ///     let websocket = accept_with(io, clock, endpoint.config().clone(), async |upgrade| {
    ///         request = Some(upgrade.request().clone());
    ///         Ok(endpoint.policy().decide(upgrade)?)
    ///     })
    ///     .await?;
    ///     server.adopt(websocket, endpoint).request(request.unwrap()).await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// The WebSocket may have been used before. Messages that it has received and not returned
    /// arrive as events, and what it has queued is sent. A Close that was received and not answered
    /// is answered.
    ///
    /// Its [`Config`](sockeye_core::Config) stays the one with which it was opened: open it with
    /// [`Endpoint::config`]. With another one, [`Handler::control`] may receive pings and Closes
    /// that are answered already. The times of [`Info`](crate::server::Info) are comparable if its
    /// clock has the epoch of the server's [`Runtime`](crate::server::Runtime), as all clocks of
    /// the adapters do.
    ///
    /// Handlers run on the task that polls the future. One that blocks it keeps the connection from
    /// reading, on any runtime.
    ///
    /// # Errors
    ///
    /// The future returns an [`AdoptError`] if a limit is reached, after it has closed the WebSocket
    /// with 1013, and if the server shuts down, after it has closed it with 1001. It waits for the
    /// closing handshake for at most
    /// [`Config::close_timeout`](sockeye_core::Config::close_timeout).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the connection at once, like [`Client::abort`]. It polls
    /// [`Handler::close`] once: a handler that waits there is dropped.
    pub fn adopt<I, C, H>(&self, websocket: WebSocket<I, C>, endpoint: &Endpoint<H>) -> Adopt<I, C, H>
    where
        I: Io + Send + 'static,
        C: Clock + Send + 'static,
        H: Handler,
    {
        Adopt {
            server: self.clone(),
            websocket,
            endpoint: endpoint.clone(),
            peer: Address::Unix(None),
            local: Address::Unix(None),
            request: None,
        }
    }
}

/// A WebSocket that a server is about to adopt, see [`ServerHandle::adopt`].
///
/// Await it, or convert it with [`into_future`](IntoFuture::into_future): that registers the
/// connection, and returns the future that serves it.
#[must_use = "the connection is served by awaiting this"]
pub struct Adopt<I, C, H> {
    server: ServerHandle,
    websocket: WebSocket<I, C>,
    endpoint: Endpoint<H>,
    peer: Address,
    local: Address,
    request: Option<Request>,
}

impl<I, C, H> Adopt<I, C, H> {
    /// Sets the address of the transport's other end (none, like the peer of a Unix socket without
    /// a name).
    ///
    /// If it is a [trusted proxy](crate::server::Port::trusted_proxies) of the endpoint, the
    /// [request](Adopt::request) names the client.
    pub fn peer(mut self, address: impl Into<Address>) -> Self {
        self.peer = address.into();
        self
    }

    /// Sets the address that the client connected to (none).
    pub fn local(mut self, address: impl Into<Address>) -> Self {
        self.local = address.into();
        self
    }

    /// Sets the request that opened the WebSocket, for [`Handler::open`]. Without it, that method
    /// is not called.
    pub fn request(mut self, request: Request) -> Self {
        self.request = Some(request);
        self
    }
}

/// Registers the connection at once, so that pushes reach it before the future is polled.
impl<I, C, H> IntoFuture for Adopt<I, C, H>
where
    I: Io + Send + 'static,
    C: Clock + Send + 'static,
    H: Handler,
{
    type Output = Result<(), AdoptError>;
    type IntoFuture = Adopted;

    fn into_future(self) -> Adopted {
        let Adopt { server, websocket, endpoint, peer, local, request } = self;
        let hub = server.hub();
        let registered = match register(hub, &websocket, &endpoint, (peer, local), request.as_ref()) {
            Ok(registered) => registered,
            Err((error, slot)) => return Adopted::refused(websocket, error, slot),
        };
        let client = registered.client().clone();
        let upgraded = open(websocket, &client, request);
        let task = serve_open(upgraded, registered, endpoint.handler().clone());
        Adopted::new(client, Some(task))
    }
}

/// Reserves a slot of each limit for a connection, and gives it an id.
///
/// # Errors
///
/// Returns the reason to refuse it, and a slot for closing it with a Close if one is free.
fn register<I, C, H: Handler>(
    hub: &Arc<Hub>,
    websocket: &WebSocket<I, C>,
    endpoint: &Endpoint<H>,
    (peer, local): (Address, Address),
    request: Option<&Request>,
) -> Result<RegistryGuard, (AdoptError, Option<Slot>)> {
    let settings = endpoint.settings_with(websocket.config());
    hub.add_endpoint(&settings.counters);
    if hub.is_stopping() {
        return Err((AdoptError::ShuttingDown, hub.reserve_refusal()));
    }
    let refuse = |client: &Client, limit| {
        report_refusal(&**endpoint.handler(), client, RefusalReason::Limit(limit), request);
        Err((AdoptError::Limit(limit), hub.reserve_refusal()))
    };
    let (slot, is_counted) = match hub.admit_open(&peer, &settings) {
        Ok(admitted) => admitted,
        Err(limit) => {
            let entry = hub.new_entry(peer, local, hub.now(), settings);
            entry.end();
            let client = Client::new(entry, hub.clone());
            let refused = refuse(&client, limit);
            drop_isolated(client.entry().forget_data());
            return refused;
        }
    };
    let entry = hub.insert(peer, local, hub.now(), settings);
    entry.set_peer(entry.transport_peer(), is_counted);
    entry.count_present();
    let registered = RegistryGuard::new(Client::new(entry, hub.clone()), slot);
    if let Some(request) = request {
        let client = registered.client();
        let nearest = client.transport_peer().clone();
        if let Err(limit) = find_client(client, hub, &nearest, request.headers()) {
            return refuse(client, limit);
        }
    }
    Ok(registered)
}

/// Connects an open WebSocket with its entry: from here on, pushes reach it.
fn open<I, C>(websocket: WebSocket<I, C>, client: &Client, request: Option<Request>) -> Upgraded<I, C>
where
    I: Io + Send + 'static,
    C: Clock + Send + 'static,
{
    let (entry, hub) = (client.entry(), client.hub());
    let (reader, link, subprotocol) = websocket.into_parts();
    if let Some(subprotocol) = subprotocol {
        entry.set_subprotocol(subprotocol.into());
    }
    let mut shared = SharedLink::new(link.map_io(Transport::new), hub.clone(), entry.clone(), None);
    // Also counts what is queued already.
    shared.with_sender(|sender| {
        if reader.is_close_delivered() {
            sender.answer_close();
        }
    });
    let link = TaskLink::new(shared);
    entry.port.counters.count_read(entry.id(), reader.held());
    // No push waits for a handshake, so this always succeeds.
    let deferred = entry.open(&link.push_target()).unwrap_or_default();
    if hub.is_stopping() {
        // The shutdown may have looked for open WebSockets just before this one opened.
        entry.store_flag(Flag::Draining, true);
    }
    Upgraded { reader, link, first: Box::new(FirstEvent { request, deferred }) }
}

/// A boxed future without a result.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection that a server has adopted, or refused: the future that serves it until its end.
///
/// # Cancel safety
///
/// Dropping it ends the connection at once, see [`ServerHandle::adopt`].
#[must_use = "the connection is served by awaiting this"]
pub struct Adopted {
    client: Option<Client>,
    /// `None` when it has ended.
    task: Option<Task>,
    refused: Option<AdoptError>,
}

impl Adopted {
    /// Returns a handle to the connection, or `None` if it was refused.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// Creates the future of a connection. Without a task, the connection has ended.
    pub(super) fn new(client: Client, task: Option<impl Future<Output = ()> + Send + 'static>) -> Self {
        let task = task.map(|task| -> Task { Box::pin(task) });
        Adopted { client: Some(client), task, refused: None }
    }

    /// Closes a WebSocket that is not adopted, if there is a slot for that.
    fn refused<I, C>(mut websocket: WebSocket<I, C>, error: AdoptError, slot: Option<Slot>) -> Self
    where
        I: Io + Send + 'static,
        C: Clock + Send + 'static,
    {
        let (code, reason) = error.close();
        let task = slot.map(|slot| -> Task {
            Box::pin(async move {
                // Ignore an error here: the connection may be closing already.
                let _ = websocket.close(code, reason).await;
                drop(slot);
            })
        });
        Adopted { client: None, task, refused: Some(error) }
    }
}

impl Future for Adopted {
    type Output = Result<(), AdoptError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(task) = &mut self.task {
            if task.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.task = None;
        }
        Poll::Ready(self.refused.map_or(Ok(()), Err))
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        let Some(mut task) = self.task.take() else { return };
        // The client is unknown to the server if the connection has ended.
        if let Some(client) = &self.client
            && !std::thread::panicking()
        {
            let _ = client.abort();
            let _ = catch(|| task.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        }
        drop_isolated(task);
    }
}

impl<I, C, H> fmt::Debug for Adopt<I, C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adopt").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl fmt::Debug for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.client.as_ref().map(Client::id);
        f.debug_struct("Adopted").field("id", &id).field("refused", &self.refused).finish_non_exhaustive()
    }
}

/// The reason why a server did not adopt a WebSocket. The WebSocket has been closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdoptError {
    /// One of the server's [`Limits`](crate::server::Limits) is reached. The peer received the
    /// code 1013.
    Limit(FullLimit),
    /// The server shuts down, or has stopped. The peer received the code 1001.
    ShuttingDown,
}

impl AdoptError {
    /// Returns the Close that the peer receives.
    fn close(self) -> (CloseCode, &'static str) {
        match self {
            AdoptError::Limit(_) => (CloseCode::TRY_AGAIN_LATER, "the server is full"),
            AdoptError::ShuttingDown => (CloseCode::GOING_AWAY, ""),
        }
    }
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdoptError::Limit(limit) => limit.fmt(f),
            AdoptError::ShuttingDown => f.write_str("the server is shutting down"),
        }
    }
}

impl std::error::Error for AdoptError {}

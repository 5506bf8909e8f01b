//! Another HTTP implementation on a port, in place of the small HTTP/1.1 of this crate.

mod io;
mod ownership;
pub(crate) mod task;
pub(crate) mod upgrade;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use sockeye_core::handshake::server::{Rejection, Upgrade};
use sockeye_core::http::{Request, Response};

use crate::lock::lock;
use crate::runtime::address::Address;
use crate::server::api::client::Client;
use crate::server::api::endpoint::Endpoint;
use crate::server::api::handle::ServerHandle;
use crate::server::api::handler::Handler;
use crate::server::connection::guard::report_refusal;
use crate::server::connection::proxied::find_client;
use crate::server::connection::response::server_full;
use crate::server::registry::admission::Slot;
use crate::server::registry::refusal::RefusalReason;
use crate::server::service::ownership::Ownership;
use crate::server::service::upgrade::HttpUpgrade;
use crate::sync::Mutex;
use crate::sync::atomic::Ordering;

pub use io::HttpIo;

/// An HTTP implementation that speaks on a port, in place of the small HTTP/1.1 of this crate:
/// [`ServerBuilder::listen_http`](crate::server::ServerBuilder::listen_http) takes it.
///
/// The server accepts the connections, with its limits, the PROXY protocol, TLS and
/// [`Handler::connect`]. The service reads the requests. It answers plain ones itself, so
/// [`Handler::request`] is not called, and asks [`HttpContext::accept`] about those for a WebSocket.
/// `sockeye-hyper` has a service of hyper and tower.
pub trait HttpService<I>: Send + Sync + 'static {
    /// Serves the requests of one connection until it ends. Before the future is called, the first
    /// bytes have arrived.
    ///
    /// The server drops the future if the connection is aborted, or when the grace of a shutdown
    /// ends. [`HttpContext::shutting_down`] says when to finish the present requests.
    fn serve<H: Handler>(
        self: Arc<Self>,
        connection: HttpConnection<I, H>,
    ) -> impl Future<Output = ()> + Send;
}

/// An [`HttpService`] whose types of the transport are known.
pub(crate) trait AnyService<I, H>: Send + Sync {
    fn serve_boxed(
        self: Arc<Self>,
        connection: HttpConnection<I, H>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<I: Send + 'static, H: Handler, S: HttpService<I>> AnyService<I, H> for S {
    fn serve_boxed(
        self: Arc<Self>,
        connection: HttpConnection<I, H>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.serve(connection))
    }
}

/// A connection for an [`HttpService`].
pub struct HttpConnection<I, H> {
    /// The transport.
    pub io: HttpIo<I>,
    /// The server's knowledge of the connection.
    pub context: HttpContext<H>,
}

impl<I, H> fmt::Debug for HttpConnection<I, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnection").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The server's knowledge of a connection on which an [`HttpService`] speaks. It is cheap to clone.
pub struct HttpContext<H>(Arc<Shared<H>>);

struct Shared<H> {
    client: Client,
    endpoint: Endpoint<H>,
    nearest: Address,
    /// `None` once the first request has been answered.
    handshake: Mutex<Option<Slot>>,
    ownership: Arc<Ownership>,
}

impl<H: Handler> HttpContext<H> {
    fn new(
        client: Client,
        endpoint: Endpoint<H>,
        nearest: Address,
        handshake: Slot,
        ownership: Arc<Ownership>,
    ) -> Self {
        let handshake = Mutex::new(Some(handshake));
        HttpContext(Arc::new(Shared { client, endpoint, nearest, handshake, ownership }))
    }

    /// Returns a handle to the connection.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Returns a handle to the server.
    #[must_use]
    pub fn server(&self) -> ServerHandle {
        self.0.client.server()
    }

    /// Returns the handler and the options of the port.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint<H> {
        &self.0.endpoint
    }

    /// Checks a plain request: its host is one of the port's, and the client that a trusted proxy
    /// names is within its limit. Call it for each plain request.
    ///
    /// # Errors
    ///
    /// Returns the response that refuses the request. Close the connection after it.
    pub fn check_request(&self, request: Request) -> Result<(), Response> {
        let Shared { client, endpoint, .. } = &*self.0;
        let settings = &client.entry().port;
        let host = self.find_client(client, &request)?;
        if let Err(rejection) = settings.policy.check_request(request, host.as_deref()) {
            let response = rejection.response();
            report_refusal(&**endpoint.handler(), client, RefusalReason::Handshake(rejection), None);
            return Err(response);
        }
        settings.counters.requests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Notes that a request has been answered. From the first call on, the connection no longer
    /// counts against [`Limits::max_handshakes`](crate::server::Limits#structfield.max_handshakes).
    pub fn request_answered(&self) {
        let handshake = lock(&self.0.handshake).take();
        drop(handshake);
    }

    /// Lets the port's policy and the [`Handler`] decide on a request for a WebSocket.
    ///
    /// Over HTTP/1.1 the connection itself becomes the WebSocket: it keeps its id, and after
    /// [`connect`](Handler::connect) come [`open`](Handler::open) and [`close`](Handler::close), as
    /// without a service. Over HTTP/2 a connection carries many WebSockets: each has an id of its
    /// own, counts against the limits like a connection, and has the events from
    /// [`handshake`](Handler::handshake) to `close`. `connect` and
    /// [`disconnect`](Handler::disconnect) are called for the HTTP/2 connection.
    ///
    /// # Errors
    ///
    /// Returns the response that refuses the request.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future refuses the request without an event.
    pub async fn accept(&self, upgrade: Upgrade) -> Result<HttpUpgrade<H>, Response> {
        HttpUpgrade::decide(self, upgrade).await
    }

    /// Reports a request for a WebSocket that is not a valid handshake. Returns the response that
    /// refuses it.
    #[must_use]
    pub fn reject(&self, rejection: Rejection) -> Response {
        let response = rejection.response();
        let handler = &**self.0.endpoint.handler();
        report_refusal(handler, self.client(), RefusalReason::Handshake(rejection), None);
        self.request_answered();
        response
    }

    /// Waits until the server shuts down. Then finish the present requests, and end.
    ///
    /// Await it in the future of [`HttpService::serve`]: only that one is woken.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn shutting_down(&self) {
        let client = &self.0.client;
        poll_fn(|cx| {
            client.entry().register_task(cx.waker());
            if client.hub().is_stopping() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Finds the client of a request behind trusted proxies. Returns the host that they name.
    fn find_client(&self, client: &Client, request: &Request) -> Result<Option<String>, Response> {
        match find_client(client, client.hub(), &self.0.nearest, request.headers()) {
            Ok(host) => Ok(host.map(str::to_owned)),
            Err(limit) => {
                let handler = &**self.0.endpoint.handler();
                report_refusal(handler, client, RefusalReason::Limit(limit), Some(request));
                Err(server_full())
            }
        }
    }
}

impl<H> Clone for HttpContext<H> {
    fn clone(&self) -> Self {
        HttpContext(self.0.clone())
    }
}

impl<H> fmt::Debug for HttpContext<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpContext").field("client", &self.0.client.id()).finish_non_exhaustive()
    }
}

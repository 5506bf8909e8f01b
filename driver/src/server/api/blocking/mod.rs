//! Handlers of plain functions, for servers that give each connection a thread.
//!
//! [`Blocking`] turns a [`blocking::Handler`](Handler) into a [`server::Handler`]: the server is
//! the same, and only the calls into the application block.
//!
//! [`server::Handler`]: crate::server::Handler

mod callbacks;

use std::ops::Deref;
use std::sync::Arc;

use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseInfo, Frame};

use crate::server::api::client::Client;
use crate::server::api::handler::{self, BoxError, Decision, Failure, HandlerResult, Refused};
use crate::server::api::http_request::{self, HttpBodyError};
use crate::server::api::inbound::Inbound;
use crate::server::api::port::Port;
use crate::server::registry::refusal::RefusalInfo;

pub use crate::runtime::block_on::block_on;
pub use callbacks::{Callbacks, HttpExchange};

/// The events of a server, as plain functions.
///
/// Each is the event of [`server::Handler`](crate::server::Handler) with the same name. It runs on
/// the connection's own thread, and may block it.
///
/// A push to the same connection is written after the method has returned, or once the queue is
/// full: one write answers a whole batch of messages. To write at once, use
/// [`send_blocking`](Client::send_blocking). A push from another thread is written at once.
///
/// If a method takes longer than about a tenth of a second, another thread of the server drives the
/// open WebSocket meanwhile: it answers pings and the peer's Close, keeps the deadlines, and reads
/// messages into the [inbox](Port::inbox). [`Client::closed_blocking`] is a sleep that ends when
/// the peer disappears.
///
/// ```
/// use sockeye_driver::server::blocking::Handler;
/// use sockeye_driver::server::{Client, HandlerResult, Inbound};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
///         client.push(message)?;
///         Ok(())
///     }
/// }
/// ```
///
/// A handler without `message` does not compile:
///
/// ```compile_fail,E0046
/// use sockeye_driver::server::blocking::Handler;
///
/// struct Nothing;
///
/// impl Handler for Nothing {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of plain functions",
    note = "implement `Handler` for it, with `fn message`, or use `Callbacks::on_message(…)`, both of this module \
            (in sockeye-std, of `server`)"
)]
pub trait Handler: Send + Sync + 'static {
    /// Called when a client has connected, before anything is read.
    ///
    /// # Errors
    ///
    /// Return [`Refused`] to close the connection, with or without a response. No other event
    /// follows for it but [`refused`](Handler::refused).
    fn connect(&self, client: &Client) -> Result<(), Refused> {
        let _ = client;
        Ok(())
    }

    /// Called for a valid request to open a WebSocket, which this method may decide on alone: see
    /// [`Decision`]. By default, the port's policy decides.
    ///
    /// # Errors
    ///
    /// An error is answered with 500.
    fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        let _ = (client, upgrade);
        Ok(Decision::Policy)
    }

    /// Called when the policy has accepted a request, with the contents of the 101.
    ///
    /// # Errors
    ///
    /// Return a response to refuse the client after all.
    fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        let _ = (client, upgrade);
        Ok(accept)
    }

    /// Called when a WebSocket is open, with the request that opened it.
    ///
    /// # Errors
    ///
    /// An error closes the connection with 1011.
    fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        let _ = (client, request);
        Ok(())
    }

    /// Called with each message, once it is complete.
    ///
    /// # Errors
    ///
    /// An error closes the connection with 1011.
    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult;

    /// Called with each control frame of a kind that the port [forwards](Port::forward_ping).
    ///
    /// # Errors
    ///
    /// An error closes the connection with 1011.
    fn control(&self, client: &Client, frame: &Frame<'_>) -> HandlerResult {
        let _ = (client, frame);
        Ok(())
    }

    /// Called when a queue that had reached its high-water mark has fallen to the low-water mark.
    ///
    /// # Errors
    ///
    /// An error closes the connection with 1011.
    fn drained(&self, client: &Client) -> HandlerResult {
        let _ = client;
        Ok(())
    }

    /// Called once for each WebSocket that was open, when it has ended.
    ///
    /// # Errors
    ///
    /// An error is passed to [`failed`](Handler::failed).
    fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        let _ = (client, info);
        Ok(())
    }

    /// Called once for each connection that ended without becoming a WebSocket.
    ///
    /// # Errors
    ///
    /// An error is passed to [`failed`](Handler::failed).
    fn disconnect(&self, client: &Client) -> HandlerResult {
        let _ = client;
        Ok(())
    }

    /// Called with each plain HTTP request. `None` means that this port does not serve HTTP.
    ///
    /// # Errors
    ///
    /// An error is answered with 500. If reading the body failed, the status says why.
    fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_, '_>,
    ) -> Result<Option<Response>, BoxError> {
        let _ = (client, request);
        Ok(None)
    }

    /// Called once for each connection or request that the server refuses, before the response is
    /// written. This method must not block: for a limit, it runs on the thread that accepts.
    fn refused(&self, client: &Client, refusal: &RefusalInfo<'_>) {
        let _ = (client, refusal);
    }

    /// Called when another method has failed. By default the failure is logged with `tracing` (the
    /// feature of that name), or written to the standard error if the program has no subscriber.
    fn failed(&self, client: &Client, failure: &Failure) {
        failure.report(client);
    }
}

impl<H: Handler> Port<Blocking<H>> {
    /// Creates a port with a handler of plain functions and the default options, for any server
    /// that gives each connection a thread.
    pub fn blocking(handler: H) -> Self {
        Port::new(Blocking::new(handler))
    }
}

/// A port with a handler of plain functions: [`Port::new`] and [`Port::blocking`] both create one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a port with a handler of plain functions",
    note = "implement `blocking::Handler`, or use `blocking::Callbacks` (in sockeye-std, `server::Handler` and \
            `server::Callbacks`)"
)]
pub trait BlockingPort {
    /// The handler of plain functions.
    type Handler: Handler;

    /// Returns the port with its handler adapted.
    fn into_blocking(self) -> Port<Blocking<Self::Handler>>;
}

impl<H: Handler> BlockingPort for Port<H> {
    type Handler = H;

    fn into_blocking(self) -> Port<Blocking<H>> {
        let Port { handler, settings, listen_options } = self;
        Port { handler: Arc::new(Blocking(handler)), settings, listen_options }
    }
}

impl<H: Handler> BlockingPort for Port<Blocking<H>> {
    type Handler = H;

    fn into_blocking(self) -> Port<Blocking<H>> {
        self
    }
}

/// Adapts a handler of plain functions to the async [`Handler`](crate::server::Handler).
///
/// Use it only on a server that gives each connection a thread. On any other server, a method that
/// blocks holds up other connections.
#[derive(Debug)]
pub struct Blocking<H>(Arc<H>);

impl<H> Blocking<H> {
    /// Adapts a handler.
    pub fn new(handler: H) -> Self {
        Blocking(Arc::new(handler))
    }
}

impl<H: Handler> handler::Handler for Blocking<H> {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        self.0.connect(client)
    }

    async fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        self.0.handshake(client, upgrade)
    }

    async fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        self.0.before_handshake_response(client, upgrade, accept)
    }

    async fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        self.0.open(client, request)
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        self.0.message(client, message)
    }

    async fn control(&self, client: &Client, frame: &Frame<'_>) -> HandlerResult {
        self.0.control(client, frame)
    }

    async fn drained(&self, client: &Client) -> HandlerResult {
        self.0.drained(client)
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        self.0.close(client, info)
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        self.0.disconnect(client)
    }

    async fn request(
        &self,
        client: &Client,
        request: &mut http_request::HttpRequest<'_>,
    ) -> Result<Option<Response>, BoxError> {
        self.0.request(client, &mut HttpRequest(request))
    }

    fn refused(&self, client: &Client, refusal: &RefusalInfo<'_>) {
        self.0.refused(client, refusal);
    }

    fn failed(&self, client: &Client, failure: &Failure) {
        self.0.failed(client, failure);
    }
}

/// A plain HTTP request, as a blocking handler receives it.
#[derive(Debug)]
pub struct HttpRequest<'r, 'a>(&'r mut http_request::HttpRequest<'a>);

impl HttpRequest<'_, '_> {
    /// Reads the whole body and returns it; a second call returns nothing. Blocks the thread until
    /// the body has arrived.
    ///
    /// # Errors
    ///
    /// Returns an error like [`server::HttpRequest::body`](crate::server::HttpRequest::body).
    /// Return it from the handler: the client then receives the fitting response.
    pub fn body(&mut self) -> Result<Vec<u8>, HttpBodyError> {
        block_on(self.0.body())
    }

    /// Reads a form, and returns its fields, decoded, like
    /// [`server::HttpRequest::form`](crate::server::HttpRequest::form).
    ///
    /// # Errors
    ///
    /// Returns an error like [`body`](HttpRequest::body).
    pub fn form(&mut self) -> Result<Vec<(String, String)>, HttpBodyError> {
        block_on(self.0.form())
    }
}

impl Deref for HttpRequest<'_, '_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.0
    }
}

//! Handlers of plain functions, for servers that give each connection a thread.
//!
//! [`Blocking`] makes a [`Handler`](crate::server::Handler) of a [`blocking::Handler`](Handler): the server is the same, and only the calls
//! into the application do not wait, but block.

mod callbacks;

use std::ops::Deref;

use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseInfo, Frame};

use crate::server::api::client::Client;
use crate::server::api::handler::{self, BoxError, Decision, Failure, HandlerResult, Inbound, Refused};
use crate::server::api::http_request::{self, HttpBodyError};
use crate::server::api::port::Port;
use crate::server::log;

pub use crate::server::api::block_on::block_on;
pub use callbacks::{Callbacks, HttpExchange};

/// The events of a server, as plain functions: each is that of [`server::Handler`](crate::server::Handler) with the same name, and runs on its
/// connection's thread, which it may block. What it pushes to that connection goes out when it returns, so that a batch of messages is
/// answered by one write, unless it is [sent](Client::send_blocking); what other threads push goes out at once.
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
/// ```compile_fail,E0046
/// use sockeye_driver::server::blocking::Handler;
///
/// struct Nothing;
///
/// impl Handler for Nothing {}
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Somebody has connected; nothing has been read yet.
    ///
    /// # Errors
    ///
    /// The connection is closed, with a response or without one, and there will be no other event for it.
    fn connect(&self, client: &Client) -> Result<(), Refused> {
        let _ = client;
        Ok(())
    }

    /// A valid request to open a WebSocket, to be decided on by the application alone.
    ///
    /// # Errors
    ///
    /// The client is answered with 500.
    fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        let _ = (client, upgrade);
        Ok(Decision::Policy)
    }

    /// The policy has accepted, and this is what it wants in the 101.
    ///
    /// # Errors
    ///
    /// The client is refused after all, with this response.
    fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        let _ = (client, upgrade);
        Ok(accept)
    }

    /// A WebSocket is open, with this request.
    ///
    /// # Errors
    ///
    /// The connection is closed with 1011.
    fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        let _ = (client, request);
        Ok(())
    }

    /// A whole message has come.
    ///
    /// # Errors
    ///
    /// The connection is closed with 1011.
    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult;

    /// A control frame has come of which the port [forwards](Port::forward_ping) the kind.
    ///
    /// # Errors
    ///
    /// The connection is closed with 1011.
    fn control(&self, client: &Client, frame: &Frame<'_>) -> HandlerResult {
        let _ = (client, frame);
        Ok(())
    }

    /// A queue that had reached its high-water mark is down to the low one.
    ///
    /// # Errors
    ///
    /// The connection is closed with 1011.
    fn drained(&self, client: &Client) -> HandlerResult {
        let _ = client;
        Ok(())
    }

    /// A WebSocket has ended.
    ///
    /// # Errors
    ///
    /// [`failed`](Handler::failed) is told.
    fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        let _ = (client, info);
        Ok(())
    }

    /// A connection has ended that never became a WebSocket.
    ///
    /// # Errors
    ///
    /// [`failed`](Handler::failed) is told.
    fn disconnect(&self, client: &Client) -> HandlerResult {
        let _ = client;
        Ok(())
    }

    /// A plain HTTP request; `None` means that there is no HTTP here.
    ///
    /// # Errors
    ///
    /// The client is answered with 500, or with what was wrong with its body.
    fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_, '_>,
    ) -> Result<Option<Response>, BoxError> {
        let _ = (client, request);
        Ok(None)
    }

    /// Another method has failed. By default that is logged, if the feature `tracing` is on.
    fn failed(&self, client: &Client, failure: &Failure) {
        log::failed(client.id(), client.peer(), failure);
    }
}

impl<H: Handler> Port<Blocking<H>> {
    /// As [`Port::new`], with a handler of plain functions.
    pub fn blocking(handler: H) -> Self {
        Port::new(Blocking(handler))
    }
}

/// A handler of plain functions where one of async functions is wanted. It belongs on servers that give each connection a thread
/// of its own: on any other it holds up other connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct Blocking<H>(pub H);

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

    fn failed(&self, client: &Client, failure: &Failure) {
        self.0.failed(client, failure);
    }
}

/// A plain HTTP request whose body is read by blocking.
#[derive(Debug)]
pub struct HttpRequest<'r, 'a>(&'r mut http_request::HttpRequest<'a>);

impl HttpRequest<'_, '_> {
    /// As [`HttpRequest::body`](crate::server::HttpRequest::body).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn body(&mut self) -> Result<Vec<u8>, HttpBodyError> {
        block_on(self.0.body())
    }
}

impl Deref for HttpRequest<'_, '_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.0
    }
}

//! A handler that is built from closures that may block.

use std::fmt;

use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseInfo, Frame};

use super::{Handler, HttpRequest};
use crate::server::api::callbacks::{OnFailed, OnRefused};
use crate::server::api::client::Client;
use crate::server::api::handler::{BoxError, Decision, Failure, HandlerResult, Refused};
use crate::server::api::inbound::Inbound;
use crate::server::api::outcome::Outcome;
use crate::server::registry::refusal::RefusalInfo;

pub use crate::server::api::callbacks::HttpExchange;

/// A [`Handler`] that is built from closures, beginning with the required one:
///
/// ```
/// use sockeye_driver::server::blocking::Callbacks;
///
/// let handler = Callbacks::on_message(|client, message| client.push(message))
///     .on_open(|client, request| println!("{} opens {}", client.id(), request.path()))
///     .on_close(|client, info| println!("{}: {info}", client.id()));
/// ```
///
/// A closure for an event returns nothing, or a result whose error closes the connection with
/// 1011. The closures for [`connect`](Handler::connect), [`handshake`](Handler::handshake),
/// [`before_handshake_response`](Handler::before_handshake_response) and
/// [`request`](Handler::request) return a decision, or a result. In all of them `?` converts any
/// error, except that the error of `before_handshake_response` is a [`Response`], and that of
/// `connect` is [`Refused`]. See [`Outcome`] for what a closure may return.
#[expect(
    clippy::type_complexity,
    reason = "each is the signature of one method; an alias would only hide it"
)]
pub struct Callbacks {
    message: Box<dyn Fn(&Client, Inbound<'_>) -> HandlerResult + Send + Sync>,
    connect: Option<Box<dyn Fn(&Client) -> Result<(), Refused> + Send + Sync>>,
    handshake: Option<Box<dyn Fn(&Client, &Upgrade) -> Result<Decision, BoxError> + Send + Sync>>,
    before_handshake_response: Option<Box<BeforeHandshakeResponse>>,
    open: Option<Box<dyn Fn(&Client, &Request) -> HandlerResult + Send + Sync>>,
    control: Option<Box<dyn Fn(&Client, &Frame<'_>) -> HandlerResult + Send + Sync>>,
    drained: Option<Box<dyn Fn(&Client) -> HandlerResult + Send + Sync>>,
    close: Option<Box<dyn Fn(&Client, &CloseInfo) -> HandlerResult + Send + Sync>>,
    disconnect: Option<Box<dyn Fn(&Client) -> HandlerResult + Send + Sync>>,
    request: Option<Box<dyn Fn(&Client, &HttpExchange) -> Result<Response, BoxError> + Send + Sync>>,
    refused: Option<OnRefused>,
    failed: Option<OnFailed>,
}

type BeforeHandshakeResponse = dyn Fn(&Client, &Upgrade, Accept) -> Result<Accept, Response> + Send + Sync;

/// Writes a setter for each event: its documentation, its name, the types of the values that its
/// closure receives, and what the closure reports.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident => $field:ident($($arg:ident: $what:ty),*) -> $($output:ty),*;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name<O: Outcome<$($output),*>>(
            mut self,
            f: impl Fn(&Client, $($what),*) -> O + Send + Sync + 'static,
        ) -> Self {
            self.$field = Some(Box::new(move |client, $($arg),*| f(client, $($arg),*).into_result()));
            self
        }
    )*};
}

impl Callbacks {
    /// Creates a handler from the closure for [`Handler::message`].
    pub fn on_message<O: Outcome>(f: impl Fn(&Client, Inbound<'_>) -> O + Send + Sync + 'static) -> Self {
        Callbacks {
            message: Box::new(move |client, message| f(client, message).into_result()),
            connect: None,
            handshake: None,
            before_handshake_response: None,
            open: None,
            control: None,
            drained: None,
            close: None,
            disconnect: None,
            request: None,
            refused: None,
            failed: None,
        }
    }

    setters! {
        /// Sets the closure for [`Handler::connect`], which returns nothing, or a result.
        on_connect => connect() -> (), Refused;
        /// Sets the closure for [`Handler::handshake`], which returns a [`Decision`], or a result.
        on_handshake => handshake(upgrade: &Upgrade) -> Decision;
        /// Sets the closure for [`Handler::before_handshake_response`], which returns an
        /// [`Accept`], or a `Result<Accept, Response>`.
        on_before_handshake_response =>
            before_handshake_response(upgrade: &Upgrade, accept: Accept) -> Accept, Response;
        /// Sets the closure for [`Handler::open`].
        on_open => open(request: &Request) -> ();
        /// Sets the closure for [`Handler::control`].
        on_control => control(frame: &Frame<'_>) -> ();
        /// Sets the closure for [`Handler::drained`].
        on_drained => drained() -> ();
        /// Sets the closure for [`Handler::close`].
        on_close => close(info: &CloseInfo) -> ();
        /// Sets the closure for [`Handler::disconnect`].
        on_disconnect => disconnect() -> ();
        /// Sets the closure for [`Handler::request`], which receives the whole body and returns a
        /// [`Response`], or a result.
        on_request => request(exchange: &HttpExchange) -> Response;
    }

    /// Sets the closure for [`Handler::refused`].
    #[must_use]
    pub fn on_refused(mut self, f: impl Fn(&Client, &RefusalInfo<'_>) + Send + Sync + 'static) -> Self {
        self.refused = Some(Box::new(f));
        self
    }

    /// Sets the closure for [`Handler::failed`].
    #[must_use]
    pub fn on_failed(mut self, f: impl Fn(&Client, &Failure) + Send + Sync + 'static) -> Self {
        self.failed = Some(Box::new(f));
        self
    }
}

impl Handler for Callbacks {
    fn connect(&self, client: &Client) -> Result<(), Refused> {
        self.connect.as_ref().map_or(Ok(()), |f| f(client))
    }

    fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        self.handshake.as_ref().map_or(Ok(Decision::Policy), |f| f(client, upgrade))
    }

    fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        match &self.before_handshake_response {
            Some(f) => f(client, upgrade, accept),
            None => Ok(accept),
        }
    }

    fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        self.open.as_ref().map_or(Ok(()), |f| f(client, request))
    }

    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        (self.message)(client, message)
    }

    fn control(&self, client: &Client, frame: &Frame<'_>) -> HandlerResult {
        self.control.as_ref().map_or(Ok(()), |f| f(client, frame))
    }

    fn drained(&self, client: &Client) -> HandlerResult {
        self.drained.as_ref().map_or(Ok(()), |f| f(client))
    }

    fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        self.close.as_ref().map_or(Ok(()), |f| f(client, info))
    }

    fn disconnect(&self, client: &Client) -> HandlerResult {
        self.disconnect.as_ref().map_or(Ok(()), |f| f(client))
    }

    fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_, '_>,
    ) -> Result<Option<Response>, BoxError> {
        let Some(f) = &self.request else { return Ok(None) };
        let body = request.body()?;
        let exchange = HttpExchange { head: (**request).clone(), body };
        f(client, &exchange).map(Some)
    }

    fn refused(&self, client: &Client, refusal: &RefusalInfo<'_>) {
        if let Some(f) = &self.refused {
            f(client, refusal);
        }
    }

    fn failed(&self, client: &Client, failure: &Failure) {
        match &self.failed {
            Some(f) => f(client, failure),
            None => failure.report(client),
        }
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").finish_non_exhaustive()
    }
}

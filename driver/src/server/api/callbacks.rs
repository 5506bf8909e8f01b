//! A handler that is built from closures, for small programs.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;

use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseInfo, Frame, Message};

use crate::server::api::client::Client;
use crate::server::api::handler::{BoxError, Decision, Failure, Handler, HandlerResult, Inbound, Refused};
use crate::server::api::http_request::HttpRequest;
use crate::server::log;

/// A [`Handler`] that is built from closures, beginning with the required one.
///
/// Each closure receives owned values, which it can move into an async block:
///
/// ```
/// use sockeye_driver::server::Callbacks;
///
/// let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
///     .on_open(|client, request| async move {
///         println!("{} opens {}", client.id(), request.path());
///     })
///     .on_close(|client, info| async move { println!("{}: {info}", client.id()) });
/// ```
///
/// A closure for an event returns nothing, or a result whose error closes the connection with
/// 1011. The closures for [`connect`](Handler::connect), [`handshake`](Handler::handshake),
/// [`before_handshake_response`](Handler::before_handshake_response) and
/// [`request`](Handler::request) return a decision.
pub struct Callbacks {
    message: On<Message>,
    connect: Option<On<(), Result<(), Refused>>>,
    handshake: Option<On<Upgrade, Result<Decision, BoxError>>>,
    before_handshake_response: Option<On<(Upgrade, Accept), Result<Accept, Response>>>,
    open: Option<On<Request>>,
    control: Option<On<Frame<'static>>>,
    drained: Option<On<()>>,
    close: Option<On<CloseInfo>>,
    disconnect: Option<On<()>>,
    request: Option<On<HttpExchange, Response>>,
    failed: Option<OnFailed>,
}

pub(crate) type OnFailed = Box<dyn Fn(&Client, &Failure) + Send + Sync>;

/// A boxed closure for one event.
type On<T, O = HandlerResult> =
    Box<dyn Fn(Client, T) -> Pin<Box<dyn Future<Output = O> + Send>> + Send + Sync>;

/// A plain HTTP request with its whole body.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpExchange {
    /// The method, path, query, headers and cookies.
    pub head: Request,
    /// The body.
    pub body: Vec<u8>,
}

impl Deref for HttpExchange {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.head
    }
}

/// The return value of a closure: nothing, or a result.
pub trait Outcome {
    /// Converts the value into a result.
    ///
    /// # Errors
    ///
    /// Returns the error of the closure, if it failed.
    fn into_result(self) -> HandlerResult;
}

impl Outcome for () {
    fn into_result(self) -> HandlerResult {
        Ok(())
    }
}

impl<E: Into<BoxError>> Outcome for Result<(), E> {
    fn into_result(self) -> HandlerResult {
        self.map_err(Into::into)
    }
}

/// Boxes a closure, and converts what it returns.
fn boxed<T, F, Fut, O>(f: F, convert: fn(Fut::Output) -> O) -> On<T, O>
where
    F: Fn(Client, T) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    O: 'static,
{
    Box::new(move |client, value| {
        let future = f(client, value);
        Box::pin(async move { convert(future.await) })
    })
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident => $field:ident($what:ty);)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name<F, Fut>(mut self, f: F) -> Self
        where
            F: Fn(Client, $what) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: Outcome> + Send + 'static,
        {
            self.$field = Some(boxed(f, Outcome::into_result));
            self
        }
    )*};
}

macro_rules! decisions {
    ($($(#[$doc:meta])* $name:ident => $field:ident($what:ty) -> $output:ty;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name<F, Fut>(mut self, f: F) -> Self
        where
            F: Fn(Client, $what) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = $output> + Send + 'static,
        {
            self.$field = Some(boxed(f, |output| output));
            self
        }
    )*};
}

impl Callbacks {
    /// Creates a handler from the closure for [`Handler::message`].
    pub fn on_message<F, Fut>(f: F) -> Self
    where
        F: Fn(Client, Message) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        Callbacks {
            message: boxed(f, Outcome::into_result),
            connect: None,
            handshake: None,
            before_handshake_response: None,
            open: None,
            control: None,
            drained: None,
            close: None,
            disconnect: None,
            request: None,
            failed: None,
        }
    }

    events! {
        /// Sets the closure for [`Handler::open`].
        on_open => open(Request);
        /// Sets the closure for [`Handler::control`].
        on_control => control(Frame<'static>);
        /// Sets the closure for [`Handler::drained`].
        on_drained => drained(());
        /// Sets the closure for [`Handler::close`].
        on_close => close(CloseInfo);
        /// Sets the closure for [`Handler::disconnect`].
        on_disconnect => disconnect(());
    }

    decisions! {
        /// Sets the closure for [`Handler::connect`].
        on_connect => connect(()) -> Result<(), Refused>;
        /// Sets the closure for [`Handler::handshake`].
        on_handshake => handshake(Upgrade) -> Result<Decision, BoxError>;
        /// Sets the closure for [`Handler::before_handshake_response`].
        on_before_handshake_response => before_handshake_response((Upgrade, Accept)) -> Result<Accept, Response>;
        /// Sets the closure for [`Handler::request`], which receives the whole body.
        on_request => request(HttpExchange) -> Response;
    }
}

impl Callbacks {
    /// Sets the closure for [`Handler::failed`], which is not async.
    #[must_use]
    pub fn on_failed(mut self, f: impl Fn(&Client, &Failure) + Send + Sync + 'static) -> Self {
        self.failed = Some(Box::new(f));
        self
    }
}

impl Handler for Callbacks {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        let Some(f) = &self.connect else { return Ok(()) };
        f(client.clone(), ()).await
    }

    async fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        let Some(f) = &self.handshake else { return Ok(Decision::Policy) };
        f(client.clone(), upgrade.clone()).await
    }

    async fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        let Some(f) = &self.before_handshake_response else { return Ok(accept) };
        f(client.clone(), (upgrade.clone(), accept)).await
    }

    async fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        let Some(f) = &self.open else { return Ok(()) };
        f(client.clone(), request.clone()).await
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        (self.message)(client.clone(), message.into_message()).await
    }

    async fn control(&self, client: &Client, frame: &Frame<'_>) -> HandlerResult {
        let Some(f) = &self.control else { return Ok(()) };
        let data = frame.data.clone().into_owned().into();
        f(client.clone(), Frame { opcode: frame.opcode, data, flags: frame.flags }).await
    }

    async fn drained(&self, client: &Client) -> HandlerResult {
        let Some(f) = &self.drained else { return Ok(()) };
        f(client.clone(), ()).await
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        let Some(f) = &self.close else { return Ok(()) };
        f(client.clone(), info.clone()).await
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        let Some(f) = &self.disconnect else { return Ok(()) };
        f(client.clone(), ()).await
    }

    async fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_>,
    ) -> Result<Option<Response>, BoxError> {
        let Some(f) = &self.request else { return Ok(None) };
        let body = request.body().await?;
        let exchange = HttpExchange { head: (**request).clone(), body };
        Ok(Some(f(client.clone(), exchange).await))
    }

    fn failed(&self, client: &Client, failure: &Failure) {
        match &self.failed {
            Some(f) => f(client, failure),
            None => log::failed(client.id(), &client.peer(), failure),
        }
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").finish_non_exhaustive()
    }
}

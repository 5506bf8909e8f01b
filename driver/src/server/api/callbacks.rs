//! A handler that is built from closures, for small programs.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;

use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseInfo, Frame, Message};

use crate::server::api::client::Client;
use crate::server::api::handler::{BoxError, Decision, Failure, Handler, HandlerResult, Refused};
use crate::server::api::http_request::HttpRequest;
use crate::server::api::inbound::Inbound;
use crate::server::api::outcome::Outcome;
use crate::server::registry::refusal::RefusalInfo;

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
/// [`request`](Handler::request) return a decision, or a result. In all of them `?` converts any
/// error, except that the error of `before_handshake_response` is a [`Response`], and that of
/// `connect` is [`Refused`]. See [`Outcome`] for what a closure may return.
pub struct Callbacks {
    message: On<Message>,
    connect: Option<On<(), (), Refused>>,
    handshake: Option<On<Upgrade, Decision>>,
    before_handshake_response: Option<On<(Upgrade, Accept), Accept, Response>>,
    open: Option<On<Request>>,
    control: Option<On<Frame<'static>>>,
    drained: Option<On<()>>,
    close: Option<On<CloseInfo>>,
    disconnect: Option<On<()>>,
    request: Option<On<HttpExchange, Response>>,
    refused: Option<OnRefused>,
    failed: Option<OnFailed>,
}

pub(crate) type OnRefused = Box<dyn Fn(&Client, &RefusalInfo<'_>) + Send + Sync>;

pub(crate) type OnFailed = Box<dyn Fn(&Client, &Failure) + Send + Sync>;

/// A boxed closure for one event. It receives `A`, and reports `T` or fails with `E`.
type On<A, T = (), E = BoxError> =
    Box<dyn Fn(Client, A) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send>> + Send + Sync>;

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

/// Boxes a closure, and converts what it returns.
fn boxed<A, F, Fut, T, E>(f: F) -> On<A, T, E>
where
    F: Fn(Client, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Outcome<T, E>> + Send + 'static,
    T: 'static,
    E: 'static,
{
    Box::new(move |client, value| {
        let future = f(client, value);
        Box::pin(async move { future.await.into_result() })
    })
}

/// Writes a setter for each event: its documentation, its name, the types of the values that its
/// closure receives, and what the closure reports.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident => $field:ident($($arg:ident: $what:ty),*) -> $($output:ty),*;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name<F, Fut>(mut self, f: F) -> Self
        where
            F: Fn(Client, $($what),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: Outcome<$($output),*>> + Send + 'static,
        {
            #[allow(unused_parens, reason = "one value needs no tuple")]
            let f = move |client: Client, ($($arg),*): ($($what),*)| f(client, $($arg),*);
            self.$field = Some(boxed(f));
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
            message: boxed(f),
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
        ///
        /// ```
        /// use sockeye_core::http::Response;
        /// use sockeye_driver::server::{Callbacks, Refused};
        ///
        /// Callbacks::on_message(|_, _| async {}).on_connect(|client| async move {
        ///     if client.server().connections().len() > 1000 {
        ///         return Err(Refused::with(Response::new(503).header("Retry-After", "5")?));
        ///     }
        ///     Ok(())
        /// });
        /// ```
        on_connect => connect() -> (), Refused;
        /// Sets the closure for [`Handler::handshake`], which returns a [`Decision`], or a result.
        on_handshake => handshake(upgrade: Upgrade) -> Decision;
        /// Sets the closure for [`Handler::before_handshake_response`], which returns an
        /// [`Accept`], or a `Result<Accept, Response>`.
        ///
        /// To check a token, compare it in constant time, for instance with the crate `subtle`: the
        /// time of `==` tells a client how much of the token it has guessed. See
        /// docs/production.md.
        ///
        /// ```
        /// use sockeye_core::http::Response;
        /// use sockeye_driver::server::Callbacks;
        ///
        /// Callbacks::on_message(|_, _| async {}).on_before_handshake_response(
        ///     |_client, upgrade, accept| async move {
        ///         if !upgrade.request().param("token").is_some_and(|token| is_token(&token)) {
        ///             return Err(Response::text(401, "the token is wrong\n"));
        ///         }
        ///         Ok(accept.header("Set-Cookie", "seen=1")?)
        ///     },
        /// );
        /// # fn is_token(token: &str) -> bool { token == "secret" }
        /// ```
        on_before_handshake_response =>
            before_handshake_response(upgrade: Upgrade, accept: Accept) -> Accept, Response;
        /// Sets the closure for [`Handler::open`].
        on_open => open(request: Request) -> ();
        /// Sets the closure for [`Handler::control`].
        on_control => control(frame: Frame<'static>) -> ();
        /// Sets the closure for [`Handler::drained`].
        on_drained => drained() -> ();
        /// Sets the closure for [`Handler::close`].
        on_close => close(info: CloseInfo) -> ();
        /// Sets the closure for [`Handler::disconnect`].
        on_disconnect => disconnect() -> ();
        /// Sets the closure for [`Handler::request`], which receives the whole body and returns a
        /// [`Response`], or a result.
        ///
        /// ```
        /// use sockeye_core::http::Response;
        /// use sockeye_driver::server::Callbacks;
        ///
        /// Callbacks::on_message(|_, _| async {}).on_request(|_client, request| async move {
        ///     let response = Response::text(200, format!("you asked for {}\n", request.path()));
        ///     Ok(response.header("Cache-Control", "no-store")?)
        /// });
        /// ```
        on_request => request(exchange: HttpExchange) -> Response;
    }

    /// Sets the closure for [`Handler::refused`], which is not async.
    ///
    /// ```
    /// use sockeye_driver::server::Callbacks;
    ///
    /// let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
    ///     .on_refused(|client, refusal| eprintln!("refused {}: {refusal}", client.peer()));
    /// ```
    #[must_use]
    pub fn on_refused(mut self, f: impl Fn(&Client, &RefusalInfo<'_>) + Send + Sync + 'static) -> Self {
        self.refused = Some(Box::new(f));
        self
    }

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
        f(client.clone(), exchange).await.map(Some)
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

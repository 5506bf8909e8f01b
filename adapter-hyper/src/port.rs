//! hyper on the ports of a server: all of HTTP, and WebSockets with the server's events and pushes.
//!
//! A [`TowerService`] answers the plain requests of a port: an application of axum, or any other
//! tower service. The port speaks HTTP/1.1 and HTTP/2, with TLS by ALPN and without TLS by prior
//! knowledge. Requests for a WebSocket go to the port's [`Handler`], over both versions.
//!
//! ```no_run
//! use axum::{Extension, Router, routing::get};
//! use sockeye_hyper::port::TowerService;
//! use sockeye_tokio::server::{Callbacks, Port, Server, ServerHandle};
//!
//! async fn news(Extension(server): Extension<ServerHandle>) -> String {
//!     let reached = server.broadcast(|_| true, "news").queued;
//!     format!("reached {reached}\n")
//! }
//!
//! # async fn f() -> std::io::Result<()> {
//! let app = Router::new().route("/news", get(news));
//! let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
//! let server =
//!     Server::builder().listen_http("0.0.0.0:9501", Port::new(echo), TowerService::new(app))?.build();
//! server.run().await
//! # }
//! ```
//!
//! With TLS, offer HTTP/2: `Port::tls(ServerTls::from_pem(…)?.alpn(["h2", "http/1.1"]))`.

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use sockeye_driver::Io;
use sockeye_driver::server::{BoxError, Handler, HttpConnection, HttpContext, HttpService, HttpUpgrade};
use sockeye_tokio::TokioClock;
use tower_service::Service;

use crate::server::{convert, head};
use crate::{HyperIo, PendingUpgrade, is_upgrade};

use body::{PortBody, ServiceError};
use stream::PortStream;

mod body;
mod stream;

/// The time between two pings of HTTP/2 on a silent connection, and that until the answer.
const PING: Duration = Duration::from_secs(20);

/// The window of one stream of HTTP/2. It is smaller than that of the connection, so that a
/// WebSocket that is not read does not stop the others.
const STREAM_WINDOW: u32 = 64 << 10;

/// Changes the settings of hyper.
type Configure = Arc<dyn Fn(&mut auto::Builder<TokioExecutor>) + Send + Sync>;

/// A tower service that answers the plain requests of a port, by hyper.
///
/// Pass it to `listen_http` of a `ServerBuilder`, beside the [`Port`] whose [`Handler`] gets the
/// WebSockets. The extensions of each request hold the [`ServerHandle`] and the [`Client`] of its
/// connection.
///
/// - Over HTTP/1.1 a connection that becomes a WebSocket keeps its id. Each WebSocket over HTTP/2
///   has an id of its own, and counts against the limits. `HttpContext::accept` has the details.
/// - Without a request, a connection ends after [`Config::handshake_timeout`], which also limits
///   each head over HTTP/1.1, with the pause before it.
/// - A shutdown finishes the requests in progress, and tells the clients of HTTP/2 to connect
///   elsewhere (GOAWAY).
/// - The limits of bodies and the deadlines of requests are the service's. The settings of the port
///   for them have no effect.
///
/// [`Port`]: sockeye_driver::server::Port
/// [`Client`]: sockeye_driver::server::Client
/// [`ServerHandle`]: sockeye_driver::server::ServerHandle
/// [`Config::handshake_timeout`]: sockeye_core::Config#structfield.handshake_timeout
#[derive(Clone)]
pub struct TowerService<S> {
    service: S,
    configure: Option<Configure>,
}

impl<S> TowerService<S> {
    /// Uses this service, which is cloned for each connection.
    pub fn new(service: S) -> Self {
        TowerService { service, configure: None }
    }

    /// Changes the settings of hyper, for instance the limits of HTTP/2, for each connection.
    #[must_use]
    pub fn configure(
        mut self,
        configure: impl Fn(&mut auto::Builder<TokioExecutor>) + Send + Sync + 'static,
    ) -> Self {
        self.configure = Some(Arc::new(configure));
        self
    }

    fn builder(&self, head_timeout: Duration) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(head_timeout);
        builder
            .http2()
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .initial_stream_window_size(STREAM_WINDOW)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        if let Some(configure) = &self.configure {
            configure(&mut builder);
        }
        builder
    }
}

impl<S> fmt::Debug for TowerService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerService").finish_non_exhaustive()
    }
}

impl<I, S, B> HttpService<I> for TowerService<S>
where
    I: Io + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn serve<H: Handler>(self: Arc<Self>, connection: HttpConnection<I, H>) {
        let HttpConnection { io, context } = connection;
        let timeout = context.endpoint().config().handshake_timeout;
        let builder = self.builder(timeout);
        let has_begun = Arc::new(AtomicBool::new(false));
        let requests = Requests {
            service: self.service.clone(),
            context: context.clone(),
            has_begun: has_begun.clone(),
            _io: PhantomData::<fn() -> I>,
        };
        let service = service_fn(move |request| {
            let requests = requests.clone();
            async move { requests.answer(request).await }
        });
        let stream = TokioIo::new(PortStream(io));
        let mut connection = pin!(builder.serve_connection_with_upgrades(stream, service));
        let mut shutdown = pin!(context.shutting_down());
        let mut first_request = pin!(tokio::time::sleep(timeout));
        let (mut is_waiting, mut is_stopping) = (true, false);
        poll_fn(|cx| {
            if !is_stopping && shutdown.as_mut().poll(cx).is_ready() {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            if is_waiting && first_request.as_mut().poll(cx).is_ready() {
                is_waiting = false;
                if !has_begun.load(Ordering::Relaxed) {
                    return Poll::Ready(());
                }
            }
            // A broken connection ends like any other.
            connection.as_mut().poll(cx).map(drop)
        })
        .await;
    }
}

/// The requests of one connection.
struct Requests<I, S, H> {
    service: S,
    context: HttpContext<H>,
    /// Whether there has been a request.
    has_begun: Arc<AtomicBool>,
    _io: PhantomData<fn() -> I>,
}

impl<I, S: Clone, H> Clone for Requests<I, S, H> {
    fn clone(&self) -> Self {
        Requests {
            service: self.service.clone(),
            context: self.context.clone(),
            has_begun: self.has_begun.clone(),
            _io: PhantomData,
        }
    }
}

impl<I, S, B, H> Requests<I, S, H>
where
    I: Io + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    H: Handler,
{
    async fn answer(mut self, mut request: Request<Incoming>) -> Result<Response<PortBody<B>>, ServiceError> {
        self.has_begun.store(true, Ordering::Relaxed);
        let version = request.version();
        if is_upgrade(&request) {
            return Ok(self.upgrade(&mut request).await.map(PortBody::Own));
        }
        if let Err(response) = self.check(&request) {
            self.context.request_answered();
            return Ok(last(response, version).map(PortBody::Own));
        }
        request.extensions_mut().insert(self.context.server());
        request.extensions_mut().insert(self.context.client().clone());
        poll_fn(|cx| self.service.poll_ready(cx)).await.map_err(ServiceError::new)?;
        let response = self.service.call(request).await.map_err(ServiceError::new)?;
        self.context.request_answered();
        Ok(response.map(|body| PortBody::Service(Box::pin(body))))
    }

    /// Checks the host and the client of a plain request.
    fn check(&self, request: &Request<Incoming>) -> Result<(), sockeye_core::http::Response> {
        match head(request.method(), request.uri(), request.version(), request.headers()) {
            Ok(head) => self.context.check_request(head),
            Err(refused) => Err(refused
                .into_rejection()
                .map_or_else(|response| *response, |rejection| self.context.reject(rejection))),
        }
    }

    /// Answers a request for a WebSocket.
    async fn upgrade(&self, request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
        let version = request.version();
        let pending = match PendingUpgrade::new(request) {
            Ok(pending) => pending,
            Err(refused) => {
                let response = refused
                    .into_rejection()
                    .map_or_else(|response| *response, |rejection| self.context.reject(rejection));
                return last(response, version);
            }
        };
        let PendingUpgrade { upgrade, on_upgrade } = pending;
        match self.context.accept(upgrade).await {
            Ok(upgrade) => {
                let response = convert(upgrade.response().clone());
                tokio::spawn(open::<I, H>(upgrade, on_upgrade));
                response
            }
            Err(response) => last(response, version),
        }
    }
}

/// Serves a WebSocket once hyper has written its response.
async fn open<I, H>(upgrade: HttpUpgrade<H>, on_upgrade: OnUpgrade)
where
    I: Io + Unpin + Send + 'static,
    H: Handler,
{
    // Otherwise the client has gone. Dropping the upgrade ends the handshake.
    let Ok(upgraded) = on_upgrade.await else { return };
    let clock = TokioClock::default();
    let adopted = match take_out::<I>(upgraded) {
        Ok((PortStream(io), unread)) => upgrade.open(io, &unread, clock),
        Err(upgraded) => {
            let (io, unread) = HyperIo::new(upgraded);
            upgrade.open(io, &unread, clock)
        }
    };
    // It was admitted with its handshake, so nothing refuses it here.
    let _ = adopted.await;
}

/// Takes the transport of a connection of HTTP/1.1 out of hyper, with the bytes that were read
/// ahead.
fn take_out<I: Io + Unpin + Send + 'static>(upgraded: Upgraded) -> Result<(PortStream<I>, Bytes), Upgraded> {
    let parts = auto::upgrade::downcast::<TokioIo<PortStream<I>>>(upgraded)?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

/// Converts a response after which the connection ends, over HTTP/1.1.
fn last(response: sockeye_core::http::Response, version: Version) -> Response<Full<Bytes>> {
    let mut response = convert(response);
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

//! An extractor that opens WebSockets in handlers of [axum](https://docs.rs/axum) 0.8.
//!
//! ```
//! use axum::{Router, response::Response, routing::any};
//! use sockeye_hyper::WebSocket;
//! use sockeye_hyper::axum::WebSocketUpgrade;
//!
//! async fn ws(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.compression(true).on_upgrade(echo)
//! }
//!
//! async fn echo(mut ws: WebSocket) -> Result<(), sockeye_hyper::Error> {
//!     while let Some(message) = ws.recv().await? {
//!         ws.feed(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! let app: Router = Router::new().route("/ws", any(ws));
//! ```
//!
//! It stands beside other extractors, such as state, cookies and extensions of middleware. Route it
//! with `any`: the method is GET over HTTP/1.1 and CONNECT over HTTP/2. For WebSockets over HTTP/2,
//! enable axum's feature `http2`.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use sockeye_core::Config;
use sockeye_core::deflate::IntoDeflate;
use sockeye_core::handshake::server::{Policy, Refusal, Upgrade};

use crate::{PendingUpgrade, Refused, UpgradeError, WebSocket};

type OnFailed = Box<dyn FnOnce(UpgradeError) + Send>;

/// An extractor that opens a WebSocket.
///
/// Its rejection is the right response to an invalid request: see [`upgrade`](crate::upgrade) for the
/// statuses. `Option<WebSocketUpgrade>` is `None` for a plain request, for a handler that also
/// returns a page.
///
/// By default pages of the same host may connect ([`Policy`]), messages have at most 2 MiB
/// ([`Config`]), and nothing is compressed.
#[must_use = "the WebSocket opens only if the response of `on_upgrade` is returned"]
pub struct WebSocketUpgrade {
    pending: PendingUpgrade,
    config: Arc<Config>,
    policy: Policy,
    subprotocol: Option<String>,
    /// The limit of [`max_frame_size`](WebSocketUpgrade::max_frame_size).
    max_frame: Option<usize>,
    on_failed: Option<OnFailed>,
}

impl WebSocketUpgrade {
    /// Sets all limits, deadlines and other settings of the connection. It replaces what
    /// [`compression`](WebSocketUpgrade::compression) and the maximum sizes have set before.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self.max_frame = None;
        self
    }

    /// Sets which origins and hosts may connect, and which subprotocols the server speaks.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Accepts compression (RFC 7692) if the client offers it, like [`Config::deflate`]: `true`, or
    /// settings.
    pub fn compression(self, compression: impl IntoDeflate) -> Self {
        self.amend(|config| config.deflate(compression))
    }

    /// Sets the longest message in bytes, received or sent, in one frame or in several:
    /// [`Config::max_size`].
    pub fn max_message_size(self, bytes: usize) -> Self {
        let max_frame = self.max_frame;
        let this = self.amend(|config| config.max_size(bytes as u64));
        match max_frame {
            Some(bytes) => this.max_frame_size(bytes),
            None => this,
        }
    }

    /// Sets the longest frame that is received, in bytes, if it must be shorter than a message.
    pub fn max_frame_size(mut self, bytes: usize) -> Self {
        self.max_frame = Some(bytes);
        self.amend(|config| config.max_frame_size(bytes as u64))
    }

    /// Chooses the first of these subprotocols that the client offers, or none. They are in
    /// descending order of preference.
    pub fn subprotocols(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let upgrade = self.pending.upgrade();
        let chosen =
            names.into_iter().find(|name| upgrade.subprotocols().any(|offered| offered == name.as_ref()));
        self.subprotocol = chosen.map(|name| name.as_ref().to_owned());
        self
    }

    /// Chooses a subprotocol, like [`subprotocols`](WebSocketUpgrade::subprotocols): axum's name.
    pub fn protocols(self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.subprotocols(names)
    }

    /// Returns the subprotocols that the client offers, in its order of preference.
    pub fn requested_protocols(&self) -> impl Iterator<Item = &str> {
        self.pending.upgrade().subprotocols()
    }

    /// Returns the subprotocol that [`subprotocols`](WebSocketUpgrade::subprotocols) has chosen. A
    /// subprotocol of the [`policy`](WebSocketUpgrade::policy) is chosen later.
    #[must_use]
    pub fn selected_protocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the validated request: its path, cookies and origin.
    #[must_use]
    pub fn upgrade(&self) -> &Upgrade {
        self.pending.upgrade()
    }

    /// Sets the host that a trusted proxy names, for the check of origins: see
    /// [`Upgrade::set_forwarded_host`].
    pub fn forwarded_host(mut self, host: Option<String>) -> Self {
        self.pending.upgrade_mut().set_forwarded_host(host);
        self
    }

    /// Sets what to do if the response could not be sent. By default the error is logged, at debug
    /// level.
    pub fn on_failed(mut self, callback: impl FnOnce(UpgradeError) + Send + 'static) -> Self {
        self.on_failed = Some(Box::new(callback));
        self
    }

    /// Sets what to do if the response could not be sent, like
    /// [`on_failed`](WebSocketUpgrade::on_failed): axum's name.
    pub fn on_failed_upgrade(self, callback: impl FnOnce(UpgradeError) + Send + 'static) -> Self {
        self.on_failed(callback)
    }

    /// Returns the response that opens the WebSocket, which the handler returns, and runs `callback`
    /// with the WebSocket in a task of its own once the response has been written.
    ///
    /// `callback` returns `()` or a `Result`, whose error is logged at debug level. The response is a
    /// refusal, and `callback` is dropped, if the policy does not allow the origin or the host.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn on_upgrade<C, Fut>(self, callback: C) -> Response
    where
        C: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output: Ended> + Send + 'static,
    {
        let WebSocketUpgrade { pending, config, policy, subprotocol, on_failed, .. } = self;
        let accepted = pending.decide(&policy).and_then(|accept| {
            let accept = match subprotocol {
                Some(name) => accept.subprotocol(name),
                None => accept,
            };
            Ok(pending.accept(&accept, config)?)
        });
        let (response, opening) = match accepted {
            Ok(accepted) => accepted,
            Err(refused) => return refused.into_response(),
        };
        tokio::spawn(async move {
            match (opening.await, on_failed) {
                (Ok(websocket), _) => {
                    // In a task and on a heap of its own: a future that awaits another one by value
                    // has room for it twice, and this one also has room for the opening.
                    let handler = Box::pin(callback(websocket));
                    tokio::spawn(async { handler.await.log() });
                }
                (Err(error), Some(on_failed)) => on_failed(error),
                (Err(error), None) => Err::<(), _>(error).log(),
            }
        });
        response.map(Body::new)
    }

    fn amend(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        let config = Arc::unwrap_or_clone(self.config);
        self.config = Arc::new(change(config));
        self
    }
}

impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let pending = PendingUpgrade::from_parts(parts)?;
        Ok(WebSocketUpgrade {
            pending,
            config: Arc::default(),
            policy: Policy::new(),
            subprotocol: None,
            max_frame: None,
            on_failed: None,
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Refused> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(upgrade) => Ok(Some(upgrade)),
            Err(refused) if refused.refusal() == Some(Refusal::NotWebSocket) => Ok(None),
            Err(refused) => Err(refused),
        }
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("pending", &self.pending)
            .field("config", &self.config)
            .field("policy", &self.policy)
            .field("subprotocol", &self.subprotocol)
            .finish_non_exhaustive()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.response().map(Body::new)
    }
}

/// A value that the callback of [`WebSocketUpgrade::on_upgrade`] may return: `()`, or a `Result` whose
/// error is logged.
#[diagnostic::on_unimplemented(
    message = "the callback of a WebSocket may not return `{Self}`",
    note = "return `()`, or a `Result<(), E>` where `E` can be displayed"
)]
pub trait Ended {
    /// Logs the error, if there is one, at debug level (feature `tracing`).
    fn log(self);
}

impl Ended for () {
    fn log(self) {}
}

#[diagnostic::do_not_recommend]
#[expect(private_interfaces, reason = "the trait serves only to name `!`")]
impl Ended for Never {
    fn log(self) {
        self
    }
}

/// The type `!` of a callback that loops forever, which has no name in stable Rust.
type Never = <fn() -> ! as ReturnType>::Type;

trait ReturnType {
    type Type;
}

impl<T> ReturnType for fn() -> T {
    type Type = T;
}

impl<E: fmt::Display> Ended for Result<(), E> {
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nothing is logged without it"))]
    fn log(self) {
        if let Err(error) = self {
            #[cfg(feature = "tracing")]
            tracing::debug!(%error, "a WebSocket has failed");
        }
    }
}

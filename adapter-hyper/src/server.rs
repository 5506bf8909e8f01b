//! Opening WebSockets on a server: from an `http::Request` to the response and the connection.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use sockeye_core::Config;
use sockeye_core::handshake::server::{
    Accept, Policy, Refusal, Rejection, ServerHandshakeError, SubprotocolNotOffered, Upgrade,
};
use sockeye_core::http::{Request, Response, Version};

use crate::Opening;

/// The extensions of a request, from which hyper's upgrade is taken.
type Extensions = http::Extensions;

/// Answers a request for a WebSocket, over HTTP/1.1 or HTTP/2.
///
/// Returns the response, and the future of the WebSocket or the reason for the refusal. Return the
/// response to hyper in either case, and await the future in a task of its own:
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use sockeye_hyper::{Config, Opening, Policy};
///
/// async fn echo(opening: Opening) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     let mut ws = opening.await?;
///     while let Some(message) = ws.recv().await? {
///         ws.feed(message).await?;
///     }
///     Ok(())
/// }
///
/// async fn service<B>(mut request: Request<B>) -> Result<Response<Full<Bytes>>, http::Error> {
///     let (response, opening) = sockeye_hyper::upgrade(&mut request, &Policy::new(), Config::new());
///     if let Ok(opening) = opening {
///         tokio::spawn(echo(opening));
///     }
///     Ok(response)
/// }
/// ```
///
/// The status of a refusal is 400 for an invalid or plain request, 403 for the origin, 405 for the
/// method, 421 for the host, 426 for the version, 501 for another `:protocol` than `websocket`, and
/// 500 if the server does not support upgrades. The text of the response says what is wrong. For a
/// plain request, answer as you like instead: see [`is_upgrade`].
///
/// Over HTTP/2 the request is an Extended CONNECT (RFC 8441), which a server has to allow with
/// `enable_connect_protocol` of hyper's `http2::Builder`, and its response a 200.
pub fn upgrade<B>(
    request: &mut http::Request<B>,
    policy: &Policy,
    config: impl Into<Arc<Config>>,
) -> (http::Response<Full<Bytes>>, Result<Opening, Refused>) {
    let accepted = PendingUpgrade::new(request).and_then(|pending| {
        let accept = pending.decide(policy)?;
        // A policy chooses among the offered subprotocols, so this does not fail.
        pending.accept(&accept, config).map_err(Refused::from)
    });
    match accepted {
        Ok((response, opening)) => (response, Ok(opening)),
        Err(refused) => (refused.response(), Err(refused)),
    }
}

/// Returns whether a request asks for an upgrade to a WebSocket, valid or not: for a service that
/// also answers plain requests.
#[must_use]
pub fn is_upgrade<B>(request: &http::Request<B>) -> bool {
    if request.method() == Method::CONNECT {
        return protocol(request.extensions()).is_some();
    }
    let values = request.headers().get_all(http::header::UPGRADE).iter();
    let mut tokens = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// A valid request to open a WebSocket, to be accepted or refused.
///
/// Use it to decide with more than a [`Policy`]: to choose a subprotocol, to set cookies, or to wait
/// for a database. To refuse, drop it and return any response.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use sockeye_hyper::{Accept, Config, PendingUpgrade, Policy};
///
/// async fn is_allowed(user: Option<&str>) -> bool { user.is_some() }
///
/// async fn service<B>(mut request: Request<B>) -> Result<Response<Full<Bytes>>, http::Error> {
///     let pending = match PendingUpgrade::new(&mut request) {
///         Ok(pending) => pending,
///         Err(refused) => return Ok(refused.response()),
///     };
///     let user = pending.upgrade().request().param("user");
///     if !is_allowed(user.as_deref()).await {
///         return Response::builder().status(StatusCode::UNAUTHORIZED).body(Full::default());
///     }
///     match pending.accept(&Accept::new(), Config::new()) {
///         Ok((mut response, opening)) => {
///             response.headers_mut().insert("set-cookie", "seen=1".parse().unwrap());
///             tokio::spawn(async { opening.await?.send("welcome").await.map_err(Box::from) as
///                 Result<(), Box<dyn std::error::Error + Send + Sync>> });
///             Ok(response)
///         }
///         Err(error) => Ok(sockeye_hyper::Refused::from(error).response()),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct PendingUpgrade {
    pub(crate) upgrade: Upgrade,
    pub(crate) on_upgrade: OnUpgrade,
}

impl PendingUpgrade {
    /// Validates a request, and takes hyper's upgrade from its extensions.
    ///
    /// # Errors
    ///
    /// Returns a [`Refused`] with the response to send if the request is not a valid handshake, or
    /// if the server does not support upgrades.
    pub fn new<B>(request: &mut http::Request<B>) -> Result<Self, Refused> {
        let head = head(request.method(), request.uri(), request.version(), request.headers());
        Self::from_head(head, request.extensions_mut())
    }

    /// Validates the head of a request, like [`new`](PendingUpgrade::new).
    ///
    /// # Errors
    ///
    /// Returns a [`Refused`] like [`new`](PendingUpgrade::new).
    pub fn from_parts(parts: &mut Parts) -> Result<Self, Refused> {
        let head = head(&parts.method, &parts.uri, parts.version, &parts.headers);
        Self::from_head(head, &mut parts.extensions)
    }

    fn from_head(head: Result<Request, Refused>, extensions: &mut Extensions) -> Result<Self, Refused> {
        let request = head?;
        // RFC 8441 5: "The :protocol pseudo-header field MUST be included in the CONNECT request,
        // and it MUST have a value of "websocket" to initiate a WebSocket connection".
        let is_websocket = protocol(extensions).is_some_and(|name| name.eq_ignore_ascii_case("websocket"));
        if request.is_extended_connect() && !is_websocket {
            let response = Refusal::Protocol.response().in_answer_to(&request);
            return Err(Refused::new(Reason::Rule(Refusal::Protocol), response));
        }
        let upgrade = Upgrade::new(request)?;
        let Some(on_upgrade) = extensions.remove::<OnUpgrade>() else {
            let response = Response::text(500, "the server does not support upgrades of this connection\n");
            return Err(Refused::new(Reason::NotUpgradable, response));
        };
        Ok(PendingUpgrade { upgrade, on_upgrade })
    }

    /// Returns the validated request: its path, cookies, origin and offered subprotocols.
    #[must_use]
    pub fn upgrade(&self) -> &Upgrade {
        &self.upgrade
    }

    /// Returns the validated request, to set the host that a trusted proxy names:
    /// [`Upgrade::set_forwarded_host`].
    pub fn upgrade_mut(&mut self) -> &mut Upgrade {
        &mut self.upgrade
    }

    /// Decides by a [`Policy`]: origin, host, subprotocol.
    ///
    /// # Errors
    ///
    /// Returns a [`Refused`] with the response to send if the policy refuses the request.
    pub fn decide(&self, policy: &Policy) -> Result<Accept, Refused> {
        Ok(policy.decide(&self.upgrade)?)
    }

    /// Accepts the request. Returns the response to send, which may get more headers, and the future
    /// of the WebSocket.
    ///
    /// # Errors
    ///
    /// Returns [`SubprotocolNotOffered`] if the client did not offer the chosen subprotocol. It
    /// converts into [`Refused`], with a 500 as its response.
    pub fn accept(
        self,
        accept: &Accept,
        config: impl Into<Arc<Config>>,
    ) -> Result<(http::Response<Full<Bytes>>, Opening), SubprotocolNotOffered> {
        let accepted = self.upgrade.accept_parts(accept, config.into())?;
        let response = convert(accepted.response.clone());
        Ok((response, Opening::new(self.on_upgrade, accepted)))
    }
}

/// A refused request, with its response.
///
/// It displays the reason, and is a response itself with the feature `axum`.
#[derive(Debug)]
pub struct Refused {
    reason: Box<Reason>,
    response: Box<Response>,
}

#[derive(Debug)]
enum Reason {
    Head(ServerHandshakeError),
    Rejection(Rejection),
    Rule(Refusal),
    Subprotocol(String),
    NotUpgradable,
}

impl Refused {
    fn new(reason: Reason, response: Response) -> Self {
        Refused { reason: reason.into(), response: response.into() }
    }

    /// Returns the response to send. Its text is the reason.
    #[must_use]
    pub fn response(&self) -> http::Response<Full<Bytes>> {
        convert((*self.response).clone())
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        http::StatusCode::from_u16(self.response.status()).unwrap_or_default()
    }

    /// Returns the rule of the handshake or the policy that the request breaks, or `None` if its head
    /// is invalid or the mistake is the server's.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match &*self.reason {
            Reason::Rejection(rejection) => Some(rejection.reason()),
            Reason::Rule(refusal) => Some(*refusal),
            Reason::Head(_) | Reason::Subprotocol(_) | Reason::NotUpgradable => None,
        }
    }
}

#[cfg(feature = "server")]
impl Refused {
    /// Returns the rejection by the rules of the handshake, or else the response.
    pub(crate) fn into_rejection(self) -> Result<Rejection, Box<Response>> {
        match *self.reason {
            Reason::Rejection(rejection) => Ok(rejection),
            _ => Err(self.response),
        }
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        let response = rejection.response();
        Refused::new(Reason::Rejection(rejection), response)
    }
}

impl From<SubprotocolNotOffered> for Refused {
    fn from(error: SubprotocolNotOffered) -> Self {
        Refused::new(Reason::Subprotocol(error.to_string()), error.response())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.reason {
            Reason::Head(error) => error.fmt(f),
            Reason::Rejection(rejection) => rejection.fmt(f),
            Reason::Rule(refusal) => refusal.fmt(f),
            Reason::Subprotocol(text) => f.write_str(text),
            Reason::NotUpgradable => f.write_str(
                "the server does not support upgrades: serve its connections with hyper's `with_upgrades`",
            ),
        }
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.reason {
            Reason::Head(error) => error.source(),
            _ => None,
        }
    }
}

/// Converts the head of a request.
pub(crate) fn head(
    method: &Method,
    uri: &Uri,
    version: http::Version,
    headers: &HeaderMap,
) -> Result<Request, Refused> {
    let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    Version::try_from(version)
        .and_then(|version| Request::from_parts(method.as_str(), &uri.to_string(), version, fields))
        .map_err(|error| {
            let error = ServerHandshakeError::Head(error);
            let response = error.response().unwrap_or_else(|| Response::new(400));
            Refused::new(Reason::Head(error), response)
        })
}

/// Returns the `:protocol` of an Extended CONNECT.
#[cfg(feature = "http2")]
fn protocol(extensions: &Extensions) -> Option<&str> {
    extensions.get::<hyper::ext::Protocol>().map(hyper::ext::Protocol::as_str)
}

#[cfg(not(feature = "http2"))]
fn protocol(_: &Extensions) -> Option<&str> {
    None
}

/// Converts a response. The `http` crate accepts every header that the core does; a response that it
/// refused would become a 500.
pub(crate) fn convert(response: Response) -> http::Response<Full<Bytes>> {
    match http::Response::<Vec<u8>>::try_from(response) {
        Ok(response) => response.map(Full::from),
        Err(_) => {
            let mut response = http::Response::new(Full::default());
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

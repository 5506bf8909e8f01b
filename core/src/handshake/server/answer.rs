//! One call from a request that an HTTP library has parsed to the response for it to send.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Accepted, Policy, Refusal, Rejection, ServerHandshakeError, Upgrade};
use crate::Config;
use crate::http::{Request, Response};
use crate::session::OpenError;

impl Policy {
    /// Answers a request for a WebSocket that an HTTP library has parsed (feature `http`).
    ///
    /// Returns the response for the library to send, and the accepted handshake or the reason for
    /// the refusal. Once the response has been written, the library hands over the transport:
    /// drive [`Accepted::connection`] over it.
    ///
    /// `protocol` is the `:protocol` of an Extended CONNECT over HTTP/2 (RFC 8441), where the
    /// library keeps it, or `None`. Other protocols than `websocket` get a 501.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use sockeye_core::Config;
    /// use sockeye_core::handshake::server::Policy;
    ///
    /// let (policy, config) = (Policy::new(), Arc::new(Config::new()));
    /// let request = http::Request::get("/chat")
    ///     .header("host", "example.com")
    ///     .header("upgrade", "websocket")
    ///     .header("connection", "upgrade")
    ///     .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    ///     .header("sec-websocket-version", "13")
    ///     .body(())?;
    /// let (response, accepted) = policy.answer(&request, None, config.clone());
    /// assert_eq!((response.status().as_u16(), accepted?.request.path()), (101, "/chat"));
    ///
    /// let (response, accepted) = policy.answer(&http::Request::new(()), None, config);
    /// assert!(response.status() == 400 && accepted.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn answer<B>(
        &self,
        request: &http::Request<B>,
        protocol: Option<&str>,
        config: Arc<Config>,
    ) -> (http::Response<Vec<u8>>, Result<Accepted, OpenError>) {
        match self.accept_request(request, protocol, config) {
            Ok(accepted) => (convert(accepted.response.clone()), Ok(accepted)),
            Err((error, response)) => (convert(response), Err(error)),
        }
    }

    #[expect(clippy::result_large_err, reason = "the error is as large as the value")]
    fn accept_request<B>(
        &self,
        request: &http::Request<B>,
        protocol: Option<&str>,
        config: Arc<Config>,
    ) -> Result<Accepted, (OpenError, Response)> {
        let request = Request::try_from(request).map_err(|error| {
            let error = ServerHandshakeError::Head(error);
            (OpenError::Request(error), error.response().unwrap_or_else(|| Response::new(400)))
        })?;
        let refused = |rejection: Rejection| {
            let response = rejection.response();
            (OpenError::Refused(rejection), response)
        };
        // RFC 8441 5: "The :protocol pseudo-header field MUST be included in the CONNECT request,
        // and it MUST have a value of "websocket" to initiate a WebSocket connection".
        let is_websocket = protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"));
        if request.is_extended_connect() && !is_websocket {
            return Err(refused(Rejection::new(request, Refusal::Protocol)));
        }
        let upgrade = Upgrade::new(request).map_err(refused)?;
        let accept = self.decide(&upgrade).map_err(refused)?;
        // A policy chooses among the offered subprotocols, so this does not fail.
        upgrade.accept_parts(&accept, config).map_err(|error| (OpenError::Rejected(500), error.response()))
    }
}

/// Converts a response. The `http` crate accepts every header that this crate does; a response
/// that it refused would become a 500.
fn convert(response: Response) -> http::Response<Vec<u8>> {
    http::Response::try_from(response).unwrap_or_else(|_| {
        let mut response = http::Response::new(Vec::new());
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

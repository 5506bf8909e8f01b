//! A handshake whose request and response another HTTP library carries.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use super::verify::{Expected, establish};
use super::{ClientHandshakeError, Established};
use crate::http::{Headers, Response};
use crate::{Config, MaskKeys};

/// An opening handshake as a method, a target and headers, for clients that speak HTTP through
/// another library.
///
/// ```
/// use std::sync::Arc;
///
/// use sockeye_core::Config;
/// use sockeye_core::handshake::client::{ClientRequest, Url};
/// use sockeye_core::http::{Response, Version};
///
/// let url: Url = "wss://example.com/chat".parse()?;
/// // The keys must come from a secure random generator.
/// let masks = Box::new(|| [1, 2, 3, 4]);
/// let handshake = ClientRequest::new(&url).start_extended_connect(masks, Arc::new(Config::new()));
/// assert_eq!((handshake.method(), handshake.protocol()), ("CONNECT", Some("websocket")));
/// assert_eq!((handshake.authority(), handshake.path()), ("example.com", "/chat"));
/// assert_eq!(handshake.headers().first("sec-websocket-version"), Some("13"));
///
/// // The response, when it has arrived:
/// let response = Response::from_parts(200, Version::Http2, [("date", "today")])?;
/// let mut connection = handshake.verify(response)?.connection;
/// # let _ = connection;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PartsHandshake {
    pub(super) is_secure: bool,
    pub(super) authority: String,
    pub(super) path: String,
    pub(super) headers: Headers,
    pub(super) expected: Expected,
    pub(super) masks: MaskKeys,
    pub(super) config: Arc<Config>,
}

impl PartsHandshake {
    /// Returns the method: `GET`, or `CONNECT` for an Extended CONNECT.
    #[must_use]
    pub fn method(&self) -> &'static str {
        if self.expected.accept.is_some() { "GET" } else { "CONNECT" }
    }

    /// Returns the `:protocol` of an Extended CONNECT, which is `websocket`.
    #[must_use]
    pub fn protocol(&self) -> Option<&'static str> {
        self.expected.accept.is_none().then_some("websocket")
    }

    /// Returns the `:scheme` of the request: `https` for a `wss://` URL (RFC 8441 5), else `http`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// Returns the host, with its port unless that is the default port of the scheme.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the path and the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the headers to send.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Verifies the response, and returns the connection. Its transport is the body of the 2xx
    /// response to an Extended CONNECT, or the bytes after a 101.
    ///
    /// # Errors
    ///
    /// Returns [`ClientHandshakeError::Refused`] with the response if its status does not open a
    /// WebSocket, and [`ClientHandshakeError::BadResponse`] if RFC 6455 4.1 requires the client to
    /// fail.
    pub fn verify(self, response: Response) -> Result<Established, ClientHandshakeError> {
        let opens = match self.expected.accept {
            Some(_) => response.status() == 101,
            // RFC 9113 8.5: "A CONNECT succeeds with a 2xx".
            None => matches!(response.status(), 200..=299),
        };
        if !opens {
            return Err(ClientHandshakeError::Refused(response));
        }
        Ok(establish(response, &self.expected, self.masks, &self.config)?)
    }
}

impl fmt::Debug for PartsHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The headers may contain credentials, so they are not printed.
        f.debug_struct("PartsHandshake")
            .field("method", &self.method())
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

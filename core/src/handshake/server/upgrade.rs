//! Validating that a request is an opening handshake.

use alloc::string::String;

use super::{Refusal, Rejection};
use crate::handshake::{extensions, key};
use crate::http::{Headers, Request, Version, is_token};

/// A valid opening handshake (RFC 6455 4.2.1, RFC 8441) that has not been answered yet.
///
/// Answer it with [`accept`](Upgrade::accept), with [`reject`](Upgrade::reject), or call
/// [`into_request`](Upgrade::into_request) and send any other response.
///
/// ```
/// use std::sync::Arc;
///
/// use sockeye_core::Config;
/// use sockeye_core::handshake::server::{Accept, Upgrade};
/// use sockeye_core::http::{Request, Version};
///
/// let fields = [
///     ("host", "example.com"),
///     ("upgrade", "websocket"),
///     ("connection", "upgrade"),
///     ("sec-websocket-version", "13"),
///     ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
/// ];
/// let request = Request::from_parts("GET", "/chat", Version::Http11, fields)?;
/// let upgrade = Upgrade::new(request)?;
/// assert_eq!((upgrade.path(), upgrade.host(), upgrade.origin()), ("/chat", "example.com", None));
/// let accepted = upgrade.accept(&Accept::new(), Arc::new(Config::new()))?;
/// assert_eq!(accepted.response.status(), 101);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Upgrade {
    request: Request,
    forwarded_host: Option<String>,
}

impl Upgrade {
    /// Validates a request.
    ///
    /// # Errors
    ///
    /// Returns a [`Rejection`] if the request is not a valid handshake. It has the request, the
    /// rule that was broken and the response to send.
    pub fn new(request: Request) -> Result<Self, Rejection> {
        match check(&request) {
            Ok(()) => Ok(Upgrade { request, forwarded_host: None }),
            Err(refusal) => Err(Rejection::new(request, refusal)),
        }
    }

    /// Returns the request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Returns the request by value, to be answered with any response.
    #[must_use]
    pub fn into_request(self) -> Request {
        self.request
    }

    /// Returns the requested path, without decoding it.
    #[must_use]
    pub fn path(&self) -> &str {
        self.request.path()
    }

    /// Returns the requested host, with its port if the client named one.
    ///
    /// It is the host that a trusted proxy names, if
    /// [`set_forwarded_host`](Upgrade::set_forwarded_host) has set it, and otherwise that of the
    /// request.
    #[must_use]
    pub fn host(&self) -> &str {
        self.forwarded_host.as_deref().or_else(|| self.request.host()).unwrap_or_default()
    }

    /// Sets the host that the client asked for, as a trusted proxy names it, with its port if it is
    /// not the default one. The check of origins uses it.
    ///
    /// A proxy may replace `Host` and name the original in `Forwarded` (RFC 7239) or
    /// `X-Forwarded-Host`. Take it from there only if the proxy, and not the client, sent that
    /// header: otherwise any page could name its own host.
    /// [`TrustedProxies::resolve`](crate::proxy::TrustedProxies::resolve) does so.
    pub fn set_forwarded_host(&mut self, host: Option<String>) {
        self.forwarded_host = host;
    }

    /// Returns the origin of the page whose script connects. Clients other than browsers need not
    /// send it.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.request.headers().first("origin")
    }

    /// Returns the offered subprotocols, in the client's order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.request.headers().tokens(PROTOCOL)
    }

    /// Returns the lines of `Sec-WebSocket-Extensions` without parsing them (RFC 6455 9.1).
    pub fn extension_offers(&self) -> impl Iterator<Item = &str> {
        self.extension_lines().filter_map(|offer| core::str::from_utf8(offer).ok())
    }

    pub(super) fn extension_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.request.headers().all(EXTENSIONS)
    }

    /// Rejects the handshake for this reason.
    #[must_use]
    pub fn reject(self, refusal: Refusal) -> Rejection {
        let rejection = Rejection::new(self.request, refusal);
        match self.forwarded_host {
            Some(host) => rejection.with_host(host),
            None => rejection,
        }
    }

    pub(super) fn accept_key(&self) -> String {
        key::accept_value(self.request.headers().all(KEY).next().unwrap_or_default())
    }
}

const KEY: &str = "sec-websocket-key";
const PROTOCOL: &str = "sec-websocket-protocol";
const EXTENSIONS: &str = "sec-websocket-extensions";

/// Checks the rules of RFC 6455 4.2.1, in the order that makes the most helpful error: a plain HTTP
/// request is refused as such, regardless of the other headers that it lacks.
fn check(request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    if request.is_extended_connect() {
        // RFC 8441 5: "Implementations using this extended CONNECT to bootstrap WebSockets do not
        // do the processing of the Sec-WebSocket-Key and Sec-WebSocket-Accept header fields", and
        // :protocol takes the place of Upgrade. The other fields keep their meaning.
        check_version(headers)?;
        check_subprotocols(headers)?;
        return check_extensions(headers);
    }
    // RFC 9113 8.6: HTTP/2 has no Upgrade and no 101.
    if request.version() == Version::Http2 {
        return Err(Refusal::NotWebSocket);
    }
    // "An |Upgrade| header field containing the value "websocket", treated as an ASCII
    // case-insensitive value."
    if !headers.contains_token("upgrade", "websocket") {
        return Err(Refusal::NotWebSocket);
    }
    // "An HTTP/1.1 or higher GET request"; RFC 9110 7.8: "A server MUST ignore an Upgrade header
    // field that is received in an HTTP/1.0 request."
    if request.method() != "GET" {
        return Err(Refusal::Method);
    }
    if request.version() < Version::Http11 {
        return Err(Refusal::HttpVersion);
    }
    // "A |Connection| header field that includes the token "Upgrade", treated as an ASCII
    // case-insensitive value."
    if !headers.contains_token("connection", "upgrade") {
        return Err(Refusal::Connection);
    }
    check_version(headers)?;
    check_key(headers)?;
    check_subprotocols(headers)?;
    check_extensions(headers)?;
    // A handshake has no body. The bytes after the head are frames, and a proxy that counts a body
    // differently could take them for another request.
    if !request.body_length().is_empty() {
        return Err(Refusal::Body);
    }
    Ok(())
}

fn check_version(headers: &Headers) -> Result<(), Refusal> {
    // RFC 6455 11.3.5: "MUST NOT appear more than once in an HTTP request".
    match headers.at_most_one("sec-websocket-version") {
        Err(_) => Err(Refusal::RepeatedVersion),
        // 4.2.1: "A |Sec-WebSocket-Version| header field, with a value of 13."
        Ok(Some(b"13")) => Ok(()),
        Ok(_) => Err(Refusal::Version),
    }
}

fn check_key(headers: &Headers) -> Result<(), Refusal> {
    // RFC 6455 11.3.1: "MUST NOT appear more than once in an HTTP request".
    match headers.at_most_one(KEY) {
        Err(_) => Err(Refusal::RepeatedKey),
        Ok(None) => Err(Refusal::MissingKey),
        Ok(Some(value)) => key::check(value).map_err(Refusal::InvalidKey),
    }
}

fn check_extensions(headers: &Headers) -> Result<(), Refusal> {
    // RFC 6455 9.1: "If a value is received by either the client or the server during negotiation
    // that does not conform to the ABNF below, the recipient of such malformed data MUST
    // immediately _Fail the WebSocket Connection_."
    if extensions::is_valid(headers.all(EXTENSIONS)) { Ok(()) } else { Err(Refusal::Extensions) }
}

fn check_subprotocols(headers: &Headers) -> Result<(), Refusal> {
    // RFC 6455 4.1: "The elements that comprise this value MUST be non-empty strings with
    // characters in the range U+0021 to U+007E not including separator characters": 1#token.
    let mut offered = headers.elements(PROTOCOL).peekable();
    if headers.contains(PROTOCOL) && (offered.peek().is_none() || !offered.all(is_token)) {
        return Err(Refusal::Subprotocol);
    }
    Ok(())
}

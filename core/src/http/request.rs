//! HTTP requests, as received by a server.

use alloc::borrow::Cow;
use core::fmt;

use super::headers::{Repeated, Span};
use super::{Authority, BodyLength, HeadError, Headers, framing, is_token};

/// The HTTP version of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// The one expectation that is defined (RFC 9110 10.1.1).
const CONTINUE: &str = "100-continue";

/// The head of a request, validated as RFC 9112 requires of a server.
///
/// The target is a path or an absolute `http` URI; `Host` is a valid host, and HTTP/1.1 requests
/// have it exactly once; the fields that say where the body ends agree with one another.
///
/// ```
/// # use std::sync::Arc;
/// use sockeye_core::{Config, RecvBuf, handshake::server::ServerHandshake};
///
/// let mut bytes = *b"GET /chat?room=7 HTTP/1.1\r\nHost: example.com\r\nCookie: a=b; c=d\r\n\r\n";
/// let request = ServerHandshake::new(Arc::new(Config::new()))
///     .poll_request(&mut RecvBuf::new(&mut bytes))?
///     .expect("a whole head");
/// assert_eq!((request.method(), request.path(), request.query()), ("GET", "/chat", Some("room=7")));
/// assert_eq!(request.headers().first("host"), Some("example.com"));
/// assert_eq!(request.cookies().collect::<Vec<_>>(), [("a", "b"), ("c", "d")]);
/// # Ok::<(), sockeye_core::handshake::server::ServerHandshakeError>(())
/// ```
#[derive(Clone)]
pub struct Request {
    headers: Headers,
    method: Span,
    target: Span,
    version: Version,
    body_length: BodyLength,
}

impl Request {
    /// Creates the head of a request that another HTTP library has parsed.
    ///
    /// It is validated like one that was received, except that limits of size and number do not
    /// apply again. The target is a path with its query, or an absolute URI.
    ///
    /// # Errors
    ///
    /// Returns the rule of RFC 9112 that the request breaks.
    pub fn from_parts<N: AsRef<str>, V: AsRef<[u8]>>(
        method: &str,
        target: &str,
        version: Version,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, HeadError> {
        if !is_token(method.as_bytes()) {
            return Err(HeadError::Method);
        }
        let mut headers = Headers::default();
        let spans = (headers.push_text(method), headers.push_text(target));
        let (Some(method), Some(target)) = spans else { return Err(HeadError::Target) };
        headers.extend(fields)?;
        Request::validate(headers, method, target, version)
    }

    /// Creates the head of an Extended CONNECT request (RFC 8441), which asks for a WebSocket over
    /// HTTP/2. The caller has checked that its `:protocol` is `websocket`.
    ///
    /// `scheme`, `authority` and `path` are the pseudo-header fields; the path includes the query.
    /// [`target`](Request::target) is the URI that they form.
    ///
    /// # Errors
    ///
    /// Returns the rule that the request breaks: the authority is not a valid host, the path is
    /// invalid, or a field is malformed.
    pub fn from_extended_connect<N: AsRef<str>, V: AsRef<[u8]>>(
        scheme: &str,
        authority: &str,
        path: &str,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, HeadError> {
        // Check the parts, because a delimiter in one would move the boundary to the next.
        let is_http = ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
        if !is_http || !path.starts_with('/') {
            return Err(HeadError::Target);
        }
        if Authority::parse(authority.as_bytes()).is_none() {
            return Err(HeadError::InvalidHost);
        }
        let target = alloc::format!("{scheme}://{authority}{path}");
        Request::from_parts("CONNECT", &target, Version::Http2, fields)
    }

    /// Returns whether this is an Extended CONNECT request (RFC 8441): unlike an ordinary CONNECT,
    /// it has a scheme and a path.
    #[must_use]
    pub fn is_extended_connect(&self) -> bool {
        self.version == Version::Http2
            && self.method() == "CONNECT"
            && split_absolute(self.target()).is_some()
    }

    /// Returns the method, such as `GET`. Methods are case-sensitive (RFC 9110 9.1).
    #[must_use]
    pub fn method(&self) -> &str {
        self.headers.slice_str(self.method)
    }

    /// Returns the target as it was sent: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        self.headers.slice_str(self.target)
    }

    /// Returns the path without decoding it, or `/` if an absolute URI has none.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = self.path_and_query();
        match target.split_once('?').map_or(target, |(path, _)| path) {
            "" => "/",
            path => path,
        }
    }

    /// Returns the query, which follows the first `?`, without decoding it.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.path_and_query().split_once('?').map(|(_, query)| query)
    }

    /// Returns the parameters of the query, decoded like those of forms: `?message=a+b%21` yields
    /// `("message", "a b!")`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use sockeye_core::{Config, RecvBuf, handshake::server::ServerHandshake};
    /// # let mut bytes = *b"GET /chat?room=a+b&name=J%C3%B6 HTTP/1.1\r\nHost: example.com\r\n\r\n";
    /// # let mut reader = ServerHandshake::new(Arc::new(Config::new()));
    /// # let request = reader.poll_request(&mut RecvBuf::new(&mut bytes))?.expect("a whole head");
    /// // For GET /chat?room=a+b&name=J%C3%B6:
    /// assert_eq!(request.param("name").as_deref(), Some("J\u{f6}"));
    /// assert_eq!(request.params().map(|(name, _)| name).collect::<Vec<_>>(), ["room", "name"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn params(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query().unwrap_or_default().as_bytes())
    }

    /// Returns the fields of a form that is the body of this request (`application/x-www-form-urlencoded`),
    /// decoded. For a body of another type there are none.
    ///
    /// ```
    /// use sockeye_core::http::{Request, Version};
    ///
    /// let fields = [("Host", "a"), ("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")];
    /// let request = Request::from_parts("POST", "/login", Version::Http11, fields)?;
    /// let fields: Vec<_> = request.form(b"name=Ada+L&remember=%E2%9C%93").collect();
    /// assert_eq!(fields[0], ("name".into(), "Ada L".into()));
    /// assert_eq!(fields[1], ("remember".into(), "\u{2713}".into()));
    /// # Ok::<(), sockeye_core::http::HeadError>(())
    /// ```
    pub fn form<'b>(&self, body: &'b [u8]) -> impl Iterator<Item = (Cow<'b, str>, Cow<'b, str>)> + use<'b> {
        form_urlencoded::parse(if self.has_form() { body } else { b"" })
    }

    /// Returns whether the body is a form, as [`form`](Request::form) decodes it.
    #[must_use]
    pub fn has_form(&self) -> bool {
        let content_type = self.headers.first("content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    /// Returns the first query parameter with this name, decoded.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.params().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns the HTTP version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the requested host, with its port if the client named one: `example.com:8080`.
    ///
    /// The host of an absolute target takes precedence over `Host` (RFC 9112 3.2.2: "the origin
    /// server MUST ignore the received Host header field (if any) and instead use the host
    /// information of the request-target").
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        split_absolute(self.target()).map(|(host, _)| host).or_else(|| self.headers.first("host"))
    }

    /// Returns the length of the body, to be read with a [`BodyReader`](super::BodyReader).
    #[must_use]
    pub fn body_length(&self) -> BodyLength {
        self.body_length
    }

    /// Returns whether the client expects a 100 before the final response or the 101.
    ///
    /// RFC 9110 10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0 request
    /// MUST ignore that expectation."
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.version >= Version::Http11 && self.headers.contains_token("expect", CONTINUE)
    }

    /// Returns whether the client has an expectation that no server of this crate meets.
    pub(crate) fn has_unknown_expectation(&self) -> bool {
        self.headers.elements("expect").any(|element| !element.eq_ignore_ascii_case(CONTINUE.as_bytes()))
    }

    /// Returns the cookies as pairs of name and value, without decoding them (RFC 6265 4.2.1).
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.headers.all("cookie").filter_map(|line| core::str::from_utf8(line).ok());
        lines.flat_map(|line| line.split(';')).filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim(), value.trim()))
        })
    }

    /// Validates the parts that the line parser does not: the target, `Host`, and the length of the
    /// body.
    pub(super) fn validate(
        headers: Headers,
        method: Span,
        target: Span,
        version: Version,
    ) -> Result<Self, HeadError> {
        let body_length = framing::of_request(&headers, version)?;
        let request = Request { headers, method, target, version, body_length };
        // The target of an Extended CONNECT has the form of any other request's.
        let method = if request.is_extended_connect() { "GET" } else { request.method() };
        if !is_target(method, request.target()) {
            return Err(HeadError::Target);
        }
        // RFC 9112 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
        // request message that lacks a Host header field and to any request message that contains
        // more than one Host header field line or a Host header field with an invalid field value."
        match request.headers.at_most_one("host") {
            Err(Repeated) => Err(HeadError::RepeatedHost),
            Ok(None) if version == Version::Http11 => Err(HeadError::MissingHost),
            Ok(Some(host)) if Authority::parse(host).is_none() => Err(HeadError::InvalidHost),
            Ok(_) => Ok(request),
        }
    }

    fn path_and_query(&self) -> &str {
        let target = self.target();
        split_absolute(target).map_or(target, |(_, path)| path)
    }
}

/// Returns whether the target has a form of RFC 9112 3.2 (origin-form, absolute-form, or the forms
/// of CONNECT and OPTIONS), is ASCII (RFC 3986 2: "a URI is composed from a limited set of
/// characters"), and has no fragment, which clients never send.
fn is_target(method: &str, target: &str) -> bool {
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.contains('#') {
        return false;
    }
    match method {
        "CONNECT" => Authority::parse(target.as_bytes()).is_some(),
        "OPTIONS" if target == "*" => true,
        _ if target.starts_with('/') => true,
        _ => split_absolute(target).is_some_and(|(host, _)| Authority::parse(host.as_bytes()).is_some()),
    }
}

/// Splits an absolute target after its authority; returns `None` for any other target.
fn split_absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("target", &self.target())
            .field("version", &self.version)
            .field("headers", &self.headers)
            .finish()
    }
}

//! HTTP responses: written by a server, or received by a client.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error;

use super::status::{SINGLE_FIELDS, reason_phrase};
use super::{BodyLength, HeadError, Headers, InvalidHeader, Request, Version, framing};

/// An HTTP response, to be sent or received.
///
/// ```
/// use sockeye_core::http::Response;
///
/// let response = Response::new(403).header("Content-Type", "text/plain")?.body("not from there");
/// assert_eq!(
///     response.encode(),
///     b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\
///       Connection: close\r\n\r\nnot from there"
/// );
/// // A line break would begin another header.
/// assert!(Response::new(200).header("Location", "/\r\nSet-Cookie: a=b").is_err());
/// # Ok::<(), sockeye_core::http::InvalidHeader>(())
/// ```
#[derive(Debug, Clone)]
pub struct Response {
    status: u16,
    version: Version,
    headers: Headers,
    content: Vec<u8>,
    truncated: bool,
    /// Whether the response answers a HEAD request.
    head_only: bool,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Response {
    /// Creates a response with this status, no headers and no body. A number that is not a status
    /// (RFC 9110 15: 100 to 599) becomes 500.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let status = if matches!(status, 100..=599) { status } else { 500 };
        Response::from_parsed(status, Version::Http11, Headers::default())
    }

    /// Creates the head of a response that another HTTP library has parsed. Limits of size and
    /// number do not apply again.
    ///
    /// # Errors
    ///
    /// Returns an error if the status is not one of RFC 9110 (100 to 599), or a field is malformed.
    pub fn from_parts<N: AsRef<str>, V: AsRef<[u8]>>(
        status: u16,
        version: Version,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, HeadError> {
        if !matches!(status, 100..=599) {
            return Err(HeadError::StatusLine);
        }
        let mut headers = Headers::default();
        headers.extend(fields)?;
        Ok(Response::from_parsed(status, version, headers))
    }

    /// Creates a response with a body of plain text.
    #[must_use]
    pub fn text(status: u16, text: impl Into<Vec<u8>>) -> Self {
        let mut response = Response::new(status).body(text);
        response.headers.push_valid("Content-Type", b"text/plain; charset=utf-8");
        response
    }

    /// Creates a response with a body of HTML.
    #[must_use]
    pub fn html(status: u16, html: impl Into<Vec<u8>>) -> Self {
        let mut response = Response::new(status).body(html);
        response.headers.push_valid("Content-Type", b"text/html; charset=utf-8");
        response
    }

    /// Creates a 500 for an error of the application. The response reveals nothing about the error;
    /// a server reports it like an error that a handler returns.
    ///
    /// Use it where a function may only fail with a response:
    ///
    /// ```
    /// use sockeye_core::handshake::server::{Accept, Upgrade};
    /// use sockeye_core::http::Response;
    ///
    /// fn decide(upgrade: &Upgrade) -> Result<Accept, Response> {
    ///     let number = upgrade.request().param("number").unwrap_or_default();
    ///     let number: u32 = number.parse().map_err(Response::server_error)?;
    ///     Ok(Accept::new().header("X-Number", number.to_string())?)
    /// }
    /// ```
    #[must_use]
    pub fn server_error(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut response = Response::text(500, "the server could not answer this request\n");
        response.cause = Some(Arc::from(cause.into()));
        response
    }

    /// Returns the error that [`server_error`](Response::server_error) was called with.
    #[must_use]
    pub fn cause(&self) -> Option<&Arc<dyn Error + Send + Sync>> {
        self.cause.as_ref()
    }

    /// Takes the error that [`server_error`](Response::server_error) was called with, for instance
    /// to report it. The response stays as it is.
    pub fn take_cause(&mut self) -> Option<Arc<dyn Error + Send + Sync>> {
        self.cause.take()
    }

    /// Adds a header. Headers with the same name are kept, unless a response has at most one of
    /// them (RFC 9110 5.3), such as `Content-Type`, `Date` or `Location`: then the last one counts.
    /// [`set_header`](Response::set_header) always replaces.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHeader`] if a parser would not read it back as exactly this one field (RFC
    /// 9110 5.1, 5.5), and for `Content-Length` and `Transfer-Encoding`, which follow from the
    /// body.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        if is_framing_field(name) {
            return Err(InvalidHeader::Reserved);
        }
        if SINGLE_FIELDS.iter().any(|single| single.eq_ignore_ascii_case(name)) {
            return self.set_header(name, value);
        }
        self.headers.push(name, value.as_ref())?;
        Ok(self)
    }

    /// Sets a header: replaces all with this name.
    ///
    /// ```
    /// use sockeye_core::http::Response;
    ///
    /// let response = Response::text(200, "a,b\n1,2\n")
    ///     .header("Vary", "Origin")?
    ///     .header("Vary", "Cookie")?
    ///     .set_header("Vary", "*")?
    ///     .header("Content-Type", "text/csv")?
    ///     .header("X-Draft", "1")?
    ///     .remove_header("X-Draft");
    /// let fields: Vec<_> = response.headers().iter().collect();
    /// assert_eq!(fields, [("Vary", &b"*"[..]), ("Content-Type", b"text/csv")]);
    /// # Ok::<(), sockeye_core::http::InvalidHeader>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHeader`] like [`header`](Response::header). The response is lost.
    pub fn set_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        if is_framing_field(name) {
            return Err(InvalidHeader::Reserved);
        }
        let before = self.headers.len();
        self.headers.push(name, value.as_ref())?;
        self.headers.remove_first(name, before);
        Ok(self)
    }

    /// Removes all headers with this name.
    #[must_use]
    pub fn remove_header(mut self, name: &str) -> Self {
        self.headers.remove(&[name]);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.content = body.into();
        self
    }

    /// Marks the response as the answer to this request: for a HEAD request,
    /// [`encode`](Response::encode) omits the body (RFC 9110 9.3.2: "the server MUST NOT send
    /// content in the response"). For an HTTP/2 request it removes `Connection` and `Upgrade`,
    /// which HTTP/2 forbids (RFC 9113 8.2.2).
    #[must_use]
    pub fn in_answer_to(mut self, request: &Request) -> Self {
        self.head_only = request.method() == "HEAD";
        if request.version() == Version::Http2 {
            self.version = Version::Http2;
            self.headers.remove(&["connection", "upgrade"]);
        }
        self
    }

    /// States in `Connection` whether the connection stays open for another request.
    ///
    /// With `true`, adds `keep-alive` unless the response has a `Connection` header. With `false`,
    /// makes sure that the response says `close`, even if it has another `Connection` header (RFC
    /// 9112 9.6: "The server SHOULD send a "close" connection option in its final response on that
    /// connection").
    #[must_use]
    pub fn keep_alive(self, keep_alive: bool) -> Self {
        match (keep_alive, self.headers.contains("connection")) {
            (true, false) => self.with_valid_header("Connection", "keep-alive"),
            (false, true) if !self.headers.contains_token("connection", "close") => {
                // Both `close` and `keep-alive` would contradict each other.
                let kept = self.headers.tokens("connection");
                let kept = kept.filter(|token| !token.eq_ignore_ascii_case("keep-alive"));
                let value = kept.fold("close".to_string(), |value, token| value + ", " + token);
                self.remove_header("connection").with_valid_header("Connection", &value)
            }
            // Without the header, `encode_head` adds `close`.
            _ => self,
        }
    }

    /// Omits the body when the response is sent, if `head_only`.
    pub(crate) fn with_head_only(mut self, head_only: bool) -> Self {
        self.head_only = head_only;
        self
    }

    /// Returns the status, such as 101.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the reason phrase of the status, such as `Switching Protocols`, or an empty string
    /// if the status is unknown.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        reason_phrase(self.status)
    }

    /// Returns the HTTP version that the response was written in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the body without its transfer coding (RFC 9110 6.4 calls this the content).
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Returns whether [`content`](Response::content) is only a part of the body, because the body
    /// exceeded the limit, was malformed, or was cut off by the end of the connection or by a
    /// timeout.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Returns the whole response as it is sent.
    ///
    /// This adds `Content-Length` if the status allows a body, and `Connection: close` if the
    /// response has no `Connection`. A body set on a 1xx, 204 or 304 is omitted (RFC 9110 6.4.1).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.encode_head();
        if self.may_have_body() && !self.head_only {
            out.extend_from_slice(&self.content);
        }
        out
    }

    /// Returns the head as it is sent, without the body.
    #[must_use]
    pub fn encode_head(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {:03} {}\r\n", self.status, self.reason()).into_bytes();
        self.headers.write(&mut out, is_framing_field);
        // RFC 9110 8.6: "A server MUST NOT send a Content-Length header field in any response with
        // a status code of 1xx (Informational) or 204 (No Content)."
        if self.may_have_body() {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(self.content.len().to_string().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if self.status >= 200 && !self.headers.contains("connection") {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// Adds a `Content-Type` to a body that has none, so that no browser guesses it (RFC 9110 8.3).
    pub(crate) fn with_content_type(self) -> Self {
        if self.content.is_empty() || !self.may_have_body() || self.headers.contains("content-type") {
            return self;
        }
        let is_text = simdutf8::basic::from_utf8(&self.content).is_ok();
        let content_type = if is_text { "text/plain; charset=utf-8" } else { "application/octet-stream" };
        self.with_valid_header("Content-Type", content_type)
    }

    pub(crate) fn from_parsed(status: u16, version: Version, headers: Headers) -> Self {
        Response {
            status,
            version,
            headers,
            content: Vec::new(),
            truncated: false,
            head_only: false,
            cause: None,
        }
    }

    /// Adds a header that this crate writes itself.
    pub(crate) fn with_valid_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_valid(name, value.as_bytes());
        self
    }

    /// Adds headers that have been validated before.
    pub(crate) fn with_valid_headers(mut self, fields: &Headers) -> Self {
        for (name, value) in fields.iter() {
            self.headers.push_valid(name, value);
        }
        self
    }

    /// Returns the length of the body, as the head announces it.
    pub(crate) fn body_length(&self) -> Result<BodyLength, HeadError> {
        framing::of_response(&self.headers, self.status)
    }

    /// Appends to the body up to `limit` bytes in total; returns false if some bytes did not fit.
    pub(crate) fn append(&mut self, bytes: &[u8], limit: usize) -> bool {
        let room = limit.saturating_sub(self.content.len());
        self.content.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        bytes.len() <= room
    }

    pub(crate) fn truncate(mut self) -> Self {
        self.truncated = true;
        self
    }

    fn may_have_body(&self) -> bool {
        !matches!(self.status, 100..=199 | 204 | 304)
    }
}

/// An invalid header is a mistake of the server: see [`server_error`](Response::server_error).
impl From<InvalidHeader> for Response {
    fn from(error: InvalidHeader) -> Self {
        Response::server_error(error)
    }
}

/// The interim response that a client with `Expect: 100-continue` waits for.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Returns whether this field says where the message ends. Such fields follow from the body that is
/// actually sent.
fn is_framing_field(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

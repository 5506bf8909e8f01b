//! A response: written by a server, or received by a client.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::{BodyLength, HeadError, Headers, InvalidHeader, Request, Version, framing};

/// An HTTP response, to be sent or as it was received.
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
/// // A line break would begin a header of its own.
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
    /// It answers a HEAD.
    head_only: bool,
}

impl Response {
    /// A response with this status and nothing else. A number that is no status (RFC 9110 15: 100 to 599)
    /// becomes 500.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let status = if matches!(status, 100..=599) { status } else { 500 };
        Response::received(status, Version::Http11, Headers::default())
    }

    /// A page of plain text.
    #[must_use]
    pub fn text(status: u16, text: impl Into<Vec<u8>>) -> Self {
        let mut response = Response::new(status).body(text);
        response.headers.push_checked("Content-Type", b"text/plain; charset=utf-8");
        response
    }

    /// A page of HTML.
    #[must_use]
    pub fn html(status: u16, html: impl Into<Vec<u8>>) -> Self {
        let mut response = Response::new(status).body(html);
        response.headers.push_checked("Content-Type", b"text/html; charset=utf-8");
        response
    }

    /// Adds a header; one of the same name stays beside it.
    ///
    /// # Errors
    ///
    /// [`InvalidHeader`] when it would not come out of a parser as the same one field (RFC 9110 5.1, 5.5), or for
    /// `Content-Length` and `Transfer-Encoding`, which follow from the body.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        if is_framing(name) {
            return Err(InvalidHeader::Reserved);
        }
        self.headers.push(name, value.as_ref())?;
        Ok(self)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.content = body.into();
        self
    }

    /// The response as an answer to this request: where it is a HEAD, [`encode`](Response::encode) leaves the body out
    /// (RFC 9110 9.3.2: "the server MUST NOT send content in the response").
    #[must_use]
    pub fn in_answer_to(mut self, request: &Request) -> Self {
        self.head_only = request.method() == "HEAD";
        self
    }

    /// The status, such as 101.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The usual phrase for the status, such as `Switching Protocols`; empty for one that has none.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        reason_phrase(self.status)
    }

    /// The version of HTTP that it was written in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body, with its transfer coding taken off (RFC 9110 6.4: content).
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Whether more of the body was announced or sent than [`content`](Response::content) has: it passed the
    /// limit, was malformed, or the connection or the time ended before it.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The whole response as it goes over the wire.
    ///
    /// `Content-Length` is added where a response has one, and `Connection: close` unless there is a
    /// `Connection` already. 1xx, 204 and 304 have no body (RFC 9110 6.4.1), whatever was set.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.encode_head();
        if self.may_have_body() && !self.head_only {
            out.extend_from_slice(&self.content);
        }
        out
    }

    /// The head alone.
    #[must_use]
    pub fn encode_head(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {:03} {}\r\n", self.status, self.reason()).into_bytes();
        self.headers.write(&mut out, is_framing);
        // RFC 9110 8.6: "A server MUST NOT send a Content-Length header field in any response with a status
        // code of 1xx (Informational) or 204 (No Content)."
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

    pub(crate) fn received(status: u16, version: Version, headers: Headers) -> Self {
        Response { status, version, headers, content: Vec::new(), truncated: false, head_only: false }
    }

    /// Adds a header that is known to be valid.
    pub(crate) fn header_checked(mut self, name: &str, value: &str) -> Self {
        self.headers.push_checked(name, value.as_bytes());
        self
    }

    /// Adds fields that were checked when they were given.
    pub(crate) fn headers_checked(mut self, fields: &Headers) -> Self {
        for (name, value) in fields.iter() {
            self.headers.push_checked(name, value);
        }
        self
    }

    /// What its head says of its body.
    pub(crate) fn body_length(&self) -> Result<BodyLength, HeadError> {
        framing::of_response(&self.headers, self.status)
    }

    /// Adds to the body, up to `limit` bytes of it in all; `false` when not everything fitted.
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

/// Where the message ends is said by what is sent, not by a header that might say otherwise.
fn is_framing(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

/// RFC 9110 15, and RFC 6585 for 428, 429, 431 and 511.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        511 => "Network Authentication Required",
        _ => "",
    }
}

//! One plain HTTP request and its response.

use core::time::Duration;

use crate::http::{BodyError, BodyEvent, BodyReader, Request, Response, Version};
use crate::time::Deadline;
use crate::{Instant, RecvBuf};

/// The settings with which a [`Session`](super::Session) serves plain HTTP. Every field has a
/// setter of the same name.
///
/// ```
/// use std::time::Duration;
/// use sockeye_core::session::HttpSettings;
///
/// let settings = HttpSettings::default().max_body_size(64 << 10).body_timeout(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpSettings {
    /// The largest body of a request, in bytes. Default: 1 MiB.
    pub max_body_size: u64,
    /// The time in which the body of a request must arrive, or gain as much as
    /// [`Config::min_message_rate`](crate::Config#structfield.min_message_rate) demands in it. Then
    /// it is granted again. Default: 30 s.
    pub body_timeout: Duration,
    /// The time in which the client must read a response, or as much of it as
    /// [`Config::min_message_rate`](crate::Config#structfield.min_message_rate) demands. Then it is
    /// granted again. Default: 30 s.
    pub response_timeout: Duration,
    /// The time that a connection may wait for its next request. Default: 75 s.
    ///
    /// A different limit applies once the next request has begun: its head must arrive within
    /// [`Config::handshake_timeout`](crate::Config#structfield.handshake_timeout) of its first
    /// byte. For the first request, that time starts with the session.
    pub keep_alive_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            max_body_size: 1 << 20,
            body_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(75),
        }
    }
}

impl HttpSettings {
    /// Creates the default settings. Each field states its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`max_body_size`](HttpSettings#structfield.max_body_size).
    #[must_use]
    pub fn max_body_size(mut self, bytes: u64) -> Self {
        self.max_body_size = bytes;
        self
    }

    /// Sets [`body_timeout`](HttpSettings#structfield.body_timeout).
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Sets [`response_timeout`](HttpSettings#structfield.response_timeout).
    #[must_use]
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Sets [`keep_alive_timeout`](HttpSettings#structfield.keep_alive_timeout).
    #[must_use]
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.keep_alive_timeout = timeout;
        self
    }
}

/// A request whose head has been delivered.
pub(super) struct Exchange {
    body: BodyReader,
    /// Whether the end of the body has been reported.
    complete: bool,
    /// Whether the failure of the body has been reported.
    failed: bool,
    /// Whether the client waits for a 100 before it sends the body.
    expects_continue: bool,
    keeps_alive: bool,
    is_head: bool,
    is_connect: bool,
    /// The deadline for the body.
    deadline: Deadline,
    /// The bytes of the body that have arrived since the deadline was set.
    gained: u64,
    /// The number of bytes with which the deadline is set again.
    demanded: u64,
}

/// The next step of an exchange.
pub(super) enum Step<'a> {
    Body(&'a [u8]),
    End,
    /// A 100 must be sent, so that the client sends the body (RFC 9110 section 10.1.1).
    Continue,
    /// The exchange needs more input, or the response.
    Pending,
}

impl Exchange {
    pub(super) fn new(request: &Request, max_body_size: u64, demanded: u64) -> Self {
        let length = request.body_length();
        let says = |token| request.headers().contains_token("connection", token);
        let is_http11 = request.version() >= Version::Http11;
        Exchange {
            body: BodyReader::new(length, max_body_size),
            complete: false,
            failed: false,
            expects_continue: !length.is_empty() && request.expects_continue(),
            // RFC 9112 section 9.3.
            keeps_alive: !says("close") && (is_http11 || says("keep-alive")),
            is_head: request.method() == "HEAD",
            is_connect: request.method() == "CONNECT",
            deadline: if length.is_empty() { Deadline::OFF } else { Deadline::start() },
            gained: 0,
            demanded,
        }
    }

    pub(super) fn poll<'a>(&mut self, input: &mut RecvBuf<'a>) -> Result<Step<'a>, BodyError> {
        if self.complete || self.failed {
            return Ok(Step::Pending);
        }
        if !input.is_empty() {
            // RFC 9110 section 10.1.1: "A server MAY omit sending a 100 (Continue) response if it
            // has already received some or all of the content".
            self.expects_continue = false;
        }
        Ok(match self.body.poll_event(input)? {
            Some(BodyEvent::Data(part)) => {
                self.gained = self.gained.saturating_add(part.len() as u64);
                if self.gained >= self.demanded {
                    (self.gained, self.deadline) = (0, Deadline::start());
                }
                Step::Body(part)
            }
            Some(BodyEvent::End) => {
                (self.complete, self.deadline) = (true, Deadline::OFF);
                Step::End
            }
            None if core::mem::take(&mut self.expects_continue) => Step::Continue,
            None => Step::Pending,
        })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.poll()
    }

    /// Returns true when the time for the body is up.
    pub(super) fn handle_timeout(&mut self, now: Instant, timeout: Duration) -> bool {
        self.deadline.handle(now, timeout)
    }

    /// Returns true while more of the body is expected.
    pub(super) fn reads_body(&self) -> bool {
        !self.complete && !self.failed
    }

    pub(super) fn handle_eof(&mut self) -> Result<(), BodyError> {
        self.body.handle_eof()
    }

    /// Abandons the body.
    pub(super) fn fail(&mut self) {
        (self.failed, self.deadline) = (true, Deadline::OFF);
    }

    /// Prepares a response and decides whether the connection can carry another request.
    ///
    /// If `is_last` is true, it cannot, even if the client allows it.
    pub(super) fn finish(&mut self, response: Response, is_last: bool) -> (Response, bool) {
        let is_final = is_final(&response);
        // RFC 9110 section 9.3.6: "Any 2xx (Successful) response indicates that the sender (and all
        // inbound proxies) will switch to tunnel mode".
        let opens_tunnel = self.is_connect && matches!(response.status(), 200..=299);
        let response = if opens_tunnel {
            Response::text(501, "this server is not a proxy\n")
        } else {
            finalize(response)
        };
        let keeps_alive = self.keeps_alive
            && !is_last
            && is_final
            && !opens_tunnel
            // The start of the next request is unknown until the body has been read.
            && self.body_is_read()
            && !response.headers().contains_token("connection", "close");
        (response.keep_alive(keeps_alive).with_head_only(self.is_head), keeps_alive)
    }

    fn body_is_read(&mut self) -> bool {
        self.complete || matches!(self.body.poll_event(&mut RecvBuf::default()), Ok(Some(BodyEvent::End)))
    }
}

/// Returns false for a 1xx, which is not a final response (RFC 9110 section 15.2).
fn is_final(response: &Response) -> bool {
    response.status() >= 200
}

/// Replaces a 1xx with a 500: after a 101, the client would read the following bytes as frames.
pub(super) fn finalize(response: Response) -> Response {
    if is_final(&response) {
        response
    } else {
        Response::text(500, "the server could not answer this request\n")
    }
}

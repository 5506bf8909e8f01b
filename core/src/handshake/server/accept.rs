//! Accepting a handshake.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;

use super::Upgrade;
use crate::deflate::Negotiated;
use crate::handshake::is_handshake_header;
use crate::http::{CONTINUE, Headers, InvalidHeader, Request, Response};
use crate::{Config, Connection, deflate};

/// The optional parts of the 101 response: a subprotocol, headers such as cookies, and whether the
/// connection is compressed.
///
/// ```
/// use sockeye_core::handshake::server::Accept;
///
/// let accept = Accept::new().subprotocol("chat").header("Set-Cookie", "id=7; HttpOnly")?;
/// assert!(Accept::new().header("Sec-WebSocket-Accept", "mine").is_err());
/// # Ok::<(), sockeye_core::http::InvalidHeader>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Accept {
    subprotocol: Option<String>,
    headers: Headers,
    declines_compression: bool,
}

impl Accept {
    /// Creates an `Accept` without a subprotocol and without headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses a subprotocol. It must be one that the client offers; [`Upgrade::accept`] checks
    /// this.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocol = Some(name.into());
        self
    }

    /// Adds a header. Headers with the same name are kept.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHeader`] if the client would not read it as exactly this one field (RFC
    /// 9110 5.1, 5.5), and for the headers of the handshake itself: `Upgrade`, `Connection`,
    /// `Sec-WebSocket-*` and those that announce a body.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        if is_handshake_header(name) {
            return Err(InvalidHeader::Reserved);
        }
        self.headers.push(name, value.as_ref())?;
        Ok(self)
    }

    /// Declines compression for this connection, even if the client offers it and
    /// [`Config::deflate`] enables it.
    ///
    /// Use it for connections whose messages are compressed already, or whose messages contain both
    /// a secret and text that an attacker chooses: their compressed size can reveal the secret.
    /// Neither end of this connection compresses then (RFC 7692 5).
    #[must_use]
    pub fn without_compression(mut self) -> Self {
        self.declines_compression = true;
        self
    }
}

/// The outcome of an accepted handshake.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The connection. After [`Upgrade::accept`] the first bytes it sends are the 101, or a 100 and
    /// the 101; after [`Upgrade::accept_parts`] it sends only frames.
    pub connection: Connection,
    /// The response that opens the connection: a 101, or a 200 to an Extended CONNECT.
    pub response: Response,
    /// The request that was accepted.
    pub request: Request,
    /// The subprotocol that the 101 names.
    pub subprotocol: Option<String>,
    /// The compression that both ends agreed on.
    pub deflate: Option<Negotiated>,
}

/// Returns the connection and its subprotocol.
impl From<Accepted> for (Connection, Option<String>) {
    fn from(accepted: Accepted) -> Self {
        (accepted.connection, accepted.subprotocol)
    }
}

impl Upgrade {
    /// Accepts the handshake: creates a connection and queues the 101 (RFC 6455 4.2.2) before all
    /// frames. If the client sent `Expect: 100-continue`, a 100 precedes the 101.
    ///
    /// For a request that another HTTP library has received use
    /// [`accept_parts`](Upgrade::accept_parts).
    ///
    /// # Errors
    ///
    /// Returns [`SubprotocolNotOffered`] if the client did not offer the chosen subprotocol. The
    /// error holds the `Upgrade`, which still has to be answered.
    pub fn accept(self, accept: &Accept, config: Arc<Config>) -> Result<Accepted, SubprotocolNotOffered> {
        let mut accepted = self.accept_parts(accept, config)?;
        let mut head = accepted.response.encode();
        if accepted.request.expects_continue() {
            // RFC 9110 7.8: "If a server receives both an Upgrade and an Expect header field with
            // the "100-continue" expectation (Section 10.1.1), the server MUST send a 100
            // (Continue) response before sending a 101 (Switching Protocols) response."
            head = [CONTINUE, &head].concat();
        }
        accepted.connection.queue_head(&head);
        Ok(accepted)
    }

    /// Accepts the handshake, and leaves it to the caller to send
    /// [`response`](Accepted::response): its status and headers, by the HTTP library that received
    /// the request. That library also sends the 100 to a client that
    /// [expects](Request::expects_continue) it.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use sockeye_core::Config;
    /// use sockeye_core::handshake::server::{Policy, Upgrade};
    /// use sockeye_core::http::Request;
    ///
    /// // An Extended CONNECT whose `:protocol` is `websocket` (RFC 8441).
    /// let fields = [("sec-websocket-version", "13"), ("origin", "https://example.com")];
    /// let request = Request::from_extended_connect("https", "example.com", "/chat", fields)?;
    /// let upgrade = Upgrade::new(request)?;
    /// let accept = Policy::new().decide(&upgrade)?;
    /// let accepted = upgrade.accept_parts(&accept, Arc::new(Config::new()))?;
    /// assert_eq!((accepted.response.status(), accepted.connection.queued()), (200, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`SubprotocolNotOffered`] like [`accept`](Upgrade::accept).
    pub fn accept_parts(
        self,
        accept: &Accept,
        config: Arc<Config>,
    ) -> Result<Accepted, SubprotocolNotOffered> {
        // RFC 6455 4.2.2: "The value chosen MUST be derived from the client's handshake,
        // specifically by selecting one of the values from the |Sec-WebSocket-Protocol| field".
        if let Some(name) = &accept.subprotocol
            && !self.subprotocols().any(|offered| offered == name)
        {
            return Err(SubprotocolNotOffered { name: name.clone(), upgrade: Box::new(self) });
        }
        let settings = config.deflate.as_ref().filter(|_| !accept.declines_compression);
        let agreed = settings.and_then(|settings| deflate::accept(self.extension_lines(), settings));
        let (deflate, extensions) = agreed.unzip();
        let response = self.response(accept, extensions.as_deref());
        let mut connection = Connection::server(config);
        if let Some(deflate) = &deflate {
            connection.enable_deflate(deflate);
        }
        let subprotocol = accept.subprotocol.as_ref().map(ToString::to_string);
        Ok(Accepted { connection, response, request: self.into_request(), subprotocol, deflate })
    }

    /// Builds the response: RFC 6455 4.2.2, "/5./ If the server chooses to accept the incoming
    /// connection".
    fn response(&self, accept: &Accept, extensions: Option<&str>) -> Response {
        let head = if self.request().is_extended_connect() {
            // RFC 8441 5: a 2XX status, and neither Upgrade, Connection nor Sec-WebSocket-Accept.
            Response::new(200).in_answer_to(self.request())
        } else {
            Response::new(101)
                .with_valid_header("Upgrade", "websocket")
                .with_valid_header("Connection", "Upgrade")
                .with_valid_header("Sec-WebSocket-Accept", &self.accept_key())
        };
        let head = match &accept.subprotocol {
            // This is a valid token: it equals one that the client offered.
            Some(name) => head.with_valid_header("Sec-WebSocket-Protocol", name),
            None => head,
        };
        let head = match extensions {
            Some(extensions) => head.with_valid_header("Sec-WebSocket-Extensions", extensions),
            None => head,
        };
        head.with_valid_headers(&accept.headers)
    }
}

/// The error for a chosen subprotocol that the client did not offer.
///
/// The client would have to fail the connection (RFC 6455 4.1). Accept again with another choice,
/// or send [`response`](SubprotocolNotOffered::response).
#[derive(Debug, Clone)]
pub struct SubprotocolNotOffered {
    name: String,
    // Boxed, to keep the `Result` of `Upgrade::accept` small.
    upgrade: Box<Upgrade>,
}

impl SubprotocolNotOffered {
    /// Returns the subprotocol that was chosen.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the response to send to the client: 500, because the mistake is the server's.
    #[must_use]
    pub fn response(&self) -> Response {
        Response::text(500, "the server chose a subprotocol that was not offered\n")
    }

    /// Returns the handshake, which still has to be answered.
    #[must_use]
    pub fn into_upgrade(self) -> Upgrade {
        *self.upgrade
    }
}

impl fmt::Display for SubprotocolNotOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client did not offer the subprotocol {:?}; choose an offered one, or none", self.name)
    }
}

impl core::error::Error for SubprotocolNotOffered {}

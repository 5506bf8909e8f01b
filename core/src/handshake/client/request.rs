//! Building the request that a client sends.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::verify::Expected;
use super::{ClientHandshake, PartsHandshake, Url};
use crate::handshake::{is_handshake_header, key};
use crate::http::{Headers, InvalidHeader, is_token};
use crate::{Config, MaskKeys, deflate};

/// The request of an opening handshake (RFC 6455 4.1).
///
/// ```
/// use sockeye_core::handshake::client::{ClientRequest, Url};
///
/// let url: Url = "ws://example.com/".parse()?;
/// let request = ClientRequest::new(&url)
///     .subprotocol("chat")?
///     .header("Origin", "https://example.com")?
///     .header("Authorization", "Bearer 1234")?;
/// assert!(ClientRequest::new(&url).header("Upgrade", "h2c").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClientRequest {
    is_secure: bool,
    target: String,
    authority: String,
    subprotocols: Vec<String>,
    headers: Headers,
}

impl ClientRequest {
    /// Creates a request for this URL.
    #[must_use]
    pub fn new(url: &Url) -> Self {
        ClientRequest {
            is_secure: url.is_secure(),
            target: url.target().to_string(),
            authority: url.authority().to_string(),
            subprotocols: Vec::new(),
            headers: Headers::default(),
        }
    }

    /// Creates a request whose URL follows, by [`for_url`](ClientRequest::for_url).
    #[doc(hidden)]
    #[must_use]
    pub fn without_url() -> Self {
        ClientRequest {
            is_secure: false,
            target: String::new(),
            authority: String::new(),
            subprotocols: Vec::new(),
            headers: Headers::default(),
        }
    }

    /// Returns the request for another URL, with the same headers and subprotocols.
    ///
    /// Pass only URLs that may see the credentials in the headers, or call
    /// [`without_credentials`](ClientRequest::without_credentials).
    #[must_use]
    pub fn for_url(self, url: &Url) -> Self {
        ClientRequest {
            is_secure: url.is_secure(),
            target: url.target().to_string(),
            authority: url.authority().to_string(),
            ..self
        }
    }

    /// Removes the headers with credentials: `Authorization`, `Proxy-Authorization` and `Cookie`.
    #[must_use]
    pub fn without_credentials(mut self) -> Self {
        self.headers.remove(&["authorization", "proxy-authorization", "cookie", "cookie2"]);
        self
    }

    /// Adds a header. Headers with the same name are kept.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHeader`] if the server would not read it as exactly this one field (RFC
    /// 9110 5.1, 5.5), and for the headers of the handshake itself: `Host`, `Upgrade`,
    /// `Connection`, `Sec-WebSocket-*` and those that announce a body.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        if is_handshake_header(name) || name.eq_ignore_ascii_case("host") {
            return Err(InvalidHeader::Reserved);
        }
        self.headers.push(name, value.as_ref())?;
        Ok(self)
    }

    /// Sets a header, in place of those with the same name.
    ///
    /// # Errors
    ///
    /// Returns an error like [`header`](ClientRequest::header).
    pub fn replace_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        self.headers.remove(&[name]);
        self.header(name, value)
    }

    /// Offers a subprotocol, in descending order of preference.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHeader::Subprotocol`] if the name is not a token, or was offered before
    /// (RFC 6455 4.1, item 10: "MUST all be unique strings").
    pub fn subprotocol(mut self, name: &str) -> Result<Self, InvalidHeader> {
        if !is_token(name.as_bytes()) || self.subprotocols.iter().any(|known| known == name) {
            return Err(InvalidHeader::Subprotocol);
        }
        self.subprotocols.push(name.to_string());
        Ok(self)
    }

    /// Starts the handshake.
    ///
    /// `nonce` must be random, and new for each connection (RFC 6455 4.1, item 7). `masks`
    /// generates the masking key of each frame.
    #[must_use]
    pub fn start(self, nonce: [u8; 16], masks: MaskKeys, config: Arc<Config>) -> ClientHandshake {
        let key = key::encode_nonce(nonce);
        let head = self.encode(&self.fields(Some(&key), &config));
        ClientHandshake::new(head, self.expected(Some(&key)), masks, config)
    }

    /// Starts a handshake whose request and response another HTTP library carries, over HTTP/1.1.
    ///
    /// `nonce` and `masks` are as for [`start`](ClientRequest::start).
    #[must_use]
    pub fn start_parts(self, nonce: [u8; 16], masks: MaskKeys, config: Arc<Config>) -> PartsHandshake {
        let key = key::encode_nonce(nonce);
        self.into_parts(Some(&key), masks, config)
    }

    /// Starts a handshake by Extended CONNECT (RFC 8441), which another HTTP library carries over
    /// HTTP/2. The `:protocol` of its request is `websocket`.
    ///
    /// `masks` is as for [`start`](ClientRequest::start): a client also masks its frames over
    /// HTTP/2.
    #[must_use]
    pub fn start_extended_connect(self, masks: MaskKeys, config: Arc<Config>) -> PartsHandshake {
        self.into_parts(None, masks, config)
    }

    fn into_parts(self, key: Option<&str>, masks: MaskKeys, config: Arc<Config>) -> PartsHandshake {
        PartsHandshake {
            is_secure: self.is_secure,
            headers: self.fields(key, &config),
            expected: self.expected(key),
            authority: self.authority,
            path: self.target,
            masks,
            config,
        }
    }

    fn expected(&self, key: Option<&str>) -> Expected {
        Expected {
            accept: key.map(|key| key::accept_value(key.as_bytes())),
            subprotocols: self.subprotocols.clone(),
        }
    }

    /// Returns the headers that RFC 6455 4.1 lists, then the application's own. An Extended CONNECT
    /// has no key, and none of the fields that HTTP/2 replaces.
    fn fields(&self, key: Option<&str>, config: &Config) -> Headers {
        let mut fields = Headers::default();
        let mut push = |name: &str, value: &str| fields.push_valid(name, value.as_bytes());
        if let Some(key) = key {
            push("Host", &self.authority);
            push("Upgrade", "websocket");
            push("Connection", "Upgrade");
            push("Sec-WebSocket-Key", key);
        }
        push("Sec-WebSocket-Version", "13");
        if !self.subprotocols.is_empty() {
            push("Sec-WebSocket-Protocol", &self.subprotocols.join(", "));
        }
        if let Some(deflate) = &config.deflate {
            push("Sec-WebSocket-Extensions", &deflate::offer(deflate));
        }
        for (name, value) in self.headers.iter() {
            fields.push_valid(name, value);
        }
        fields
    }

    fn encode(&self, fields: &Headers) -> Vec<u8> {
        let mut out = Vec::new();
        for part in ["GET ", &self.target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        fields.write(&mut out, |_| false);
        out.extend_from_slice(b"\r\n");
        out
    }
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of headers and the query may contain credentials, so they are not printed.
        let path = self.target.split('?').next().unwrap_or_default();
        f.debug_struct("ClientRequest")
            .field("authority", &self.authority)
            .field("path", &path)
            .field("subprotocols", &self.subprotocols)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

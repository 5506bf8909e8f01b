//! How a client connects.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sockeye_core::Config;
use sockeye_core::deflate::IntoDeflate;
use sockeye_core::dial::{InvalidProxy, Proxy};
use sockeye_core::handshake::client::ClientRequest;
use sockeye_core::http::InvalidHeader;

#[cfg(feature = "_tls")]
use crate::tls::ClientTls;

/// How a client connects: its request, its limits, and the way to the server.
///
/// ```
/// use std::time::Duration;
///
/// use sockeye_driver::ConnectOptions;
///
/// let options = ConnectOptions::new()
///     .header("Authorization", "Bearer 1234")?
///     .subprotocol("chat")?
///     .compression(true)
///     .timeout(Duration::from_secs(5))
///     .proxy_from_env();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Pass it to `connect_with` of an adapter, by value or by reference. A [`Config`] is also one,
/// with defaults for the rest. Credentials, which are in headers and in the URL of a proxy, are not
/// in its `Debug`.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    pub(super) request: ClientRequest,
    pub(super) config: Arc<Config>,
    pub(super) proxy: ProxyChoice,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) redirects: u8,
    #[cfg(feature = "_tls")]
    pub(super) tls: Option<ClientTls>,
}

#[derive(Debug, Clone)]
pub(super) enum ProxyChoice {
    Direct,
    Fixed(Proxy),
    Environment,
}

impl ConnectOptions {
    /// Connects directly, with the defaults of [`Config`], and follows no redirect.
    #[must_use]
    pub fn new() -> Self {
        ConnectOptions {
            request: ClientRequest::without_url(),
            config: Arc::default(),
            proxy: ProxyChoice::Direct,
            addresses: Vec::new(),
            redirects: 0,
            #[cfg(feature = "_tls")]
            tls: None,
        }
    }

    /// Adds a header to the request. Headers with the same name are kept.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHeader`] if the server would not read it as exactly this one field, and for
    /// the headers of the handshake itself, like [`ClientRequest::header`].
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        self.request = self.request.header(name, value)?;
        Ok(self)
    }

    /// Sets the header `Origin`, such as `https://example.com`, which browsers send.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHeader`] if the value has a control character.
    pub fn origin(mut self, origin: &str) -> Result<Self, InvalidHeader> {
        self.request = self.request.replace_header("Origin", origin)?;
        Ok(self)
    }

    /// Offers a subprotocol, in descending order of preference.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHeader::Subprotocol`] if the name is not a token, or was offered before.
    pub fn subprotocol(mut self, name: &str) -> Result<Self, InvalidHeader> {
        self.request = self.request.subprotocol(name)?;
        Ok(self)
    }

    /// Sets all limits, deadlines and other settings of the connection. It replaces what
    /// [`compression`](ConnectOptions::compression), [`max_size`](ConnectOptions::max_size) and
    /// [`timeout`](ConnectOptions::timeout) have set before.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Offers compression, like [`Config::deflate`].
    #[must_use]
    pub fn compression(self, compression: impl IntoDeflate) -> Self {
        self.amend(|config| config.deflate(compression))
    }

    /// Limits messages in both directions to `bytes`, like [`Config::max_size`].
    #[must_use]
    pub fn max_size(self, bytes: u64) -> Self {
        self.amend(|config| config.max_size(bytes))
    }

    /// Limits the time to an open WebSocket, like
    /// [`Config::handshake_timeout`](Config#structfield.handshake_timeout): resolving the name,
    /// connecting, the proxy, TLS, the opening handshake and redirects together.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.amend(|config| config.handshake_timeout(timeout))
    }

    fn amend(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        self.config = Arc::new(change(Arc::unwrap_or_clone(self.config)));
        self
    }

    /// Sets the certificates to trust, and the client's own, for `wss://` URLs. The default is
    /// [`ClientTls::shared`], which trusts what the operating system trusts.
    #[cfg(feature = "_tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<ClientTls>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Connects through this proxy, for instance `http://user:password@proxy.example:3128` or
    /// `socks5://localhost:1080`. The proxy resolves the server's name.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidProxy`], without the text, if it is not the URL of a proxy.
    pub fn proxy(
        mut self,
        proxy: impl TryInto<Proxy, Error: Into<InvalidProxy>>,
    ) -> Result<Self, InvalidProxy> {
        self.proxy = ProxyChoice::Fixed(proxy.try_into().map_err(Into::into)?);
        Ok(self)
    }

    /// Connects through the proxy that the environment variables name when the client connects, if
    /// they name one: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as
    /// [`proxy_from_env`](sockeye_core::dial::proxy_from_env) describes.
    #[must_use]
    pub fn proxy_from_env(mut self) -> Self {
        self.proxy = ProxyChoice::Environment;
        self
    }

    /// Connects to this address instead of the addresses of the URL's host, which stays in the
    /// `Host` header and in the check of the certificate. Several calls add several addresses, which
    /// are tried like those of a host.
    ///
    /// A proxy is asked to connect to the first one. After a redirect to another host the addresses
    /// do not apply.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Follows up to `limit` redirects. By default none is followed, because they let a server send
    /// the client anywhere.
    ///
    /// At another origin (scheme, host and port) the headers `Authorization`, `Proxy-Authorization`
    /// and `Cookie` are not sent. A redirect from `wss://` to `ws://` is an error.
    #[must_use]
    pub fn redirects(mut self, limit: u8) -> Self {
        self.redirects = limit;
        self
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions::new()
    }
}

impl From<&ConnectOptions> for ConnectOptions {
    fn from(options: &ConnectOptions) -> Self {
        options.clone()
    }
}

impl From<Config> for ConnectOptions {
    fn from(config: Config) -> Self {
        ConnectOptions::new().config(config)
    }
}

impl From<Arc<Config>> for ConnectOptions {
    fn from(config: Arc<Config>) -> Self {
        ConnectOptions::new().config(config)
    }
}

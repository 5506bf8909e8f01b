//! A port: a handler, and the options of its connections.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::Config;
use sockeye_core::handshake::server::Policy;
use sockeye_core::proxy::TrustedProxies;

#[cfg(doc)]
use crate::server::api::handler::Handler;
use crate::server::api::listen_options::ListenOptions;
use crate::server::registry::rate_limit::RateLimit;
use crate::server::registry::settings::{Forward, Settings, SlowReader};

/// The handler of one port, and the options of its connections.
///
/// Each setter states its default, most of them in parentheses.
#[derive(Debug)]
pub struct Port<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) settings: Settings,
    pub(crate) listen_options: ListenOptions,
}

impl<H> Port<H> {
    /// Creates a port with this [`Handler`] and the default options.
    pub fn new(handler: H) -> Self {
        Self::shared(Arc::new(handler))
    }

    /// Creates a port with a handler that it shares with other ports.
    pub fn shared(handler: Arc<H>) -> Self {
        let settings = Settings {
            low_water_mark: None,
            config: Arc::default(),
            policy: Policy::new(),
            slow_reader: SlowReader::Error,
            max_body_size: 1 << 20,
            keep_alive_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            forward: Forward::default(),
            trusted_proxies: TrustedProxies::none(),
            proxy_protocol: false,
            #[cfg(feature = "_tls")]
            tls: None,
            #[cfg(feature = "_tls")]
            allows_plain: false,
            inbox_bytes: 64 << 10,
            inbox_messages: 128,
            cancel_handlers: false,
            keeps_alive: true,
            rate_limit: None,
            counters: Arc::default(),
        };
        Port { handler, settings, listen_options: ListenOptions::default() }
    }

    /// Sets the limits, deadlines and compression of the connections; by default those of
    /// [`Config`].
    ///
    /// Without a [`Config::keepalive`] and a [`Config::idle_timeout`], a server sends a ping every
    /// 20 s and expects a sign of life within 20 s, unless
    /// [`without_keepalive`](Port::without_keepalive) says otherwise.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.settings.config = config.into();
        self
    }

    /// Sets the options of the socket that [`listen`] or [`listen_unix`] opens for this port; by
    /// default those of [`ListenOptions`]. A socket that listens already is not changed.
    ///
    /// [`listen`]: crate::server::ServerBuilder::listen
    /// [`listen_unix`]: crate::server::ServerBuilder::listen_unix
    #[must_use]
    pub fn listen_options(mut self, options: ListenOptions) -> Self {
        self.listen_options = options;
        self
    }

    /// Sends no keepalive pings unless [`Config::keepalive`] asks for them. A peer that vanishes
    /// without closing TCP is then noticed only when something is sent to it, or never.
    #[must_use]
    pub fn without_keepalive(mut self) -> Self {
        self.settings.keeps_alive = false;
        self
    }

    /// Sets the subprotocols, origins and hosts that are accepted. By default there are no
    /// subprotocols, only pages of the same host are accepted, and all hosts.
    ///
    /// [`Policy::allowed_hosts`] also applies to plain HTTP and to
    /// [custom handshakes](Handler::handshake).
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets the low-water mark, in bytes (a quarter of the high-water mark).
    ///
    /// [`Handler::drained`] is called when a queue that had reached [`Config::high_water_mark`] has
    /// fallen to this length.
    #[must_use]
    pub fn low_water_mark(mut self, bytes: usize) -> Self {
        self.settings.low_water_mark = Some(bytes);
        self
    }

    /// Sets the limits, in bytes and in messages, on the input that waits while a method of the
    /// handler runs (64 KiB and 128 messages).
    ///
    /// Beyond either limit the connection reads nothing more until the method has returned: the
    /// peer must wait, and its pings and its Close wait with it. With a limit of zero nothing is
    /// read while a method runs.
    ///
    /// Each message counts 64 bytes more than its payload. The received part of an incomplete
    /// message counts too. The last read, of up to 64 KiB, and the last message may exceed the
    /// limit.
    #[must_use]
    pub fn inbox(mut self, bytes: usize, messages: usize) -> Self {
        self.settings.inbox_bytes = bytes;
        self.settings.inbox_messages = messages;
        self
    }

    /// Sets whether a method of the handler is dropped where it waits when its connection is over
    /// (no). Then it does not work for a peer that has gone.
    ///
    /// The future is dropped at its next `await`, as with [`Client::abort`]. Messages that have
    /// arrived and that the handler has not received are discarded. Then [`Handler::close`] is
    /// called, which is not dropped, or [`Handler::disconnect`] for a connection that was no
    /// WebSocket yet. A client that closes its side of the transport after an HTTP request counts as
    /// gone, although it may still read the response.
    ///
    /// A method that blocks a thread of its own cannot be dropped. It can wait with
    /// [`Client::closed_blocking`], or ask [`Client::is_closed`].
    ///
    /// The descriptor of an open WebSocket never waits for the handler: it is closed when the
    /// connection is over.
    ///
    /// [`Client::abort`]: crate::server::Client::abort
    /// [`Client::closed_blocking`]: crate::server::Client::closed_blocking
    /// [`Client::is_closed`]: crate::server::Client::is_closed
    #[must_use]
    pub fn cancel_handlers(mut self, cancel: bool) -> Self {
        self.settings.cancel_handlers = cancel;
        self
    }

    /// Sets how many messages and bytes each client may send in a second (any number).
    ///
    /// Only whole messages count, when the handler is about to receive them. The time does not count
    /// that a message takes to arrive.
    #[must_use]
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.settings.rate_limit = Some(limit);
        self
    }

    /// Sets what happens to pushes to peers that read too slowly ([`SlowReader::Error`]).
    #[must_use]
    pub fn slow_reader(mut self, policy: SlowReader) -> Self {
        self.settings.slow_reader = policy;
        self
    }

    /// Sets the largest body of an HTTP request, in bytes (1 MiB). A larger one is answered with
    /// 413.
    #[must_use]
    pub fn max_body_size(mut self, bytes: u64) -> Self {
        self.settings.max_body_size = bytes;
        self
    }

    /// Sets how long an HTTP connection may be idle between two requests (75 s).
    ///
    /// The first request, and the rest of any head that has begun, must arrive within
    /// [`Config::handshake_timeout`].
    #[must_use]
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.settings.keep_alive_timeout = timeout;
        self
    }

    /// Sets how long a request's body may take to arrive, and a response to be sent (30 s each).
    ///
    /// The time is granted again whenever as many bytes have moved as [`Config::min_message_rate`]
    /// demands in it: by default 30 KiB. So a large body may take as long as it makes progress.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.settings.body_timeout = timeout;
        self
    }

    /// Sets whether [`Handler::control`] receives Close frames (no). It may choose the code and the
    /// reason of the answer with [`Client::close`]. Without that, the connection answers with those
    /// of the peer when the handler returns, or after half of [`Config::close_timeout`].
    ///
    /// This setting decides who answers; [`Config::auto_close`] has no effect on a port.
    ///
    /// [`Client::close`]: crate::server::Client::close
    #[must_use]
    pub fn forward_close(mut self, forward: bool) -> Self {
        self.settings.forward.close = forward;
        self
    }

    /// Sets whether [`Handler::control`] receives pings (no). If it does, it must answer them.
    #[must_use]
    pub fn forward_ping(mut self, forward: bool) -> Self {
        self.settings.forward.ping = forward;
        self
    }

    /// Sets whether [`Handler::control`] receives pongs (no).
    #[must_use]
    pub fn forward_pong(mut self, forward: bool) -> Self {
        self.settings.forward.pong = forward;
        self
    }
    /// Sets the proxies that are trusted to name their clients (none).
    ///
    /// For requests from these, [`Client::peer`](crate::server::Client::peer),
    /// [`Info`](crate::server::Info), the logs and
    /// [`Limits::max_per_address`](crate::server::Limits#structfield.max_per_address) use the
    /// address in the header fields of the proxies, and the check of origins uses their host. For
    /// all others the fields are ignored, because any client can send them.
    ///
    /// The fields belong to a request. So during
    /// [`Handler::connect`](crate::server::Handler::connect) the peer is still the proxy, unless
    /// the [PROXY protocol](Port::proxy_protocol) names the client.
    ///
    /// ```
    /// use sockeye_driver::server::{Callbacks, Port, TrustedProxies};
    ///
    /// let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
    /// // nginx on this machine. `unix` also trusts the peers of a Unix socket.
    /// let proxies = TrustedProxies::networks(["127.0.0.1", "::1"])?.unix();
    /// let port = Port::new(echo).trusted_proxies(proxies);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.settings.trusted_proxies = proxies;
        self
    }

    /// Sets whether the [trusted proxies](Port::trusted_proxies) send a PROXY protocol header,
    /// version 1 or 2, before the first request (no).
    ///
    /// The header must then arrive within [`Config::handshake_timeout`], or the connection ends. A
    /// trusted proxy that sends a request without it gets a 400. Connections from others must not
    /// have a header.
    #[must_use]
    pub fn proxy_protocol(mut self, expected: bool) -> Self {
        self.settings.proxy_protocol = expected;
        self
    }

    /// Sets the certificates with which the port speaks TLS (none: it speaks plain HTTP).
    ///
    /// The TLS handshake runs in the connection's task after [`Handler::connect`], or after the
    /// [PROXY protocol](Port::proxy_protocol) header. It counts against
    /// [`Limits::max_handshakes`](crate::server::Limits#structfield.max_handshakes), and
    /// [`Config::handshake_timeout`] includes it. A client that sends plain HTTP receives a 400.
    /// [`Client::tls`](crate::server::Client::tls) returns what the handshake has agreed on, and the
    /// certificates of the client.
    ///
    /// ```
    /// use sockeye_driver::server::{Callbacks, Port};
    /// use sockeye_driver::tls::ServerTls;
    ///
    /// # fn f(chain: &[u8], key: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    /// let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
    /// let tls = ServerTls::from_pem(chain, key)?;
    /// let port = Port::new(echo).tls(tls.clone());
    /// // When the certificate is renewed, call `tls.replace`.
    /// # let _ = port;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "_tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<crate::tls::ServerTls>) -> Self {
        self.settings.tls = Some(tls.into());
        self
    }

    /// Sets whether a port [with TLS](Port::tls) also accepts clients without TLS (no: they receive
    /// a 400). The first byte of a client tells the two apart.
    ///
    /// [`Client::tls`](crate::server::Client::tls) returns `None` for those without.
    #[cfg(feature = "_tls")]
    #[must_use]
    pub fn allow_plain(mut self, allow: bool) -> Self {
        self.settings.allows_plain = allow;
        self
    }
}

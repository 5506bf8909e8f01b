//! What can be set: of a port, and of the whole server.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::handshake::server::Policy;
use sockeye_core::{CloseCode, Config};

use crate::server::api::handler::Handler;

/// One port's handler and habits. Every setter has the name of what it sets; the defaults are stated there.
#[derive(Debug)]
pub struct Port<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) settings: Settings,
}

/// All of a port that is not its handler: its connections share it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) config: Arc<Config>,
    pub(crate) policy: Policy,
    pub(crate) low_water_mark: usize,
    pub(crate) slow_reader: SlowReader,
    pub(crate) max_body_size: u64,
    pub(crate) keep_alive_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) forward: Forward,
}

/// Which control frames the handler is told of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Forward {
    pub(crate) close: bool,
    pub(crate) ping: bool,
    pub(crate) pong: bool,
}

/// What becomes of a push for which there is no room: [`Config::high_water_mark`] bytes or more wait for its peer, or as much as
/// [`Limits::max_queued`] allows on all connections together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowReader {
    /// It is an error, [`PushError::Backpressure`](crate::server::PushError::Backpressure) or
    /// [`ServerBackpressure`](crate::server::PushError::ServerBackpressure), and who pushes decides.
    #[default]
    Error,
    /// It is dropped, as if it had been sent: for news that are old by the time the queue is empty again. A fragment is an error all the
    /// same, for a message is dropped as a whole or not at all.
    Drop,
    /// It is an error, and the connection is closed with this code, such as 1013 or 1008.
    Close(CloseCode),
}

impl<H: Handler> Port<H> {
    /// A port with this handler and the defaults: those of [`Config`] and of [`Policy`], and what is stated at each setter.
    pub fn new(handler: H) -> Self {
        Self::shared(Arc::new(handler))
    }

    /// The same for a handler that other ports have too.
    pub fn shared(handler: Arc<H>) -> Self {
        let settings = Settings {
            low_water_mark: 0,
            config: Arc::default(),
            policy: Policy::new(),
            slow_reader: SlowReader::Error,
            max_body_size: 1 << 20,
            keep_alive_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            forward: Forward::default(),
        };
        // With the low-water mark that follows from it.
        Port { handler, settings }.config(Config::new())
    }

    /// Limits, deadlines and compression of its connections. Sets the low-water mark to a quarter of the high one.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.settings.low_water_mark = config.high_water_mark / 4;
        self.settings.config = Arc::new(config);
        self
    }

    /// Subprotocols and origins (none; pages of the same host).
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// [`Handler::drained`] is told when a queue that had reached [`Config::high_water_mark`] has become this short (16 KiB).
    #[must_use]
    pub fn low_water_mark(mut self, bytes: usize) -> Self {
        self.settings.low_water_mark = bytes;
        self
    }

    /// What becomes of pushes to peers that read too slowly (an error).
    #[must_use]
    pub fn slow_reader(mut self, policy: SlowReader) -> Self {
        self.settings.slow_reader = policy;
        self
    }

    /// Largest body of an HTTP request, in bytes (1 MiB); above it, 413.
    #[must_use]
    pub fn max_body_size(mut self, bytes: u64) -> Self {
        self.settings.max_body_size = bytes;
        self
    }

    /// How long an HTTP connection may wait for its next request (75 s). The first one, and the head of each, have
    /// [`Config::handshake_timeout`].
    #[must_use]
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.settings.keep_alive_timeout = timeout;
        self
    }

    /// How long the body of a request may take to come, and a response to be taken by the peer (30 s each).
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.settings.body_timeout = timeout;
        self
    }

    /// Whether [`Handler::control`] is told of Close frames (no). They are answered either way.
    #[must_use]
    pub fn forward_close(mut self, forward: bool) -> Self {
        self.settings.forward.close = forward;
        self
    }

    /// Whether [`Handler::control`] is told of pings (no), and then has to answer them.
    #[must_use]
    pub fn forward_ping(mut self, forward: bool) -> Self {
        self.settings.forward.ping = forward;
        self
    }

    /// Whether [`Handler::control`] is told of pongs (no).
    #[must_use]
    pub fn forward_pong(mut self, forward: bool) -> Self {
        self.settings.forward.pong = forward;
        self
    }
}

impl Settings {
    /// What follows from the rest.
    pub(crate) fn settled(mut self) -> Self {
        if self.forward.ping {
            Arc::make_mut(&mut self.config).auto_pong = false;
        }
        self
    }
}

/// Limits of a whole server, over all its ports. Every field has a setter of the same name, for chaining.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Most connections at a time (no limit but that of the system). Above it: 503 and close.
    pub max_connections: usize,
    /// Most connections at a time whose first request has not been answered (no limit). Above it: 503 and close.
    pub max_handshakes: usize,
    /// Most connections at a time from one IP address (no limit). Above it: 503 and close.
    pub max_per_address: usize,
    /// Most bytes that wait to be written, on all connections together (no limit but that of each). They are counted as they go over
    /// the wire; the buffers that they lie in grow by doubling, and may take twice that. What becomes of a push that would pass
    /// it says [`SlowReader`]. Peers that never read may hold all of it until they are closed: see [`SlowReader::Close`] and
    /// [`Config::keepalive`].
    pub max_queued: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_connections: usize::MAX,
            max_handshakes: usize::MAX,
            max_per_address: usize::MAX,
            max_queued: usize::MAX,
        }
    }
}

macro_rules! setters {
    ($($name:ident),* $(,)?) => {$(
        #[doc = concat!("Sets [`", stringify!($name), "`](Limits#structfield.", stringify!($name), ").")]
        #[must_use]
        pub fn $name(mut self, $name: usize) -> Self {
            self.$name = $name;
            self
        }
    )*};
}

impl Limits {
    /// None, as stated at each field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! { max_connections, max_handshakes, max_per_address, max_queued }
}

/// How a listening socket is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Whether an address may be taken of which old connections still linger (`SO_REUSEADDR`; yes, except on Windows, where it means
    /// something else).
    pub reuse_address: bool,
    /// Whether several sockets may listen on the same port, among which the system divides the connections (`SO_REUSEPORT`,
    /// where there is one; no).
    pub reuse_port: bool,
    /// Whether an IPv6 socket takes IPv6 only (`IPV6_V6ONLY`; as the system has it).
    pub only_v6: Option<bool>,
    /// How many connections may wait to be accepted (1024).
    pub backlog: u32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions { reuse_address: cfg!(not(windows)), reuse_port: false, only_v6: None, backlog: 1024 }
    }
}

impl ListenOptions {
    /// The defaults, as stated at each field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`reuse_address`](ListenOptions#structfield.reuse_address).
    #[must_use]
    pub fn reuse_address(mut self, reuse: bool) -> Self {
        self.reuse_address = reuse;
        self
    }

    /// Sets [`reuse_port`](ListenOptions#structfield.reuse_port).
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Sets [`only_v6`](ListenOptions#structfield.only_v6).
    #[must_use]
    pub fn only_v6(mut self, only: bool) -> Self {
        self.only_v6 = Some(only);
        self
    }

    /// Sets [`backlog`](ListenOptions#structfield.backlog).
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }
}

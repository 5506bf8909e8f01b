//! What can be set of a port.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::Config;
use sockeye_core::handshake::server::Policy;

use crate::server::api::handler::Handler;
use crate::server::registry::settings::{Forward, Settings, SlowReader};

/// One port's handler and habits. Every setter has the name of what it sets; the defaults are stated there.
#[derive(Debug)]
pub struct Port<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) settings: Settings,
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

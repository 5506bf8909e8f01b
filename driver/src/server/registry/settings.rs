//! The settings of a port and the limits of a server, as plain data.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::handshake::server::Policy;
use sockeye_core::{CloseCode, Config};

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

impl Settings {
    /// What follows from the rest.
    pub(crate) fn with_implied(mut self) -> Self {
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

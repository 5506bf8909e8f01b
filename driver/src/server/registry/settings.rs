//! The settings of a port and the limits of a server, as plain data.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::handshake::server::Policy;
use sockeye_core::proxy::TrustedProxies;
use sockeye_core::{CloseCode, CloseFrame, Config, Keepalive};

use crate::server::registry::counters::Counters;
use crate::server::registry::error::PushError;
use crate::server::registry::rate_limit::RateLimit;

/// The settings of a port, which all its connections share. `Port` has a setter for each.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) config: Arc<Config>,
    pub(crate) policy: Policy,
    /// `None` stands for a quarter of the high-water mark.
    pub(crate) low_water_mark: Option<usize>,
    pub(crate) slow_reader: SlowReader,
    pub(crate) max_body_size: u64,
    pub(crate) keep_alive_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) forward: Forward,
    pub(crate) trusted_proxies: TrustedProxies,
    /// Whether trusted proxies send a PROXY protocol header.
    pub(crate) proxy_protocol: bool,
    /// The certificates, if the port speaks TLS.
    #[cfg(feature = "_tls")]
    pub(crate) tls: Option<crate::tls::ServerTls>,
    /// Whether a TLS port also accepts clients without TLS.
    #[cfg(feature = "_tls")]
    pub(crate) allows_plain: bool,
    /// The maximum cost of the items in an inbox.
    pub(crate) inbox_bytes: usize,
    /// The maximum number of messages in an inbox.
    pub(crate) inbox_messages: usize,
    /// Whether the future of a handler is dropped when its connection is over.
    pub(crate) cancel_handlers: bool,
    /// Whether connections are kept alive if `config` does not say how.
    pub(crate) keeps_alive: bool,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) counters: Arc<Counters>,
}

/// The keepalive of servers whose [`Config`] has neither keepalive nor idle timeout. A peer that
/// has vanished is noticed within 40 seconds, and proxies that end idle connections after a minute
/// see traffic before that.
const KEEPALIVE: Keepalive =
    Keepalive { interval: Duration::from_secs(20), timeout: Duration::from_secs(20) };

/// The kinds of control frames that are forwarded to the handler.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Forward {
    pub(crate) close: bool,
    pub(crate) ping: bool,
    pub(crate) pong: bool,
}

impl Settings {
    pub(crate) fn low_water_mark(&self) -> usize {
        self.low_water_mark.unwrap_or(self.config.high_water_mark / 4)
    }

    /// Applies the settings that follow from others: a handler that receives pings answers them,
    /// one that receives a Close may choose its answer, and connections are kept alive.
    pub(crate) fn with_implied(mut self) -> Self {
        // Pings are traffic, so they would keep a connection from ever being idle.
        let has_own = self.config.keepalive.is_some() || self.config.idle_timeout.is_some();
        if self.keeps_alive && !has_own {
            Arc::make_mut(&mut self.config).keepalive = Some(KEEPALIVE);
        }
        if self.forward.ping {
            Arc::make_mut(&mut self.config).auto_pong = false;
        }
        if self.config.auto_close == self.forward.close {
            // The task answers after the handler, so a port that forwards nothing answers at once.
            Arc::make_mut(&mut self.config).auto_close = !self.forward.close;
        }
        self
    }
}

/// The policy for a push that finds no room.
///
/// No room means that [`Config::high_water_mark`] bytes or more wait for this peer, or that
/// [`Limits::max_queued`] bytes wait on all connections together, and that the socket takes no more
/// of them: a push that finds the queue full first writes what the socket takes. So a burst to a
/// peer that reads is not slow, however many messages one handler pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowReader {
    /// The push fails, and the caller decides. The error is
    /// [`PushError::Backpressure`](crate::server::PushError::Backpressure) or
    /// [`ServerBackpressure`](crate::server::PushError::ServerBackpressure).
    #[default]
    Error,
    /// The message is dropped, and the push succeeds. This suits messages that are out of date once
    /// the queue is empty again. [`Info::dropped`](crate::server::Info::dropped) counts the dropped
    /// messages, and [`Broadcast::dropped`](crate::server::Broadcast::dropped) the connections that
    /// dropped one.
    ///
    /// A push of a fragment fails instead, because a message is dropped whole or not at all.
    Drop,
    /// The push fails, and the connection is closed with this code, such as 1013 or 1008.
    Close(CloseCode),
}

/// The action of the policy after a push that failed.
#[derive(Debug)]
pub(crate) enum Remedy {
    /// Nothing: the push fails.
    Fail,
    /// Drop the message.
    Drop,
    /// Close the connection.
    Close(CloseFrame<'static>),
}

impl SlowReader {
    /// Returns the action after a push that failed with `error`. `is_whole` says whether it is a
    /// whole message.
    pub(crate) fn remedy(self, error: &PushError, is_whole: bool) -> Remedy {
        if !matches!(error, PushError::Backpressure { .. } | PushError::ServerBackpressure { .. }) {
            return Remedy::Fail;
        }
        match self {
            SlowReader::Drop if is_whole => Remedy::Drop,
            SlowReader::Close(code) => Remedy::Close(CloseFrame::new(code, "reads too slowly")),
            SlowReader::Error | SlowReader::Drop => Remedy::Fail,
        }
    }
}

/// The limits of a whole server, over all its ports. Each field has a setter of the same name.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// The largest number of connections at a time. Further ones are refused with 503. By default
    /// only the system limits the number.
    ///
    /// A connection counts until its socket is closed, which may be later than its
    /// [`close`](crate::server::Handler::close).
    pub max_connections: usize,
    /// The largest number of connections at a time whose first request has not been answered.
    /// Further ones are refused with 503. By default there is no limit.
    pub max_handshakes: usize,
    /// The largest number of connections at a time from one IP address. Further ones are refused
    /// with 503. By default there is no limit.
    ///
    /// IPv6 addresses that begin with the same [`ipv6_prefix`](Limits#structfield.ipv6_prefix)
    /// count as one. The connections of a [trusted proxy](crate::server::Port::trusted_proxies)
    /// count for its clients.
    pub max_per_address: usize,
    /// The number of leading bits in which two IPv6 addresses must differ to be counted apart. By
    /// default 64: networks assign at least a /64 to each subscriber (RFC 6177), who can use all
    /// its addresses. 128 counts each address alone.
    pub ipv6_prefix: u8,
    /// The largest number of bytes that wait to be written on all connections together.
    /// [`SlowReader`] decides what happens to a push that would exceed it. By default only the
    /// queue of each connection is limited. Once half of it is used up, each push is written at
    /// once, so that a burst to peers that read does not use up the rest.
    ///
    /// Once three quarters of it are used up, the server reads nothing from peers whose socket
    /// takes no more, so that answers to them do not use up the rest. Of the pings that arrive
    /// together, it then answers the first and the latest (RFC 6455 section 5.5.3).
    ///
    /// Bytes are counted as they go over the wire, and those of a large broadcast once for all
    /// connections. The buffers that hold them may take a quarter more memory, and 512 bytes for
    /// each connection.
    ///
    /// Peers that never read may use up the whole limit until they are closed, see
    /// [`SlowReader::Close`] and [`Config::keepalive`]. They do not make others be refused: above
    /// the limit, a connection whose socket has taken everything still takes a message, and each
    /// connection may queue an equal share of a quarter of the limit.
    pub max_queued: usize,
    /// The largest number of bytes that have been received and are held, on all connections
    /// together: unfinished messages, messages that wait for a handler or that a waiting handler
    /// holds, and the heads and bodies of HTTP requests. By default only each connection is
    /// limited.
    ///
    /// Above three quarters of the limit, the server stops reading from connections that hold more
    /// than an equal share of half of it. Above the limit, it ends the connections that hold the
    /// most: WebSockets with 1013, or with 1009 if one holds more than half of the limit, and HTTP
    /// requests with 503.
    ///
    /// A compressed message that waits counts with its compressed length until a handler receives
    /// it. Above the limit, no message is inflated by which its connection would hold more than its
    /// share: the connection ends instead.
    ///
    /// A connection counts what it holds when it waits, in steps of 4 KiB. Less than a step does
    /// not count, nor does what one read of each thread brings (64 KiB), nor the uncompressed
    /// message that a handler processes without waiting.
    pub max_received: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_connections: usize::MAX,
            max_handshakes: usize::MAX,
            max_per_address: usize::MAX,
            ipv6_prefix: 64,
            max_queued: usize::MAX,
            max_received: usize::MAX,
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
    /// Returns the defaults, which are stated at each field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`ipv6_prefix`](Limits#structfield.ipv6_prefix).
    #[must_use]
    pub fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = bits;
        self
    }

    setters! { max_connections, max_handshakes, max_per_address, max_queued, max_received }
}

//! The limit on what a client may send in a second.

use sockeye_core::{Instant, Rate, TokenBucket};

/// A limit on the messages and the bytes that each client may send in a second, for
/// [`Port::rate_limit`](crate::server::Port::rate_limit).
///
/// ```
/// use sockeye_driver::server::{Callbacks, Excess, Port, RateLimit};
///
/// let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
/// // 20 messages a second, or 60 at once after a pause.
/// let limit = RateLimit::new().messages(20, 60).bytes(64 << 10, 256 << 10).excess(Excess::Wait);
/// let port = Port::new(echo).rate_limit(limit);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimit {
    pub(crate) messages: Option<Rate>,
    pub(crate) bytes: Option<Rate>,
    pub(crate) excess: Excess,
}

/// The action on a message that exceeds a [`RateLimit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Excess {
    /// The connection is closed with 1008, and nothing more of it is delivered.
    #[default]
    Close,
    /// The message is dropped. [`PortStats::over_rate`](crate::server::PortStats) counts it.
    Drop,
    /// The messages after it wait until the rate allows them: up to [`Port::inbox`] in memory, and
    /// further ones with the client, from which the connection then reads no more. While it closes or
    /// the server shuts down, nothing waits.
    ///
    /// [`Port::inbox`]: crate::server::Port::inbox
    Wait,
}

impl RateLimit {
    /// Returns a limit that allows everything, and closes a connection that exceeds it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the number of messages in a second. `burst` is the number of messages that a client
    /// may send at once after a pause.
    #[must_use]
    pub fn messages(mut self, per_second: u32, burst: u32) -> Self {
        self.messages = Some(Rate::new(per_second.into(), burst.into()));
        self
    }

    /// Limits the bytes of messages in a second, after decompression. `burst` is the number of bytes
    /// that a client may send at once after a pause; a longer message needs the whole burst.
    #[must_use]
    pub fn bytes(mut self, per_second: u64, burst: u64) -> Self {
        self.bytes = Some(Rate::new(per_second, burst));
        self
    }

    /// Sets what happens to a message that exceeds the limit ([`Excess::Close`]).
    #[must_use]
    pub fn excess(mut self, excess: Excess) -> Self {
        self.excess = excess;
        self
    }
}

/// The state of a [`RateLimit`] for one connection.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    pub(crate) messages: TokenBucket,
    pub(crate) bytes: TokenBucket,
    /// The next message must wait until then.
    pub(crate) wait_until: Instant,
    pub(crate) has_logged: bool,
}

impl Limiter {
    /// Returns the time from which both buckets have this many tokens.
    pub(crate) fn ready_at(&self, limit: &RateLimit, messages: u64, bytes: u64) -> Instant {
        let at = |bucket: &TokenBucket, rate: Option<Rate>, tokens| {
            rate.map_or(Instant::EPOCH, |rate| bucket.ready_at(rate, tokens))
        };
        at(&self.messages, limit.messages, messages).max(at(&self.bytes, limit.bytes, bytes))
    }
}

//! When to try again: a state machine without I/O, clock and randomness.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sockeye_core::Instant;

use crate::reconnect::{Cause, WhileDown};

/// The rules of a client that stays connected.
///
/// The wait before a retry is random, between zero and a limit ("full jitter"), so that the clients
/// of a server that restarts do not all return at the same moment. The limit is
/// [`base`](ReconnectPolicy::base) at first and doubles with each retry, up to
/// [`cap`](ReconnectPolicy::cap). It begins anew once a connection has been
/// [stable](ReconnectPolicy::stable_after).
///
/// ```
/// use std::time::Duration;
///
/// use sockeye_driver::reconnect::{Cause, ReconnectPolicy, WhileDown};
///
/// let policy = ReconnectPolicy::new()
///     .cap(Duration::from_secs(20))
///     .while_down(WhileDown::Queue { max_bytes: 64 << 10 })
///     .give_up_if(|cause: &Cause| cause.is_permanent() || cause.status() == Some(503));
/// # let _ = policy;
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ReconnectPolicy {
    /// The longest wait before the first retry.
    pub base: Duration,
    /// The longest wait before any retry.
    pub cap: Duration,
    /// How long a connection must have lasted so that the waits begin anew after it.
    pub stable_after: Duration,
    /// The longest wait that a server can ask for with `Retry-After`.
    pub max_retry_after: Duration,
    /// How long one attempt may take. A blocking client does not use it.
    pub attempt_timeout: Duration,
    /// How many retries in a row may fail before the client gives up, or `None` for no limit.
    pub max_retries: Option<u32>,
    /// The treatment of messages that are sent while there is no connection.
    pub while_down: WhileDown,
    gives_up: Arc<dyn Fn(&Cause) -> bool + Send + Sync>,
}

impl ReconnectPolicy {
    /// Returns the defaults: waits of up to 500 ms at first and 30 s at most, retries without end,
    /// and giving up on failures that are [permanent](Cause::is_permanent). Messages are refused
    /// while there is no connection.
    #[must_use]
    pub fn new() -> Self {
        ReconnectPolicy {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            stable_after: Duration::from_secs(30),
            max_retry_after: Duration::from_secs(300),
            attempt_timeout: Duration::from_secs(60),
            max_retries: None,
            while_down: WhileDown::Refuse,
            gives_up: Arc::new(Cause::is_permanent),
        }
    }

    /// Sets the longest wait before the first retry. Default: 500 ms.
    #[must_use]
    pub fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Sets the longest wait before any retry. Default: 30 s.
    #[must_use]
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Sets how long a connection must have lasted so that the waits begin anew after it. Default:
    /// 30 s. A server that accepts connections and drops them at once is not asked more often than
    /// one that refuses them.
    #[must_use]
    pub fn stable_after(mut self, stable_after: Duration) -> Self {
        self.stable_after = stable_after;
        self
    }

    /// Sets the longest wait that a server can ask for with `Retry-After` (RFC 9110 10.2.3).
    /// Default: 5 minutes. The wait that the policy chooses is added to it.
    #[must_use]
    pub fn max_retry_after(mut self, max_retry_after: Duration) -> Self {
        self.max_retry_after = max_retry_after;
        self
    }

    /// Sets how long one attempt may take, with everything that the closures do. Default: 60 s.
    ///
    /// A blocking client cannot interrupt its closures, so there the timeouts of the connection
    /// decide.
    #[must_use]
    pub fn attempt_timeout(mut self, attempt_timeout: Duration) -> Self {
        self.attempt_timeout = attempt_timeout;
        self
    }

    /// Sets how many retries in a row may fail before the client gives up. Default: no limit. A
    /// stable connection begins a new row.
    #[must_use]
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = Some(max_retries);
        self
    }

    /// Sets what happens to messages that are sent while there is no connection. Default:
    /// [`WhileDown::Refuse`].
    #[must_use]
    pub fn while_down(mut self, while_down: WhileDown) -> Self {
        self.while_down = while_down;
        self
    }

    /// Sets which failures end the client, in place of [`Cause::is_permanent`].
    #[must_use]
    pub fn give_up_if(mut self, gives_up: impl Fn(&Cause) -> bool + Send + Sync + 'static) -> Self {
        self.gives_up = Arc::new(gives_up);
        self
    }

    /// Returns a wait between zero and the limit of this retry. `random` is evenly distributed.
    fn jittered(&self, retry: u32, random: u64) -> Duration {
        let doubled = 2_u32.checked_pow(retry).and_then(|times| self.base.checked_mul(times));
        let limit = doubled.unwrap_or(Duration::MAX).min(self.cap);
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let wait = (u128::from(nanos) * u128::from(random)) >> 64;
        Duration::from_nanos(u64::try_from(wait).unwrap_or(nanos))
    }
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        ReconnectPolicy::new()
    }
}

impl fmt::Debug for ReconnectPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectPolicy")
            .field("base", &self.base)
            .field("cap", &self.cap)
            .field("stable_after", &self.stable_after)
            .field("max_retry_after", &self.max_retry_after)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("max_retries", &self.max_retries)
            .field("while_down", &self.while_down)
            .finish_non_exhaustive()
    }
}

/// One attempt to connect, as the closure that connects sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// How many retries precede this attempt since the last stable connection. 0 is the first
    /// attempt of all.
    pub retry: u32,
    /// How many connections were opened before.
    pub connections: u64,
}

/// The state of a client that stays connected: the retries, without I/O, clock and randomness.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use sockeye_core::Instant;
/// use sockeye_driver::reconnect::{Backoff, Cause, ReconnectPolicy};
///
/// let mut backoff = Backoff::new(ReconnectPolicy::new().base(Duration::from_secs(1)));
/// let refused = Cause::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
/// // Half of the longest wait, because the random number is in the middle of its range.
/// let half = u64::MAX / 2 + 1;
/// let mut waits = Vec::new();
/// for _ in 0..3 {
///     waits.extend(backoff.failed(&refused, Instant::EPOCH, SystemTime::UNIX_EPOCH, half));
/// }
/// assert_eq!(waits, [500, 1000, 2000].map(Duration::from_millis));
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    policy: ReconnectPolicy,
    /// The retries since the last stable connection.
    retries: u32,
    connections: u64,
    connected_at: Option<Instant>,
}

impl Backoff {
    /// Creates the state before the first attempt.
    #[must_use]
    pub fn new(policy: ReconnectPolicy) -> Self {
        Backoff { policy, retries: 0, connections: 0, connected_at: None }
    }

    /// Returns the policy.
    #[must_use]
    pub fn policy(&self) -> &ReconnectPolicy {
        &self.policy
    }

    /// Returns the attempt that is due next, or that is in progress.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        Attempt { retry: self.retries, connections: self.connections }
    }

    /// Records that an attempt has succeeded.
    pub fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
        self.connections = self.connections.saturating_add(1);
    }

    /// Records that an attempt has failed, or that the connection is lost. Returns how long to wait
    /// before the next attempt, or `None` to give up.
    ///
    /// `wall` is the time of day, for a `Retry-After` that names a date. `random` is evenly
    /// distributed over all values.
    pub fn failed(&mut self, cause: &Cause, now: Instant, wall: SystemTime, random: u64) -> Option<Duration> {
        let lasted = self.connected_at.take().map(|at| now.since(at));
        if lasted.is_some_and(|lasted| lasted >= self.policy.stable_after) {
            self.retries = 0;
        }
        let is_exhausted = self.policy.max_retries.is_some_and(|max| self.retries >= max);
        if is_exhausted || (self.policy.gives_up)(cause) {
            return None;
        }
        let wait = self.policy.jittered(self.retries, random);
        self.retries = self.retries.saturating_add(1);
        let asked = cause.retry_after(wall).unwrap_or_default().min(self.policy.max_retry_after);
        Some(wait.saturating_add(asked))
    }
}

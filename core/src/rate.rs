//! A token bucket, for limits on what a peer may send.

use crate::time::Instant;

/// A number of tokens that a [`TokenBucket`] gains each second, and the most that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    /// Creates a rate. `burst` is the number of tokens that can be taken at once after a pause. Of
    /// both numbers, 0 counts as 1.
    #[must_use]
    pub const fn new(per_second: u64, burst: u64) -> Self {
        Rate {
            per_second: if per_second == 0 { 1 } else { per_second },
            burst: if burst == 0 { 1 } else { burst },
        }
    }

    /// Returns the nanoseconds in which this many tokens are gained, rounded up.
    fn nanos(self, tokens: u64) -> u64 {
        let nanos = (u128::from(tokens) * 1_000_000_000).div_ceil(u128::from(self.per_second));
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// A bucket of tokens, which limits how often something happens. It begins full.
///
/// It reads no clock and holds one number. Something that takes more tokens than the bucket can hold
/// is possible when the bucket is full, and the bucket then owes the rest.
///
/// ```
/// use core::time::Duration;
/// use sockeye_core::{Instant, Rate, TokenBucket};
///
/// let rate = Rate::new(10, 2);
/// let (mut bucket, start) = (TokenBucket::new(), Instant::EPOCH);
/// assert!(bucket.try_take(rate, 1, start).is_ok());
/// assert!(bucket.try_take(rate, 1, start).is_ok());
/// let later = bucket.try_take(rate, 1, start).unwrap_err();
/// assert_eq!(later, start + Duration::from_millis(100));
/// assert!(bucket.try_take(rate, 1, later).is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenBucket {
    /// The time at which it is full if nothing is taken before.
    full_at: Instant,
}

impl TokenBucket {
    /// Creates a full bucket.
    #[must_use]
    pub const fn new() -> Self {
        TokenBucket { full_at: Instant::EPOCH }
    }

    /// Takes tokens if the bucket has them.
    ///
    /// # Errors
    ///
    /// Returns the time from which the bucket has that many tokens, and takes none.
    pub fn try_take(&mut self, rate: Rate, tokens: u64, now: Instant) -> Result<(), Instant> {
        let ready_at = self.ready_at(rate, tokens);
        if ready_at > now {
            return Err(ready_at);
        }
        self.take(rate, tokens, now);
        Ok(())
    }

    /// Takes tokens even if the bucket has to owe them.
    pub fn take(&mut self, rate: Rate, tokens: u64, now: Instant) {
        let full_at = self.full_at.max(now).as_nanos().saturating_add(rate.nanos(tokens));
        self.full_at = Instant::from_nanos(full_at);
    }

    /// Returns the time from which the bucket has that many tokens, or is full. It may have passed.
    #[must_use]
    pub fn ready_at(&self, rate: Rate, tokens: u64) -> Instant {
        let missing = rate.nanos(rate.burst - tokens.min(rate.burst));
        Instant::from_nanos(self.full_at.as_nanos().saturating_sub(missing))
    }
}

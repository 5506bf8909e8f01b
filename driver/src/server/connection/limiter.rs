//! The rate at which a connection's messages reach the handler.

use std::future::poll_fn;
use std::task::{Context, Poll};

use sockeye_core::Instant;

use crate::engine::access::LinkAccess;
use crate::server::log;
use crate::server::registry::entry::Entry;
use crate::server::registry::flag::Flag;
use crate::server::registry::rate_limit::{Excess, Limiter, RateLimit};
use crate::sync::atomic::Ordering;

/// Whether a message reaches the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admit {
    Deliver,
    /// It is dropped.
    Skip,
    /// The connection fails, see [`Flag::TooFast`].
    End,
}

/// The rate limit of a connection while its messages are delivered. It is with the entry meanwhile,
/// where only connections that have one pay for it.
#[derive(Debug)]
pub(crate) struct Limiting<'a> {
    entry: &'a Entry,
    limiter: Option<Box<Limiter>>,
}

impl<'a> Limiting<'a> {
    #[inline]
    pub(crate) fn begin(entry: &'a Entry) -> Self {
        let limiter = if entry.port.rate_limit.is_some() { Some(entry.take_limiter()) } else { None };
        Limiting { entry, limiter }
    }

    /// Decides on a message of this length. Without a limit, it is delivered.
    #[inline(always)]
    pub(crate) fn admit(&mut self, len: usize, now: impl FnOnce() -> Instant) -> Admit {
        match (&mut self.limiter, &self.entry.port.rate_limit) {
            (Some(limiter), Some(limit)) => admit(limiter, limit, self.entry, len, now()),
            _ => Admit::Deliver,
        }
    }

    /// Returns the time until which the next message must wait, if it must.
    #[inline(always)]
    pub(crate) fn wait_until(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        let until = self.limiter.as_ref()?.wait_until;
        (until > Instant::EPOCH && until > now() && !is_ending(self.entry)).then_some(until)
    }
}

impl Drop for Limiting<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(limiter) = self.limiter.take() {
            self.entry.return_limiter(limiter);
        }
    }
}

#[cold]
#[inline(never)]
fn admit(limiter: &mut Limiter, limit: &RateLimit, entry: &Entry, len: usize, now: Instant) -> Admit {
    let len = len as u64;
    if limiter.ready_at(limit, 1, len) > now {
        entry.port.counters.over_rate.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut limiter.has_logged, true) {
            log::too_fast(entry.id(), &entry.peer(), limit.excess);
        }
        match limit.excess {
            Excess::Drop => return Admit::Skip,
            Excess::Close => {
                entry.store_flag(Flag::TooFast, true);
                return Admit::End;
            }
            Excess::Wait => {}
        }
    }
    if let Some(rate) = limit.messages {
        limiter.messages.take(rate, 1, now);
    }
    if let Some(rate) = limit.bytes {
        limiter.bytes.take(rate, len, now);
    }
    if limit.excess == Excess::Wait {
        limiter.wait_until = limiter.ready_at(limit, 1, 1);
    }
    Admit::Deliver
}

/// Calls `read_on` until this time, or until the connection ends.
pub(crate) async fn wait<B, L: LinkAccess>(
    until: Instant,
    busy: &mut B,
    entry: &Entry,
    link: impl Fn(&mut B) -> &mut L,
    read_on: impl Fn(&mut B, &mut Context<'_>) -> bool,
) {
    poll_fn(|cx| {
        loop {
            if until <= link(busy).now() || is_ending(entry) {
                return Poll::Ready(());
            }
            if read_on(busy, cx) {
                // It has yielded, and is polled again.
                return Poll::Pending;
            }
            // Reading has set the timer for its own deadline.
            if is_ending(entry) || link(busy).with_link(|link| link.poll_at(cx, until)).is_ready() {
                continue;
            }
            return Poll::Pending;
        }
    })
    .await;
}

/// Returns whether nothing must wait any more, because the connection ends.
fn is_ending(entry: &Entry) -> bool {
    entry.has_any([Flag::Aborted, Flag::Draining, Flag::Shed]) || entry.is_closed()
}

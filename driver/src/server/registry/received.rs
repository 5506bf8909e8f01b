//! The budget of everything that has been received and is held: [`Limits::max_received`].
//!
//! A connection counts what it holds when its task begins to wait or yields, in steps of [`STEP`].
//! So a message that is handled in the turn that read it costs nothing here. Above three quarters of the
//! budget, connections that hold more than their share read no more. Above the budget, those that
//! hold the most are ended.
//!
//! Counting happens under the lock of a connection, and ending others under theirs. So
//! [`Hub::count_received`] only takes notes, and [`Hub::balance_received`], which is called without
//! a lock, acts on them.
//!
//! [`Limits::max_received`]: crate::server::Limits#structfield.max_received

use std::sync::Arc;

use sockeye_core::CloseCode;

use crate::lock::lock;
use crate::server::registry::entry::Entry;
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::Hub;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The step in which connections are counted. What is less than a step is not counted.
const STEP: usize = 4 << 10;

/// The time in nanoseconds for which there is no further search after one that found nothing to
/// end.
const PAUSE: u64 = 10_000_000;

/// The state of the budget.
#[derive(Debug, Default)]
pub(crate) struct ReceivedBudget {
    held: AtomicUsize,
    /// The budget is exceeded, and [`Hub::balance_received`] has not acted on it yet.
    is_exceeded: AtomicBool,
    is_searching: AtomicBool,
    /// The time before which there is no further search.
    pause_until: AtomicU64,
    /// Some connections read no more.
    has_starved: AtomicBool,
    starved: Mutex<Vec<Arc<Entry>>>,
}

fn bytes(steps: u32) -> usize {
    (steps as usize).saturating_mul(STEP)
}

impl Hub {
    /// Counts the bytes that a connection holds now.
    #[inline]
    pub(crate) fn count_received(&self, entry: &Arc<Entry>, held: usize) {
        if self.limits.max_received == usize::MAX {
            return;
        }
        let steps = u32::try_from(held / STEP).unwrap_or(u32::MAX);
        if steps != entry.received_steps() {
            self.recount_received(entry, steps);
        }
    }

    #[cold]
    fn recount_received(&self, entry: &Arc<Entry>, steps: u32) {
        let (budget, before) = (&self.received, entry.set_received_steps(steps));
        if steps <= before {
            budget.held.fetch_sub(bytes(before - steps), Ordering::Relaxed);
            return;
        }
        let grown = bytes(steps - before);
        let held = budget.held.fetch_add(grown, Ordering::Relaxed).saturating_add(grown);
        if held > self.limits.max_received {
            budget.is_exceeded.store(true, Ordering::SeqCst);
        }
        if held > self.scarce_mark() && bytes(steps) > self.received_share() {
            self.starve(entry);
        }
    }

    /// Acts on what [`count_received`](Hub::count_received) has noted. Call it without a lock.
    #[inline]
    pub(crate) fn balance_received(&self) {
        if self.limits.max_received == usize::MAX {
            return;
        }
        if self.received.is_exceeded.load(Ordering::Acquire) {
            self.shed();
        }
        if self.received.has_starved.load(Ordering::Acquire) && self.received() <= self.scarce_mark() {
            self.feed();
        }
    }

    /// Counts the bytes that a connection holds now, and acts on it. Returns false if the budget is
    /// exceeded and this is more than the connection's share: then it must end.
    ///
    /// Call it without a lock, before the connection holds more: a message that inflates takes up to
    /// a thousand times the memory that it was counted with.
    pub(crate) fn may_hold(&self, entry: &Arc<Entry>, held: usize) -> bool {
        if self.limits.max_received == usize::MAX {
            return true;
        }
        self.count_received(entry, held);
        self.balance_received();
        let is_within = self.received() <= self.limits.max_received
            || bytes(entry.received_steps()) <= self.received_share();
        if !is_within {
            entry.store_flag(Flag::Shed, true);
        }
        is_within
    }

    /// Returns whether a handler may get a compressed message of this inflated length, which it may
    /// hold for long. See [`may_hold`](Hub::may_hold).
    #[inline]
    pub(crate) fn may_lend(&self, entry: &Arc<Entry>, len: usize) -> bool {
        self.limits.max_received == usize::MAX || len < STEP || self.may_hold(entry, len)
    }

    /// Returns the bytes that all connections hold.
    pub(crate) fn received(&self) -> usize {
        self.received.held.load(Ordering::Relaxed)
    }

    /// Returns the code and the reason with which a connection ends that holds too much.
    pub(crate) fn shed_reason(&self, entry: &Entry) -> (CloseCode, &'static str) {
        if bytes(entry.received_steps()) > self.limits.max_received / 2 {
            (CloseCode::TOO_BIG, "the message is too big for the server now")
        } else {
            (CloseCode::TRY_AGAIN_LATER, "the server has no memory left for messages")
        }
    }

    /// The use of the budget from which on connections above their share read no more.
    fn scarce_mark(&self) -> usize {
        self.limits.max_received / 4 * 3
    }

    /// The bytes that each connection may hold even if the budget is scarce.
    fn received_share(&self) -> usize {
        self.limits.max_received / 2 / self.connections().max(1)
    }

    /// Stops reading from a connection. Its deadlines continue, so it ends if the budget stays
    /// scarce.
    fn starve(&self, entry: &Arc<Entry>) {
        if !entry.has_flag(Flag::Starved) {
            entry.store_flag(Flag::Starved, true);
            lock(&self.received.starved).push(entry.clone());
            self.received.has_starved.store(true, Ordering::Release);
        }
    }

    /// Lets all connections read again.
    #[cold]
    fn feed(&self) {
        self.received.has_starved.store(false, Ordering::Release);
        let starved = std::mem::take(&mut *lock(&self.received.starved));
        for entry in starved {
            // This fails only for a connection that has ended.
            let _ = entry.set_flag(Flag::Starved, false);
        }
    }

    /// Ends the connections that hold the most, until the rest is within seven eighths of the
    /// budget.
    #[cold]
    fn shed(&self) {
        let budget = &self.received;
        // A thread that finds another one searching leaves its note, which that one looks for.
        while budget.is_exceeded.load(Ordering::SeqCst) && !self.is_search_in_vain() {
            if budget.is_searching.swap(true, Ordering::SeqCst) {
                return;
            }
            budget.is_exceeded.store(false, Ordering::SeqCst);
            self.shed_largest();
            budget.is_searching.store(false, Ordering::SeqCst);
        }
    }

    fn shed_largest(&self) {
        let mut held = self.received();
        if held <= self.limits.max_received {
            return;
        }
        let mut entries = self.snapshot();
        entries.retain(|entry| entry.received_steps() > 0);
        entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.received_steps()));
        let mut ended = 0;
        for entry in entries {
            if held <= self.limits.max_received / 8 * 7 {
                break;
            }
            held = held.saturating_sub(bytes(entry.received_steps()));
            if !entry.has_flag(Flag::Shed) {
                ended += 1;
                let _ = entry.set_flag(Flag::Shed, true);
            }
        }
        let until = if ended == 0 { self.now().as_nanos().saturating_add(PAUSE) } else { 0 };
        self.received.pause_until.store(until, Ordering::Relaxed);
    }

    /// Returns true if the latest search found nothing to end, shortly before: handlers hold the
    /// messages, and a search visits all connections.
    fn is_search_in_vain(&self) -> bool {
        let until = self.received.pause_until.load(Ordering::Relaxed);
        until > 0 && self.now().as_nanos() < until
    }
}

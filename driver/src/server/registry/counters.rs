//! The counters of a port, from which [`Stats`](crate::server::Stats) are read.
//!
//! No message takes a lock or waits for another core: connections add what they have received once
//! for all messages that arrived together, and what they have sent once for each write. They do so in
//! one of several cache lines. Events that are rare have one counter each.

use std::collections::BTreeMap;

use sockeye_core::CloseCode;

use crate::lock::lock;
use crate::runtime::address::Address;
use crate::server::registry::admission::FullLimit;
use crate::server::registry::entry::Entry;
use crate::server::registry::error::PushError;
use crate::server::registry::info::{ConnectionId, Status};
use crate::server::registry::refusal::RefusalReason;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The number of cache lines that share the counts of messages.
const LINES: usize = if cfg!(all(test, sockeye_loom)) { 1 } else { 16 };

/// The largest number of close codes that are counted one by one. Peers choose codes.
const CODES: usize = 64;

/// Messages in one direction, as counts that only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// The number of messages.
    pub messages: u64,
    /// The bytes of their payloads, before compression.
    pub bytes: u64,
    /// The bytes on the WebSocket: frames with their headers, after compression, and control frames.
    pub wire_bytes: u64,
}

/// Counters in a cache line to themselves.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line {
    received_messages: AtomicU64,
    received_bytes: AtomicU64,
    received_wire: AtomicU64,
    received_compressed: AtomicU64,
    sent_messages: AtomicU64,
    sent_bytes: AtomicU64,
    sent_wire: AtomicU64,
}

/// The counters of one port.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    lines: [Line; LINES],
    /// The connections that are present, the WebSockets that are open, and those that close.
    pub(crate) present: AtomicUsize,
    pub(crate) open: AtomicUsize,
    pub(crate) closing: AtomicUsize,
    pub(crate) accepted: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) slow: AtomicU64,
    pub(crate) over_rate: AtomicU64,
    refused: [AtomicU64; Refusal::COUNT],
    closed: Mutex<Closed>,
}

/// The ends of WebSockets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Closed {
    pub(crate) by_code: BTreeMap<u16, u64>,
    pub(crate) others: u64,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $variant:ident;)*) => {
        /// The number of refused connections and requests, by reason.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct RefusedCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl RefusedCounts {
            /// Returns the name of each reason, as its field is called, with its count.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }

            pub(crate) fn add(&mut self, other: &RefusedCounts) {
                $(self.$name += other.$name;)*
            }
        }

        /// The reason of a refusal, as an index.
        #[derive(Debug, Clone, Copy)]
        enum Refusal {
            $($variant,)*
        }

        impl Refusal {
            const COUNT: usize = [$(Refusal::$variant),*].len();
        }

        impl Counters {
            pub(crate) fn refused(&self) -> RefusedCounts {
                let count = |refusal: Refusal| self.refused[refusal as usize].load(Ordering::Relaxed);
                RefusedCounts { $($name: count(Refusal::$variant)),* }
            }
        }
    };
}

refusals! {
    /// [`Limits::max_connections`](crate::server::Limits#structfield.max_connections) was reached.
    max_connections MaxConnections;
    /// [`Limits::max_handshakes`](crate::server::Limits#structfield.max_handshakes) was reached.
    max_handshakes MaxHandshakes;
    /// [`Limits::max_per_address`](crate::server::Limits#structfield.max_per_address) was reached.
    max_per_address MaxPerAddress;
    /// [`RefusalReason::Connect`].
    connect Connect;
    /// [`RefusalReason::ProxyHeader`].
    proxy_header ProxyHeader;
    /// `RefusalReason::Tls`.
    tls Tls;
    /// [`RefusalReason::Request`].
    request Request;
    /// [`RefusalReason::Handshake`].
    handshake Handshake;
    /// [`RefusalReason::Application`].
    application Application;
    /// [`RefusalReason::Subprotocol`].
    subprotocol Subprotocol;
    /// [`RefusalReason::Failed`].
    failed Failed;
}

impl RefusedCounts {
    /// Returns the number of all refusals.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}

impl Refusal {
    fn of(reason: &RefusalReason) -> Self {
        match reason {
            RefusalReason::Limit(FullLimit::Connections(_)) => Refusal::MaxConnections,
            RefusalReason::Limit(FullLimit::Handshakes(_)) => Refusal::MaxHandshakes,
            RefusalReason::Limit(FullLimit::PerAddress(_)) => Refusal::MaxPerAddress,
            RefusalReason::Connect { .. } => Refusal::Connect,
            RefusalReason::ProxyHeader(_) => Refusal::ProxyHeader,
            #[cfg(feature = "_tls")]
            RefusalReason::Tls(_) => Refusal::Tls,
            RefusalReason::Request(_) => Refusal::Request,
            RefusalReason::Handshake(_) => Refusal::Handshake,
            RefusalReason::Application { .. } => Refusal::Application,
            RefusalReason::Subprotocol { .. } => Refusal::Subprotocol,
            RefusalReason::Failed => Refusal::Failed,
        }
    }
}

impl Counters {
    pub(crate) fn count_refused(&self, reason: &RefusalReason) {
        self.refused[Refusal::of(reason) as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_closed(&self, code: CloseCode) {
        let mut closed = lock(&self.closed);
        let code = code.as_u16();
        // The codes of the RFC have room in any case.
        if closed.by_code.len() < CODES || code < 2000 || closed.by_code.contains_key(&code) {
            *closed.by_code.entry(code).or_default() += 1;
        } else {
            closed.others += 1;
        }
    }

    pub(crate) fn closed(&self) -> Closed {
        lock(&self.closed).clone()
    }

    /// Counts bytes that were read from the transport of an open WebSocket.
    #[inline]
    pub(crate) fn count_read(&self, id: ConnectionId, bytes: usize) {
        self.line(id).received_wire.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the received messages, and how many of them were compressed.
    pub(crate) fn received(&self) -> (Traffic, u64) {
        let traffic = Traffic {
            messages: self.sum(|line| &line.received_messages),
            bytes: self.sum(|line| &line.received_bytes),
            wire_bytes: self.sum(|line| &line.received_wire),
        };
        (traffic, self.sum(|line| &line.received_compressed))
    }

    pub(crate) fn sent(&self) -> Traffic {
        Traffic {
            messages: self.sum(|line| &line.sent_messages),
            bytes: self.sum(|line| &line.sent_bytes),
            wire_bytes: self.sum(|line| &line.sent_wire),
        }
    }

    fn line(&self, id: ConnectionId) -> &Line {
        &self.lines[id.0 as usize % LINES]
    }

    fn sum(&self, counter: impl Fn(&Line) -> &AtomicU64) -> u64 {
        self.lines.iter().map(|line| counter(line).load(Ordering::Relaxed)).sum()
    }
}

impl Entry {
    /// Counts a push that failed, if that was because of a full queue.
    pub(crate) fn count_refused_push(&self, error: &PushError) {
        if matches!(error, PushError::Backpressure { .. } | PushError::ServerBackpressure { .. }) {
            self.port.counters.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a WebSocket as one that closes, if it was open.
    pub(crate) fn begin_closing(&self) {
        let (open, closing) = (Status::Active.as_u8(), Status::Closing.as_u8());
        if self.status.compare_exchange(open, closing, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.port.counters.open.fetch_sub(1, Ordering::Relaxed);
            self.port.counters.closing.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts the connection as present.
    pub(crate) fn count_present(&self) {
        self.port.counters.present.fetch_add(1, Ordering::Relaxed);
        self.port.counters.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that has ended as present no more.
    pub(crate) fn uncount_present(&self) {
        if self.was_open() {
            self.port.counters.closing.fetch_sub(1, Ordering::Relaxed);
        }
        self.port.counters.present.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Traffic {
    pub(crate) fn add(&mut self, other: &Traffic) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.wire_bytes += other.wire_bytes;
    }
}

/// A port with its counters, as the server knows it.
#[derive(Debug, Clone)]
pub(crate) struct CountedPort {
    pub(crate) address: Address,
    pub(crate) counters: std::sync::Arc<Counters>,
}

/// The messages that a task has passed to its handler. They are added to the port's counters when
/// this is dropped.
#[derive(Debug)]
pub(crate) struct ReceivedTally<'a> {
    entry: &'a Entry,
    messages: u32,
    compressed: u32,
    bytes: u64,
}

impl<'a> ReceivedTally<'a> {
    #[inline]
    pub(crate) fn new(entry: &'a Entry) -> Self {
        ReceivedTally { entry, messages: 0, compressed: 0, bytes: 0 }
    }

    #[inline]
    pub(crate) fn add(&mut self, len: usize, compressed: bool) {
        self.messages += 1;
        self.compressed += u32::from(compressed);
        self.bytes += len as u64;
    }
}

impl Drop for ReceivedTally<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.messages == 0 {
            return;
        }
        let line = self.entry.port.counters.line(self.entry.id());
        line.received_messages.fetch_add(self.messages.into(), Ordering::Relaxed);
        line.received_bytes.fetch_add(self.bytes, Ordering::Relaxed);
        if self.compressed > 0 {
            line.received_compressed.fetch_add(self.compressed.into(), Ordering::Relaxed);
        }
    }
}

/// The messages that a connection has queued since it last added them to the port's counters.
#[derive(Debug, Default)]
pub(crate) struct SentTally {
    messages: u32,
    bytes: u32,
}

impl SentTally {
    /// Adds a message, or a fragment if it does not end a message.
    #[inline(always)]
    pub(crate) fn add(&mut self, len: usize, ends_message: bool) {
        self.messages += u32::from(ends_message);
        // No queue is as long as this number can be.
        self.bytes = self.bytes.saturating_add(len as u32);
    }

    /// Adds all of it to the port's counters, with the bytes that were written.
    #[inline]
    pub(crate) fn flush(&mut self, entry: &Entry, written: u32) {
        let SentTally { messages, bytes } = std::mem::take(self);
        let line = entry.port.counters.line(entry.id());
        line.sent_wire.fetch_add(written.into(), Ordering::Relaxed);
        if messages > 0 || bytes > 0 {
            line.sent_messages.fetch_add(messages.into(), Ordering::Relaxed);
            line.sent_bytes.fetch_add(bytes.into(), Ordering::Relaxed);
        }
    }
}

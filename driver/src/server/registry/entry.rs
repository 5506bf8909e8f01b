//! The entry of one connection in the registry.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sockeye_core::{CloseFrame, Instant, State};

use crate::lock::lock;
use crate::runtime::address::Address;
use crate::server::panics::drop_isolated;
use crate::server::registry::early_pushes::{Deferred, EarlyPushes};
use crate::server::registry::error::PushError;
use crate::server::registry::extras::Extras;
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::{ConnectionId, Info, Status};
use crate::server::registry::push_target::{Command, Flusher, PushTarget};
use crate::server::registry::pushed::Pushed;
use crate::server::registry::settings::Settings;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

/// One connection, as the registry and the API know it: its facts, its flags and its phase.
#[derive(Debug)]
pub(crate) struct Entry {
    id: ConnectionId,
    pub(super) transport_peer: Address,
    pub(super) local: Address,
    pub(super) connected_at: Instant,
    pub(super) status: AtomicU8,
    flags: AtomicU16,
    /// The number of messages that [`SlowReader::Drop`](crate::server::SlowReader::Drop) has
    /// dropped.
    dropped: AtomicU32,
    /// The share of [`Limits::max_received`](crate::server::Limits) that the connection holds, in
    /// steps.
    received: AtomicU32,
    /// The place of the agreed subprotocol in the port's policy, counted from 1; 0 for none of
    /// them.
    pub(super) subprotocol: AtomicU8,
    pub(super) extras: Mutex<Option<Box<Extras>>>,
    pub(crate) port: Arc<Settings>,
    phase: Mutex<Phase>,
}

/// The phase of a connection, which decides where a push goes.
#[derive(Debug)]
enum Phase {
    /// It speaks HTTP, and pushes fail. The waker is the task's.
    Http(Option<Waker>),
    /// The application decides on the handshake. Pushes wait for its 101.
    Handshake(Option<Waker>, Box<EarlyPushes>),
    /// It is a WebSocket.
    Open(Arc<dyn PushTarget>),
    /// It has ended.
    Ended,
}

impl Entry {
    pub(crate) fn new(
        id: ConnectionId,
        transport_peer: Address,
        local: Address,
        connected_at: Instant,
        port: Arc<Settings>,
    ) -> Self {
        Entry {
            id,
            transport_peer,
            local,
            connected_at,
            status: AtomicU8::new(0),
            flags: AtomicU16::new(0),
            dropped: AtomicU32::new(0),
            received: AtomicU32::new(0),
            subprotocol: AtomicU8::new(0),
            extras: Mutex::new(None),
            port,
            phase: Mutex::new(Phase::Http(None)),
        }
    }

    // For the API.

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Passes a command to the open link, or keeps it during the handshake. Fails in any other
    /// phase.
    pub(crate) fn dispatch(&self, command: Command<'_>) -> Result<Pushed, PushError> {
        let target = match &mut *lock(&self.phase) {
            Phase::Open(target) => target.clone(),
            Phase::Handshake(_, early) => return early.keep(command, self),
            Phase::Http(_) => return Err(PushError::NotWebSocket),
            Phase::Ended => return Err(self.ended_error()),
        };
        // Push without holding the lock: a task that this wakes may run at once and take the lock.
        target.push(command)
    }

    /// Passes a command on like [`dispatch`](Entry::dispatch), but waits while there is no room.
    pub(crate) fn poll_dispatch(
        &self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        flusher: Flusher,
    ) -> Poll<Result<(), PushError>> {
        let target = match &mut *lock(&self.phase) {
            Phase::Open(target) => target.clone(),
            Phase::Handshake(_, early) => return early.poll_keep(cx, command, self),
            Phase::Http(_) => return Poll::Ready(Err(PushError::NotWebSocket)),
            Phase::Ended => return Poll::Ready(Err(self.ended_error())),
        };
        target.poll_push(cx, command, flusher)
    }

    /// Deregisters a waiter of [`poll_dispatch`](Entry::poll_dispatch) that gave up.
    pub(crate) fn deregister_waiter(&self, waker: &Waker) {
        let (target, waiter) = match &mut *lock(&self.phase) {
            Phase::Open(target) => (Some(target.clone()), None),
            Phase::Handshake(_, early) => (None, early.deregister_waiter(waker)),
            Phase::Http(_) | Phase::Ended => return,
        };
        // Call it without holding the lock, as a push does.
        if let Some(target) = target {
            target.deregister_waiter(waker);
        }
        waiter.into_iter().for_each(Waker::wake);
    }

    fn push_target(&self) -> Option<Arc<dyn PushTarget>> {
        if let Phase::Open(target) = &*lock(&self.phase) { Some(target.clone()) } else { None }
    }

    /// Counts a message that was dropped.
    pub(crate) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.port.counters.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps `deferred` until the 101 has been sent. Returns it if no handshake is in progress.
    pub(crate) fn defer(&self, deferred: Deferred) -> Option<Deferred> {
        match &mut *lock(&self.phase) {
            Phase::Handshake(_, early) => {
                early.defer(deferred);
                None
            }
            _ => Some(deferred),
        }
    }

    pub(crate) fn has_flag(&self, flag: Flag) -> bool {
        self.flags.load(Ordering::Acquire) & flag as u16 != 0
    }

    /// Returns whether any of the flags is set.
    #[inline]
    pub(crate) fn has_any<const N: usize>(&self, flags: [Flag; N]) -> bool {
        self.flags.load(Ordering::Acquire) & flags.into_iter().fold(0, |all, flag| all | flag as u16) != 0
    }

    /// Returns what the connection holds of the budget of received bytes.
    #[inline]
    pub(super) fn received_steps(&self) -> u32 {
        self.received.load(Ordering::Relaxed)
    }

    /// Sets what the connection holds, and returns what it held before.
    pub(super) fn set_received_steps(&self, steps: u32) -> u32 {
        self.received.swap(steps, Ordering::Relaxed)
    }

    /// Sets or clears a flag, without waking the task.
    pub(crate) fn store_flag(&self, flag: Flag, on: bool) {
        if on {
            self.flags.fetch_or(flag as u16, Ordering::AcqRel);
        } else {
            self.flags.fetch_and(!(flag as u16), Ordering::AcqRel);
        }
    }

    /// Sets or clears a flag, and wakes the task to act on it.
    pub(crate) fn set_flag(&self, flag: Flag, on: bool) -> Result<(), PushError> {
        self.store_flag(flag, on);
        let target = match &mut *lock(&self.phase) {
            Phase::Open(target) => Ok(target.clone()),
            Phase::Http(waker) | Phase::Handshake(waker, _) => Err(waker.take()),
            Phase::Ended => return Err(self.ended_error()),
        };
        // Without holding the lock, like a push.
        match (target, flag) {
            (Ok(target), Flag::Aborted) => target.abort(),
            (Ok(target), Flag::Protected) => target.set_protected(on),
            (Ok(target), _) => target.wake_task(),
            (Err(waker), _) => waker.into_iter().for_each(Waker::wake),
        }
        Ok(())
    }

    /// Wakes the task of a connection that is not a WebSocket, so that it checks for the shutdown.
    pub(crate) fn wake_http(&self) {
        let waker = if let Phase::Http(waker) = &mut *lock(&self.phase) { waker.take() } else { None };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Closes a WebSocket because the server shuts down: at once if it is idle, otherwise its task
    /// does after the handler.
    pub(crate) fn start_draining(&self, frame: &CloseFrame<'_>) {
        // Set the flag before looking at the task, which checks it once more before it waits.
        self.store_flag(Flag::Draining, true);
        if let Some(target) = self.push_target() {
            target.close_if_idle(frame);
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        matches!(&*lock(&self.phase), Phase::Open(target) if target.state() == State::Open)
    }

    /// Returns whether nothing more can be sent: the connection has ended, or is about to.
    pub(crate) fn is_closed(&self) -> bool {
        match &*lock(&self.phase) {
            Phase::Open(target) => target.state() != State::Open,
            Phase::Http(_) | Phase::Handshake(..) => self.has_flag(Flag::Gone),
            Phase::Ended => true,
        }
    }

    pub(crate) fn info(&self, now: Instant) -> Info {
        let mut status = Status::from_u8(self.status.load(Ordering::Acquire));
        let mut early = 0;
        let facts = match &*lock(&self.phase) {
            Phase::Open(target) => {
                let is_open = target.state() == State::Open;
                status = Some(if is_open { Status::Active } else { Status::Closing });
                Some(target.facts())
            }
            Phase::Handshake(_, pushes) => {
                early = pushes.queued();
                None
            }
            Phase::Http(_) | Phase::Ended => None,
        };
        let facts = facts.as_ref();
        Info {
            id: self.id,
            status,
            peer: self.peer(),
            transport_peer: self.transport_peer.clone(),
            local: self.local.clone(),
            taken_at: now,
            connected_at: self.connected_at,
            last_received: facts.and_then(|facts| facts.received_at),
            last_sent: facts.and_then(|facts| facts.sent_at),
            queued: facts.map_or(early, |facts| facts.queued),
            dropped: self.dropped.load(Ordering::Relaxed),
            subprotocol: self.subprotocol(),
            compression: facts.and_then(|facts| facts.deflate),
            round_trip: facts.and_then(|facts| facts.round_trip),
        }
    }

    // For the connection's task.

    pub(crate) fn set_status(&self, status: Status) {
        self.status.store(status.as_u8(), Ordering::Release);
    }

    /// Notes that a handler may block the connection's thread from here on. The flag is set before
    /// anything that this thread does later: the keeper relies on this order.
    pub(crate) fn begin_busy(&self) {
        self.flags.fetch_or(Flag::Busy as u16, Ordering::SeqCst);
    }

    /// Returns whether [`begin_busy`](Entry::begin_busy) was called last.
    pub(crate) fn is_busy(&self) -> bool {
        self.flags.load(Ordering::SeqCst) & Flag::Busy as u16 != 0
    }

    /// Reads on in place of the connection's thread, if a handler may be blocking that. Otherwise
    /// returns false.
    pub(crate) fn poll_read_on(&self, cx: &mut Context<'_>) -> bool {
        self.push_target().is_some_and(|target| target.poll_read_on(cx))
    }

    /// Registers the task's waker for flags that are set before the connection is open.
    pub(crate) fn register_task(&self, waker: &Waker) {
        if let Phase::Http(slot) | Phase::Handshake(slot, _) = &mut *lock(&self.phase) {
            slot.clone_from(&Some(waker.clone()));
        }
    }

    /// Begins the handshake phase, because the application decides on a request: from here on,
    /// keeps pushes until the 101 is sent.
    pub(crate) fn begin_handshake(&self, hub: &Arc<Hub>) {
        let early = Box::new(EarlyPushes::new(self, hub.clone()));
        let mut phase = lock(&self.phase);
        let waker = if let Phase::Http(waker) = &mut *phase { waker.take() } else { None };
        *phase = Phase::Handshake(waker, early);
    }

    /// Drops the pushes that waited for the handshake, because it failed.
    pub(crate) fn fail_handshake(&self) {
        self.set_status(Status::HandshakeFailed);
        let mut phase = lock(&self.phase);
        let waker = match &mut *phase {
            Phase::Http(waker) | Phase::Handshake(waker, _) => waker.take(),
            Phase::Open(_) | Phase::Ended => None,
        };
        let old = std::mem::replace(&mut *phase, Phase::Http(waker));
        drop(phase);
        // Drop the application's values without holding the lock: they may own anything, even the
        // last client.
        drop_isolated(old);
    }

    /// Begins the open phase, because the 101 has been sent: delivers the pushes that waited for
    /// it, then lets others through. Returns the deferred functions.
    ///
    /// Returns `None` if the target is full: call it again when there is room.
    pub(crate) fn open(&self, target: &Arc<dyn PushTarget>) -> Option<Vec<Deferred>> {
        let mut phase = lock(&self.phase);
        if let Phase::Handshake(_, early) = &mut *phase
            && !self.has_flag(Flag::Aborted)
            && !early.deliver(&**target)
        {
            return None;
        }
        let old = std::mem::replace(&mut *phase, Phase::Open(target.clone()));
        drop(phase);
        self.port.counters.open.fetch_add(1, Ordering::Relaxed);
        self.port.counters.opened.fetch_add(1, Ordering::Relaxed);
        self.set_status(Status::Active);
        // These flags may have been set before there was a target to pass them to.
        if self.has_flag(Flag::Protected) {
            target.set_protected(true);
        }
        if self.has_flag(Flag::Aborted) {
            target.abort();
        }
        // Dropping the early pushes wakes the sends that wait for the 101.
        if let Phase::Handshake(_, mut early) = old { Some(early.take_deferred()) } else { Some(Vec::new()) }
    }

    /// Drops the entry's reference to the transport, because the connection has ended.
    pub(crate) fn end(&self) {
        self.begin_closing();
        let old = std::mem::replace(&mut *lock(&self.phase), Phase::Ended);
        drop_isolated(old);
    }

    /// Returns whether a connection that has ended was an open WebSocket.
    pub(crate) fn was_open(&self) -> bool {
        self.status.load(Ordering::Acquire) == Status::Closing.as_u8()
    }

    /// Returns an error if the connection has ended.
    pub(crate) fn check_present(&self) -> Result<(), PushError> {
        if matches!(&*lock(&self.phase), Phase::Ended) { Err(self.ended_error()) } else { Ok(()) }
    }

    fn ended_error(&self) -> PushError {
        if self.was_open() { PushError::Closing } else { PushError::NotWebSocket }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;

    /// An entry without a slot for data, which holds its subprotocol itself.
    #[expect(dead_code, reason = "only its size matters")]
    struct WithoutSlot {
        id: ConnectionId,
        peer: Address,
        local: Address,
        connected_at: Instant,
        status: AtomicU8,
        flags: AtomicU8,
        subprotocol: OnceLock<Box<str>>,
        port: Arc<Settings>,
        phase: Mutex<Phase>,
    }

    #[test]
    fn m14_the_slot_for_data_makes_an_entry_no_larger() {
        assert!(size_of::<Entry>() <= size_of::<WithoutSlot>());
    }
}

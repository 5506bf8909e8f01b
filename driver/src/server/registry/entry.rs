//! A connection as the rest of the server knows it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use sockeye_core::{CloseFrame, Instant, Sender, State};

use crate::lock::lock;
use crate::runtime::address::Address;
use crate::runtime::clock::to_std_instant;
use crate::server::registry::early_pushes::{Deferred, EarlyPushes};
use crate::server::registry::error::PushError;
use crate::server::registry::info::{ConnectionId, Info, Status};
use crate::server::registry::push_target::{Command, Flusher, PushTarget};
use crate::server::registry::settings::Settings;

/// What the registry has of each connection.
#[derive(Debug)]
pub(crate) struct Entry {
    id: ConnectionId,
    peer: Address,
    local: Address,
    connected_at: Instant,
    status: AtomicU8,
    flags: AtomicU8,
    subprotocol: OnceLock<Box<str>>,
    pub(crate) port: Arc<Settings>,
    phase: Mutex<Phase>,
}

/// Where a push goes.
#[derive(Debug)]
enum Phase {
    /// Nowhere: it speaks HTTP. The task is woken by this.
    Http(Option<Waker>),
    /// To wait: the application is deciding on the handshake.
    Handshake(Option<Waker>, Box<EarlyPushes>),
    Open(Arc<dyn PushTarget>),
    Ended,
}

/// A flag that anybody may set and the task looks at.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Flag {
    Aborted = 1,
    Paused = 2,
    Protected = 4,
    /// It waits for a request, and nothing is lost if it ends.
    Idle = 8,
    /// The queue has been at its mark: before the next message there must be room.
    Full = 16,
}

impl Entry {
    pub(crate) fn new(
        id: ConnectionId,
        peer: Address,
        local: Address,
        connected_at: Instant,
        port: Arc<Settings>,
    ) -> Self {
        Entry {
            id,
            peer,
            local,
            connected_at,
            status: AtomicU8::new(0),
            flags: AtomicU8::new(0),
            subprotocol: OnceLock::new(),
            port,
            phase: Mutex::new(Phase::Http(None)),
        }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn peer(&self) -> &Address {
        &self.peer
    }

    pub(crate) fn dispatch(&self, command: Command<'_>) -> Result<(), PushError> {
        let link = match &mut *lock(&self.phase) {
            Phase::Open(link) => link.clone(),
            Phase::Handshake(_, waiting) => return waiting.keep(command),
            Phase::Http(_) => return Err(PushError::NotWebSocket),
            Phase::Ended => return Err(self.ended_error()),
        };
        // Without the lock: whom it wakes may run at once, and want it.
        link.push(command)
    }

    /// The same, but waits while the peer reads too slowly.
    pub(crate) fn poll_dispatch(
        &self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        flusher: Flusher,
    ) -> Poll<Result<(), PushError>> {
        match self.push_target() {
            Some(link) => link.poll_push(cx, command, flusher),
            None => Poll::Ready(self.dispatch(command)),
        }
    }

    /// Who has waited does not wait any more.
    pub(crate) fn deregister_waiter(&self, waker: &Waker) {
        if let Some(link) = self.push_target() {
            link.deregister_waiter(waker);
        }
    }

    fn push_target(&self) -> Option<Arc<dyn PushTarget>> {
        if let Phase::Open(link) = &*lock(&self.phase) { Some(link.clone()) } else { None }
    }

    /// Runs `deferred` behind the 101; gives it back if that is out already.
    pub(crate) fn defer(&self, deferred: Deferred) -> Option<Deferred> {
        match &mut *lock(&self.phase) {
            Phase::Handshake(_, waiting) => {
                waiting.defer(deferred);
                None
            }
            _ => Some(deferred),
        }
    }

    pub(crate) fn has_flag(&self, flag: Flag) -> bool {
        self.flags.load(Ordering::Acquire) & flag as u8 != 0
    }

    pub(crate) fn store_flag(&self, flag: Flag, on: bool) {
        if on {
            self.flags.fetch_or(flag as u8, Ordering::AcqRel);
        } else {
            self.flags.fetch_and(!(flag as u8), Ordering::AcqRel);
        }
    }

    /// Sets a flag, and makes the task look at it.
    pub(crate) fn set_flag(&self, flag: Flag, on: bool) -> Result<(), PushError> {
        self.store_flag(flag, on);
        let link = match &mut *lock(&self.phase) {
            Phase::Open(link) => Ok(link.clone()),
            Phase::Http(waker) | Phase::Handshake(waker, _) => Err(waker.take()),
            Phase::Ended => return Err(self.ended_error()),
        };
        // Without the lock, as above.
        match (link, flag) {
            (Ok(link), Flag::Aborted) => link.abort(),
            (Ok(link), Flag::Protected) => link.set_protected(on),
            (Ok(link), Flag::Paused | Flag::Idle | Flag::Full) => link.wake_task(),
            (Err(waker), _) => waker.into_iter().for_each(Waker::wake),
        }
        Ok(())
    }

    /// The server ends. What is no WebSocket sees it for itself when it is woken.
    pub(crate) fn start_shutdown(&self, frame: &CloseFrame<'_>) {
        if self.dispatch(Command::Close(frame)) != Err(PushError::NotWebSocket) {
            return;
        }
        let waker = if let Phase::Http(waker) = &mut *lock(&self.phase) { waker.take() } else { None };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_established(&self) -> bool {
        matches!(&*lock(&self.phase), Phase::Open(link) if link.state() == State::Open)
    }

    pub(crate) fn info(&self) -> Info {
        let (status, facts) = match &*lock(&self.phase) {
            Phase::Open(link) => {
                let open = link.state() == State::Open;
                (Some(if open { Status::Active } else { Status::Closing }), Some(link.facts()))
            }
            _ => (Status::from_u8(self.status.load(Ordering::Acquire)), None),
        };
        let facts = facts.as_ref();
        Info {
            id: self.id,
            status,
            peer: self.peer.clone(),
            local: self.local.clone(),
            connected_at: to_std_instant(self.connected_at),
            last_received: facts.and_then(|facts| facts.received_at).map(to_std_instant),
            last_sent: facts.and_then(|facts| facts.sent_at).map(to_std_instant),
            queued: facts.map_or(0, |facts| facts.queued),
            subprotocol: self.subprotocol.get().cloned(),
            compression: facts.and_then(|facts| facts.deflate),
            round_trip: facts.and_then(|facts| facts.round_trip),
        }
    }

    // What the task tells.

    pub(crate) fn set_status(&self, status: Status) {
        self.status.store(status.as_u8(), Ordering::Release);
    }

    /// Who is to be woken when a flag is set, until the connection is open.
    pub(crate) fn register_task(&self, waker: &Waker) {
        if let Phase::Http(slot) | Phase::Handshake(slot, _) = &mut *lock(&self.phase) {
            slot.clone_from(&Some(waker.clone()));
        }
    }

    /// The application decides on a handshake: from now on pushes wait for its 101.
    pub(crate) fn begin_handshake(&self) {
        let waiting = Box::new(EarlyPushes::new(Sender::server(self.port.config.clone())));
        let mut phase = lock(&self.phase);
        let waker = if let Phase::Http(waker) = &mut *phase { waker.take() } else { None };
        *phase = Phase::Handshake(waker, waiting);
    }

    /// It came to nothing.
    pub(crate) fn fail_handshake(&self) {
        self.set_status(Status::HandshakeFailed);
        let mut phase = lock(&self.phase);
        let waker = match &mut *phase {
            Phase::Http(waker) | Phase::Handshake(waker, _) => waker.take(),
            Phase::Open(_) | Phase::Ended => None,
        };
        let old = std::mem::replace(&mut *phase, Phase::Http(waker));
        drop(phase);
        // Without the lock: what was deferred may own a client.
        drop(old);
    }

    /// The 101 has gone out: pushes that waited follow it, then all others. Gives what was deferred.
    pub(crate) fn open(&self, link: Arc<dyn PushTarget>, subprotocol: Option<String>) -> Vec<Deferred> {
        if let Some(subprotocol) = subprotocol {
            let _ = self.subprotocol.set(subprotocol.into_boxed_str());
        }
        self.set_status(Status::Active);
        let mut phase = lock(&self.phase);
        let old = std::mem::replace(&mut *phase, Phase::Open(link.clone()));
        let Phase::Handshake(_, waiting) = old else { return Vec::new() };
        let deferred = waiting.deliver(&*link);
        drop(phase);
        // Told before there was a link to tell.
        if self.has_flag(Flag::Protected) {
            link.set_protected(true);
        }
        if self.has_flag(Flag::Aborted) {
            link.abort();
        }
        deferred
    }

    /// It is over, and the transport goes.
    pub(crate) fn end(&self) {
        if self.status.load(Ordering::Acquire) == Status::Active.as_u8() {
            self.set_status(Status::Closing);
        }
        let old = std::mem::replace(&mut *lock(&self.phase), Phase::Ended);
        drop(old);
    }

    fn ended_error(&self) -> PushError {
        let was_open = self.status.load(Ordering::Acquire) == Status::Closing.as_u8();
        if was_open { PushError::Closing } else { PushError::NotWebSocket }
    }
}

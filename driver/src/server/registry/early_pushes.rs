//! Pushes that are made before the WebSocket is open.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sockeye_core::{CloseFrame, Frame, OutgoingFrame, Payload, Prepared, Sender, State};

use crate::engine::waker_list::WakerList;
use crate::server::panics::Isolated;
use crate::server::registry::entry::Entry;
use crate::server::registry::error::PushError;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::ConnectionId;
use crate::server::registry::push_target::{Command, PushTarget};
use crate::server::registry::pushed::Pushed;
use crate::server::registry::settings::Remedy;

thread_local! {
    /// The id of the connection whose handshake is being decided on this thread right now, or 0.
    static DECIDING: Cell<u64> = const { Cell::new(0) };
}

/// The commands that wait until the 101 has been sent, which must come before any frame.
///
/// They obey the rules of the open connection: the high-water mark, the budget of the server, and
/// the port's policy for a full queue. An accepted command is never refused later.
pub(crate) struct EarlyPushes {
    id: ConnectionId,
    hub: Arc<Hub>,
    /// Encodes every command too, so that a push fails now if it would fail on the open connection.
    /// Its output is discarded.
    rehearsal: Sender,
    /// The commands, each with its length on the wire.
    queue: VecDeque<(OwnedCommand, usize)>,
    /// The sum of these lengths. The hub has counted it.
    queued: usize,
    /// The pushes that wait for the 101 because the queue is full.
    waiters: WakerList,
    deferred: Vec<Deferred>,
}

/// A function of the application, to be called once the 101 has been sent.
pub(crate) type Deferred = Isolated<Box<dyn FnOnce() + Send>>;

/// A [`Command`] that owns its data.
enum OwnedCommand {
    Message(Payload<'static>),
    Prepared(Prepared),
    Frame(Frame<'static>, Option<bool>),
    Close(CloseFrame<'static>),
}

impl EarlyPushes {
    pub(crate) fn new(entry: &Entry, hub: Arc<Hub>) -> Self {
        EarlyPushes {
            id: entry.id(),
            hub,
            rehearsal: Sender::server(entry.port.config.clone()),
            queue: VecDeque::new(),
            queued: 0,
            waiters: WakerList::default(),
            deferred: Vec::new(),
        }
    }

    /// Keeps a command. If there is no room for it, applies the port's policy for that.
    pub(crate) fn keep(&mut self, command: Command<'_>, entry: &Entry) -> Result<Pushed, PushError> {
        let is_whole = command.is_whole();
        let Err(error) = self.keep_within_budget(command, entry) else { return Ok(Pushed::Queued) };
        match entry.port.slow_reader.remedy(&error, is_whole) {
            Remedy::Drop => {
                entry.count_dropped();
                return Ok(Pushed::Dropped);
            }
            Remedy::Close(frame) => {
                let _ = self.keep_within_budget(Command::Close(&frame), entry);
            }
            Remedy::Fail => {}
        }
        entry.count_refused_push(&error);
        Err(error)
    }

    /// Waits for the 101 if there is no room before it, then keeps a command.
    ///
    /// The method that decides on the handshake gets an error instead, because the 101 waits for
    /// it.
    pub(crate) fn poll_keep(
        &mut self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        entry: &Entry,
    ) -> Poll<Result<(), PushError>> {
        match self.keep_within_budget(command, entry) {
            Err(PushError::Backpressure { .. }) if DECIDING.get() != self.id.0 => {
                self.waiters.register(cx.waker());
                Poll::Pending
            }
            kept => Poll::Ready(kept),
        }
    }

    /// Deregisters a waiter of [`poll_keep`](EarlyPushes::poll_keep) that gave up.
    #[must_use]
    pub(crate) fn deregister_waiter(&mut self, waker: &Waker) -> Option<Waker> {
        self.waiters.deregister(waker)
    }

    fn keep_within_budget(&mut self, command: Command<'_>, entry: &Entry) -> Result<(), PushError> {
        // Even a ping needs room here, because nothing else bounds their number.
        let needs_room = !matches!(command, Command::Close(_)) && self.rehearsal.state() == State::Open;
        if needs_room && entry.port.config.reaches_high_water_mark(self.queued) {
            return Err(PushError::Backpressure { queued: self.queued });
        }
        if let Some(len) = command.unshared_len() {
            self.hub.check_budget(len)?;
        }
        command.clone().queue_on(&mut self.rehearsal)?;
        let len = self.rehearsal.queued();
        self.rehearsal.transmitted(len);
        self.set_queued(self.queued + len);
        self.queue.push_back((command.into_owned(), len));
        Ok(())
    }

    /// Returns the number of bytes that wait for the 101.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    fn set_queued(&mut self, queued: usize) {
        self.hub.count_queued(self.id, self.queued, queued);
        self.queued = queued;
    }

    pub(crate) fn defer(&mut self, deferred: Deferred) {
        self.deferred.push(deferred);
    }

    pub(crate) fn take_deferred(&mut self) -> Vec<Deferred> {
        std::mem::take(&mut self.deferred)
    }

    /// Passes the commands to the connection, whose 101 has been sent. Returns false if the
    /// connection has no room for all of them: compression may make data longer, and the socket may
    /// take less than the mark. The rest waits here, before all later pushes.
    pub(crate) fn deliver(&mut self, target: &dyn PushTarget) -> bool {
        while let Some((command, len)) = self.queue.front() {
            let delivered = command.with_command(|command| target.deliver(command));
            if let Err(PushError::Backpressure { .. }) = delivered {
                return false;
            }
            // The rehearsal accepted it, so any other error means that the connection has ended.
            let queued = self.queued - len;
            self.set_queued(queued);
            self.queue.pop_front();
        }
        true
    }
}

/// Returns the bytes to the server's budget, and wakes the waiting pushes. Drop it without holding
/// a lock.
impl Drop for EarlyPushes {
    fn drop(&mut self) {
        self.set_queued(0);
        self.waiters.take().wake_all();
    }
}

/// Runs `decision`, which decides on the handshake of the connection with this id. While it is
/// polled, a push that would wait for the 101 of this connection fails.
pub(crate) async fn run_decision<T>(id: ConnectionId, decision: impl Future<Output = T>) -> T {
    // Boxed: a future that is moved into another one takes up its size twice.
    let mut decision = Box::pin(decision);
    poll_fn(|cx| {
        let _deciding = Deciding { outer: DECIDING.replace(id.0) };
        decision.as_mut().poll(cx)
    })
    .await
}

/// A guard that restores [`DECIDING`].
struct Deciding {
    outer: u64,
}

impl Drop for Deciding {
    fn drop(&mut self) {
        DECIDING.set(self.outer);
    }
}

impl Command<'_> {
    fn into_owned(self) -> OwnedCommand {
        match self {
            Command::Message(payload) => OwnedCommand::Message(payload.into_owned()),
            Command::Prepared(prepared) => OwnedCommand::Prepared(prepared.clone()),
            Command::Frame(OutgoingFrame { frame, compress }) => {
                let data = frame.data.clone().into_owned().into();
                OwnedCommand::Frame(Frame { opcode: frame.opcode, data, flags: frame.flags }, compress)
            }
            Command::Close(frame) => OwnedCommand::Close(frame.clone().into_owned()),
        }
    }
}

impl OwnedCommand {
    fn with_command<R>(&self, f: impl FnOnce(Command<'_>) -> R) -> R {
        match self {
            OwnedCommand::Message(payload) => f(Command::Message(payload.clone())),
            OwnedCommand::Prepared(prepared) => f(Command::Prepared(prepared)),
            OwnedCommand::Frame(frame, compress) => {
                f(Command::Frame(OutgoingFrame { frame, compress: *compress }))
            }
            OwnedCommand::Close(frame) => f(Command::Close(frame)),
        }
    }
}

impl fmt::Debug for EarlyPushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyPushes").field("queue", &self.queue.len()).finish_non_exhaustive()
    }
}

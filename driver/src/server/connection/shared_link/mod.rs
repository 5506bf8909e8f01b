//! The link of an open connection, shared by its task and by everything that pushes to it.
//!
//! One lock protects the driver's [`Link`] and the server's counts of its queue. The operations are
//! in two modules: [`task_side`] for the connection's task, [`pusher_side`] for any other task or
//! thread. On its way to the transport, a push takes these steps:
//!
//! 1. `Entry::dispatch` passes it to this link if the connection is an open WebSocket.
//! 2. `PushTarget::push` takes the lock. Once the push is queued, it writes it or wakes the task.
//! 3. [`SharedLink::queue_with_policy`] makes room in a full queue, by writing what the transport
//!    takes. If that is not enough, it applies the port's `SlowReader` policy.
//! 4. [`SharedLink::queue_within_budget`] checks the server's budget and counts the queue.
//! 5. `Command::queue_on` calls the core's `Sender`, which validates and encodes.

mod pusher_side;
pub(crate) mod task_side;

use std::sync::Arc;
use std::task::Waker;
use std::thread::{self, ThreadId};

use sockeye_core::{Instant, State};

use crate::engine::buffer;
use crate::engine::link::Link;
use crate::engine::waker_list::WakerList;
use crate::runtime::io::{Clock, Io};
use crate::server::connection::inbox::Intake;
use crate::server::connection::transport::Transport;
use crate::server::registry::counters::SentTally;
use crate::server::registry::entry::Entry;
use crate::server::registry::error::PushError;
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::{Budget, Hub};
use crate::server::registry::push_target::Command;
use crate::server::registry::pushed::Pushed;
use crate::server::registry::settings::Remedy;
use crate::sync::MutexGuard;

/// A [`Link`] with the additions of a server: counted queues, pushes that wait, a task to wake.
#[derive(Debug)]
pub(crate) struct SharedLink<I, C> {
    link: Link<Transport<I>, C>,
    hub: Arc<Hub>,
    /// The entry holds this link in turn. `Entry::end` breaks the cycle.
    entry: Arc<Entry>,
    /// The task's thread, if the task has one to itself.
    thread: Option<ThreadId>,
    /// The state that another thread needs to read on, while a handler may block that thread.
    intake: Option<Box<Intake>>,
    /// The number of queued bytes that the hub has counted for this connection. Those of
    /// broadcasts are counted once for all connections.
    counted: usize,
    /// The waker of the task while it waits. A push takes it, so that many pushes wake it once.
    task: Option<Waker>,
    /// No handler runs and none is due: the task waits for the peer, or has been woken from that.
    is_idle: bool,
    /// The pushes that wait until the peer has read enough.
    waiters: WakerList,
    /// The transport holds a stale waker; live waiters must poll again to install theirs.
    stale_waker: bool,
    /// The queue has reached its high-water mark and has not fallen to the low one since.
    above_low_mark: bool,
    /// The queue has fallen to its low-water mark, and the task has not seen this yet.
    drained: bool,
    /// How often a waiting push has made room since the task's last turn.
    rooms_made: u8,
    /// The queued messages that are not in the port's counters yet.
    sent: SentTally,
    received_at: Option<Instant>,
    sent_at: Option<Instant>,
}

impl<I: Io, C: Clock> SharedLink<I, C> {
    pub(crate) fn new(
        link: Link<Transport<I>, C>,
        hub: Arc<Hub>,
        entry: Arc<Entry>,
        thread: Option<ThreadId>,
    ) -> Self {
        SharedLink {
            link,
            hub,
            entry,
            thread,
            intake: None,
            counted: 0,
            task: None,
            is_idle: false,
            waiters: WakerList::default(),
            stale_waker: false,
            above_low_mark: false,
            drained: false,
            rooms_made: 0,
            sent: SentTally::default(),
            received_at: None,
            sent_at: None,
        }
    }

    // These functions are inlined into `push`, because a call would copy the command and the result.

    /// Queues a command. If the peer reads too slowly for it, applies the port's policy for that.
    #[inline(always)]
    fn queue_with_policy(&mut self, command: Command<'_>) -> Result<Pushed, PushError> {
        if self.above_low_mark {
            self.make_room();
        }
        let is_whole = command.is_whole();
        match self.queue_within_budget(command) {
            Ok(()) => Ok(Pushed::Queued),
            Err(error) => self.apply_policy(error, is_whole),
        }
    }

    #[cold]
    fn apply_policy(&mut self, error: PushError, is_whole: bool) -> Result<Pushed, PushError> {
        match self.entry.port.slow_reader.remedy(&error, is_whole) {
            Remedy::Drop => {
                self.entry.count_dropped();
                return Ok(Pushed::Dropped);
            }
            Remedy::Close(frame) => {
                let _ = self.link.sender.close(&frame);
                self.link.after_queue();
                self.update_counts();
            }
            Remedy::Fail => {}
        }
        self.entry.count_refused_push(&error);
        Err(error)
    }

    /// Returns the entry and the length of the queue if a push has failed for which the port closes
    /// the connection.
    #[cold]
    fn slow_reader(&self, result: &Result<Pushed, PushError>) -> Option<(Arc<Entry>, usize)> {
        let remedy = self.entry.port.slow_reader.remedy(result.as_ref().err()?, true);
        matches!(remedy, Remedy::Close(_)).then(|| (self.entry.clone(), self.link.sender.queued()))
    }

    /// Writes what the transport takes at once if the queue is full, so that a burst is not taken
    /// for a slow peer.
    #[cold]
    fn make_room(&mut self) {
        if !self.has_room() {
            self.write_now();
        }
    }

    /// Queues a command if the budget of the whole server allows it, and counts the queue.
    #[inline(always)]
    fn queue_within_budget(&mut self, command: Command<'_>) -> Result<(), PushError> {
        let mut budget = Budget::Ample;
        if let Some(len) = command.unshared_len() {
            budget = self.check_budget(len)?;
        }
        let result = self.queue(command);
        if budget == Budget::Scarce {
            self.write_now();
        }
        result
    }

    /// Queues a command, and counts the queue.
    #[inline(always)]
    fn queue(&mut self, command: Command<'_>) -> Result<(), PushError> {
        let (data_len, ends_message) = (command.data_len(), command.ends_message());
        let is_control = data_len.is_none();
        // The thread's buffer is for data that is written soon: by the task, which is awake, or by
        // this thread. Data that waits gets memory of its own.
        if !is_control && (self.task.is_none() || self.pusher_writes()) {
            self.link.sender.lend_buffer(buffer::take_write);
        }
        let result = command.queue_on(&mut self.link.sender);
        if is_control {
            self.link.after_queue();
        } else if result.is_ok() {
            self.sent.add(data_len.unwrap_or_default(), ends_message);
        }
        self.update_counts();
        Ok(result?)
    }

    /// Checks whether the budget of the whole server allows `len` more bytes. If not, writes what
    /// the transport takes and checks again.
    #[inline(always)]
    fn check_budget(&mut self, len: usize) -> Result<Budget, PushError> {
        self.hub.check_budget(len).or_else(|error| self.check_share(len, error))
    }

    /// Checks whether `len` more bytes are within the connection's own share, because others have
    /// used up the budget. Peers that do not read must not make those that do be refused.
    #[cold]
    fn check_share(&mut self, len: usize, error: PushError) -> Result<Budget, PushError> {
        if self.link.sender.queued() > 0 {
            self.write_now();
        }
        // The transport takes a message at once, or most of it, if it has taken all before.
        let takes_more = self.link.sender.queued() == 0;
        if takes_more || self.counted.saturating_add(len) <= self.hub.guaranteed_share() {
            return Ok(Budget::Scarce);
        }
        self.hub.check_budget(len).map_err(|_| error)
    }

    /// Returns whether the pushing thread writes directly: only if it is not the connection's own
    /// thread, which writes once for a whole batch, and the transport is not known to be blocked.
    fn pusher_writes(&self) -> bool {
        self.thread.is_some_and(|own| own != thread::current().id()) && !self.transport_wakes_task()
    }

    /// Returns whether the task waits for the transport to take more.
    fn transport_wakes_task(&self) -> bool {
        self.task.is_some() && self.link.is_blocked()
    }

    /// Writes what the transport takes at once. Returns true if everything was written and the task
    /// need not wake.
    fn write_now(&mut self) -> bool {
        let queued = self.link.sender.queued();
        // The transport keeps one waker. Pass the task's if the task waits. A running task polls
        // again before it waits.
        let waker = self.task.as_ref().unwrap_or(Waker::noop());
        let written = self.link.write_now(waker);
        self.stale_waker |= written.is_pending();
        self.note_written(queued);
        written.is_ready() && !self.drained && self.link.sender.state() == State::Open
    }

    /// Returns whether a message can be queued, or refused, without waiting for the peer.
    fn has_room(&self) -> bool {
        self.link.sender.is_writable() || self.link.sender.state() != State::Open
    }

    /// Returns whether there is room for the answers to the next message.
    ///
    /// If so, clears [`Flag::Full`]: the task need not ask again until the queue is full again.
    fn clear_full_flag(&mut self) -> bool {
        let has_room = self.has_room();
        if has_room {
            self.entry.store_flag(Flag::Full, false);
            // The task runs on, so nothing need wake it.
            self.task = None;
        }
        has_room
    }

    /// Reports the length of the queue to the hub, and notices when it crosses one of its marks.
    fn update_counts(&mut self) {
        let queued = self.link.sender.queued();
        let alone = self.link.sender.queued_alone();
        if alone != self.counted {
            self.hub.count_queued(self.entry.id(), self.counted, alone);
            self.counted = alone;
        }
        if self.entry.port.config.reaches_high_water_mark(queued) {
            self.above_low_mark = true;
            self.entry.store_flag(Flag::Full, true);
        } else if self.above_low_mark && queued <= self.entry.port.low_water_mark() {
            self.above_low_mark = false;
            // After a Close, no message can use the room.
            self.drained = self.link.sender.state() == State::Open;
        }
    }

    /// Updates the counts after a write that began with `queued` bytes in the queue.
    #[inline]
    fn note_written(&mut self, queued: usize) {
        if queued == 0 && self.link.sender.queued() == 0 {
            return;
        }
        if self.link.sender.queued() < queued {
            self.sent_at = Some(self.link.now());
            self.sent.flush(&self.entry, self.link.io.take_written());
        }
        self.update_counts();
    }
}

impl<I, C> Drop for SharedLink<I, C> {
    fn drop(&mut self) {
        self.hub.count_queued(self.entry.id(), self.counted, 0);
        self.sent.flush(&self.entry, self.link.io.take_written());
        self.waiters.take().wake_all();
    }
}

/// Releases the lock, then wakes `task`, the waits for the end if the connection is no longer open,
/// and the waiting pushes if they can make progress: the queue has room, or one of them must
/// install its waker in the transport.
///
/// A woken task may run at once and take this lock, so nothing is woken while it is held.
fn unlock_and_wake<I: Io, C: Clock>(shared: MutexGuard<'_, SharedLink<I, C>>, task: Option<Waker>) {
    if shared.link.sender.state() == State::Open {
        unlock_and_wake_senders(shared, task);
    } else {
        unlock_and_wake_all(shared, task);
    }
}

#[inline]
fn unlock_and_wake_senders<I: Io, C: Clock>(
    mut shared: MutexGuard<'_, SharedLink<I, C>>,
    task: Option<Waker>,
) {
    let is_stale = std::mem::take(&mut shared.stale_waker);
    let wakes_waiters = !shared.waiters.is_empty() && (is_stale || shared.has_room());
    let waiters = wakes_waiters.then(|| shared.waiters.take());
    drop(shared);
    if let Some(task) = task {
        task.wake();
    }
    if let Some(waiters) = waiters {
        waiters.wake_all();
    }
}

#[cold]
fn unlock_and_wake_all<I: Io, C: Clock>(shared: MutexGuard<'_, SharedLink<I, C>>, task: Option<Waker>) {
    let (hub, id) = (shared.hub.clone(), shared.entry.id());
    shared.entry.begin_closing();
    unlock_and_wake_senders(shared, task);
    hub.closed_waiters.wake(id);
}

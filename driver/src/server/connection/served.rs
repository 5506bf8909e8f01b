//! An open connection's link, shared by its task and by everybody who pushes.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};

use sockeye_core::{CloseFrame, Instant, State};

use crate::engine::buffer;
use crate::engine::link::{DrainTo, Link};
use crate::engine::lock::lock;
use crate::engine::waker_list::WakerList;
use crate::engine::wakers::Half;
use crate::runtime::io::{Clock, Io};
use crate::server::registry::entry::{Entry, Flag};
use crate::server::registry::error::PushError;
use crate::server::registry::hub::Hub;
use crate::server::registry::push_target::{Command, Facts, Flusher, PushTarget};
use crate::server::registry::settings::SlowReader;

/// The link, and what a server has to know of its queue.
#[derive(Debug)]
pub(crate) struct Served<I, C> {
    pub(crate) link: Link<I, C>,
    hub: Arc<Hub>,
    /// It has this link in turn, until the connection ends.
    entry: Arc<Entry>,
    /// The task's thread, if it has one of its own.
    thread: Option<ThreadId>,
    /// Bytes of the queue that the hub has counted.
    counted: usize,
    /// The task, while it waits. Whoever queues something takes it and wakes it, so that it is woken once for many pushes.
    pub(crate) task: Option<Waker>,
    /// Who waits until the peer has read enough.
    waiters: WakerList,
    /// The transport will wake somebody who does not wait any more, in the place of one who does.
    stale_waker: bool,
    /// The queue has been at its high mark and not at the low one since.
    passed: bool,
    drained: bool,
    pub(crate) received_at: Option<Instant>,
    sent_at: Option<Instant>,
}

impl<I: Io, C: Clock> Served<I, C> {
    pub(crate) fn new(link: Link<I, C>, hub: Arc<Hub>, entry: Arc<Entry>, thread: Option<ThreadId>) -> Self {
        Served {
            link,
            hub,
            entry,
            thread,
            counted: 0,
            task: None,
            waiters: WakerList::default(),
            stale_waker: false,
            passed: false,
            drained: false,
            received_at: None,
            sent_at: None,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, command: Command<'_>) -> Result<(), PushError> {
        let is_whole = command.is_whole();
        match self.queue(command) {
            Ok(()) => Ok(()),
            Err(error) => self.refused(error, is_whole),
        }
    }

    /// What the port says of slow readers.
    #[cold]
    fn refused(&mut self, error: PushError, is_whole: bool) -> Result<(), PushError> {
        if let PushError::Backpressure { .. } | PushError::ServerBackpressure { .. } = error {
            match self.entry.port.slow_reader {
                SlowReader::Drop if is_whole => return Ok(()),
                SlowReader::Close(code) => {
                    let _ = self.link.sender.close(&CloseFrame::new(code, "reads too slowly"));
                    self.link.after_queue();
                    self.count();
                }
                SlowReader::Error | SlowReader::Drop => {}
            }
        }
        Err(error)
    }

    #[inline]
    fn queue(&mut self, command: Command<'_>) -> Result<(), PushError> {
        let data = command.data_len();
        if let Some(len) = data {
            self.hub.check_budget(len)?;
            // What is written soon may lie in the thread's buffer: what a task queues that is awake, or who writes himself.
            if self.task.is_none() || self.pusher_writes() {
                self.link.sender.lend_buffer(buffer::take_write);
            }
        }
        let result = command.run(&mut self.link.sender);
        if data.is_none() {
            self.link.after_queue();
        }
        self.count();
        Ok(result?)
    }

    /// Whether who pushes is to write: he is not the connection's own thread, which writes once for a whole batch, and nothing is
    /// known to be in the way.
    fn pusher_writes(&self) -> bool {
        self.thread.is_some_and(|own| own != thread::current().id())
            && !(self.task.is_some() && self.link.is_blocked())
    }

    /// Writes what the transport takes at once. Whether that was all, so that the task has nothing to do.
    fn write_now(&mut self) -> bool {
        let queued = self.link.sender.queued();
        let written = self.link.poll_write(&mut Context::from_waker(Waker::noop()), Half::Recv);
        self.stale_waker |= written.is_pending();
        self.count_written(queued);
        written.is_ready() && !self.drained && self.link.sender.state() == State::Open
    }

    /// Whether nothing has to be waited for before a message can be queued.
    pub(crate) fn has_room(&self) -> bool {
        self.link.sender.is_writable() || self.link.sender.state() != State::Open
    }

    /// Notes how much waits now.
    fn count(&mut self) {
        let queued = self.link.sender.queued();
        if queued != self.counted {
            self.hub.count_queued(self.entry.id(), self.counted, queued);
            self.counted = queued;
        }
        if self.entry.port.config.reaches_high_water_mark(queued) {
            self.passed = true;
            self.entry.set(Flag::Full, true);
        } else if self.passed && queued <= self.entry.port.low_water_mark {
            self.passed = false;
            // Behind a Close there is nothing to fill the room with.
            self.drained = self.link.sender.state() == State::Open;
        }
    }

    /// Whether there is room for the answer to a message; until the queue is at its mark again that need not be asked.
    pub(crate) fn takes_messages(&self) -> bool {
        let has_room = self.has_room();
        if has_room {
            self.entry.set(Flag::Full, false);
        }
        has_room
    }

    /// The task has worked on the link, which had `queued` bytes before; from now on it waits if `waits`. Whether the queue has
    /// drained.
    pub(crate) fn worked(&mut self, queued: usize, waits: Option<&Waker>) -> bool {
        self.count_written(queued);
        self.task = waits.cloned();
        std::mem::take(&mut self.drained)
    }

    /// The link may have written some of the `queued` bytes that it had.
    fn count_written(&mut self, queued: usize) {
        if self.link.sender.queued() < queued {
            self.sent_at = Some(self.link.now());
        }
        self.count();
    }
}

impl<I, C> Drop for Served<I, C> {
    fn drop(&mut self) {
        self.hub.count_queued(self.entry.id(), self.counted, 0);
        self.waiters.take().wake_all();
    }
}

impl<I: Io + Send, C: Clock + Send> PushTarget for Mutex<Served<I, C>> {
    fn push(&self, command: Command<'_>) -> Result<(), PushError> {
        let mut served = lock(self);
        let before = served.counted;
        let writes = served.pusher_writes();
        let deadline = if writes { served.link.sender.poll_timeout() } else { None };
        if writes && !served.has_room() {
            // While the thread was busy the peer may have read.
            served.write_now();
        }
        let result = served.push(command);
        let changed = result.is_ok() || served.counted != before;
        // The task is to see to what could not be written, to a new deadline, and to the end.
        let done = changed && writes && served.write_now() && served.link.sender.poll_timeout() == deadline;
        let task = if changed && !done { served.task.take() } else { None };
        release(served, task);
        result
    }

    fn poll_push(
        &self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        flusher: Flusher,
    ) -> Poll<Result<(), PushError>> {
        let mut served = lock(self);
        let queued = served.link.sender.queued();
        if flusher == Flusher::Waiter && !served.has_room() {
            // What became of it is seen below.
            let _ = served.link.poll_drain(cx, Half::Recv, DrainTo::Mark);
            served.count_written(queued);
        }
        if !served.has_room() {
            served.waiters.register(cx.waker());
            return Poll::Pending;
        }
        let result = served.queue(command);
        let done = match flusher {
            Flusher::Task => served.pusher_writes() && served.write_now(),
            Flusher::Waiter => {
                let queued = served.counted;
                // The transport wakes this one from now on: the task is to ask for that again, or who still waits.
                served.stale_waker |= served.link.poll_write(cx, Half::Recv).is_pending();
                served.count_written(queued);
                false
            }
        };
        let task = if done { None } else { served.task.take() };
        release(served, task);
        Poll::Ready(result)
    }

    fn deregister(&self, waker: &Waker) {
        let mut served = lock(self);
        let waiter = served.waiters.deregister(waker);
        // It may stand for another push of the same task, which then asks again; and the transport may know nobody else.
        served.stale_waker = true;
        release(served, waiter);
    }

    fn facts(&self) -> Facts {
        let served = lock(self);
        let sender = &served.link.sender;
        Facts {
            queued: sender.queued(),
            deflate: sender.deflate(),
            round_trip: sender.round_trip(),
            received_at: served.received_at,
            sent_at: served.sent_at,
        }
    }

    fn state(&self) -> State {
        lock(self).link.sender.state()
    }

    fn set_protected(&self, protected: bool) {
        lock(self).link.sender.set_protected(protected);
        self.wake();
    }

    fn abort(&self) {
        let mut served = lock(self);
        served.link.sender.abort();
        served.count();
        let task = served.task.take();
        release(served, task);
    }

    fn wake(&self) {
        let mut served = lock(self);
        let task = served.task.take();
        release(served, task);
    }
}

/// Unlocks, and wakes the task, and who waits for room, if there is some or they are to ask the transport again: without the
/// lock, for they may run at once, and want it.
pub(crate) fn release<I: Io, C: Clock>(mut served: MutexGuard<'_, Served<I, C>>, task: Option<Waker>) {
    let asks_again = std::mem::take(&mut served.stale_waker) || served.has_room();
    let waiters = (asks_again && !served.waiters.is_empty()).then(|| served.waiters.take());
    drop(served);
    if let Some(task) = task {
        task.wake();
    }
    if let Some(waiters) = waiters {
        waiters.wake_all();
    }
}

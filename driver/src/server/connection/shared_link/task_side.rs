//! The operations on a link that only the connection's own task calls.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sockeye_core::{CloseCode, CloseFrame, CloseInfo, Sender, State};

use crate::engine::access::LinkAccess;
use crate::engine::buffer::ReadBuffer;
use crate::engine::decoder::{SenderAccess, Unfinished};
use crate::engine::link::{DrainTo, Link, ReadOutcome};
use crate::engine::starvation::Starvation;
use crate::engine::wakers::Half;
use crate::lock::lock;
use crate::runtime::io::{Clock, Io};
use crate::server::connection::inbox::{BusyLink, Intake};
use crate::server::connection::shared_link::{SharedLink, unlock_and_wake};
use crate::server::connection::transport::Transport;
use crate::server::registry::flag::Flag;
use crate::server::registry::push_target::{Command, PushTarget};
use crate::sync::Mutex;

/// The task's handle to a [`SharedLink`]: the only handle that reads, and that reports when the
/// queue has drained.
#[derive(Debug)]
pub(crate) struct TaskLink<I, C> {
    shared: Arc<Mutex<SharedLink<I, C>>>,
    /// The queue has drained, and the handler has not been called for that yet.
    pub(crate) drained: bool,
}

impl<I: Io, C: Clock> TaskLink<I, C> {
    pub(crate) fn new(shared: SharedLink<I, C>) -> Self {
        TaskLink { shared: Arc::new(Mutex::new(shared)), drained: false }
    }

    /// Returns whether there is room for the answers to the next message.
    pub(crate) fn clear_full_flag(&mut self) -> bool {
        lock(&self.shared).clear_full_flag()
    }

    /// Writes what is queued, without reading.
    ///
    /// Deadlines run only while the queue is full, so that a peer that takes nothing cannot keep
    /// the connection forever.
    ///
    /// `held` is the number of received bytes that the connection holds meanwhile.
    pub(crate) fn poll_write_only(&mut self, cx: &mut Context<'_>, held: usize) {
        let mut shared = lock(&self.shared);
        shared.poll_write_only(cx, held);
        self.drained |= std::mem::take(&mut shared.drained);
        unlock_and_wake(shared, None);
    }

    /// Fails the connection, because it holds too much of what it has received.
    pub(crate) fn shed(&self) {
        let mut shared = lock(&self.shared);
        shared.shed();
        unlock_and_wake(shared, None);
    }

    /// Fails the connection with this code.
    pub(crate) fn fail(&self, code: CloseCode, reason: &str) {
        let mut shared = lock(&self.shared);
        shared.link.sender.fail_with(code, reason);
        shared.update_counts();
        unlock_and_wake(shared, None);
    }

    /// Queues a Close, which the task writes when it next waits. A connection that is closing
    /// already ignores it.
    pub(crate) fn close(&self, frame: &CloseFrame<'_>) {
        let mut shared = lock(&self.shared);
        let _ = shared.queue_with_policy(Command::Close(frame));
        unlock_and_wake(shared, None);
    }

    /// Queues the default answer to the peer's Close, if there is one that has no answer.
    pub(crate) fn answer_close(&self) {
        let mut shared = lock(&self.shared);
        shared.link.sender.answer_close();
        shared.update_counts();
    }

    /// Reads and discards until the peer has closed its side of the transport, for at most
    /// [`Config::close_timeout`](sockeye_core::Config::close_timeout).
    ///
    /// Dropping a socket with unread input would reset the connection, and the peer might lose this
    /// end's Close.
    pub(crate) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut input = ReadBuffer::new(&[]);
            let mut shared = lock(&self.shared);
            let queued = shared.link.sender.queued();
            let outcome = shared.link.poll_io(cx, &mut input, None);
            if let Poll::Ready(ReadOutcome::End(_)) = outcome {
                shared.link.io.release();
            }
            shared.finish_turn(queued, outcome.is_pending().then(|| cx.waker()));
            unlock_and_wake(shared, None);
            input.consume(usize::MAX);
            input.release();
            match outcome {
                Poll::Ready(ReadOutcome::Bytes) => {}
                Poll::Ready(ReadOutcome::End(_)) => return Poll::Ready(()),
                Poll::Ready(ReadOutcome::Yield) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Swaps the intake of the link with `intake`: leaves it there for the keeper while the handler
    /// may block this thread, or takes it back.
    pub(crate) fn swap_intake(&mut self, intake: &mut Option<Box<Intake>>) {
        let mut shared = lock(&self.shared);
        std::mem::swap(&mut shared.intake, intake);
        self.drained |= std::mem::take(&mut shared.drained);
    }

    /// Returns whether the task has a thread to itself, which the handler may block.
    pub(crate) fn has_own_thread(&self) -> bool {
        lock(&self.shared).thread.is_some()
    }

    pub(crate) fn state(&self) -> State {
        lock(&self.shared).link.sender.state()
    }

    /// Returns how the connection ended.
    pub(crate) fn close_info(&self) -> Option<CloseInfo> {
        lock(&self.shared).link.sender.close_info().cloned()
    }
}

impl<I: Io + Send + 'static, C: Clock + Send + 'static> TaskLink<I, C> {
    /// Returns the link as the target of pushes, for the registry.
    pub(crate) fn push_target(&self) -> Arc<dyn PushTarget> {
        self.shared.clone()
    }
}

impl<I: Io, C: Clock> SharedLink<I, C> {
    /// Ends a turn of the task, which began with `queued` bytes in the queue: counts what it wrote,
    /// and keeps its waker if it waits now.
    #[inline]
    fn finish_turn(&mut self, queued: usize, waker: Option<&Waker>) {
        self.note_written(queued);
        self.rooms_made = 0;
        self.task = waker.cloned();
        self.is_idle = false;
    }
}

impl<I: Io, C: Clock> SharedLink<I, C> {
    /// Fails the connection, because it holds too much of what it has received.
    fn shed(&mut self) {
        let (code, reason) = self.hub.shed_reason(&self.entry);
        self.entry.store_flag(Flag::Shed, false);
        self.link.sender.fail_with(code, reason);
        self.update_counts();
    }
}

impl<I: Io, C: Clock> SenderAccess for SharedLink<I, C> {
    fn with_sender(&mut self, f: impl FnOnce(&mut Sender)) {
        f(self.link.sender_with_buffer());
        self.update_counts();
    }
}

impl<I: Io, C: Clock> LinkAccess for SharedLink<I, C> {
    type Io = Transport<I>;
    type Clock = C;

    fn with_link<R>(&mut self, f: impl FnOnce(&mut Link<Transport<I>, C>) -> R) -> R {
        f(&mut self.link)
    }

    #[inline(always)]
    fn poll_io(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut ReadBuffer,
        unfinished: Unfinished,
    ) -> Poll<ReadOutcome> {
        self.task = None;
        let queued = self.link.sender.queued();
        let are_queues_scarce = self.hub.are_queues_scarce();
        if are_queues_scarce {
            // One read may bring thousands of pings, before a write shows that the peer reads none
            // of the answers.
            self.link.sender.limit_pongs();
        }
        self.link.starvation = if self.entry.has_flag(Flag::Starved) {
            Starvation::Full
        } else if are_queues_scarce && self.link.is_blocked() && queued > 0 {
            Starvation::WhileBlocked
        } else {
            Starvation::None
        };
        let input_len = input.len();
        let outcome = match self.link.poll_io(cx, input, unfinished.progress) {
            // The application learns of the end now. The task then waits for the end of the peer's
            // side, see `poll_linger`.
            Poll::Pending if self.link.is_finished(input) => Poll::Ready(ReadOutcome::End(None)),
            outcome => outcome,
        };
        match outcome {
            Poll::Ready(ReadOutcome::Bytes) => {
                self.received_at = Some(self.link.now());
                self.entry.port.counters.count_read(self.entry.id(), input.len() - input_len);
            }
            // A handler, or a push from elsewhere, may hold the connection for a long time.
            Poll::Ready(ReadOutcome::End(_)) if self.link.sender.state() == State::Closed => {
                self.link.io.release();
            }
            // A peer that never pauses makes the task yield, and never wait.
            Poll::Pending | Poll::Ready(ReadOutcome::Yield) => {
                self.hub.count_received(&self.entry, unfinished.held + input.len());
            }
            Poll::Ready(_) => {}
        }
        self.finish_turn(queued, outcome.is_pending().then(|| cx.waker()));
        outcome
    }
}

impl<I: Io, C: Clock> BusyLink for SharedLink<I, C> {
    fn poll_busy_io(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut ReadBuffer,
        unfinished: Unfinished,
    ) -> Poll<ReadOutcome> {
        self.poll_io(cx, input, unfinished)
    }

    fn shed(&mut self) {
        SharedLink::shed(self);
    }

    fn poll_write_only(&mut self, cx: &mut Context<'_>, held: usize) {
        self.hub.count_received(&self.entry, held);
        let queued = self.link.sender.queued();
        self.link.sender.handle_progress(None);
        // Ignore errors here; the read reports them.
        let _ = if self.has_room() {
            self.link.poll_write(cx, Half::Recv)
        } else {
            self.link.poll_drain(cx, Half::Recv, DrainTo::Mark)
        };
        self.finish_turn(queued, Some(cx.waker()));
    }

    fn state(&self) -> State {
        self.link.sender.state()
    }
}

impl<I: Io, C: Clock> SenderAccess for TaskLink<I, C> {
    fn with_sender(&mut self, f: impl FnOnce(&mut Sender)) {
        let mut shared = lock(&self.shared);
        shared.with_sender(f);
        // A Close of the peer ends the waits for room and for the end.
        unlock_and_wake(shared, None);
    }
}

impl<I: Io, C: Clock> LinkAccess for TaskLink<I, C> {
    type Io = Transport<I>;
    type Clock = C;

    fn with_link<R>(&mut self, f: impl FnOnce(&mut Link<Transport<I>, C>) -> R) -> R {
        f(&mut lock(&self.shared).link)
    }

    fn poll_io(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut ReadBuffer,
        unfinished: Unfinished,
    ) -> Poll<ReadOutcome> {
        let mut shared = lock(&self.shared);
        let outcome = shared.poll_io(cx, input, unfinished);
        self.drained |= std::mem::take(&mut shared.drained);
        // Otherwise the task decodes what has arrived, or calls the handler, before it waits.
        shared.is_idle = input.is_empty() && !self.drained;
        unlock_and_wake(shared, None);
        outcome
    }
}

impl<I: Io, C: Clock> BusyLink for TaskLink<I, C> {
    fn poll_busy_io(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut ReadBuffer,
        unfinished: Unfinished,
    ) -> Poll<ReadOutcome> {
        let mut shared = lock(&self.shared);
        let outcome = shared.poll_io(cx, input, unfinished);
        self.drained |= std::mem::take(&mut shared.drained);
        unlock_and_wake(shared, None);
        outcome
    }

    fn shed(&mut self) {
        TaskLink::shed(self);
    }

    fn poll_write_only(&mut self, cx: &mut Context<'_>, held: usize) {
        TaskLink::poll_write_only(self, cx, held);
    }

    fn state(&self) -> State {
        TaskLink::state(self)
    }
}

//! The operations on a link that only the connection's own task calls.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use sockeye_core::{CloseFrame, CloseInfo, Sender, State};

use crate::engine::access::LinkAccess;
use crate::engine::buffer::ReadBuffer;
use crate::engine::decoder::SenderAccess;
use crate::engine::link::{DrainTo, Link, ReadOutcome};
use crate::engine::wakers::Half;
use crate::lock::lock;
use crate::runtime::io::{Clock, Io};
use crate::server::connection::shared_link::{SharedLink, unlock_and_wake};
use crate::server::registry::push_target::{Command, PushTarget};

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

    /// Writes what is queued, without reading.
    ///
    /// Deadlines run only while the queue is full, so that a peer that takes nothing cannot keep
    /// the connection forever.
    pub(crate) fn poll_write_only(&mut self, cx: &mut Context<'_>) {
        let mut shared = lock(&self.shared);
        let queued = shared.link.sender.queued();
        // Ignore errors here; the read reports them.
        let _ = if shared.has_room() {
            shared.link.poll_write(cx, Half::Recv)
        } else {
            shared.link.poll_drain(cx, Half::Recv, DrainTo::Mark)
        };
        self.drained |= shared.finish_turn(queued, Some(cx.waker()));
        unlock_and_wake(shared, None);
    }

    /// Waits until the queue is below its high-water mark, or the connection is no longer open.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.shared);
        if shared.clear_full_flag() {
            return Poll::Ready(());
        }
        let queued = shared.link.sender.queued();
        let room = shared.link.poll_drain(cx, Half::Recv, DrainTo::Mark);
        self.drained |= shared.finish_turn(queued, room.is_pending().then(|| cx.waker()));
        if room.is_ready() {
            shared.clear_full_flag();
        }
        unlock_and_wake(shared, None);
        room.map(drop)
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
            let outcome = shared.link.poll_io(cx, &mut input);
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
    /// and keeps its waker if it waits now. Returns whether the queue has drained.
    fn finish_turn(&mut self, queued: usize, waker: Option<&Waker>) -> bool {
        self.note_written(queued);
        self.task = waker.cloned();
        self.is_idle = false;
        std::mem::take(&mut self.drained)
    }
}

impl<I: Io, C: Clock> SenderAccess for TaskLink<I, C> {
    fn with_sender(&mut self, f: impl FnOnce(&mut Sender)) {
        f(lock(&self.shared).link.sender_with_buffer());
    }
}

impl<I: Io, C: Clock> LinkAccess for TaskLink<I, C> {
    type Io = I;
    type Clock = C;

    fn with_link<R>(&mut self, f: impl FnOnce(&mut Link<I, C>) -> R) -> R {
        f(&mut lock(&self.shared).link)
    }

    fn poll_io(&mut self, cx: &mut Context<'_>, input: &mut ReadBuffer) -> Poll<ReadOutcome> {
        let mut shared = lock(&self.shared);
        shared.task = None;
        let queued = shared.link.sender.queued();
        let outcome = match shared.link.poll_io(cx, input) {
            // The application learns of the end now. The task then waits for the end of the peer's
            // side, see `poll_linger`.
            Poll::Pending if shared.link.is_finished(input) => Poll::Ready(ReadOutcome::End(None)),
            outcome => outcome,
        };
        if let Poll::Ready(ReadOutcome::Bytes) = outcome {
            shared.received_at = Some(shared.link.now());
        }
        self.drained |= shared.finish_turn(queued, outcome.is_pending().then(|| cx.waker()));
        // Otherwise the task decodes what has arrived, or calls the handler, before it waits.
        shared.is_idle = input.is_empty() && !self.drained;
        unlock_and_wake(shared, None);
        outcome
    }
}

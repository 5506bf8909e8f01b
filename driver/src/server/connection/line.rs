//! The way of a connection's task to its link.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use sockeye_core::{CloseInfo, Sender, State};

use crate::engine::access::LinkAccess;
use crate::engine::buffer::ReadBuffer;
use crate::engine::decoder::SenderAccess;
use crate::engine::link::{DrainTo, Link, ReadOutcome};
use crate::engine::lock::lock;
use crate::engine::wakers::Half;
use crate::runtime::io::{Clock, Io};
use crate::server::connection::served::{Served, release};
use crate::server::registry::error::PushError;
use crate::server::registry::push_target::Command;

/// The task's way to its link.
#[derive(Debug)]
pub(crate) struct Line<I, C> {
    pub(crate) served: Arc<Mutex<Served<I, C>>>,
    /// The queue has drained, and the handler has not been told yet.
    pub(crate) drained: bool,
}

impl<I: Io, C: Clock> Line<I, C> {
    pub(crate) fn new(served: Served<I, C>) -> Self {
        Line { served: Arc::new(Mutex::new(served)), drained: false }
    }

    /// Writes what is queued, while the peer is not listened to. A peer that takes nothing of it has its deadlines.
    pub(crate) fn poll_write_only(&mut self, cx: &mut Context<'_>) {
        let mut served = lock(&self.served);
        let queued = served.link.sender.queued();
        // An error is met again by the read.
        let _ = if served.has_room() {
            served.link.poll_write(cx, Half::Recv)
        } else {
            served.link.poll_drain(cx, Half::Recv, DrainTo::Mark)
        };
        self.drained |= served.worked(queued, Some(cx.waker()));
        release(served, None);
    }

    /// Waits until the queue is below its mark, or the connection is not open any more.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut served = lock(&self.served);
        if served.takes_messages() {
            return Poll::Ready(());
        }
        let queued = served.link.sender.queued();
        let room = served.link.poll_drain(cx, Half::Recv, DrainTo::Mark);
        self.drained |= served.worked(queued, room.is_pending().then(|| cx.waker()));
        if room.is_ready() {
            served.takes_messages();
        }
        release(served, None);
        room.map(drop)
    }

    pub(crate) fn push(&self, command: Command<'_>) -> Result<(), PushError> {
        let mut served = lock(&self.served);
        let result = served.push(command);
        release(served, None);
        result
    }

    pub(crate) fn state(&self) -> State {
        lock(&self.served).link.sender.state()
    }

    /// How the connection ended.
    pub(crate) fn close_info(&self) -> Option<CloseInfo> {
        lock(&self.served).link.sender.close_info().cloned()
    }
}

impl<I: Io, C: Clock> SenderAccess for Line<I, C> {
    fn with_sender(&mut self, f: impl FnOnce(&mut Sender)) {
        f(lock(&self.served).link.sender_with_buffer());
    }
}

impl<I: Io, C: Clock> LinkAccess for Line<I, C> {
    type Io = I;
    type Clock = C;

    fn with_link<R>(&mut self, f: impl FnOnce(&mut Link<I, C>) -> R) -> R {
        f(&mut lock(&self.served).link)
    }

    fn poll_io(&mut self, cx: &mut Context<'_>, input: &mut ReadBuffer) -> Poll<ReadOutcome> {
        let mut served = lock(&self.served);
        served.task = None;
        let queued = served.link.sender.queued();
        let outcome = served.link.poll_io(cx, input);
        if let Poll::Ready(ReadOutcome::Bytes) = outcome {
            served.received_at = Some(served.link.now());
        }
        self.drained |= served.worked(queued, outcome.is_pending().then(|| cx.waker()));
        release(served, None);
        outcome
    }
}

//! An open connection's link, shared by its task and by everybody who pushes.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sockeye_core::deflate::Negotiated;
use sockeye_core::{CloseFrame, CloseInfo, Frame, Instant, Payload, Prepared, SendError, Sender, State};

use super::error::PushError;
use super::hub::Hub;
use super::options::SlowReader;
use crate::buffer::{self, ReadBuffer};
use crate::decoder::Answer;
use crate::io::{Clock, Io};
use crate::link::{Heard, Link};
use crate::shared::{Access, Half, lock};

/// Something to be sent.
#[derive(Debug, Clone)]
pub(super) enum Command<'a> {
    Message(Payload<'a>),
    Prepared(&'a Prepared),
    Frame(&'a Frame<'a>),
    Close(&'a CloseFrame<'a>),
}

impl Command<'_> {
    pub(super) fn run(self, sender: &mut Sender) -> Result<(), SendError> {
        match self {
            Command::Message(payload) => sender.send(payload),
            Command::Prepared(prepared) => sender.send_prepared(prepared),
            Command::Frame(frame) => sender.send_frame(frame),
            Command::Close(frame) => sender.close(frame),
        }
    }

    /// How many bytes of payload it brings; `None` for what must go out however much waits.
    fn data_len(&self) -> Option<usize> {
        match self {
            Command::Message(payload) => Some(payload.as_bytes().len()),
            Command::Prepared(prepared) => Some(prepared.as_bytes().len()),
            Command::Frame(frame) if !frame.opcode.is_control() => Some(frame.data.len()),
            Command::Frame(_) | Command::Close(_) => None,
        }
    }
}

/// An open connection, whatever its transport.
pub(super) trait Push: Send + Sync {
    fn push(&self, command: Command<'_>) -> Result<(), PushError>;
    fn facts(&self) -> Facts;
    fn state(&self) -> State;
    fn set_protected(&self, protected: bool);
    fn abort(&self);
    /// Makes the task look at what has changed.
    fn wake(&self);
}

impl fmt::Debug for dyn Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Push")
    }
}

/// What an open connection knows of itself.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) queued: usize,
    pub(super) deflate: Option<Negotiated>,
    pub(super) round_trip: Option<Duration>,
    pub(super) received_at: Option<Instant>,
    pub(super) sent_at: Option<Instant>,
}

/// The link, and what a server has to know of its queue.
#[derive(Debug)]
pub(super) struct Served<I, C> {
    link: Link<I, C>,
    hub: Arc<Hub>,
    high: usize,
    low: usize,
    slow: SlowReader,
    /// Bytes of the queue that the hub has counted.
    counted: usize,
    /// The task, while it waits. Whoever queues something takes it and wakes it, so that it is woken once for many pushes.
    task: Option<Waker>,
    /// The queue has been at its high mark and not at the low one since.
    passed: bool,
    drained: bool,
    received_at: Option<Instant>,
    sent_at: Option<Instant>,
}

impl<I: Io, C: Clock> Served<I, C> {
    pub(super) fn new(link: Link<I, C>, hub: Arc<Hub>, high: usize, low: usize, slow: SlowReader) -> Self {
        Served {
            link,
            hub,
            high: high.max(1),
            low,
            slow,
            counted: 0,
            task: None,
            passed: false,
            drained: false,
            received_at: None,
            sent_at: None,
        }
    }

    fn push(&mut self, command: Command<'_>) -> Result<(), PushError> {
        if let Some(len) = command.data_len() {
            self.hub.check_budget(len)?;
            // A task that is awake writes soon: what it queues may lie in the thread's buffer.
            if self.task.is_none() {
                self.link.sender.lend_buffer(buffer::take_write);
            }
        }
        let result = command.run(&mut self.link.sender);
        self.link.nudge();
        self.count();
        match result {
            Err(SendError::Backpressure { .. }) if self.slow == SlowReader::Drop => Ok(()),
            Err(error @ SendError::Backpressure { .. }) => {
                if let SlowReader::Close(code) = self.slow {
                    let _ = self.link.sender.close(&CloseFrame::new(code, "reads too slowly"));
                    self.link.nudge();
                    self.count();
                }
                Err(error.into())
            }
            result => Ok(result?),
        }
    }

    /// Notes how much waits now.
    fn count(&mut self) {
        let queued = self.link.sender.queued();
        if queued != self.counted {
            self.hub.count_queued(self.counted, queued);
            self.counted = queued;
        }
        if queued >= self.high {
            self.passed = true;
        } else if self.passed && queued <= self.low {
            self.passed = false;
            // Behind a Close there is nothing to fill the room with.
            self.drained = self.link.sender.state() == State::Open;
        }
    }

    /// The task has worked on the link, which had `queued` bytes before; from now on it waits if `waits`.
    fn worked(&mut self, queued: usize, waits: Option<&Waker>) {
        if self.link.sender.queued() < queued {
            self.sent_at = Some(self.link.now());
        }
        self.count();
        self.task = waits.cloned();
    }
}

impl<I, C> Drop for Served<I, C> {
    fn drop(&mut self) {
        self.hub.count_queued(self.counted, 0);
    }
}

impl<I: Io + Send, C: Clock + Send> Push for Mutex<Served<I, C>> {
    fn push(&self, command: Command<'_>) -> Result<(), PushError> {
        let mut served = lock(self);
        let before = served.counted;
        let result = served.push(command);
        let task = if result.is_ok() || served.counted != before { served.task.take() } else { None };
        drop(served);
        wake(task);
        result
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
        drop(served);
        self.wake();
    }

    fn wake(&self) {
        let task = lock(self).task.take();
        wake(task);
    }
}

/// Without a lock held: the task may run at once, and wants it.
fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

/// The task's way to its link.
#[derive(Debug)]
pub(super) struct Line<I, C> {
    pub(super) served: Arc<Mutex<Served<I, C>>>,
    /// The queue has drained, and the handler has not been told yet.
    pub(super) drained: bool,
}

impl<I: Io, C: Clock> Line<I, C> {
    pub(super) fn new(served: Served<I, C>) -> Self {
        Line { served: Arc::new(Mutex::new(served)), drained: false }
    }

    /// Writes what is queued and looks at nothing else, while the peer is not listened to. Ready when the connection is over.
    pub(super) fn poll_unheard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut served = lock(&self.served);
        let queued = served.link.sender.queued();
        // An error is met again by the read.
        let _ = served.link.poll_write(cx, Half::Recv);
        served.worked(queued, Some(cx.waker()));
        self.drained |= std::mem::take(&mut served.drained);
        if served.link.sender.state() == State::Closed { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until the queue is below its mark, or the connection is not open any more.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut served = lock(&self.served);
        if served.link.sender.is_writable() || served.link.sender.state() != State::Open {
            return Poll::Ready(());
        }
        let queued = served.link.sender.queued();
        let room = served.link.poll_drain(cx, Half::Recv, true);
        served.worked(queued, room.is_pending().then(|| cx.waker()));
        self.drained |= std::mem::take(&mut served.drained);
        room.map(drop)
    }

    pub(super) fn push(&self, command: Command<'_>) -> Result<(), PushError> {
        lock(&self.served).push(command)
    }

    pub(super) fn state(&self) -> State {
        lock(&self.served).link.sender.state()
    }

    /// How the connection ended.
    pub(super) fn close_info(&self) -> Option<CloseInfo> {
        lock(&self.served).link.sender.close_info().cloned()
    }
}

impl<I: Io, C: Clock> Answer for Line<I, C> {
    fn answer(&mut self, f: impl FnOnce(&mut Sender)) {
        f(lock(&self.served).link.sender_with_buffer());
    }
}

impl<I: Io, C: Clock> Access for Line<I, C> {
    type Io = I;
    type Clock = C;

    fn with<R>(&mut self, f: impl FnOnce(&mut Link<I, C>) -> R) -> R {
        f(&mut lock(&self.served).link)
    }

    fn hear(&mut self, cx: &mut Context<'_>, input: &mut ReadBuffer) -> Poll<Heard> {
        let mut served = lock(&self.served);
        served.task = None;
        let queued = served.link.sender.queued();
        let heard = served.link.poll_hear(cx, input);
        if let Poll::Ready(Heard::Bytes) = heard {
            served.received_at = Some(served.link.now());
        }
        served.worked(queued, heard.is_pending().then(|| cx.waker()));
        self.drained |= std::mem::take(&mut served.drained);
        heard
    }
}

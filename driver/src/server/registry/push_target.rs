//! What goes to an open connection, from whoever has it.

use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sockeye_core::deflate::Negotiated;
use sockeye_core::{CloseFrame, Frame, Instant, Opcode, Payload, Prepared, SendError, Sender, State};

use crate::server::registry::error::PushError;

/// Something to be sent.
#[derive(Debug, Clone)]
pub(crate) enum Command<'a> {
    Message(Payload<'a>),
    Prepared(&'a Prepared),
    Frame(&'a Frame<'a>),
    Close(&'a CloseFrame<'a>),
}

impl Command<'_> {
    #[inline]
    pub(crate) fn queue_on(self, sender: &mut Sender) -> Result<(), SendError> {
        match self {
            Command::Message(payload) => sender.send(payload),
            Command::Prepared(prepared) => sender.send_prepared(prepared),
            Command::Frame(frame) => sender.send_frame(frame),
            Command::Close(frame) => sender.close(frame),
        }
    }

    /// How many bytes of payload it brings; `None` for what must go out however much waits.
    pub(crate) fn data_len(&self) -> Option<usize> {
        match self {
            Command::Message(payload) => Some(payload.as_bytes().len()),
            Command::Prepared(prepared) => Some(prepared.as_bytes().len()),
            Command::Frame(frame) if !frame.opcode.is_control() => Some(frame.data.len()),
            Command::Frame(_) | Command::Close(_) => None,
        }
    }

    /// Whether it is a whole message, so that others can do without it.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Command::Message(_) | Command::Prepared(_) => true,
            Command::Frame(frame) => {
                frame.flags.finish && matches!(frame.opcode, Opcode::Text | Opcode::Binary)
            }
            Command::Close(_) => false,
        }
    }
}

/// Who writes what a push that waits has queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flusher {
    /// As with any push: the connection's task.
    Task,
    /// Who waits: it may be the connection's own thread, which does nothing else meanwhile.
    Waiter,
}

/// An open connection, whatever its transport.
pub(crate) trait PushTarget: Send + Sync {
    fn push(&self, command: Command<'_>) -> Result<(), PushError>;
    /// The same, but waits while the peer reads too slowly.
    fn poll_push(
        &self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        flusher: Flusher,
    ) -> Poll<Result<(), PushError>>;
    /// Who has waited does not wait any more.
    fn deregister_waiter(&self, waker: &Waker);
    fn facts(&self) -> Facts;
    fn state(&self) -> State;
    fn set_protected(&self, protected: bool);
    fn abort(&self);
    /// Makes the task look at what has changed.
    fn wake_task(&self);
}

impl fmt::Debug for dyn PushTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushTarget")
    }
}

/// What an open connection knows of itself.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) queued: usize,
    pub(crate) deflate: Option<Negotiated>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) received_at: Option<Instant>,
    pub(crate) sent_at: Option<Instant>,
}

//! Commands to a connection, and the trait that carries them out.

use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sockeye_core::deflate::Negotiated;
use sockeye_core::{CloseFrame, Instant, Opcode, OutgoingFrame, Payload, Prepared, SendError, Sender, State};

use crate::server::registry::error::PushError;
use crate::server::registry::pushed::Pushed;

/// A message or a frame for a connection to send.
#[derive(Debug, Clone)]
pub(crate) enum Command<'a> {
    Message(Payload<'a>),
    Prepared(&'a Prepared),
    Frame(OutgoingFrame<'a>),
    Close(&'a CloseFrame<'a>),
}

impl Command<'_> {
    /// Queues the command in the core.
    #[inline(always)]
    pub(crate) fn queue_on(self, sender: &mut Sender) -> Result<(), SendError> {
        match self {
            Command::Message(payload) => sender.send(payload),
            Command::Prepared(prepared) => sender.send_prepared(prepared),
            Command::Frame(frame) => sender.send_frame(frame),
            Command::Close(frame) => sender.close(frame),
        }
    }

    /// Returns the payload's length in bytes. Returns `None` for a control frame, which is queued
    /// even if the queue is full.
    #[inline(always)]
    pub(crate) fn data_len(&self) -> Option<usize> {
        match self {
            Command::Message(payload) => Some(payload.as_bytes().len()),
            Command::Prepared(prepared) => Some(prepared.as_bytes().len()),
            Command::Frame(OutgoingFrame { frame, .. }) if !frame.opcode.is_control() => {
                Some(frame.data.len())
            }
            Command::Frame(_) | Command::Close(_) => None,
        }
    }

    /// Returns like [`data_len`](Command::data_len) how many bytes the command adds to the server's
    /// queues. Those of a broadcast have been counted.
    #[inline]
    pub(crate) fn unshared_len(&self) -> Option<usize> {
        match self {
            Command::Prepared(prepared) if prepared.is_guarded() => Some(0),
            command => command.data_len(),
        }
    }

    /// Returns whether this is a message or the last fragment of one.
    #[inline(always)]
    pub(crate) fn ends_message(&self) -> bool {
        match self {
            Command::Message(_) | Command::Prepared(_) => true,
            Command::Frame(OutgoingFrame { frame, .. }) => frame.flags.finish,
            Command::Close(_) => false,
        }
    }

    /// Returns whether this is a whole message, which can be dropped without breaking another one.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Command::Message(_) | Command::Prepared(_) => true,
            Command::Frame(OutgoingFrame { frame, .. }) => {
                frame.flags.finish && matches!(frame.opcode, Opcode::Text | Opcode::Binary)
            }
            Command::Close(_) => false,
        }
    }
}

/// The side that flushes after a waiting push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flusher {
    /// The connection's task, as after any push.
    Task,
    /// The thread that waited. It may be the connection's own thread; while that thread blocks, no
    /// other one flushes.
    Waiter,
}

/// The destination of pushes to an open connection.
///
/// The one implementation is the connection's shared link. The trait hides the types of its
/// transport and clock, so that the registry can hold the connections of all runtimes.
pub(crate) trait PushTarget: Send + Sync {
    /// Queues a command, and writes it or wakes the task to do so.
    fn push(&self, command: Command<'_>) -> Result<Pushed, PushError>;

    /// Queues a command that was accepted before the connection was open, whatever the budget of
    /// the server is now. Only the connection's task calls this, so it wakes nothing.
    fn deliver(&self, command: Command<'_>) -> Result<(), PushError>;

    /// Waits until the queue has room, then queues a command.
    fn poll_push(
        &self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        flusher: Flusher,
    ) -> Poll<Result<(), PushError>>;

    /// Reads on in place of the connection's thread, if a handler may be blocking that. Otherwise
    /// returns false.
    fn poll_read_on(&self, cx: &mut Context<'_>) -> bool;

    /// Deregisters a waiter that gave up.
    fn deregister_waiter(&self, waker: &Waker);

    /// Returns the part of [`Info`](crate::server::Info) that only an open connection has.
    fn facts(&self) -> Facts;

    fn state(&self) -> State;

    /// Exempts the connection from the idle timeout, or ends the exemption.
    fn set_protected(&self, protected: bool);

    /// Ends the connection at once, without a Close.
    fn abort(&self);

    /// Queues a Close if no handler runs. Otherwise wakes the task if it waits, so that it checks
    /// its flags.
    fn close_if_idle(&self, frame: &CloseFrame<'_>);

    /// Wakes the task, so that it checks its flags.
    fn wake_task(&self);
}

impl fmt::Debug for dyn PushTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushTarget")
    }
}

/// The properties of an open connection that its link knows and its [`Entry`] does not.
///
/// [`Entry`]: crate::server::registry::entry::Entry
#[derive(Debug)]
pub(crate) struct Facts {
    /// The length of the queue in bytes.
    pub(crate) queued: usize,
    pub(crate) deflate: Option<Negotiated>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) received_at: Option<Instant>,
    pub(crate) sent_at: Option<Instant>,
}

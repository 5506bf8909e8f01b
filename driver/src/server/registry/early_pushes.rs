//! Pushes that are made before the WebSocket is open.

use std::fmt;

use sockeye_core::{CloseFrame, Frame, OutgoingFrame, Payload, Prepared, Sender};

use crate::server::registry::error::PushError;
use crate::server::registry::push_target::{Command, PushTarget};
use crate::server::registry::pushed::Pushed;

/// The commands that wait until the 101 has been sent, which must come before any frame.
pub(crate) struct EarlyPushes {
    /// Queues every command too, so that a push fails now if it would fail on the open connection.
    rehearsal: Sender,
    queue: Vec<OwnedCommand>,
    deferred: Vec<Deferred>,
}

/// A function of the application, to be called once the 101 has been sent.
pub(crate) type Deferred = Box<dyn FnOnce() + Send>;

/// A [`Command`] that owns its data.
enum OwnedCommand {
    Message(Payload<'static>),
    Prepared(Prepared),
    Frame(Frame<'static>, Option<bool>),
    Close(CloseFrame<'static>),
}

impl EarlyPushes {
    /// `rehearsal` must have the settings of the connection's own sender.
    pub(crate) fn new(rehearsal: Sender) -> Self {
        EarlyPushes { rehearsal, queue: Vec::new(), deferred: Vec::new() }
    }

    pub(crate) fn keep(&mut self, command: Command<'_>) -> Result<Pushed, PushError> {
        command.clone().queue_on(&mut self.rehearsal)?;
        self.queue.push(match command {
            Command::Message(payload) => OwnedCommand::Message(payload.into_owned()),
            Command::Prepared(prepared) => OwnedCommand::Prepared(prepared.clone()),
            Command::Frame(OutgoingFrame { frame, compress }) => {
                let data = frame.data.clone().into_owned().into();
                OwnedCommand::Frame(Frame { opcode: frame.opcode, data, flags: frame.flags }, compress)
            }
            Command::Close(frame) => OwnedCommand::Close(frame.clone().into_owned()),
        });
        Ok(Pushed::Queued)
    }

    pub(crate) fn defer(&mut self, deferred: Deferred) {
        self.deferred.push(deferred);
    }

    /// Pushes everything to the connection, which is now open. Returns the deferred functions.
    pub(crate) fn deliver(self, target: &dyn PushTarget) -> Vec<Deferred> {
        for command in self.queue {
            // The rehearsal queued it, so only the budget of the whole server can refuse it.
            let _ = command.with_command(|command| target.push(command));
        }
        self.deferred
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

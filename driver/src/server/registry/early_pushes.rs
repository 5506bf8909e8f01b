//! What is pushed to a connection before it is open.

use std::fmt;

use sockeye_core::{CloseFrame, Frame, Payload, Prepared, Sender};

use crate::server::registry::error::PushError;
use crate::server::registry::push_target::{Command, PushTarget};

/// What has been pushed before the 101, which has to be the first.
pub(crate) struct EarlyPushes {
    /// Has been given everything too: it knows what can be sent and what cannot, as the real one will.
    rehearsal: Sender,
    queue: Vec<OwnedCommand>,
    deferred: Vec<Deferred>,
}

/// What is to be done behind the 101.
pub(crate) type Deferred = Box<dyn FnOnce() + Send>;

enum OwnedCommand {
    Message(Payload<'static>),
    Prepared(Prepared),
    Frame(Frame<'static>),
    Close(CloseFrame<'static>),
}

impl EarlyPushes {
    /// For a connection that will send as `rehearsal` does.
    pub(crate) fn new(rehearsal: Sender) -> Self {
        EarlyPushes { rehearsal, queue: Vec::new(), deferred: Vec::new() }
    }

    pub(crate) fn keep(&mut self, command: Command<'_>) -> Result<(), PushError> {
        command.clone().queue_on(&mut self.rehearsal)?;
        self.queue.push(match command {
            Command::Message(payload) => OwnedCommand::Message(payload.into_owned()),
            Command::Prepared(prepared) => OwnedCommand::Prepared(prepared.clone()),
            Command::Frame(frame) => OwnedCommand::Frame(Frame {
                opcode: frame.opcode,
                data: frame.data.clone().into_owned().into(),
                flags: frame.flags,
            }),
            Command::Close(frame) => OwnedCommand::Close(frame.clone().into_owned()),
        });
        Ok(())
    }

    pub(crate) fn defer(&mut self, deferred: Deferred) {
        self.deferred.push(deferred);
    }

    /// Pushes everything to the connection, which is open now; gives what was deferred.
    pub(crate) fn deliver(self, link: &dyn PushTarget) -> Vec<Deferred> {
        for queued in self.queue {
            // The rehearsal went well; what can be in the way now is the budget of the server.
            let _ = queued.with_command(|command| link.push(command));
        }
        self.deferred
    }
}

impl OwnedCommand {
    fn with_command<R>(&self, f: impl FnOnce(Command<'_>) -> R) -> R {
        match self {
            OwnedCommand::Message(payload) => f(Command::Message(payload.clone())),
            OwnedCommand::Prepared(prepared) => f(Command::Prepared(prepared)),
            OwnedCommand::Frame(frame) => f(Command::Frame(frame)),
            OwnedCommand::Close(frame) => f(Command::Close(frame)),
        }
    }
}

impl fmt::Debug for EarlyPushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyPushes").field("queue", &self.queue.len()).finish_non_exhaustive()
    }
}

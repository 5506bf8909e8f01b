//! The end of a session after its last HTTP response.

use core::time::Duration;

use crate::discard::{DiscardBudget, LINGER};
use crate::time::Deadline;
use crate::{Instant, RecvBuf};

/// The phase in which input is discarded until the transport ends, within limits on time and size.
/// Closing a socket with unread input would reset the connection and destroy the response (RFC 9112
/// section 9.6).
pub(super) struct Linger {
    deadline: Deadline,
    budget: DiscardBudget,
}

impl Linger {
    pub(super) fn new() -> Self {
        Linger { deadline: Deadline::start(), budget: DiscardBudget::default() }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.poll()
    }

    /// Restarts the deadline, because the last response, or much of it, has been written.
    pub(super) fn restart(&mut self) {
        self.deadline = Deadline::start();
    }

    /// Returns true when the time is up: `write_timeout`, if given, while the response waits to be
    /// written; otherwise [`LINGER`].
    pub(super) fn handle_timeout(&mut self, now: Instant, write_timeout: Option<Duration>) -> bool {
        self.deadline.handle(now, write_timeout.unwrap_or(LINGER))
    }

    /// Takes all input. Returns false when the peer has sent too much of it.
    pub(super) fn discard(&mut self, input: &mut RecvBuf<'_>) -> bool {
        let taken = input.take_all().len();
        taken == 0 || self.budget.spend(taken)
    }
}

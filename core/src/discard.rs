//! The bounds on input that is read only to be discarded.

use core::time::Duration;

/// The time for which an endpoint discards input after its last output to a peer at fault.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// The limit in bytes on discarded input.
///
/// It leaves room for an upload: a peer that is refused in the middle of one may not read the
/// answer until it has sent the rest.
const MAX_DISCARDED: u32 = 8 << 20;

/// The number of bytes that may still be discarded.
///
/// An endpoint that is done continues to read until the transport ends. Closing a socket with
/// unread input would reset the connection, and the peer would lose what it has not read yet. The
/// budget ends this for a peer that never stops sending.
#[derive(Debug)]
pub(crate) struct DiscardBudget(u32);

impl Default for DiscardBudget {
    fn default() -> Self {
        DiscardBudget(MAX_DISCARDED)
    }
}

impl DiscardBudget {
    /// Subtracts `bytes` from the budget. Returns false if the budget was already used up.
    ///
    /// Input that exceeds the rest of the budget is still allowed, because it has already been
    /// received.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        let is_left = self.0 > 0;
        self.0 = self.0.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
        is_left
    }
}

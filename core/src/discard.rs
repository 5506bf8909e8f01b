//! The bound on input that is read only to be discarded.

/// The limit in bytes on discarded input.
///
/// A peer that is refused during an upload may read the answer only after the upload.
const MAX_DISCARDED: u32 = 8 << 20;

/// The number of bytes that may still be discarded.
///
/// An endpoint that is done reads on until the transport ends, because closing a socket with unread
/// input would reset the connection and destroy what the peer has not read yet. A peer that sends
/// without end must not keep it busy.
#[derive(Debug)]
pub(crate) struct DiscardBudget(u32);

impl Default for DiscardBudget {
    fn default() -> Self {
        DiscardBudget(MAX_DISCARDED)
    }
}

impl DiscardBudget {
    /// Takes `bytes` off the budget. Returns false if it was used up before.
    ///
    /// The input that uses it up is still within bounds, however long it is: it has been received.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        let is_left = self.0 > 0;
        self.0 = self.0.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
        is_left
    }
}

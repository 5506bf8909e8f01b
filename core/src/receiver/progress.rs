//! The progress of a message that is not whole.

use super::{Receiver, Step};

/// How much of an unfinished message has arrived, for [`Config::message_timeout`].
///
/// Callers that drive the two halves of a connection themselves pass it on, see
/// [`Sender::handle_progress`](crate::Sender::handle_progress).
///
/// [`Config::message_timeout`]: crate::Config#structfield.message_timeout
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Tells successive messages apart. It wraps.
    message: u16,
    /// The bytes of payload so far.
    bytes: u64,
}

impl Progress {
    /// Returns a number that changes with the message, and whenever the message has gained
    /// `demanded` bytes more.
    pub(crate) fn mark(self, demanded: u64) -> u16 {
        let periods = self.bytes.checked_div(demanded).unwrap_or(self.bytes) as u16;
        // An odd factor keeps successive messages apart from successive periods of one.
        self.message.wrapping_mul(40_503).wrapping_add(periods)
    }
}

impl Receiver {
    /// Returns the progress of the message, header or control frame that has begun; `None` if the
    /// input so far ended between two frames outside of a message.
    #[must_use]
    #[inline]
    pub fn progress(&self) -> Option<Progress> {
        if self.is_between_messages() { None } else { self.unfinished_progress() }
    }

    #[cold]
    fn unfinished_progress(&self) -> Option<Progress> {
        // A message that is being inflated has arrived.
        if !self.is_open() || self.is_inflating_end() {
            return None;
        }
        let Some(message) = &self.message else {
            // The first bytes of a header or a control frame. If the header begins a message, that
            // has this number.
            return Some(Progress { message: self.frame.messages.wrapping_add(1), bytes: 0 });
        };
        let missing = if matches!(self.step, Step::Data) { self.frame.remaining } else { 0 };
        let bytes = message.declared.saturating_sub(missing);
        Some(Progress { message: self.frame.messages, bytes })
    }
}

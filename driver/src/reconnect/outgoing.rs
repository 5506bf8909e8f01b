//! Messages that wait for a connection, and those that were not sent.

use std::collections::VecDeque;
use std::fmt;

use sockeye_core::{Payload, SendError};

/// The treatment of messages that are sent while there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhileDown {
    /// They are refused at once, with [`UnsentReason::Down`].
    Refuse,
    /// They wait in memory and are sent, in order, on the next connection: after the closure of
    /// [`on_connect`](crate::reconnect::Reconnecting::on_connect), before any later message. Those
    /// above the bound are refused with [`UnsentReason::Full`].
    Queue {
        /// The bound on the waiting messages together, in bytes. Each message counts as its payload
        /// and 64 bytes.
        max_bytes: usize,
    },
}

/// A message that was not sent. The client continues.
#[derive(Debug)]
pub struct Unsent {
    payload: Payload<'static>,
    reason: UnsentReason,
}

/// The reason why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnsentReason {
    /// There is no connection, and the policy refuses messages meanwhile.
    Down,
    /// There is no connection, and the queue of waiting messages is full.
    Full,
    /// The connection broke while the message was being written. The server may have received it.
    InDoubt,
    /// The client was closed, or has given up.
    Over,
    /// The message cannot be sent on this connection, for instance because it is too large.
    Invalid(SendError),
}

impl Unsent {
    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> UnsentReason {
        self.reason
    }

    /// Returns the message, for instance to send it later.
    #[must_use]
    pub fn payload(&self) -> &Payload<'static> {
        &self.payload
    }

    /// Returns the message, for instance to send it later.
    #[must_use]
    pub fn into_payload(self) -> Payload<'static> {
        self.payload
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            UnsentReason::Down => "the message was not sent: there is no connection",
            UnsentReason::Full => "the message was not sent: there is no connection, and the queue is full",
            UnsentReason::InDoubt => {
                "the connection broke while the message was being written; the server may have received it"
            }
            UnsentReason::Over => "the message was not sent: the client was closed or has given up",
            UnsentReason::Invalid(error) => return write!(f, "the message cannot be sent: {error}"),
        })
    }
}

impl std::error::Error for Unsent {}

/// The memory of a message beside its payload, so that empty messages count, too.
const OVERHEAD: usize = 64;

/// The messages of one client on their way to a connection, without I/O: those that wait, the one
/// that is being written, and those that no connection takes.
///
/// [`Reconnecting`](crate::reconnect::Reconnecting) uses it, and so does the blocking client of
/// `sockeye-std`.
#[derive(Debug)]
pub struct Outgoing {
    while_down: WhileDown,
    waiting: VecDeque<Payload<'static>>,
    /// The bytes of the waiting messages and of those in `invalid`.
    bytes: usize,
    in_flight: Option<Payload<'static>>,
    invalid: VecDeque<Unsent>,
}

impl Outgoing {
    /// Creates an empty queue.
    #[must_use]
    pub fn new(while_down: WhileDown) -> Self {
        Outgoing { while_down, waiting: VecDeque::new(), bytes: 0, in_flight: None, invalid: VecDeque::new() }
    }

    /// Takes a message while there is no connection.
    ///
    /// # Errors
    ///
    /// Returns the message if the policy refuses it, or if there is no room.
    pub fn push(&mut self, payload: Payload<'static>) -> Result<(), Unsent> {
        let WhileDown::Queue { max_bytes } = self.while_down else {
            return Err(refuse(payload, UnsentReason::Down));
        };
        let size = size(&payload);
        if size > max_bytes.saturating_sub(self.bytes) {
            return Err(refuse(payload, UnsentReason::Full));
        }
        self.bytes = self.bytes.saturating_add(size);
        self.waiting.push_back(payload);
        Ok(())
    }

    /// Returns the message that waits longest.
    #[must_use]
    pub fn next(&self) -> Option<&Payload<'static>> {
        self.waiting.front()
    }

    /// Records that [`next`](Outgoing::next) is now being written.
    pub fn begin_next(&mut self) {
        self.in_flight = self.take_next();
    }

    /// Records that a message that did not wait is now being written.
    pub fn begin(&mut self, payload: Payload<'static>) {
        self.in_flight = Some(payload);
    }

    /// Returns whether a message is being written.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Records that the message that was being written is written.
    pub fn written(&mut self) {
        self.in_flight = None;
    }

    /// Takes the message that was being written when the connection broke.
    pub fn take_in_doubt(&mut self) -> Option<Payload<'static>> {
        self.in_flight.take()
    }

    /// Sets [`next`](Outgoing::next) aside, because the connection does not take it.
    pub fn refuse_next(&mut self, error: SendError) {
        if let Some(payload) = self.waiting.pop_front() {
            self.invalid.push_back(refuse(payload, UnsentReason::Invalid(error)));
        }
    }

    /// Returns whether a message was [set aside](Outgoing::refuse_next).
    #[must_use]
    pub fn has_invalid(&self) -> bool {
        !self.invalid.is_empty()
    }

    /// Returns a message that was [set aside](Outgoing::refuse_next), to be reported.
    pub fn take_invalid(&mut self) -> Option<Unsent> {
        let unsent = self.invalid.pop_front()?;
        self.bytes = self.bytes.saturating_sub(size(&unsent.payload));
        Some(unsent)
    }

    /// Takes all messages that wait, and frees their memory.
    pub fn take_waiting(&mut self) -> Vec<Payload<'static>> {
        let mut all = Vec::with_capacity(self.waiting.len());
        while let Some(payload) = self.take_next() {
            all.push(payload);
        }
        self.waiting = VecDeque::new();
        all
    }

    /// Returns the bytes of all messages that wait. Each message counts as its payload and 64
    /// bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn take_next(&mut self) -> Option<Payload<'static>> {
        let payload = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(size(&payload));
        if self.waiting.is_empty() {
            // The memory of a long queue is not needed while there is a connection.
            self.waiting = VecDeque::new();
        }
        Some(payload)
    }
}

fn size(payload: &Payload<'_>) -> usize {
    payload.as_bytes().len().saturating_add(OVERHEAD)
}

impl Unsent {
    /// Wraps a message that was not sent.
    #[must_use]
    pub fn new(payload: Payload<'static>, reason: UnsentReason) -> Self {
        Unsent { payload, reason }
    }
}

fn refuse(payload: Payload<'static>, reason: UnsentReason) -> Unsent {
    Unsent::new(payload, reason)
}

//! A message as its handler receives it.

use sockeye_core::{Message, MessageKind, MessageRef, Payload};

/// A received message, which borrows the connection's memory. To keep it, convert it with
/// [`into_message`](Inbound::into_message).
#[derive(Debug, Clone, Copy)]
pub struct Inbound<'a> {
    pub(crate) message: MessageRef<'a>,
    /// The same message, if it owns its memory.
    pub(crate) owned: Option<&'a Message>,
    pub(crate) compressed: bool,
}

impl<'a> Inbound<'a> {
    /// Creates the message that lies whole in one frame of the input.
    #[inline]
    pub(crate) fn whole(message: MessageRef<'a>) -> Self {
        Inbound { message, owned: None, compressed: false }
    }

    /// Returns the text of a text message.
    #[must_use]
    pub fn as_text(self) -> Option<&'a str> {
        self.message.as_text()
    }

    /// Returns the payload; that of a text message is UTF-8.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.message.as_bytes()
    }

    /// Returns whether the message is text or binary, by the opcode of its first frame.
    #[must_use]
    pub fn kind(self) -> MessageKind {
        self.message.kind()
    }

    /// Returns whether the message arrived compressed (RFC 7692).
    #[must_use]
    pub fn is_compressed(self) -> bool {
        self.compressed
    }

    /// Returns the message as the core's type.
    #[must_use]
    pub fn as_ref(self) -> MessageRef<'a> {
        self.message
    }

    /// Converts to a message that owns its data.
    ///
    /// This copies a message that lies whole in the connection's read buffer, as most small
    /// messages do. It does not copy one that arrived while the handler ran, or one of 4 KiB or more
    /// that was merged from fragments or from several reads, or was inflated.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.owned.map_or_else(|| self.message.to_message(), Message::clone)
    }

    /// Returns a copy that owns its data.
    #[must_use]
    pub fn to_message(self) -> Message {
        self.message.to_message()
    }
}

impl<'a> From<Inbound<'a>> for Payload<'a> {
    fn from(message: Inbound<'a>) -> Self {
        message.message.into()
    }
}

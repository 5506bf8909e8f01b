//! A piece of a message.

use bytes::Bytes;
use sockeye_core::MessageKind;

/// A piece of a message, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// Whether the message is text or binary.
    pub kind: MessageKind,
    /// The payload of this part, inflated. Text has been checked, but may end inside a character.
    pub data: Bytes,
    /// Whether this is the first part of its message.
    pub first: bool,
    /// Whether this is the last part of its message.
    pub last: bool,
    /// Whether the message was compressed by the peer.
    pub compressed: bool,
}

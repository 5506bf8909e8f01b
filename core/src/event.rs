//! The events of a connection.

use alloc::borrow::Cow;

use crate::close::CloseFrame;
use crate::message::MessageKind;

/// A part of a message or a control frame from the peer.
///
/// An event borrows the bytes that were passed to [`poll_event`](crate::Connection::poll_event),
/// not the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message, a fragment of one, or a part of either, as far as it has arrived.
    ///
    /// Text is not checked yet. An [`Assembler`](crate::Assembler) or a
    /// [`Utf8Stream`](crate::Utf8Stream) checks it.
    #[non_exhaustive]
    Data {
        /// Whether the message is text or binary.
        kind: MessageKind,
        /// The bytes, unmasked. They are empty only in the first or the last part of a message.
        ///
        /// If they are `compressed`, pass every such payload to
        /// [`Connection::inflate`](crate::Connection::inflate), in order, even of messages that are
        /// to be discarded.
        payload: &'a [u8],
        /// The payload as a string, if it is text and unmasking it found only ASCII.
        ascii: Option<&'a str>,
        /// Whether the message is compressed.
        compressed: bool,
        /// Whether this is the first part of the message.
        first: bool,
        /// Whether this is the last part of the message.
        last: bool,
    },
    /// A ping. It has been answered unless
    /// [`Config::auto_pong`](crate::Config#structfield.auto_pong) is off.
    Ping(Cow<'a, [u8]>),
    /// A pong, solicited or not.
    Pong(Cow<'a, [u8]>),
    /// The peer's Close. It has been answered. Input after it is discarded.
    Close(CloseFrame<'a>),
}

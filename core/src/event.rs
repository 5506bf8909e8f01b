//! What the peer did.

use alloc::borrow::Cow;

use crate::close::CloseFrame;
use crate::message::MessageKind;

/// Something that the peer sent. It borrows the bytes lent to
/// [`poll_event`](crate::Connection::poll_event), not the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A stretch of a message, as far as it has arrived: a whole one, a fragment, or a part of either.
    ///
    /// Text is not checked here: [`Assembler`](crate::Assembler) or [`Utf8Stream`](crate::Utf8Stream) do that.
    #[non_exhaustive]
    Data {
        /// Text or binary, as the message's first frame says.
        kind: MessageKind,
        /// The bytes, unmasked; empty only if the message begins or ends with nothing. If they are `compressed`, give each such
        /// payload to [`Connection::inflate`](crate::Connection::inflate), in order, also those of no interest.
        payload: &'a [u8],
        /// The payload once more, as text, if it is text of nothing but ASCII and that was seen while it was unmasked.
        ascii: Option<&'a str>,
        /// Whether the message came compressed.
        compressed: bool,
        /// Whether the message begins here.
        first: bool,
        /// Whether the message ends here.
        last: bool,
    },
    /// A ping. Unless [`Config::auto_pong`](crate::Config#structfield.auto_pong) is off it has been answered.
    Ping(Cow<'a, [u8]>),
    /// A pong, asked for or not.
    Pong(Cow<'a, [u8]>),
    /// The peer's Close. It has been answered; nothing that follows it is read.
    Close(CloseFrame<'a>),
}

//! Events: the messages and control frames that the peer sent.

use alloc::borrow::Cow;

use crate::close::CloseFrame;
use crate::message::MessageKind;

/// Something that the peer sent: a part of a message, or a control frame.
///
/// An event borrows the bytes that were passed to [`poll_event`](crate::Connection::poll_event),
/// not the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message, a fragment of one, or a part of either.
    Data(Data<'a>),
    /// A ping, a pong or a Close.
    Control(Control<'a>),
}

/// A control frame that the peer sent (RFC 6455 5.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control<'a> {
    /// A ping. It has been answered unless
    /// [`Config::auto_pong`](crate::Config#structfield.auto_pong) is off.
    Ping(Cow<'a, [u8]>),
    /// A pong, solicited or not.
    Pong(Cow<'a, [u8]>),
    /// The peer's Close. It has been answered unless
    /// [`Config::auto_close`](crate::Config#structfield.auto_close) is off. Input after it is
    /// discarded.
    Close(CloseFrame<'a>),
}

/// A message, a fragment of one, or a part of either, as far as it has arrived.
///
/// Text is not checked yet. An [`Assembler`](crate::Assembler) or a
/// [`Utf8Stream`](crate::Utf8Stream) checks it.
///
/// ```
/// use sockeye_core::{Data, Event, MessageKind};
///
/// let mut begun = Data::new(MessageKind::Text, b"Hel");
/// begun.last = false;
/// assert!(matches!(Event::Data(begun), Event::Data(Data { payload: b"Hel", first: true, .. })));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Data<'a> {
    /// Whether the message is text or binary.
    pub kind: MessageKind,
    /// The bytes, unmasked. They are empty only in the first or the last part of a message.
    ///
    /// If they are `compressed`, pass every such payload to
    /// [`Connection::inflate`](crate::Connection::inflate), in order, even of messages that are to
    /// be discarded.
    pub payload: &'a [u8],
    /// Whether the message is compressed (RFC 7692).
    pub compressed: bool,
    /// Whether this is the first part of the message.
    pub first: bool,
    /// Whether this is the last part of the message.
    pub last: bool,
    /// The payload as a string, if it is text and unmasking it found only ASCII.
    pub(crate) ascii: Option<&'a str>,
}

impl<'a> Data<'a> {
    /// Creates the event of a whole message that is not compressed.
    #[must_use]
    pub const fn new(kind: MessageKind, payload: &'a [u8]) -> Self {
        Data { kind, payload, compressed: false, first: true, last: true, ascii: None }
    }

    /// Returns the payload as a string, if it is known to be ASCII.
    #[inline]
    pub(crate) fn ascii(&self) -> Option<&'a str> {
        // The caller may have replaced the payload.
        self.ascii.filter(|text| core::ptr::eq(text.as_bytes(), self.payload))
    }
}

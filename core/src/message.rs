//! Whole messages, received and to be sent.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use bytestring::ByteString;

use crate::frame::Opcode;

/// The kind of a message: text or binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

impl MessageKind {
    /// Returns the opcode of the message's first frame.
    #[must_use]
    pub const fn opcode(self) -> Opcode {
        match self {
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
        }
    }
}

/// A whole message that owns its data. Clones share it, so cloning is cheap.
///
/// ```
/// use sockeye_core::Message;
///
/// let text = Message::text("hello");
/// if let Message::Text(text) = &text {
///     assert_eq!(text.to_uppercase(), "HELLO"); // a `ByteString` derefs to `str`
/// }
/// assert_eq!(text.clone().into_bytes(), "hello");
/// assert_eq!(Message::binary(vec![1, 2]).as_bytes(), [1, 2]);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// UTF-8 text.
    Text(ByteString),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// Creates a text message. This copies a `&str` only.
    #[must_use]
    pub fn text(text: impl Into<ByteString>) -> Self {
        Message::Text(text.into())
    }

    /// Creates a binary message, without a copy.
    #[must_use]
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Message::Binary(bytes.into())
    }

    /// Borrows the message.
    #[must_use]
    pub fn as_ref(&self) -> MessageRef<'_> {
        match self {
            Message::Text(text) => MessageRef::Text(text),
            Message::Binary(bytes) => MessageRef::Binary(bytes),
        }
    }

    /// Returns the text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        self.as_ref().as_text()
    }

    /// Converts to the text of a text message, without a copy.
    #[must_use]
    pub fn into_text(self) -> Option<ByteString> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// Returns the payload: the bytes, or the UTF-8 encoding of the text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.as_ref().as_bytes()
    }

    /// Converts to the payload, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Message::Text(text) => text.into_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// Returns whether the message is text or binary.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.as_ref().kind()
    }

    /// Returns the length of the payload in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// A whole message that borrows its data.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageRef<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> MessageRef<'a> {
    /// Returns the text of a text message.
    #[must_use]
    pub const fn as_text(self) -> Option<&'a str> {
        match self {
            MessageRef::Text(text) => Some(text),
            MessageRef::Binary(_) => None,
        }
    }

    /// Returns the payload: the bytes, or the UTF-8 encoding of the text.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        match self {
            MessageRef::Text(text) => text.as_bytes(),
            MessageRef::Binary(bytes) => bytes,
        }
    }

    /// Returns whether the message is text or binary.
    #[must_use]
    pub const fn kind(self) -> MessageKind {
        match self {
            MessageRef::Text(_) => MessageKind::Text,
            MessageRef::Binary(_) => MessageKind::Binary,
        }
    }

    /// Copies the message.
    #[must_use]
    #[inline]
    pub fn to_message(self) -> Message {
        match self {
            MessageRef::Text(text) => Message::Text(ByteString::from(text)),
            MessageRef::Binary(bytes) => Message::Binary(Bytes::copy_from_slice(bytes)),
        }
    }
}

impl fmt::Debug for MessageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageRef::Text(text) => f.debug_tuple("Text").field(text).finish(),
            MessageRef::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}

/// A message to be sent, which borrows or owns its data.
///
/// Strings, slices, vectors, [`Bytes`], [`ByteString`] and messages convert to it. A server does
/// not copy a large payload that owns its data.
///
/// ```
/// use sockeye_core::{Bytes, MessageKind, Payload};
///
/// assert_eq!(Payload::from("text").kind(), MessageKind::Text);
/// assert_eq!(Payload::from(Bytes::from_static(b"bytes")).kind(), MessageKind::Binary);
/// ```
#[derive(Debug, Clone)]
pub struct Payload<'a> {
    pub(crate) kind: MessageKind,
    pub(crate) data: PayloadData<'a>,
    /// The request of [`compress`](Payload::compress).
    pub(crate) compress: Option<bool>,
}

#[derive(Debug, Clone)]
pub(crate) enum PayloadData<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl PayloadData<'_> {
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            PayloadData::Borrowed(bytes) => bytes,
            PayloadData::Shared(bytes) => bytes,
        }
    }
}

impl<'a> Payload<'a> {
    pub(crate) fn borrowed(kind: MessageKind, bytes: &'a [u8]) -> Self {
        Payload { kind, data: PayloadData::Borrowed(bytes), compress: None }
    }

    fn shared(kind: MessageKind, bytes: impl Into<Bytes>) -> Self {
        Payload { kind, data: PayloadData::Shared(bytes.into()), compress: None }
    }

    /// Returns whether the message is text or binary.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Returns the payload that will be sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.data.as_bytes()
    }

    /// Requests that this message be compressed, or not be compressed, instead of leaving the
    /// choice to the [`CompressionPolicy`](crate::deflate::CompressionPolicy). With `true` the
    /// message is compressed even if it becomes a few bytes longer. `true` has no effect on an empty
    /// message, with [`CompressionPolicy::Never`](crate::deflate::CompressionPolicy::Never), or
    /// without negotiated compression.
    ///
    /// Do not compress a secret together with text that another person can choose: the length of
    /// the message reveals how much the two have in common (RFC 7692 8).
    ///
    /// ```
    /// use sockeye_core::Payload;
    ///
    /// let payload = Payload::from("token=8d969eef&q=to").compress(false);
    /// ```
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = Some(compress);
        self
    }

    /// Converts to a payload that owns its data. This copies borrowed data only.
    #[must_use]
    pub fn into_owned(self) -> Payload<'static> {
        Payload { kind: self.kind, compress: self.compress, data: PayloadData::Shared(self.into_bytes()) }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self.data {
            PayloadData::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            PayloadData::Shared(bytes) => bytes,
        }
    }
}

impl<'a> From<MessageRef<'a>> for Payload<'a> {
    #[inline]
    fn from(message: MessageRef<'a>) -> Self {
        Payload::borrowed(message.kind(), message.as_bytes())
    }
}

macro_rules! payload_from {
    ($($from:ty => |$value:ident| $make:expr;)*) => {$(
        impl<'a> From<$from> for Payload<'a> {
            #[inline]
            fn from($value: $from) -> Self {
                $make
            }
        }
    )*};
}

payload_from! {
    &'a str => |text| Payload::borrowed(MessageKind::Text, text.as_bytes());
    &'a String => |text| Payload::borrowed(MessageKind::Text, text.as_bytes());
    &'a ByteString => |text| Payload::borrowed(MessageKind::Text, text.as_bytes());
    &'a [u8] => |bytes| Payload::borrowed(MessageKind::Binary, bytes);
    &'a Vec<u8> => |bytes| Payload::borrowed(MessageKind::Binary, bytes);
    &'a Message => |message| message.as_ref().into();
    String => |text| Payload::shared(MessageKind::Text, text);
    ByteString => |text| Payload::shared(MessageKind::Text, text.into_bytes());
    Vec<u8> => |bytes| Payload::shared(MessageKind::Binary, bytes);
    Bytes => |bytes| Payload::shared(MessageKind::Binary, bytes);
    Message => |message| Payload::shared(message.kind(), message.into_bytes());
}

impl<'a> From<Cow<'a, str>> for Payload<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl<'a> From<&'a Cow<'_, str>> for Payload<'a> {
    fn from(text: &'a Cow<'_, str>) -> Self {
        Payload::from(&**text)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Payload<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Payload::borrowed(MessageKind::Binary, bytes)
    }
}

macro_rules! message_from {
    ($($from:ty => |$value:ident| $make:expr;)*) => {$(
        impl From<$from> for Message {
            fn from($value: $from) -> Self {
                $make
            }
        }
    )*};
}

message_from! {
    &str => |text| Message::text(text);
    String => |text| Message::text(text);
    ByteString => |text| Message::Text(text);
    &[u8] => |bytes| Message::Binary(Bytes::copy_from_slice(bytes));
    Vec<u8> => |bytes| Message::binary(bytes);
    Bytes => |bytes| Message::Binary(bytes);
    MessageRef<'_> => |message| message.to_message();
}

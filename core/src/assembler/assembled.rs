//! The messages and events that an assembler returns.

use alloc::string::String;
use alloc::vec::Vec;

use super::Assembler;
use crate::error::ProtocolError;
use crate::event::{Control, Data, Event};
use crate::message::{Message, MessageKind, MessageRef};
use crate::receiver::Receiver;
use crate::utf8::Utf8Stream;

/// The parts of a message so far. Text is a `String` from the start, so that nothing is checked
/// twice.
#[derive(Debug)]
pub(super) enum Buffer {
    Text(String),
    Binary(Vec<u8>),
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer::Binary(Vec::new())
    }
}

impl Buffer {
    fn as_ref(&self) -> MessageRef<'_> {
        match self {
            Buffer::Text(text) => MessageRef::Text(text),
            Buffer::Binary(bytes) => MessageRef::Binary(bytes),
        }
    }

    fn into_message(self) -> Message {
        match self {
            Buffer::Text(text) => Message::text(text),
            Buffer::Binary(bytes) => Message::binary(bytes),
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self {
            Buffer::Text(text) => text.into_bytes(),
            Buffer::Binary(bytes) => bytes,
        }
    }

    /// Returns the memory of the buffer as an empty vector.
    pub(super) fn into_empty(self) -> Vec<u8> {
        let mut bytes = self.into_bytes();
        bytes.clear();
        bytes
    }
}

/// A whole message, which borrows either the input (`'a`) or the buffer of an
/// [`Assembler`](crate::Assembler) (`'m`).
#[derive(Debug)]
pub struct Assembled<'a, 'm> {
    pub(super) source: Source<'a, 'm>,
    pub(super) compressed: bool,
}

#[derive(Debug)]
pub(super) enum Source<'a, 'm> {
    Input(MessageRef<'a>),
    Buffer(&'m mut Buffer),
}

impl<'a> From<MessageRef<'a>> for Assembled<'a, '_> {
    fn from(message: MessageRef<'a>) -> Self {
        Assembled { source: Source::Input(message), compressed: false }
    }
}

impl<'a> Assembled<'a, '_> {
    /// Borrows the message.
    #[must_use]
    pub fn as_ref(&self) -> MessageRef<'_> {
        match &self.source {
            Source::Input(message) => *message,
            Source::Buffer(buffer) => buffer.as_ref(),
        }
    }

    /// Returns the message with the lifetime of the input if its bytes lie there, and `None` if it
    /// was merged or inflated. Such a message can be kept while the next ones are taken:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sockeye_core::{Assembler, Config, Connection, Incoming, MessageRef, RecvBuf};
    ///
    /// let mut connection = Connection::server(Arc::new(Config::new()));
    /// let (mut assembler, mut kept) = (Assembler::new(), Vec::new());
    /// let mut bytes = *b"\x82\x81\0\0\0\0a\x82\x81\0\0\0\0b";
    /// let mut input = RecvBuf::new(&mut bytes);
    /// while let Some(Incoming::Message(message)) = assembler.poll(&mut connection, &mut input)? {
    ///     kept.extend(message.in_input());
    /// }
    /// assert_eq!(kept, [MessageRef::Binary(b"a"), MessageRef::Binary(b"b")]);
    /// # Ok::<(), sockeye_core::ProtocolError>(())
    /// ```
    #[must_use]
    pub fn in_input(&self) -> Option<MessageRef<'a>> {
        match &self.source {
            Source::Input(message) => Some(*message),
            Source::Buffer(_) => None,
        }
    }

    /// Returns whether the message arrived compressed (RFC 7692).
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Converts to an owned message. This copies a message that is whole in the input, and moves
    /// one that arrived in parts.
    #[must_use]
    #[inline]
    pub fn into_message(self) -> Message {
        match self.source {
            Source::Input(message) => message.to_message(),
            Source::Buffer(buffer) => core::mem::take(buffer).into_message(),
        }
    }

    /// Separates the message from the assembler, which can then decode on while the message is in
    /// use. This costs less than [`into_message`](Assembled::into_message): it copies nothing, and
    /// allocates nothing. The memory of a merged message can be lent to the assembler again:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sockeye_core::{Assembler, Config, Connection, Detached, Incoming, MessageRef, RecvBuf};
    ///
    /// let mut connection = Connection::server(Arc::new(Config::new()));
    /// let mut assembler = Assembler::new();
    /// // "Hel" and "lo" of RFC 6455 5.7, masked with a key of zeros.
    /// let mut bytes = *b"\x01\x83\0\0\0\0Hel\x80\x82\0\0\0\0lo";
    /// let mut input = RecvBuf::new(&mut bytes);
    /// if let Some(Incoming::Message(message)) = assembler.poll(&mut connection, &mut input)? {
    ///     let message = message.detach();
    ///     assert!(assembler.poll(&mut connection, &mut input)?.is_none());
    ///     assert_eq!(message.as_ref(), MessageRef::Text("Hello"));
    ///     if let Detached::Merged(merged) = message {
    ///         assembler.lend_buffer(|| merged.into_memory());
    ///     }
    /// }
    /// # Ok::<(), sockeye_core::ProtocolError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn detach(self) -> Detached<'a> {
        match self.source {
            Source::Input(message) => Detached::Input(message),
            Source::Buffer(buffer) => Detached::Merged(MergedMessage(core::mem::take(buffer))),
        }
    }
}

/// A whole message without its assembler, see [`Assembled::detach`].
#[derive(Debug)]
pub enum Detached<'a> {
    /// It lies whole in the input.
    Input(MessageRef<'a>),
    /// It was merged or inflated.
    Merged(MergedMessage),
}

impl Detached<'_> {
    /// Borrows the message.
    #[must_use]
    pub fn as_ref(&self) -> MessageRef<'_> {
        match self {
            Detached::Input(message) => *message,
            Detached::Merged(merged) => merged.as_ref(),
        }
    }
}

/// A message that was merged or inflated, and its memory.
#[derive(Debug)]
pub struct MergedMessage(Buffer);

impl MergedMessage {
    /// Borrows the message.
    #[must_use]
    #[inline]
    pub fn as_ref(&self) -> MessageRef<'_> {
        self.0.as_ref()
    }

    /// Converts to a message whose clones share the data. This moves the data, and allocates a
    /// little for the sharing.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.0.into_message()
    }

    /// Returns the memory as an empty vector.
    #[must_use]
    #[inline]
    pub fn into_memory(self) -> Vec<u8> {
        self.0.into_empty()
    }
}

/// A whole message that is still compressed, see
/// [`Assembler::keep_deflated`](crate::Assembler::keep_deflated).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeflatedMessage {
    pub(super) kind: MessageKind,
    pub(super) bytes: Vec<u8>,
}

impl DeflatedMessage {
    /// Returns the compressed length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a compressed message is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Inflates the message with the receiver of its connection. [`InflatingMessage`] does so a
    /// slice at a time.
    ///
    /// [`InflatingMessage`]: crate::InflatingMessage
    ///
    /// # Errors
    ///
    /// Returns an error if the message is not a deflate stream, its text is not UTF-8, or it
    /// inflates to more than [`Config::max_message_size`](crate::Config::max_message_size). The
    /// caller must pass it to [`Sender::fail`](crate::Sender::fail).
    pub fn inflate(&self, receiver: &mut Receiver) -> Result<Message, ProtocolError> {
        let mut assembler = Assembler::new();
        let data = Data { compressed: true, ..Data::new(self.kind, &self.bytes) };
        match assembler.push(Event::Data(data), receiver).inspect_err(|error| receiver.fail(*error))? {
            Some(Incoming::Message(message)) => Ok(message.into_message()),
            // Whole data is always a message.
            _ => Err(ProtocolError::InvalidDeflate),
        }
    }
}

/// The parts of a message that have arrived so far, see
/// [`Assembler::take_partial`](crate::Assembler::take_partial).
#[derive(Debug)]
#[non_exhaustive]
pub struct PartialMessage {
    /// Whether the message is text or binary.
    pub kind: MessageKind,
    /// The bytes so far.
    pub bytes: Vec<u8>,
    /// The state of the text check after these bytes.
    pub utf8: Utf8Stream,
    /// Whether the message is compressed. If so, the rest must be
    /// [inflated](crate::Connection::inflate).
    pub compressed: bool,
    /// Whether the bytes are not compressed. Those of a compressed message are
    /// [inflated](crate::Connection::inflate) only once it is whole.
    pub is_inflated: bool,
}

/// A message or a control frame, as [`Assembler::poll`](crate::Assembler::poll) returns it.
#[derive(Debug)]
pub enum Incoming<'a, 'm> {
    /// A whole message.
    Message(Assembled<'a, 'm>),
    /// A ping, a pong or a Close.
    Control(Control<'a>),
}

//! Assembling messages from events, and checking their text.

use alloc::string::String;
use alloc::vec::Vec;

use crate::connection::Connection;
use crate::error::ProtocolError;
use crate::event::{Control, Data, Event};
use crate::input::RecvBuf;
use crate::message::{MessageKind, MessageRef};
use crate::receiver::Receiver;
use crate::utf8::{Utf8Stream, check_text};

mod assembled;
mod deflated;

pub use assembled::{Assembled, DeflatedMessage, Detached, Incoming, MergedMessage, PartialMessage};
use assembled::{Buffer, Source};
pub use deflated::InflatingMessage;

/// Assembles the [`Data`] of a connection into whole messages, and checks text as it arrives
/// (RFC 6455 8.1): invalid text fails the connection even in the middle of a frame.
///
/// A message that is whole in the input is passed on without a copy. Only a message that arrives in
/// parts is collected. The memory for that grows with what has arrived, not with what a header
/// declares, and it is released after the message.
///
/// The parts of a compressed message are collected as they arrive, and inflated when the message
/// is whole: a few bytes may inflate to a thousand times their length, which would stay in memory
/// until the peer sends the rest. So the text of such a message is checked at its end.
#[derive(Debug, Default)]
pub struct Assembler {
    buffer: Buffer,
    utf8: Utf8Stream,
    contents: Contents,
    /// The message in the buffer arrived compressed.
    compressed: bool,
}

/// The contents of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Contents {
    #[default]
    Nothing,
    /// The first parts of a message.
    Partial,
    /// The first parts of a compressed message of this kind, as they arrived.
    Deflated(MessageKind),
    /// A whole message, which has been passed on.
    Delivered,
}

impl Assembler {
    /// Creates an assembler.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes events out of `input` until a message is whole or a control frame has arrived. Returns
    /// `None` when more input is needed. Invalid text fails `connection`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sockeye_core::{Assembler, Config, Connection, Incoming, MessageRef, RecvBuf};
    ///
    /// let mut connection = Connection::server(Arc::new(Config::new()));
    /// let mut assembler = Assembler::new();
    /// // "Hel" and "lo" of RFC 6455 5.7, masked with a key of zeros.
    /// let mut bytes = *b"\x01\x83\0\0\0\0Hel\x80\x82\0\0\0\0lo";
    /// let mut input = RecvBuf::new(&mut bytes);
    /// while let Some(incoming) = assembler.poll(&mut connection, &mut input)? {
    ///     if let Incoming::Message(message) = incoming {
    ///         assert_eq!(message.as_ref(), MessageRef::Text("Hello"));
    ///     }
    /// }
    /// # Ok::<(), sockeye_core::ProtocolError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the peer broke the protocol or exceeded a limit, like
    /// [`Connection::poll_event`].
    #[inline]
    pub fn poll<'a, 'm>(
        &'m mut self,
        connection: &mut Connection,
        input: &mut RecvBuf<'a>,
    ) -> Result<Option<Incoming<'a, 'm>>, ProtocolError> {
        // Nearly every message is whole in the input, so only this path is inlined.
        if let Some(message) = connection.poll_message(input) {
            return Ok(Some(Incoming::Message(message.into())));
        }
        let step = self.step_events(connection, input)?;
        Ok(step.map(|step| self.incoming(step)))
    }

    /// Does the same as [`poll`](Assembler::poll), but returns nothing that borrows the assembler.
    /// [`buffered_message`](Assembler::buffered_message) returns a message that arrived in parts.
    #[inline]
    pub(crate) fn step<'a>(
        &mut self,
        connection: &mut Connection,
        input: &mut RecvBuf<'a>,
    ) -> Result<Option<Step<'a>>, ProtocolError> {
        match connection.poll_message(input) {
            Some(message) => Ok(Some(Step::Whole(message))),
            None => self.step_events(connection, input),
        }
    }

    /// Takes events until a message is whole or a control frame has arrived.
    #[inline(never)]
    fn step_events<'a>(
        &mut self,
        connection: &mut Connection,
        input: &mut RecvBuf<'a>,
    ) -> Result<Option<Step<'a>>, ProtocolError> {
        loop {
            let Some(event) = connection.poll_event(input).inspect_err(|_| *self = Assembler::new())? else {
                self.release();
                return Ok(None);
            };
            match self.push_event(event, connection.receiver(), false) {
                Ok(None) => {}
                Ok(step) => return Ok(step),
                Err(error) => {
                    connection.fail(error);
                    return Err(error);
                }
            }
        }
    }

    /// Returns the whole message in the buffer.
    pub(crate) fn buffered_message<'a>(&mut self) -> Assembled<'a, '_> {
        Assembled { source: Source::Buffer(&mut self.buffer), compressed: self.compressed }
    }

    /// Takes one event of `receiver`. Returns `None` while its message is incomplete.
    ///
    /// This replaces [`poll`](Assembler::poll) for callers that drive the two halves of a
    /// connection themselves.
    ///
    /// # Errors
    ///
    /// Returns an error if text is not UTF-8, or if a compressed message cannot be inflated or
    /// becomes too big. The caller must fail both halves with it.
    #[inline]
    pub fn push<'a, 'm>(
        &'m mut self,
        event: Event<'a>,
        receiver: &mut Receiver,
    ) -> Result<Option<Incoming<'a, 'm>>, ProtocolError> {
        let step = self.push_event(event, receiver, false)?;
        Ok(step.map(|step| self.incoming(step)))
    }

    /// Releases the memory of a message that has been returned. [`poll`](Assembler::poll) does this
    /// itself when it needs more input.
    pub fn release(&mut self) {
        let _ = self.reclaim_buffer();
    }

    /// Takes the memory of a message that has been returned, so that it can be lent again, to this
    /// assembler or to another.
    pub fn reclaim_buffer(&mut self) -> Option<Vec<u8>> {
        if self.contents != Contents::Delivered {
            return None;
        }
        Some(core::mem::take(self).buffer.into_empty())
    }

    /// Returns how many bytes of an incomplete message the assembler holds. Those of a compressed
    /// message are not inflated yet.
    ///
    /// Callers that bound what they receive count these bytes too:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sockeye_core::{Assembler, Config, Connection, RecvBuf};
    ///
    /// let mut connection = Connection::server(Arc::new(Config::new()));
    /// let mut assembler = Assembler::new();
    /// let mut bytes = *b"\x01\x83\0\0\0\0Hel"; // "Hel", to be continued
    /// assert!(assembler.poll(&mut connection, &mut RecvBuf::new(&mut bytes))?.is_none());
    /// assert_eq!(assembler.partial_len(), 3);
    /// # Ok::<(), sockeye_core::ProtocolError>(())
    /// ```
    #[must_use]
    pub fn partial_len(&self) -> usize {
        match (self.contents, &self.buffer) {
            (Contents::Nothing | Contents::Delivered, _) => 0,
            (_, Buffer::Text(text)) => text.len(),
            (_, Buffer::Binary(bytes)) => bytes.len(),
        }
    }

    /// Takes the received part of an incomplete message, for callers that process the rest of the
    /// message in parts. They must not push the rest. The part of a compressed message must be
    /// [inflated](Receiver::inflate) before the rest.
    pub fn take_partial(&mut self) -> Option<PartialMessage> {
        if !matches!(self.contents, Contents::Partial | Contents::Deflated(_)) {
            return None;
        }
        let Assembler { buffer, utf8, contents, compressed } = core::mem::take(self);
        let (kind, mut bytes) = match buffer {
            Buffer::Binary(bytes) => (MessageKind::Binary, bytes),
            Buffer::Text(text) => (MessageKind::Text, text.into_bytes()),
        };
        bytes.extend_from_slice(utf8.partial_character());
        match contents {
            Contents::Deflated(kind) => {
                Some(PartialMessage { kind, bytes, utf8, compressed: true, is_inflated: false })
            }
            _ => Some(PartialMessage { kind, bytes, utf8, compressed, is_inflated: true }),
        }
    }

    /// Lends memory for a message that arrives in parts. `buffer` is called only if the assembler
    /// has none.
    pub fn lend_buffer(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if matches!(&self.buffer, Buffer::Binary(bytes) if bytes.capacity() == 0) {
            let mut buffer = buffer();
            buffer.clear();
            self.buffer = Buffer::Binary(buffer);
        }
    }

    /// Adds an event to the message in the buffer, or passes it on. Returns `None` while the
    /// message is incomplete. With `slice`, inflates no more than a slice.
    fn push_event<'a>(
        &mut self,
        event: Event<'a>,
        receiver: &mut Receiver,
        slice: bool,
    ) -> Result<Option<Step<'a>>, ProtocolError> {
        let data = match event {
            Event::Data(data) => data,
            Event::Control(control) => {
                if matches!(control, Control::Close(_)) {
                    // A message that the Close interrupts will never be whole.
                    *self = Assembler::new();
                }
                return Ok(Some(Step::Control(control)));
            }
        };
        let ascii = data.ascii();
        match data {
            Data { kind, payload, compressed: true, first, last, .. } => {
                if first {
                    // The parts are collected as bytes, whatever they inflate to.
                    self.begin(if last { kind } else { MessageKind::Binary });
                }
                self.take_deflated(kind, payload, (first, last), receiver, slice)
            }
            Data { kind: MessageKind::Binary, payload, first: true, last: true, .. } => {
                Ok(Some(Step::Whole(MessageRef::Binary(payload))))
            }
            Data { kind: MessageKind::Text, payload, first: true, last: true, .. } => {
                let text = ascii.map_or_else(|| check_text(payload), Ok)?;
                Ok(Some(Step::Whole(MessageRef::Text(text))))
            }
            Data { kind, payload, first, last, .. } => {
                if first {
                    self.begin(kind);
                }
                let appended = self.append(payload, ascii);
                appended.and_then(|()| self.advance(last)).inspect_err(|_| *self = Assembler::new())
            }
        }
    }

    /// Appends a part to the message in the buffer.
    fn append(&mut self, part: &[u8], ascii: Option<&str>) -> Result<(), ProtocolError> {
        match (&mut self.buffer, ascii) {
            (Buffer::Binary(bytes), _) => bytes.extend_from_slice(part),
            (Buffer::Text(text), Some(ascii)) if self.utf8.is_complete() => text.push_str(ascii),
            (Buffer::Text(text), _) => {
                self.utf8.push(part, |valid| text.push_str(valid))?;
            }
        }
        Ok(())
    }

    /// Updates the state of the message in the buffer after a part.
    fn advance<'a>(&mut self, last: bool) -> Result<Option<Step<'a>>, ProtocolError> {
        if last {
            self.utf8.finish()?;
        }
        self.contents = if last { Contents::Delivered } else { Contents::Partial };
        Ok(last.then_some(Step::Buffered))
    }

    /// Prepares the buffer for a new message, and keeps its memory.
    fn begin(&mut self, kind: MessageKind) {
        let bytes = core::mem::take(&mut self.buffer).into_empty();
        self.buffer = match kind {
            MessageKind::Binary => Buffer::Binary(bytes),
            MessageKind::Text => Buffer::Text(String::from_utf8(bytes).unwrap_or_default()),
        };
        self.utf8 = Utf8Stream::new();
        self.contents = Contents::Partial;
        self.compressed = false;
    }

    #[inline]
    fn incoming<'a, 'm>(&'m mut self, step: Step<'a>) -> Incoming<'a, 'm> {
        match step {
            Step::Whole(message) => Incoming::Message(message.into()),
            Step::Buffered => Incoming::Message(self.buffered_message()),
            Step::Control(control) => Incoming::Control(control),
        }
    }
}

/// The result of [`Assembler::step`].
pub(crate) enum Step<'a> {
    /// A message that is whole in the input.
    Whole(MessageRef<'a>),
    /// A whole message in the buffer.
    Buffered,
    Control(Control<'a>),
}

//! Messages out of events: merging, and the check of text.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::connection::Connection;
use crate::error::ProtocolError;
use crate::event::Event;
use crate::input::RecvBuf;
use crate::message::{Message, MessageKind, MessageRef};
use crate::receiver::Receiver;
use crate::utf8::{Utf8Stream, check_text};

/// Puts the [`Data`](Event::Data) of a connection together into whole messages, and checks text as it comes
/// (RFC 6455 8.1), so that bad text fails the connection inside a frame that is still arriving.
///
/// A message that lies whole in the input is passed through without a copy. Only what comes in parts is collected, in
/// memory that grows with what has arrived, not with what was announced, and is given back afterwards.
#[derive(Debug, Default)]
pub struct Assembler {
    buffer: Buffer,
    utf8: Utf8Stream,
    progress: Merging,
    /// The message came compressed.
    compressed: bool,
}

/// What is in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Merging {
    /// Nothing.
    #[default]
    Idle,
    /// The beginning of a message.
    Begun,
    /// A message that has been handed out whole and is to be forgotten.
    Delivered,
}

/// Validated stretches are appended to a `String`, so its being text needs no second proof.
#[derive(Debug)]
enum Buffer {
    Text(String),
    Binary(Vec<u8>),
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer::Binary(Vec::new())
    }
}

impl Buffer {
    fn into_empty(self) -> Vec<u8> {
        let mut bytes = match self {
            Buffer::Text(text) => text.into_bytes(),
            Buffer::Binary(bytes) => bytes,
        };
        bytes.clear();
        bytes
    }
}

/// A whole message: where it lies in the input, or as it was put together.
#[derive(Debug)]
pub struct Assembled<'m> {
    place: Place<'m>,
    compressed: bool,
}

#[derive(Debug)]
enum Place<'m> {
    Input(MessageRef<'m>),
    Buffer(&'m mut Buffer),
}

impl<'m> From<MessageRef<'m>> for Assembled<'m> {
    fn from(message: MessageRef<'m>) -> Self {
        Assembled { place: Place::Input(message), compressed: false }
    }
}

impl Assembled<'_> {
    /// The message, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> MessageRef<'_> {
        match &self.place {
            Place::Input(message) => *message,
            Place::Buffer(Buffer::Text(text)) => MessageRef::Text(text),
            Place::Buffer(Buffer::Binary(bytes)) => MessageRef::Binary(bytes),
        }
    }

    /// Whether it came compressed (RFC 7692).
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// The message, owned: copied if it lies in the input, taken over if it was put together.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self.place {
            Place::Input(message) => message.to_message(),
            Place::Buffer(buffer) => match core::mem::take(buffer) {
                Buffer::Text(text) => Message::Text(text),
                Buffer::Binary(bytes) => Message::Binary(Bytes::from(bytes)),
            },
        }
    }
}

/// What has arrived of a message.
#[derive(Debug)]
#[non_exhaustive]
pub struct PartialMessage {
    /// Text or binary.
    pub kind: MessageKind,
    /// Its bytes so far, inflated.
    pub bytes: Vec<u8>,
    /// The check of its text, which goes on behind them.
    pub utf8: Utf8Stream,
    /// Whether it comes compressed: what follows has to be inflated.
    pub compressed: bool,
}

/// What [`Assembler::poll`] returns.
#[derive(Debug)]
pub enum Incoming<'a, 'm> {
    /// A whole message.
    Message(Assembled<'m>),
    /// Anything but data: a ping, a pong or a Close.
    Control(Event<'a>),
}

impl Assembler {
    /// With no message begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes events out of `input` until a message is whole, or something else has happened; `None` when more
    /// input is needed. Bad text fails `connection`.
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
    ///         connection.send(message.as_ref()).unwrap();
    ///     }
    /// }
    /// # Ok::<(), sockeye_core::ProtocolError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What the peer did wrong, as from [`Connection::poll_event`].
    #[inline]
    pub fn poll<'a: 'm, 'm>(
        &'m mut self,
        connection: &mut Connection,
        input: &mut RecvBuf<'a>,
    ) -> Result<Option<Incoming<'a, 'm>>, ProtocolError> {
        Ok(match self.step(connection, input)? {
            None => None,
            Some(Step::Whole(message)) => Some(Incoming::whole(message)),
            Some(Step::Control(event)) => Some(Incoming::Control(event)),
            Some(Step::Merged) => Some(self.merged()),
        })
    }

    /// [`poll`](Assembler::poll) without a borrow of the assembler in the result: a merged message
    /// is then in [`merged_message`](Assembler::merged_message).
    #[inline]
    pub(crate) fn step<'a>(
        &mut self,
        connection: &mut Connection,
        input: &mut RecvBuf<'a>,
    ) -> Result<Option<Step<'a>>, ProtocolError> {
        loop {
            if let Some(message) = connection.poll_message(input) {
                return Ok(Some(Step::Whole(message)));
            }
            let Some(event) = connection.poll_event(input).inspect_err(|_| *self = Assembler::new())? else {
                self.release();
                return Ok(None);
            };
            match self.absorb(event, connection.receiver()) {
                Ok(Progress::Partial) => {}
                Ok(Progress::Merged) => return Ok(Some(Step::Merged)),
                Ok(Progress::Whole(message)) => return Ok(Some(Step::Whole(message))),
                Ok(Progress::Control(event)) => return Ok(Some(Step::Control(event))),
                Err(error) => {
                    connection.fail(error);
                    return Err(error);
                }
            }
        }
    }

    /// The message that was merged last.
    pub(crate) fn merged_message(&mut self) -> Assembled<'_> {
        Assembled { place: Place::Buffer(&mut self.buffer), compressed: self.compressed }
    }

    /// Takes one event of this `receiver`; `None` while its message is incomplete. This is [`poll`](Assembler::poll) for those who
    /// drive the two halves themselves.
    ///
    /// # Errors
    ///
    /// Text that is not UTF-8, a compressed message that cannot be inflated or becomes too big. The caller fails both halves with
    /// it.
    #[inline]
    pub fn push<'a: 'm, 'm>(
        &'m mut self,
        event: Event<'a>,
        receiver: &mut Receiver,
    ) -> Result<Option<Incoming<'a, 'm>>, ProtocolError> {
        Ok(match self.absorb(event, receiver)? {
            Progress::Partial => None,
            Progress::Merged => Some(self.merged()),
            Progress::Whole(message) => Some(Incoming::whole(message)),
            Progress::Control(event) => Some(Incoming::Control(event)),
        })
    }

    /// Gives back the memory of a message that has been handed out. [`poll`](Assembler::poll) does so by itself
    /// when it needs more input.
    pub fn release(&mut self) {
        let _ = self.reclaim_buffer();
    }

    /// Takes away the memory of a message that has been handed out, to be lent to the next that comes in parts, here or
    /// elsewhere.
    pub fn reclaim_buffer(&mut self) -> Option<Vec<u8>> {
        if self.progress != Merging::Delivered {
            return None;
        }
        Some(core::mem::take(self).buffer.into_empty())
    }

    /// Takes away what has arrived of a message that is not whole yet, for those who go on with it in parts. The rest of it is not to
    /// be pushed.
    pub fn take_partial(&mut self) -> Option<PartialMessage> {
        if self.progress != Merging::Begun {
            return None;
        }
        let Assembler { buffer, utf8, compressed, .. } = core::mem::take(self);
        let (kind, mut bytes) = match buffer {
            Buffer::Binary(bytes) => (MessageKind::Binary, bytes),
            Buffer::Text(text) => (MessageKind::Text, text.into_bytes()),
        };
        bytes.extend_from_slice(utf8.cut());
        Some(PartialMessage { kind, bytes, utf8, compressed })
    }

    /// Lends memory for a message that comes in parts, if the assembler has none.
    pub fn lend_buffer(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if matches!(&self.buffer, Buffer::Binary(bytes) if bytes.capacity() == 0) {
            let mut buffer = buffer();
            buffer.clear();
            self.buffer = Buffer::Binary(buffer);
        }
    }

    fn absorb<'a>(
        &mut self,
        event: Event<'a>,
        receiver: &mut Receiver,
    ) -> Result<Progress<'a>, ProtocolError> {
        match event {
            Event::Data { kind, payload, compressed: true, first, last, .. } => {
                if first {
                    self.begin(kind);
                    self.compressed = true;
                }
                let inflated = receiver.inflate(payload, last, |part| self.append(part, None));
                inflated.and_then(|()| self.advance(last)).inspect_err(|_| *self = Assembler::new())
            }
            Event::Data { kind: MessageKind::Binary, payload, first: true, last: true, .. } => {
                Ok(Progress::Whole(MessageRef::Binary(payload)))
            }
            Event::Data { kind: MessageKind::Text, payload, ascii, first: true, last: true, .. } => {
                let text = ascii.map_or_else(|| check_text(payload), Ok)?;
                Ok(Progress::Whole(MessageRef::Text(text)))
            }
            Event::Data { kind, payload, ascii, first, last, .. } => {
                if first {
                    self.begin(kind);
                }
                let appended = self.append(payload, ascii);
                appended.and_then(|()| self.advance(last)).inspect_err(|_| *self = Assembler::new())
            }
            event => {
                if matches!(event, Event::Close(_)) {
                    // A message that it cut short will never be whole.
                    *self = Assembler::new();
                }
                Ok(Progress::Control(event))
            }
        }
    }

    /// Adds a part to the message in the buffer.
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

    fn advance<'a>(&mut self, last: bool) -> Result<Progress<'a>, ProtocolError> {
        if last {
            self.utf8.finish()?;
        }
        self.progress = if last { Merging::Delivered } else { Merging::Begun };
        Ok(if last { Progress::Merged } else { Progress::Partial })
    }

    /// Empties the buffer for a new message, keeping its memory.
    fn begin(&mut self, kind: MessageKind) {
        let bytes = core::mem::take(&mut self.buffer).into_empty();
        self.buffer = match kind {
            MessageKind::Binary => Buffer::Binary(bytes),
            MessageKind::Text => Buffer::Text(String::from_utf8(bytes).unwrap_or_default()),
        };
        self.utf8 = Utf8Stream::new();
        self.progress = Merging::Begun;
        self.compressed = false;
    }

    fn merged(&mut self) -> Incoming<'static, '_> {
        Incoming::Message(self.merged_message())
    }
}

impl<'m> Incoming<'_, 'm> {
    fn whole(message: MessageRef<'m>) -> Self {
        Incoming::Message(message.into())
    }
}

/// What [`Assembler::step`] found.
pub(crate) enum Step<'a> {
    /// A message that lies whole in the input.
    Whole(MessageRef<'a>),
    /// The assembler holds a whole message.
    Merged,
    Control(Event<'a>),
}

/// How far an event brought its message.
enum Progress<'a> {
    Partial,
    Whole(MessageRef<'a>),
    /// The message is in the buffer.
    Merged,
    Control(Event<'a>),
}

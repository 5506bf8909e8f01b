//! From bytes to messages.

use bytes::Bytes;
use sockeye_core::{
    Assembled, Assembler, Event, Incoming, MessageKind, PartialMessage, ProtocolError, Receiver, RecvBuf,
    Sender, Utf8Stream,
};

use crate::engine::buffer;

/// As much compressed input is looked at for one [`Part`], so that a part, which may be a thousand times as long, stays below a MiB.
const COMPRESSED_PART: usize = 1 << 10;

/// A stretch of a message, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Text or binary.
    pub kind: MessageKind,
    /// The bytes. Text may be cut inside a character; it has been checked as far as it goes.
    pub data: Bytes,
    /// Whether the message begins here.
    pub first: bool,
    /// Whether the message ends here.
    pub last: bool,
    /// Whether the message came compressed; `data` is not.
    pub compressed: bool,
}

/// A message that is being taken in parts.
#[derive(Debug, Default)]
struct Parts {
    utf8: Utf8Stream,
    /// No part of it has been given out yet.
    first: bool,
}

/// LinkAccess to the sender of the same connection, so that the decoder can answer control frames and
/// report protocol errors.
pub trait SenderAccess {
    /// Calls `f` with the sender. `f` must not block.
    fn with_sender(&mut self, f: impl FnOnce(&mut Sender));
}

/// What one call of [`Decoder::decode`] took from the input.
#[derive(Debug)]
pub enum Decoded<'a, 'm> {
    /// A whole message.
    Message(Assembled<'m>),
    /// A ping, pong or Close, already answered.
    Control(Event<'a>),
    /// A piece of a message that is still incomplete, or that is being skipped.
    Incomplete,
}

/// What makes messages, or parts of them, of bytes: for loops that read. Pings and Closes are answered, and what is wrong fails both
/// halves of the connection.
#[derive(Debug)]
pub struct Decoder {
    receiver: Receiver,
    assembler: Assembler,
    /// A message is being taken in parts.
    parts: Option<Parts>,
}

impl Decoder {
    /// Behind the opening handshake.
    #[must_use]
    pub fn new(receiver: Receiver) -> Self {
        Decoder { receiver, assembler: Assembler::new(), parts: None }
    }

    /// Decodes one step from `input`; returns `None` when it needs more bytes or the connection has
    /// failed.
    ///
    /// A frame of at most `hold` bytes stays in `input` until it is complete, see
    /// [`Receiver::poll_whole_event`].
    #[inline(always)]
    pub fn decode<'a: 'm, 'm, A: SenderAccess>(
        &'m mut self,
        input: &mut RecvBuf<'a>,
        hold: usize,
        sender: &mut A,
    ) -> Option<Decoded<'a, 'm>> {
        if input.is_empty() {
            return None;
        }
        // Nearly every message lies whole in the input. Skip the event for those.
        if self.parts.is_none()
            && let Some(message) = self.receiver.poll_message(input)
        {
            return Some(Decoded::Message(message.into()));
        }
        let event = self.next_event(input, hold, sender)?;
        Some(self.collect(event, sender))
    }

    /// Decodes the next part of a message from `input`; returns `None` when it needs more bytes or
    /// the connection has failed.
    pub fn decode_part<A: SenderAccess>(&mut self, input: &mut RecvBuf<'_>, sender: &mut A) -> Option<Part> {
        while let Some(event) = self.next_event(input, 0, sender) {
            if let Some(part) = self.part(event, sender) {
                return Some(part);
            }
        }
        None
    }

    /// The next event, answered; a broken rule fails the connection. `room` is as in [`Receiver::poll_whole_event`].
    fn next_event<'a, A: SenderAccess>(
        &mut self,
        input: &mut RecvBuf<'a>,
        hold: usize,
        sender: &mut A,
    ) -> Option<Event<'a>> {
        // The short way may have taken all there was and found it wrong.
        if input.is_empty() && self.receiver.failure().is_none() {
            return None;
        }
        match self.receiver.poll_whole_event(input, hold) {
            Ok(event) => {
                // Data needs no answer: the other half's lock is not taken for it.
                if let Some(Event::Ping(_) | Event::Pong(_) | Event::Close(_)) = &event {
                    sender.with_sender(|sender| event.iter().for_each(|event| sender.react(event)));
                }
                event
            }
            Err(error) => {
                self.fail(error, sender);
                None
            }
        }
    }

    /// Adds an event to the message being assembled.
    fn collect<'a: 'm, 'm, A: SenderAccess>(
        &'m mut self,
        mut event: Event<'a>,
        sender: &mut A,
    ) -> Decoded<'a, 'm> {
        if let Event::Data { payload, first, last, compressed, .. } = &mut event {
            if let Some(Parts { first: true, .. }) = &self.parts {
                // Nothing of it has been given out, for nothing had come of it: this is where it begins.
                self.parts = None;
                *first = true;
            }
            if self.parts.is_some() {
                // The rest of a message that was begun in parts: the caller has moved on. Later ones may refer back to it.
                if *compressed && let Err(error) = self.receiver.inflate(payload, *last, |_| Ok(())) {
                    self.fail(error, sender);
                }
                if *last {
                    self.parts = None;
                }
                return Decoded::Incomplete;
            }
            if *first && (*compressed || !*last) {
                self.assembler.lend_buffer(|| buffer::take_message(payload.len()));
            }
        }
        match self.assembler.push(event, &mut self.receiver) {
            Ok(Some(Incoming::Message(message))) => Decoded::Message(message),
            Ok(Some(Incoming::Control(event))) => Decoded::Control(event),
            Ok(None) => Decoded::Incomplete,
            Err(error) => {
                fail(&mut self.receiver, error, sender);
                Decoded::Incomplete
            }
        }
    }

    /// Takes an event as a part of a message, if it is one, inflated; its text is checked with what came before it.
    fn part<A: SenderAccess>(&mut self, event: Event<'_>, sender: &mut A) -> Option<Part> {
        let Event::Data { kind, payload, first, last, compressed, .. } = event else { return None };
        let Parts { mut utf8, first: is_due } = self.parts.take().unwrap_or_default();
        let first = first || is_due;
        let mut data = Vec::new();
        let mut take = |bytes: &[u8]| {
            data.extend_from_slice(bytes);
            if kind == MessageKind::Text {
                utf8.push(bytes, |_| ())?;
            }
            Ok(())
        };
        let taken = if compressed { self.receiver.inflate(payload, last, &mut take) } else { take(payload) };
        let checked = taken.and_then(|()| if last { Ok(utf8.finish()?) } else { Ok(()) });
        if let Err(error) = checked {
            self.fail(error, sender);
            return None;
        }
        // A stretch that inflates to nothing yet is no part.
        let is_part = last || !compressed || !data.is_empty();
        self.parts = (!last).then_some(Parts { utf8, first: first && !is_part });
        if !is_part {
            return None;
        }
        Some(Part { kind, data: Bytes::from(data), first, last, compressed })
    }

    /// What has arrived of a message that was to be received whole, as its first part.
    pub fn take_partial_message(&mut self) -> Option<Part> {
        let PartialMessage { kind, bytes, utf8, compressed, .. } = self.assembler.take_partial()?;
        self.parts = Some(Parts { utf8, first: false });
        Some(Part { kind, data: Bytes::from(bytes), first: true, last: false, compressed })
    }

    /// As much of the input as one part may be made of.
    #[must_use]
    pub fn part_input<'a>(&self, input: &'a mut [u8]) -> &'a mut [u8] {
        let len = if self.receiver.inflates() { input.len().min(COMPRESSED_PART) } else { input.len() };
        &mut input[..len]
    }

    /// As [`Receiver::frame_len`].
    #[must_use]
    pub fn frame_len(&self, input: &[u8]) -> Option<u64> {
        self.receiver.frame_len(input)
    }

    /// As [`Receiver::failure`].
    #[must_use]
    pub fn failure(&self) -> Option<ProtocolError> {
        self.receiver.failure()
    }

    /// Gives the memory of a message back that has been handed out.
    pub fn release(&mut self) {
        if let Some(buffer) = self.assembler.reclaim_buffer() {
            buffer::give_message(buffer);
        }
    }

    /// Forgets what has arrived of a message: the connection is over.
    pub fn discard(&mut self) {
        self.assembler = Assembler::new();
    }

    fn fail<A: SenderAccess>(&mut self, error: ProtocolError, sender: &mut A) {
        fail(&mut self.receiver, error, sender);
    }
}

/// Fails both sides.
fn fail<A: SenderAccess>(receiver: &mut Receiver, error: ProtocolError, sender: &mut A) {
    receiver.fail(error);
    sender.with_sender(|sender| sender.fail(&error));
}

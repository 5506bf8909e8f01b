//! Decoding bytes into messages or parts of messages.

use bytes::Bytes;
use sockeye_core::{
    Assembled, Assembler, Control, Data, Event, Incoming, MessageKind, MessageRef, PartialMessage,
    ProtocolError, Receiver, RecvBuf, Sender, Utf8Stream,
};

use crate::engine::buffer;
pub use crate::engine::part::Part;

mod held;

pub(crate) use held::*;

/// The maximum length of the compressed input of one [`Part`]. Input can inflate to a thousand
/// times its length, so this keeps a part below a mebibyte.
const COMPRESSED_PART: usize = 1 << 10;

/// The state of a message that the caller takes in parts.
#[derive(Debug)]
struct PartsState {
    kind: MessageKind,
    utf8: Utf8Stream,
    /// The next part is the first one.
    is_first: bool,
}

impl Default for PartsState {
    fn default() -> Self {
        PartsState { kind: MessageKind::Binary, utf8: Utf8Stream::new(), is_first: false }
    }
}

/// Access to the sender of the same connection, so that the decoder can answer control frames and
/// fail the connection.
pub trait SenderAccess {
    /// Calls `f` with the sender. `f` does not block.
    fn with_sender(&mut self, f: impl FnOnce(&mut Sender));
}

/// The result of one call of [`Decoder::decode`].
#[derive(Debug)]
pub enum Decoded<'a, 'm> {
    /// A whole message.
    Message(Assembled<'a, 'm>),
    /// A ping, a pong or a Close, answered unless the [`Config`](sockeye_core::Config) leaves that
    /// to the application. Pass one that the application does not see to [`Decoder::skip`].
    Control(Control<'a>),
    /// A piece of a message that is still incomplete, or whose rest is skipped. See
    /// [`Decoder::is_inflating`].
    Incomplete,
}

/// Decodes bytes into messages or parts of messages, for loops that read from a transport.
///
/// It answers pings and Closes, and fails both halves of the connection if the peer violates the
/// protocol.
#[derive(Debug)]
pub struct Decoder {
    receiver: Receiver,
    assembler: Assembler,
    /// Set while the caller takes a message in parts.
    parts: Option<PartsState>,
}

impl Decoder {
    /// Creates a decoder for a connection whose opening handshake is complete.
    #[must_use]
    pub fn new(receiver: Receiver) -> Self {
        Decoder { receiver, assembler: Assembler::new(), parts: None }
    }

    /// Decodes one step from `input`. Returns `None` when it needs more bytes or the connection has
    /// failed.
    ///
    /// A step inflates at most a slice of a compressed message, see
    /// [`is_inflating`](Decoder::is_inflating).
    ///
    /// An incomplete frame of at most `hold` bytes stays in `input`, see
    /// [`Receiver::poll_whole_event`].
    #[inline(always)]
    pub fn decode<'a, 'm, A: SenderAccess>(
        &'m mut self,
        input: &mut RecvBuf<'a>,
        hold: usize,
        sender: &mut A,
    ) -> Option<Decoded<'a, 'm>> {
        if input.is_empty() && !self.is_inflating() {
            return None;
        }
        if let Some(message) = self.decode_whole(input) {
            return Some(Decoded::Message(message.into()));
        }
        self.decode_event(input, hold, sender)
    }

    /// Returns true if a rest of a compressed message waits to be inflated. Then
    /// [`decode`](Decoder::decode) inflates the next slice of it, and needs no input for that.
    ///
    /// So a caller can do something else between two slices. Before it waits for more input, it
    /// must call `decode` until this returns false.
    #[must_use]
    #[inline]
    pub fn is_inflating(&self) -> bool {
        self.receiver.is_inflating()
    }

    /// Returns true if the peer may send compressed messages.
    #[inline]
    pub(crate) fn inflates(&self) -> bool {
        self.receiver.inflates()
    }

    /// Returns how many bytes were inflated since the previous call.
    pub fn take_inflated(&mut self) -> u64 {
        self.receiver.take_inflated()
    }

    /// Does the first half of [`decode`](Decoder::decode): decodes a message that lies whole in
    /// `input`, as nearly every message does. It needs no event and no assembler.
    #[inline(always)]
    pub(crate) fn decode_whole<'a>(&mut self, input: &mut RecvBuf<'a>) -> Option<MessageRef<'a>> {
        if self.parts.is_some() {
            return None;
        }
        self.receiver.poll_message(input)
    }

    /// Does the second half of [`decode`](Decoder::decode): decodes everything else.
    pub(crate) fn decode_event<'a, 'm, A: SenderAccess>(
        &'m mut self,
        input: &mut RecvBuf<'a>,
        hold: usize,
        sender: &mut A,
    ) -> Option<Decoded<'a, 'm>> {
        self.decode_event_inlined(input, hold, sender)
    }

    /// The same as [`decode_event`](Decoder::decode_event), for loops whose fragments must be fast.
    #[inline(always)]
    pub(crate) fn decode_event_inlined<'a, 'm, A: SenderAccess>(
        &'m mut self,
        input: &mut RecvBuf<'a>,
        hold: usize,
        sender: &mut A,
    ) -> Option<Decoded<'a, 'm>> {
        if self.is_inflating() {
            return Some(self.resume(sender));
        }
        let event = self.next_event(input, hold, sender)?;
        Some(self.collect(event, sender))
    }

    /// Inflates the next slice of a compressed message.
    fn resume<'a, A: SenderAccess>(&mut self, sender: &mut A) -> Decoded<'a, '_> {
        if self.parts.is_some() {
            let last = self.receiver.is_inflating_end();
            let inflated = self.receiver.inflate_rest(|_| Ok(()));
            self.after_skipping(inflated, last, sender);
            return Decoded::Incomplete;
        }
        match self.assembler.resume(&mut self.receiver) {
            Ok(Some(Incoming::Message(message))) => Decoded::Message(message),
            Ok(_) => Decoded::Incomplete,
            Err(error) => {
                fail(&mut self.receiver, error, sender);
                Decoded::Incomplete
            }
        }
    }

    /// Ends the message that is skipped, if that was all of it. `inflated` is true unless a rest
    /// waits to be inflated.
    fn after_skipping<A: SenderAccess>(
        &mut self,
        inflated: Result<bool, ProtocolError>,
        last: bool,
        sender: &mut A,
    ) {
        match inflated {
            Ok(true) if last => self.parts = None,
            Ok(_) => {}
            Err(error) => self.fail(error, sender),
        }
    }

    /// Decodes the next part of a message from `input`. Returns `None` when it needs more bytes or
    /// the connection has failed.
    pub fn decode_part<A: SenderAccess>(&mut self, input: &mut RecvBuf<'_>, sender: &mut A) -> Option<Part> {
        if self.is_inflating() {
            return self.rest_as_part(sender);
        }
        while let Some(event) = self.next_event(input, 0, sender) {
            if let Event::Control(control) = &event {
                Self::skip(control, sender);
            }
            if let Some(part) = self.part(event, sender) {
                return Some(part);
            }
        }
        None
    }

    /// Skips a control frame that the application does not see. It cannot choose the answer to a
    /// Close, so this answers.
    pub fn skip<A: SenderAccess>(control: &Control<'_>, sender: &mut A) {
        if let Control::Close(_) = control {
            sender.with_sender(Sender::answer_close);
        }
    }

    /// Takes the next event from `input`, answers it, and fails the connection on an error.
    #[inline(always)]
    fn next_event<'a, A: SenderAccess>(
        &mut self,
        input: &mut RecvBuf<'a>,
        hold: usize,
        sender: &mut A,
    ) -> Option<Event<'a>> {
        // If `poll_message` consumed invalid text, the input may be empty: still fetch the error.
        if input.is_empty() && self.receiver.failure().is_none() {
            return None;
        }
        match self.receiver.poll_whole_event(input, hold) {
            Ok(event) => {
                // Data needs no answer: do not lock the other half for it.
                if let Some(Event::Control(control)) = &event {
                    sender.with_sender(|sender| sender.react(control));
                }
                event
            }
            Err(error) => {
                self.fail(error, sender);
                None
            }
        }
    }

    /// Adds an event to the message that is being assembled.
    #[inline(always)]
    fn collect<'a, 'm, A: SenderAccess>(
        &'m mut self,
        mut event: Event<'a>,
        sender: &mut A,
    ) -> Decoded<'a, 'm> {
        if let Event::Data(Data { payload, first, last, compressed, .. }) = &mut event {
            if let Some(PartsState { is_first: true, .. }) = &self.parts {
                // The caller has seen no part of the message yet, because the bytes that arrived
                // inflated to nothing. So the message can still be received whole.
                self.parts = None;
                *first = true;
            }
            if self.parts.is_some() {
                // The caller has taken parts of this message and has moved on: skip the rest. Still
                // inflate it, because later messages may refer back to it.
                let inflated = if *compressed {
                    self.receiver.inflate_slice(payload, *last, |_| Ok(()))
                } else {
                    Ok(true)
                };
                self.after_skipping(inflated, *last, sender);
                return Decoded::Incomplete;
            }
            if *first && (*compressed || !*last) {
                self.assembler.lend_buffer(|| buffer::take_message(payload.len(), *last));
            }
        }
        match self.assembler.push_slice(event, &mut self.receiver) {
            Ok(Some(Incoming::Message(message))) => Decoded::Message(message),
            Ok(Some(Incoming::Control(control))) => Decoded::Control(control),
            Ok(None) => Decoded::Incomplete,
            Err(error) => {
                fail(&mut self.receiver, error, sender);
                Decoded::Incomplete
            }
        }
    }

    /// Converts an event into a part if it holds data: inflates it and checks its text.
    fn part<A: SenderAccess>(&mut self, event: Event<'_>, sender: &mut A) -> Option<Part> {
        let Event::Data(Data { kind, payload, first, last, compressed, .. }) = event else { return None };
        let PartsState { mut utf8, is_first, .. } = self.parts.take().unwrap_or_default();
        let first = first || is_first;
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
        // Compressed bytes may inflate to nothing until more arrive. Do not return an empty part.
        let is_part = last || !compressed || !data.is_empty();
        self.parts = (!last).then_some(PartsState { utf8, is_first: first && !is_part, kind });
        if !is_part {
            return None;
        }
        Some(Part { kind, data: Bytes::from(data), first, last, compressed })
    }

    /// Returns the next slice of a compressed message as a part. A receive of the whole message was
    /// dropped before it was inflated.
    fn rest_as_part<A: SenderAccess>(&mut self, sender: &mut A) -> Option<Part> {
        let PartsState { mut utf8, is_first, kind } = self.parts.take().unwrap_or_default();
        let ends = self.receiver.is_inflating_end();
        let mut data = Vec::new();
        let inflated = self.receiver.inflate_rest(|bytes| {
            data.extend_from_slice(bytes);
            if kind == MessageKind::Text {
                utf8.push(bytes, |_| ())?;
            }
            Ok(())
        });
        let last = inflated == Ok(true) && ends;
        let checked = inflated.and_then(|_| if last { Ok(utf8.finish()?) } else { Ok(()) });
        if let Err(error) = checked {
            self.fail(error, sender);
            return None;
        }
        self.parts = (!last).then_some(PartsState { utf8, is_first: false, kind });
        Some(Part { kind, data: Bytes::from(data), first: is_first, last, compressed: true })
    }

    /// Returns what [`decode`](Decoder::decode) has collected of an incomplete message, as its
    /// first part. [`decode_part`](Decoder::decode_part) returns the other parts.
    pub fn take_partial_message<A: SenderAccess>(&mut self, sender: &mut A) -> Option<Part> {
        let PartialMessage { kind, bytes, utf8, compressed, is_inflated, .. } =
            self.assembler.take_partial()?;
        if !is_inflated {
            let mut data = Data::new(kind, &bytes);
            (data.last, data.compressed) = (false, compressed);
            return self.part(Event::Data(data), sender);
        }
        self.parts = Some(PartsState { utf8, is_first: false, kind });
        Some(Part { kind, data: Bytes::from(bytes), first: true, last: false, compressed })
    }

    /// Returns the prefix of `input` that one part may consume.
    #[must_use]
    pub fn part_input<'a>(&self, input: &'a mut [u8]) -> &'a mut [u8] {
        let len = if self.receiver.inflates() { input.len().min(COMPRESSED_PART) } else { input.len() };
        &mut input[..len]
    }

    /// Returns the length of the frame at the front of `input`, header included, if its header is
    /// complete. See [`Receiver::frame_len`].
    #[must_use]
    pub fn frame_len(&self, input: &[u8]) -> Option<u64> {
        self.receiver.frame_len(input)
    }

    /// Returns how the peer violated the protocol, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<ProtocolError> {
        self.receiver.failure()
    }

    /// Returns how many bytes of an incomplete message the decoder holds. Those of a compressed
    /// message are not inflated while it is incomplete.
    #[must_use]
    pub fn partial_len(&self) -> usize {
        self.assembler.partial_len().saturating_add(self.receiver.uninflated_len())
    }

    /// Takes back the memory of a message that was [detached](Assembled::detach), for the next
    /// message that arrives in parts.
    pub fn reuse(&mut self, memory: Vec<u8>) {
        self.assembler.lend_buffer(|| memory);
    }

    /// Returns the memory of a delivered message to the thread.
    pub fn release(&mut self) {
        if let Some(buffer) = self.assembler.reclaim_buffer() {
            buffer::give_message(buffer);
        }
    }

    /// Discards an incomplete message, because the connection is over.
    pub fn discard(&mut self) {
        self.assembler = Assembler::new();
    }

    fn fail<A: SenderAccess>(&mut self, error: ProtocolError, sender: &mut A) {
        fail(&mut self.receiver, error, sender);
    }
}

/// Fails both halves of the connection.
fn fail<A: SenderAccess>(receiver: &mut Receiver, error: ProtocolError, sender: &mut A) {
    receiver.fail(error);
    sender.with_sender(|sender| sender.fail(&error));
}

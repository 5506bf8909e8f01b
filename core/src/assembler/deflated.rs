//! Compressed messages: collected as they arrive, and inflated when they are whole.

use alloc::vec::Vec;

use super::{Assembler, Contents, DeflatedMessage, Incoming, Step};
use crate::error::ProtocolError;
use crate::event::{Data, Event};
use crate::message::{Message, MessageKind};
use crate::receiver::Receiver;

/// A [`DeflatedMessage`] that is inflated a slice at a time, for callers that must do something else
/// soon or that bound their memory.
#[derive(Debug)]
pub struct InflatingMessage {
    message: DeflatedMessage,
    /// The number of compressed bytes that were inflated.
    used: usize,
    assembler: Assembler,
}

impl InflatingMessage {
    /// Inflates the next slice with the receiver of the message's connection: about 256 KiB, or
    /// less if the payload is expensive. Returns the message once it is whole; then do not call
    /// this again.
    ///
    /// No other message of the connection may be inflated before this one is whole.
    ///
    /// # Errors
    ///
    /// Returns an error in the same cases as [`DeflatedMessage::inflate`].
    pub fn inflate_slice(&mut self, receiver: &mut Receiver) -> Result<Option<Message>, ProtocolError> {
        let InflatingMessage { message, used, assembler } = self;
        let rest = message.bytes.get(*used..).unwrap_or_default();
        let inflated = receiver.inflate_kept(rest, |part| assembler.append(part, None));
        if let Ok(Some(more)) = inflated {
            *used = used.saturating_add(more);
        }
        let step = assembler.after_inflating(inflated.map(|more| more.is_none()));
        let step = step.inspect_err(|error| receiver.fail(*error))?;
        Ok(step.map(|_| assembler.buffered_message().into_message()))
    }

    /// Returns how many bytes the message takes now: those that were inflated, and the rest.
    #[must_use]
    pub fn held(&self) -> usize {
        self.message.len().saturating_sub(self.used).saturating_add(self.assembler.partial_len())
    }
}

impl From<DeflatedMessage> for InflatingMessage {
    fn from(message: DeflatedMessage) -> Self {
        let mut assembler = Assembler::new();
        assembler.begin(message.kind);
        assembler.compressed = true;
        InflatingMessage { message, used: 0, assembler }
    }
}

impl Assembler {
    /// Takes one event of `receiver`, like [`push`](Assembler::push), but inflates only a slice of
    /// a compressed payload. If [`Receiver::is_inflating`] returns true afterwards, call
    /// [`resume`](Assembler::resume) until it returns false. See [`Receiver::inflate_slice`].
    ///
    /// # Errors
    ///
    /// Returns an error in the same cases as [`push`](Assembler::push).
    #[inline]
    pub fn push_slice<'a, 'm>(
        &'m mut self,
        event: Event<'a>,
        receiver: &mut Receiver,
    ) -> Result<Option<Incoming<'a, 'm>>, ProtocolError> {
        let step = self.push_event(event, receiver, true)?;
        Ok(step.map(|step| self.incoming(step)))
    }

    /// Inflates the next slice of the payload of which [`push_slice`](Assembler::push_slice) took
    /// the first. Returns the message if that was the last one.
    ///
    /// # Errors
    ///
    /// Returns an error in the same cases as [`push`](Assembler::push).
    pub fn resume<'a, 'm>(
        &'m mut self,
        receiver: &mut Receiver,
    ) -> Result<Option<Incoming<'a, 'm>>, ProtocolError> {
        let inflated = receiver.inflate_rest(|part| self.append(part, None));
        let step = self.after_inflating(inflated)?;
        Ok(step.map(|step| self.incoming(step)))
    }

    /// Returns the compressed message that `event` makes whole, without inflating it. Returns any
    /// other event, which must then be [pushed](Assembler::push).
    ///
    /// This is for callers that keep messages for later: a message may inflate to a thousand times
    /// its length. They must [inflate](DeflatedMessage::inflate) the messages in the order in which
    /// they arrived, before those that they push later, because each may refer to those before it.
    ///
    /// # Errors
    ///
    /// Returns the event if it makes no compressed message whole.
    pub fn keep_deflated<'a>(&mut self, event: Event<'a>) -> Result<DeflatedMessage, Event<'a>> {
        match event {
            Event::Data(Data { kind, payload, compressed: true, first, last: true, .. }) => {
                let collected = if first { Vec::new() } else { core::mem::take(self).buffer.into_bytes() };
                let mut bytes = collected;
                bytes.reserve_exact(payload.len());
                bytes.extend_from_slice(payload);
                Ok(DeflatedMessage { kind, bytes })
            }
            event => Err(event),
        }
    }

    /// Collects a part of a compressed message, or inflates the message if it is whole now: at most
    /// a slice of it with `slice`.
    pub(super) fn take_deflated<'a>(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        (first, last): (bool, bool),
        receiver: &mut Receiver,
        slice: bool,
    ) -> Result<Option<Step<'a>>, ProtocolError> {
        if !last {
            self.append(payload, None)?;
            self.contents = Contents::Deflated(kind);
            return Ok(None);
        }
        let mut whole = Vec::new();
        if !first {
            whole = core::mem::take(&mut self.buffer).into_bytes();
            whole.extend_from_slice(payload);
            self.begin(kind);
        }
        let payload = if first { payload } else { &whole };
        self.compressed = true;
        let append = |part: &[u8]| self.append(part, None);
        let inflated = if slice {
            receiver.inflate_slice(payload, true, append)
        } else {
            receiver.inflate(payload, true, append).map(|()| true)
        };
        self.after_inflating(inflated)
    }

    /// Updates the state of a whole message after a slice of it. `is_done` means that it has no
    /// rest.
    fn after_inflating<'a>(
        &mut self,
        is_done: Result<bool, ProtocolError>,
    ) -> Result<Option<Step<'a>>, ProtocolError> {
        let advanced = is_done.and_then(|is_done| self.advance(is_done));
        advanced.inspect_err(|_| *self = Assembler::new())
    }
}

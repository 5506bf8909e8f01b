//! Encoding messages as frames, and the checks before that.

use alloc::boxed::Box;

use super::Sender;
use crate::deflate::Deflater;
use crate::error::SendError;
use crate::frame::{Flags, FrameHeader, MAX_HEADER, Opcode};
use crate::mask::apply_mask;
use crate::message::{MessageKind, Payload, PayloadData};
use crate::prepared::{Encoded, Prepared};
use crate::utf8::Utf8Stream;

/// A message whose first fragments have been sent.
pub(super) struct FragmentedMessage {
    kind: MessageKind,
    size: u64,
    utf8: Utf8Stream,
    coding: Coding,
}

/// The encoding of the payloads of a fragmented message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// Not at all.
    Plain,
    /// The connection compresses them.
    Deflate,
    /// The caller passes them in compressed.
    AlreadyDeflated,
}

impl Sender {
    #[inline]
    pub(super) fn check_room(&self) -> Result<(), SendError> {
        let queued = self.outbox.len();
        if self.config.reaches_high_water_mark(queued) {
            return Err(SendError::Backpressure { queued });
        }
        Ok(())
    }

    #[inline]
    pub(super) fn check_new_message(&self, size: usize) -> Result<(), SendError> {
        if self.message.is_some() {
            return Err(SendError::ExpectedContinuation);
        }
        self.check_size(size as u64)?;
        self.check_room()
    }

    #[inline]
    fn check_size(&self, size: u64) -> Result<(), SendError> {
        let limit = self.config.max_send_size;
        if size > limit {
            return Err(SendError::TooBig { size, limit });
        }
        Ok(())
    }

    #[inline]
    pub(super) fn check_payload(&self, payload: &Payload<'_>) -> Result<(), SendError> {
        self.check_open()?;
        self.check_new_message(payload.as_bytes().len())
    }

    /// Queues the payload, compressed if the policy or the caller requests it.
    #[inline]
    pub(super) fn write_payload(&mut self, payload: Payload<'_>) {
        let size = payload.as_bytes().len();
        let wants_deflate = |deflater: &Deflater| deflater.should_compress(size, payload.compress);
        if self.deflater.as_deref().is_some_and(wants_deflate) && self.write_deflated(&payload) {
            return;
        }
        self.write_message(payload.kind.opcode(), false, payload.data);
    }

    /// Queues one frame of a message: the first if there is a `kind`, otherwise a continuation.
    pub(super) fn send_fragment(
        &mut self,
        kind: Option<MessageKind>,
        fragment: &[u8],
        flags: Flags,
        requested: Option<bool>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let finish = flags.finish;
        let is_first = kind.is_some();
        let opcode = kind.map_or(Opcode::Continuation, MessageKind::opcode);
        let (kind, size, mut utf8, coding) = match (kind, self.message.as_deref()) {
            (Some(kind), None) => {
                (kind, 0, Utf8Stream::new(), self.choose_coding(fragment, flags, requested)?)
            }
            (None, Some(message)) => (message.kind, message.size, message.utf8, message.coding),
            (Some(_), Some(_)) => return Err(SendError::ExpectedContinuation),
            (None, None) => return Err(SendError::UnexpectedContinuation),
        };
        let size = size.saturating_add(fragment.len() as u64);
        self.check_size(size)?;
        self.check_room()?;
        if kind == MessageKind::Text && coding != Coding::AlreadyDeflated {
            utf8.push(fragment, |_| ())?;
            if finish {
                utf8.finish()?;
            }
        }
        let flags = Flags { finish, rsv1: is_first && coding != Coding::Plain };
        match coding {
            Coding::Plain => self.write_frame(opcode, flags, PayloadData::Borrowed(fragment)),
            Coding::Deflate => self.write_deflated_fragment(opcode, flags, fragment),
            Coding::AlreadyDeflated => {
                if is_first && let Some(deflater) = &mut self.deflater {
                    deflater.forget_history();
                }
                self.write_frame(opcode, flags, PayloadData::Borrowed(fragment));
            }
        }
        let message = FragmentedMessage { kind, size, utf8, coding };
        match &mut self.message {
            _ if finish => self.message = None,
            Some(unfinished) => **unfinished = message,
            unfinished => *unfinished = Some(Box::new(message)),
        }
        Ok(())
    }

    /// Returns how the message that begins with this fragment is encoded.
    fn choose_coding(
        &self,
        fragment: &[u8],
        flags: Flags,
        requested: Option<bool>,
    ) -> Result<Coding, SendError> {
        match &self.deflater {
            Some(_) if flags.rsv1 => Ok(Coding::AlreadyDeflated),
            None if flags.rsv1 => Err(SendError::ReservedBits),
            // The size of a fragmented message is not known yet; it counts as a long one.
            Some(deflater) => {
                let size = if flags.finish { fragment.len() } else { usize::MAX };
                Ok(if deflater.should_compress(size, requested) { Coding::Deflate } else { Coding::Plain })
            }
            None => Ok(Coding::Plain),
        }
    }

    /// Queues a whole message, split into frames of [`Config::fragment_size`](crate::Config).
    #[inline]
    pub(super) fn write_message(&mut self, opcode: Opcode, rsv1: bool, payload: PayloadData<'_>) {
        match self.config.fragment_size {
            Some(limit) if payload.as_bytes().len() > limit => {
                self.write_fragments(opcode, rsv1, payload.as_bytes(), limit);
            }
            _ => self.write_frame(opcode, Flags { finish: true, rsv1 }, payload),
        }
    }

    fn write_fragments(&mut self, mut opcode: Opcode, mut rsv1: bool, payload: &[u8], limit: usize) {
        let mut fragments = payload.chunks(limit.max(1)).peekable();
        while let Some(fragment) = fragments.next() {
            let flags = Flags { finish: fragments.peek().is_none(), rsv1 };
            self.write_frame(opcode, flags, PayloadData::Borrowed(fragment));
            // Only the first frame of a message sets RSV1 (RFC 7692 6).
            (opcode, rsv1) = (Opcode::Continuation, false);
        }
    }

    /// Returns the encoding of a prepared message that this connection sends, and whether that is
    /// the compressed one; `None` if the connection must compress the message itself.
    pub(super) fn choose_encoding<'p>(&self, prepared: &'p Prepared) -> Option<(&'p Encoded, bool)> {
        let (plain, deflated) = prepared.encodings();
        let Some(deflater) = &self.deflater else { return Some((plain, false)) };
        let (size, requested) = (prepared.as_bytes().len(), prepared.compress);
        match deflated {
            Some((encoded, window_bits)) if deflater.accepts_prepared(size, *window_bits, requested) => {
                Some((encoded, true))
            }
            _ if deflater.should_compress(size, requested) => None,
            _ => Some((plain, false)),
        }
    }

    /// Compresses and queues a whole message. Returns `false`, and queues nothing, if the message
    /// should be sent uncompressed.
    #[inline(never)]
    pub(super) fn write_deflated(&mut self, payload: &Payload<'_>) -> bool {
        let Some(mut deflater) = self.deflater.take() else { return false };
        let written = deflater.compress_message(payload.as_bytes(), payload.compress, |bytes| {
            self.write_message(payload.kind.opcode(), true, PayloadData::Borrowed(bytes));
        });
        self.deflater = Some(deflater);
        written
    }

    #[inline(never)]
    fn write_deflated_fragment(&mut self, opcode: Opcode, flags: Flags, fragment: &[u8]) {
        let Some(mut deflater) = self.deflater.take() else { return };
        deflater.compress_part(fragment, flags.finish, |bytes| {
            self.write_frame(opcode, flags, PayloadData::Borrowed(bytes));
        });
        self.deflater = Some(deflater);
    }

    #[inline]
    pub(super) fn write_frame(&mut self, opcode: Opcode, flags: Flags, payload: PayloadData<'_>) {
        // Each frame gets a fresh key, drawn when its payload can no longer change
        // (RFC 6455 5.3 and 10.3).
        let mask = self.mask_keys.as_mut().map(|next| next());
        let header = FrameHeader { opcode, flags, mask, len: payload.as_bytes().len() as u64 };
        match (payload, mask) {
            (PayloadData::Shared(bytes), None) => {
                self.outbox.append(MAX_HEADER, |buffer| header.encode(buffer));
                self.outbox.append_shared(bytes, false);
            }
            (PayloadData::Borrowed(bytes), None) => {
                self.outbox.append(bytes.len().saturating_add(MAX_HEADER), |buffer| {
                    header.encode(buffer);
                    buffer.extend_from_slice(bytes);
                });
            }
            (PayloadData::Shared(bytes), Some(key)) => self.write_masked(&header, &bytes, key),
            (PayloadData::Borrowed(bytes), Some(key)) => self.write_masked(&header, bytes, key),
        }
    }

    fn write_masked(&mut self, header: &FrameHeader, payload: &[u8], key: [u8; 4]) {
        self.outbox.append(payload.len().saturating_add(MAX_HEADER), |buffer| {
            header.encode(buffer);
            let start = buffer.len();
            buffer.extend_from_slice(payload);
            apply_mask(buffer.get_mut(start..).unwrap_or_default(), key);
        });
    }
}

//! Frames as they are written, and what is checked before.

use alloc::boxed::Box;

use super::Sender;
use crate::error::SendError;
use crate::frame::{Flags, FrameHeader, MAX_CONTROL_PAYLOAD, Opcode};
use crate::mask::apply_mask;
use crate::message::{MessageKind, Payload, PayloadData};
use crate::prepared::{Encoded, Prepared};
use crate::utf8::Utf8Stream;

/// A message begun with `finish = false`.
pub(super) struct Fragmented {
    kind: MessageKind,
    size: u64,
    utf8: Utf8Stream,
    compressed: bool,
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

    /// One frame of a message: its first with `begin`, else a continuation.
    pub(super) fn send_part(
        &mut self,
        begin: Option<MessageKind>,
        part: &[u8],
        flags: Flags,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let finish = flags.finish;
        let (kind, size, mut utf8, compressed) = match (begin, self.message.as_deref()) {
            (Some(kind), None) => (kind, 0, Utf8Stream::new(), self.wants_deflate(part, flags)),
            (None, Some(message)) => (message.kind, message.size, message.utf8, message.compressed),
            (Some(_), Some(_)) => return Err(SendError::ExpectedContinuation),
            (None, None) => return Err(SendError::UnexpectedContinuation),
        };
        let size = size.saturating_add(part.len() as u64);
        self.check_size(size)?;
        self.check_room()?;
        if kind == MessageKind::Text {
            utf8.push(part, |_| ())?;
            if finish {
                utf8.finish()?;
            }
        }
        let opcode = begin.map_or(Opcode::Continuation, MessageKind::opcode);
        let flags = Flags { finish, compress: compressed && begin.is_some() };
        if compressed {
            self.write_deflated_part(opcode, flags, part);
        } else {
            self.write_frame(opcode, flags, PayloadData::Borrowed(part));
        }
        let message = Fragmented { kind, size, utf8, compressed };
        match &mut self.message {
            _ if finish => self.message = None,
            Some(begun) => **begun = message,
            begun => *begun = Some(Box::new(message)),
        }
        Ok(())
    }

    /// Whether the message that begins with this part is compressed.
    fn wants_deflate(&self, part: &[u8], flags: Flags) -> bool {
        // One that comes in parts may become long.
        let size = if flags.finish { part.len() } else { usize::MAX };
        let asked = flags.compress.then_some(true);
        self.deflater.as_ref().is_some_and(|deflater| deflater.wants(size, asked))
    }

    /// A whole message, in frames of the size that is set.
    #[inline]
    pub(super) fn write_message(&mut self, opcode: Opcode, compress: bool, payload: PayloadData<'_>) {
        match self.config.fragment_size {
            Some(limit) if payload.as_bytes().len() > limit => {
                self.write_fragments(opcode, compress, payload.as_bytes(), limit);
            }
            _ => self.write_frame(opcode, Flags { finish: true, compress }, payload),
        }
    }

    fn write_fragments(&mut self, mut opcode: Opcode, mut compress: bool, payload: &[u8], limit: usize) {
        let mut parts = payload.chunks(limit.max(1)).peekable();
        while let Some(part) = parts.next() {
            let flags = Flags { finish: parts.peek().is_none(), compress };
            self.write_frame(opcode, flags, PayloadData::Borrowed(part));
            // RSV1 is for the first frame of a message alone (RFC 7692 6).
            (opcode, compress) = (Opcode::Continuation, false);
        }
    }

    /// How a message that was encoded before goes out here, and whether that is compressed; `None`: it is to be compressed anew.
    pub(super) fn prepared_form<'p>(&self, prepared: &'p Prepared) -> Option<(&'p Encoded, bool)> {
        let (plain, deflated) = prepared.parts();
        let Some(deflater) = &self.deflater else { return Some((plain, false)) };
        let (size, asked) = (prepared.as_bytes().len(), prepared.compress);
        match deflated {
            Some((encoded, window_bits)) if deflater.admits(size, *window_bits, asked) => {
                Some((encoded, true))
            }
            _ if deflater.wants(size, asked) => None,
            _ => Some((plain, false)),
        }
    }

    /// A whole message, compressed; nothing is written if it had better go as it is.
    #[inline(never)]
    pub(super) fn write_deflated(&mut self, payload: &Payload<'_>) -> bool {
        let Some(mut deflater) = self.deflater.take() else { return false };
        let written = deflater.message(payload.as_bytes(), |bytes| {
            self.write_message(payload.kind.opcode(), true, PayloadData::Borrowed(bytes));
        });
        self.deflater = Some(deflater);
        written
    }

    #[inline(never)]
    fn write_deflated_part(&mut self, opcode: Opcode, flags: Flags, part: &[u8]) {
        let Some(mut deflater) = self.deflater.take() else { return };
        deflater.part(part, flags.finish, |bytes| {
            self.write_frame(opcode, flags, PayloadData::Borrowed(bytes));
        });
        self.deflater = Some(deflater);
    }

    #[inline]
    pub(super) fn write_frame(&mut self, opcode: Opcode, flags: Flags, payload: PayloadData<'_>) {
        // A fresh key for each frame, drawn when its payload can no longer change (RFC 6455 5.3, 10.3).
        let mask = self.masks.as_mut().map(|next| next());
        let header = FrameHeader { opcode, flags, mask, len: payload.as_bytes().len() as u64 };
        match (payload, mask) {
            (PayloadData::Shared(bytes), None) => {
                self.outbox.append(|buffer| header.encode(buffer));
                self.outbox.append_shared(bytes);
            }
            (PayloadData::Borrowed(bytes), None) => self.outbox.append(|buffer| {
                header.encode(buffer);
                buffer.extend_from_slice(bytes);
            }),
            (PayloadData::Shared(bytes), Some(key)) => self.write_masked(&header, &bytes, key),
            (PayloadData::Borrowed(bytes), Some(key)) => self.write_masked(&header, bytes, key),
        }
    }

    fn write_masked(&mut self, header: &FrameHeader, payload: &[u8], key: [u8; 4]) {
        self.outbox.append(|buffer| {
            header.encode(buffer);
            let start = buffer.len();
            buffer.extend_from_slice(payload);
            apply_mask(buffer.get_mut(start..).unwrap_or_default(), key);
        });
    }
}

pub(super) fn check_control(payload: &[u8]) -> Result<(), SendError> {
    if payload.len() > MAX_CONTROL_PAYLOAD {
        return Err(SendError::ControlTooLong(payload.len()));
    }
    Ok(())
}

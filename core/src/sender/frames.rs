//! Frames as they are written, and what is checked before.

use alloc::boxed::Box;

use super::Sender;
use crate::error::SendError;
use crate::frame::{Flags, FrameHeader, MAX_CONTROL_PAYLOAD, Opcode};
use crate::mask::apply_mask;
use crate::message::{MessageKind, PayloadData};
use crate::utf8::Utf8Stream;

/// A message begun with `finish = false`.
pub(super) struct Fragmented {
    kind: MessageKind,
    size: u64,
    utf8: Utf8Stream,
}

/// A ping's payload.
pub(super) struct LatePong {
    bytes: [u8; MAX_CONTROL_PAYLOAD],
    len: u8,
}

impl Sender {
    #[inline]
    pub(super) fn check_room(&self) -> Result<(), SendError> {
        let queued = self.outbox.len();
        if queued >= self.config.high_water_mark.max(1) {
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
        finish: bool,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let (kind, size, mut utf8) = match (begin, self.message.as_deref()) {
            (Some(kind), None) => (kind, 0, Utf8Stream::new()),
            (None, Some(message)) => (message.kind, message.size, message.utf8),
            (Some(_), Some(_)) => return Err(SendError::ExpectedContinuation),
            (None, None) => return Err(SendError::UnexpectedContinuation),
        };
        let size = size.saturating_add(part.len() as u64);
        self.check_size(size)?;
        self.check_room()?;
        if kind == MessageKind::Text {
            let checked = utf8.push(part, |_| ());
            if checked.is_err() || finish && !utf8.is_complete() {
                return Err(SendError::InvalidUtf8);
            }
        }
        let opcode = begin.map_or(Opcode::Continuation, MessageKind::opcode);
        self.write_frame(opcode, finish, PayloadData::Borrowed(part));
        match &mut self.message {
            _ if finish => self.message = None,
            Some(message) => **message = Fragmented { kind, size, utf8 },
            message => *message = Some(Box::new(Fragmented { kind, size, utf8 })),
        }
        Ok(())
    }

    pub(super) fn write_fragments(&mut self, opcode: Opcode, payload: &[u8], limit: usize) {
        let mut opcode = opcode;
        let mut parts = payload.chunks(limit.max(1)).peekable();
        while let Some(part) = parts.next() {
            self.write_frame(opcode, parts.peek().is_none(), PayloadData::Borrowed(part));
            opcode = Opcode::Continuation;
        }
    }

    #[inline]
    pub(super) fn write_frame(&mut self, opcode: Opcode, finish: bool, payload: PayloadData<'_>) {
        let bytes: &[u8] = match &payload {
            PayloadData::Borrowed(bytes) => bytes,
            PayloadData::Shared(bytes) => bytes,
        };
        let flags = Flags { finish, compress: false };
        // A fresh key for each frame, drawn when its payload can no longer change (RFC 6455 5.3, 10.3).
        let mask = self.masks.as_mut().map(|next| next());
        let header = FrameHeader { opcode, flags, mask, len: bytes.len() as u64 };
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

impl LatePong {
    pub(super) fn new(payload: &[u8]) -> Self {
        let mut bytes = [0; MAX_CONTROL_PAYLOAD];
        let mut len = 0u8;
        for (slot, byte) in bytes.iter_mut().zip(payload) {
            *slot = *byte;
            len = len.saturating_add(1);
        }
        LatePong { bytes, len }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

pub(super) fn check_control(payload: &[u8]) -> Result<(), SendError> {
    if payload.len() > MAX_CONTROL_PAYLOAD {
        return Err(SendError::ControlTooLong(payload.len()));
    }
    Ok(())
}

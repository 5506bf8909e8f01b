//! Reading frame headers, and checking them.

use super::{FrameState, MessageState, Receiver, Step};
use crate::error::ProtocolError;
use crate::frame::{FrameHeader, MAX_HEADER, Opcode};
use crate::input::RecvBuf;
use crate::message::MessageKind;
use crate::role::Role;

impl Receiver {
    /// Takes the next header and checks it. Returns `None` if the header is incomplete, or if the
    /// incomplete frame stays in `input` because of `hold`. In that case, too, an invalid header is
    /// an error.
    pub(super) fn next_header(
        &mut self,
        input: &mut RecvBuf<'_>,
        hold: usize,
    ) -> Result<Option<(FrameHeader, [u8; 4])>, ProtocolError> {
        if !self.header.is_empty() {
            return self.complete_header(input);
        }
        let bytes = input.remaining();
        let Some((header, used)) = FrameHeader::parse(bytes)? else {
            return if hold < MAX_HEADER { self.complete_header(input) } else { Ok(None) };
        };
        let key = self.check_header(&header)?;
        let is_partial = header.len > bytes.len().saturating_sub(used) as u64;
        if is_partial && header.len <= hold.saturating_sub(used) as u64 {
            if !header.opcode.is_control() {
                self.check_data(&header)?;
            }
            return Ok(None);
        }
        input.take(used);
        Ok(Some((header, key)))
    }

    /// Completes the partial header with the front of `input`.
    fn complete_header(
        &mut self,
        input: &mut RecvBuf<'_>,
    ) -> Result<Option<(FrameHeader, [u8; 4])>, ProtocolError> {
        let Some(header) = self.header.complete(input)? else { return Ok(None) };
        Ok(Some((header, self.check_header(&header)?)))
    }

    /// Checks a header against the role and the negotiated compression. Returns the mask key.
    #[inline]
    pub(super) fn check_header(&self, header: &FrameHeader) -> Result<[u8; 4], ProtocolError> {
        // "The server MUST close the connection upon receiving a frame that is not masked." "A
        // client MUST close a connection if it detects a masked frame." (RFC 6455 5.1)
        let key = match (self.role, header.mask) {
            (Role::Server, Some(key)) => key,
            (Role::Client, None) => [0; 4],
            (Role::Server, None) => return Err(ProtocolError::UnmaskedFrame),
            (Role::Client, Some(_)) => return Err(ProtocolError::MaskedFrame),
        };
        // RSV1 is valid only with negotiated compression, and there only on the first frame of a
        // message (RFC 7692 6).
        if header.flags.rsv1 && (self.inflater.is_none() || message_kind(header.opcode).is_none()) {
            return Err(ProtocolError::ReservedBits);
        }
        Ok(key)
    }

    /// Prepares for the payload of a frame.
    pub(super) fn begin_frame(&mut self, header: &FrameHeader, key: [u8; 4]) -> Result<(), ProtocolError> {
        let messages = self.frame.messages;
        self.frame = FrameState { remaining: header.len, key, finish: header.flags.finish, messages };
        self.step = if header.opcode.is_control() {
            Step::Control(header.opcode)
        } else {
            self.begin_data(header)?;
            Step::Data
        };
        Ok(())
    }

    fn begin_data(&mut self, header: &FrameHeader) -> Result<(), ProtocolError> {
        let (declared, frames) = self.check_data(header)?;
        match (message_kind(header.opcode), &mut self.message) {
            (Some(kind), message) => {
                let compressed = header.flags.rsv1;
                *message = Some(MessageState { kind, declared, frames, compressed, first: true });
                self.frame.messages = self.frame.messages.wrapping_add(1);
            }
            (None, Some(message)) => (message.declared, message.frames) = (declared, frames),
            (None, None) => {}
        }
        Ok(())
    }

    /// Checks the header of a data frame against the message so far and the limits. Returns the
    /// declared length and the number of frames of the message, with this frame.
    fn check_data(&self, header: &FrameHeader) -> Result<(u64, u32), ProtocolError> {
        let (declared, frames) = match (message_kind(header.opcode), &self.message) {
            (Some(_), None) => (0, 0),
            (None, Some(message)) => (message.declared, message.frames),
            (Some(_), Some(_)) => return Err(ProtocolError::ExpectedContinuation),
            (None, None) => return Err(ProtocolError::UnexpectedContinuation),
        };
        let frames = frames.saturating_add(1);
        let compressed = header.flags.rsv1 || self.message.as_ref().is_some_and(|message| message.compressed);
        self.check_limits(header.len, declared, frames, compressed)?;
        Ok((declared.saturating_add(header.len), frames))
    }

    /// Checks the limits for a frame of `len` bytes. The frames before it declared `declared`
    /// bytes; with this frame the message has `frames` frames.
    #[inline]
    pub(super) fn check_limits(
        &self,
        len: u64,
        declared: u64,
        frames: u32,
        compressed: bool,
    ) -> Result<(), ProtocolError> {
        let config = &*self.config;
        let allowed = |limit: u64| if compressed { with_deflate_overhead(limit) } else { limit };
        if len > allowed(config.max_frame_size) {
            return Err(ProtocolError::FrameTooBig { size: len, limit: config.max_frame_size });
        }
        // A sum of declared lengths could overflow; a difference cannot.
        if len > allowed(config.max_message_size).saturating_sub(declared) {
            return Err(ProtocolError::MessageTooBig { limit: config.max_message_size });
        }
        if frames > config.max_fragments {
            return Err(ProtocolError::TooManyFragments { limit: config.max_fragments });
        }
        Ok(())
    }
}

/// Returns the maximum compressed length of a payload of `limit` bytes.
///
/// Compression lengthens incompressible data, by 5 bytes for each stored block (RFC 1951 3.2.4) or
/// a little more, and a sender that compresses everything cannot know that in advance. The inflated
/// payload is checked against `limit` itself.
fn with_deflate_overhead(limit: u64) -> u64 {
    limit.saturating_add(limit >> 4).saturating_add(64)
}

/// Returns the kind of message that a frame with this opcode begins; `None` if it begins none.
#[inline]
pub(super) fn message_kind(opcode: Opcode) -> Option<MessageKind> {
    match opcode {
        Opcode::Text => Some(MessageKind::Text),
        Opcode::Binary => Some(MessageKind::Binary),
        _ => None,
    }
}

/// The first bytes of a header whose rest has not arrived.
#[derive(Debug, Default)]
pub(super) struct PartialHeader {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl PartialHeader {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends the front of `input`, and returns the header if it is complete.
    fn complete(&mut self, input: &mut RecvBuf<'_>) -> Result<Option<FrameHeader>, ProtocolError> {
        let kept = usize::from(self.len);
        let mut len = kept;
        for (slot, byte) in self.bytes.iter_mut().skip(kept).zip(input.remaining()) {
            *slot = *byte;
            len = len.saturating_add(1);
        }
        let (bytes, _) = self.bytes.split_at(len.min(MAX_HEADER));
        match FrameHeader::parse(bytes)? {
            Some((header, used)) => {
                input.take(used.saturating_sub(kept));
                self.len = 0;
                Ok(Some(header))
            }
            None => {
                input.take_all();
                self.len = len as u8;
                Ok(None)
            }
        }
    }
}

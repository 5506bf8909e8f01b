//! Frame headers.

use alloc::vec::Vec;

use super::{Flags, InvalidOpcode, MAX_CONTROL_PAYLOAD, Opcode};
use crate::error::ProtocolError;

/// The header of a frame: everything before its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) opcode: Opcode,
    pub(crate) flags: Flags,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) len: u64,
}

impl FrameHeader {
    /// Decodes the header at the start of `bytes`. Returns the header and its length in bytes, or
    /// `None` while it is incomplete.
    ///
    /// This checks every rule that does not depend on the connection, as soon as the byte that
    /// breaks it has arrived.
    #[inline(always)]
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        // "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values."
        // (RFC 6455 5.2)
        if first & 0x30 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = Opcode::try_from(first & 0xf)
            .map_err(|InvalidOpcode(bits)| ProtocolError::ReservedOpcode(bits))?;
        let flags = Flags { finish: first & 0x80 != 0, rsv1: first & 0x40 != 0 };
        let short = second & 0x7f;
        if opcode.is_control() {
            // "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be
            // fragmented." (RFC 6455 5.5)
            if usize::from(short) > MAX_CONTROL_PAYLOAD {
                return Err(ProtocolError::ControlTooLong);
            }
            if !flags.finish {
                return Err(ProtocolError::FragmentedControl);
            }
        }
        // "the minimal number of bytes MUST be used to encode the length" and "the most significant
        // bit MUST be 0" (RFC 6455 5.2)
        let (len, rest) = match short {
            126 => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let len = u16::from_be_bytes(*len);
                if len < 126 {
                    return Err(ProtocolError::InvalidLength);
                }
                (u64::from(len), rest)
            }
            127 => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let len = u64::from_be_bytes(*len);
                if len <= u64::from(u16::MAX) || len > i64::MAX as u64 {
                    return Err(ProtocolError::InvalidLength);
                }
                (len, rest)
            }
            short => (u64::from(short), rest),
        };
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(*key), rest)
        };
        Ok(Some((FrameHeader { opcode, flags, mask, len }, bytes.len().saturating_sub(rest.len()))))
    }

    /// Appends the header in its shortest form.
    #[inline]
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let first = self.opcode as u8 | u8::from(self.flags.finish) << 7 | u8::from(self.flags.rsv1) << 6;
        let masked = u8::from(self.mask.is_some()) << 7;
        match self.len {
            len @ 0..126 => out.extend_from_slice(&[first, masked | len as u8]),
            len @ 126..0x1_0000 => {
                let [high, low] = (len as u16).to_be_bytes();
                out.extend_from_slice(&[first, masked | 126, high, low]);
            }
            len => {
                let [a, b, c, d, e, f, g, h] = len.to_be_bytes();
                out.extend_from_slice(&[first, masked | 127, a, b, c, d, e, f, g, h]);
            }
        }
        if let Some(key) = self.mask {
            out.extend_from_slice(&key);
        }
    }
}

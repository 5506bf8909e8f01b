//! Frames: the base framing of RFC 6455 5.2, with and without a connection.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use crate::close::CloseFrame;
use crate::error::{ProtocolError, SendError};
use crate::mask::apply_mask;

/// Longest payload of a control frame (RFC 6455 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// Longest frame header: two bytes, a 64-bit length, a mask key.
pub(crate) const MAX_HEADER: usize = 14;

/// What a frame is (RFC 6455 5.2). The opcodes that the RFC reserves cannot be expressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// 0: more of the message begun before.
    Continuation = 0,
    /// 1: a message of UTF-8 text, or its first fragment.
    Text = 1,
    /// 2: a message of bytes, or its first fragment.
    Binary = 2,
    /// 8: the closing handshake.
    Close = 8,
    /// 9: asks for a pong.
    Ping = 9,
    /// 10: answers a ping.
    Pong = 10,
}

impl Opcode {
    /// Whether it is a control opcode: Close, Ping or Pong (RFC 6455 5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

impl TryFrom<u8> for Opcode {
    type Error = InvalidOpcode;

    #[inline]
    fn try_from(value: u8) -> Result<Self, InvalidOpcode> {
        Ok(match value {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return Err(InvalidOpcode(value)),
        })
    }
}

impl From<Opcode> for u8 {
    fn from(opcode: Opcode) -> u8 {
        opcode as u8
    }
}

/// A number that is no opcode: RFC 6455 reserves 3-7 and 11-15, and there are only four bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOpcode(pub u8);

impl fmt::Display for InvalidOpcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not an opcode; use 0, 1, 2, 8, 9 or 10", self.0)
    }
}

impl core::error::Error for InvalidOpcode {}

/// The bits of a frame that are not its opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flags {
    /// FIN: this frame finishes its message.
    pub finish: bool,
    /// RSV1 with permessage-deflate (RFC 7692 6): the message is compressed.
    pub compress: bool,
}

impl Default for Flags {
    /// A finished, uncompressed frame.
    fn default() -> Self {
        Flags { finish: true, compress: false }
    }
}

/// One frame as the application sees it.
///
/// ```
/// use sockeye_core::{Frame, Opcode};
///
/// assert_eq!(Frame::text("hi").pack(), b"\x81\x02hi");
/// let (frame, used) = Frame::unpack(b"\x81\x02hi, and more").unwrap().unwrap();
/// assert_eq!((frame.opcode, &*frame.data, frame.flags.finish, used), (Opcode::Text, &b"hi"[..], true, 4));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the frame is.
    pub opcode: Opcode,
    /// Its payload, not masked.
    pub data: Cow<'a, [u8]>,
    /// Whether it finishes its message, and whether it is compressed.
    pub flags: Flags,
}

impl<'a> Frame<'a> {
    /// A finished frame with this payload.
    #[must_use]
    pub fn new(opcode: Opcode, data: impl Into<Cow<'a, [u8]>>) -> Self {
        Frame { opcode, data: data.into(), flags: Flags::default() }
    }

    /// A finished text frame.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Frame::new(Opcode::Text, text.as_bytes())
    }

    /// A finished binary frame.
    #[must_use]
    pub fn binary(bytes: &'a [u8]) -> Self {
        Frame::new(Opcode::Binary, bytes)
    }

    /// A Close frame.
    ///
    /// # Errors
    ///
    /// As [`CloseFrame::payload`].
    pub fn close(close: &CloseFrame<'_>) -> Result<Frame<'static>, SendError> {
        Ok(Frame::new(Opcode::Close, close.payload()?))
    }

    /// The same frame with FIN set or not.
    #[must_use]
    pub fn finish(mut self, finish: bool) -> Self {
        self.flags.finish = finish;
        self
    }

    /// The frame as a server writes it: not masked. It is written as it is; whether it may be sent is checked where it
    /// is, in [`Connection::send_frame`](crate::Connection::send_frame).
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        self.encode(None)
    }

    /// The frame as a client writes it, masked with `key`, which must be fresh and unpredictable
    /// (RFC 6455 5.3).
    #[must_use]
    pub fn pack_masked(&self, key: [u8; 4]) -> Vec<u8> {
        self.encode(Some(key))
    }

    /// Reads the frame at the start of `bytes`, from either end, and how many bytes it takes; `None` while it
    /// is incomplete. `bytes` is left as it is: a masked payload is unmasked into a copy.
    ///
    /// What needs a connection to be judged is not: who may mask, whether the opcode fits the message so far, whether
    /// text is UTF-8 and what RSV1 means (it is reported as [`Flags::compress`]).
    ///
    /// # Errors
    ///
    /// The bytes can be no frame, whatever follows.
    pub fn unpack(bytes: &'a [u8]) -> Result<Option<(Frame<'a>, usize)>, ProtocolError> {
        let Some((header, used)) = FrameHeader::parse(bytes)? else { return Ok(None) };
        let payload = bytes.get(used..).unwrap_or_default();
        let Some(payload) = usize::try_from(header.len).ok().and_then(|len| payload.get(..len)) else {
            return Ok(None);
        };
        let end = used.saturating_add(payload.len());
        let mut data = Cow::Borrowed(payload);
        if let Some(key) = header.mask {
            apply_mask(data.to_mut(), key);
        }
        Ok(Some((Frame { opcode: header.opcode, data, flags: header.flags }, end)))
    }

    fn encode(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let header =
            FrameHeader { opcode: self.opcode, flags: self.flags, mask, len: self.data.len() as u64 };
        let mut out = Vec::with_capacity(self.data.len().saturating_add(MAX_HEADER));
        header.encode(&mut out);
        out.extend_from_slice(&self.data);
        if let Some(key) = mask {
            let start = out.len().saturating_sub(self.data.len());
            apply_mask(out.get_mut(start..).unwrap_or_default(), key);
        }
        out
    }
}

/// What stands before the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) opcode: Opcode,
    pub(crate) flags: Flags,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) len: u64,
}

impl FrameHeader {
    /// Reads a header and how many bytes it takes; `None` while it is incomplete. Every rule that a header breaks
    /// by itself is checked here, as soon as the bytes that break it are there.
    #[inline(always)]
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        // "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values." (RFC 6455 5.2)
        if first & 0x30 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = Opcode::try_from(first & 0xf)
            .map_err(|InvalidOpcode(bits)| ProtocolError::ReservedOpcode(bits))?;
        let flags = Flags { finish: first & 0x80 != 0, compress: first & 0x40 != 0 };
        let short = second & 0x7f;
        if opcode.is_control() {
            // "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
            // (RFC 6455 5.5)
            if usize::from(short) > MAX_CONTROL_PAYLOAD {
                return Err(ProtocolError::ControlTooLong);
            }
            if !flags.finish {
                return Err(ProtocolError::FragmentedControl);
            }
        }
        // "the minimal number of bytes MUST be used to encode the length" and "the most significant bit MUST
        // be 0" (RFC 6455 5.2)
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
        let first = self.opcode as u8 | u8::from(self.flags.finish) << 7 | u8::from(self.flags.compress) << 6;
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

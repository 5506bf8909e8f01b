//! Frames: the base framing of RFC 6455 5.2.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use crate::close::CloseFrame;
use crate::error::{ProtocolError, SendError};
use crate::mask::apply_mask;
use crate::utf8::check_text;

mod header;

pub(crate) use header::FrameHeader;

/// The maximum length of the payload of a control frame, in bytes (RFC 6455 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The maximum length of a frame header, in bytes: two bytes, a 64-bit length, a mask key.
pub(crate) const MAX_HEADER: usize = 14;

/// The opcode of a frame (RFC 6455 5.2). Reserved opcodes cannot be expressed.
///
/// ```
/// use sockeye_core::Opcode;
///
/// assert_eq!(Opcode::try_from(9), Ok(Opcode::Ping));
/// assert!(Opcode::Ping.is_control() && Opcode::try_from(3).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// 0: the next fragment of a message.
    Continuation = 0,
    /// 1: a message of UTF-8 text, or its first fragment.
    Text = 1,
    /// 2: a binary message, or its first fragment.
    Binary = 2,
    /// 8: begins or completes the closing handshake.
    Close = 8,
    /// 9: requests a pong.
    Ping = 9,
    /// 10: answers a ping.
    Pong = 10,
}

impl Opcode {
    /// Returns whether this is the opcode of a control frame: Close, Ping or Pong (RFC 6455 5.5).
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

/// A number that is not an opcode. RFC 6455 5.2 reserves 3-7 and 11-15, and an opcode has only four
/// bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOpcode(pub u8);

impl fmt::Display for InvalidOpcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not an opcode; use 0, 1, 2, 8, 9 or 10", self.0)
    }
}

impl core::error::Error for InvalidOpcode {}

/// The flags in a frame's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flags {
    /// FIN: this is the last frame of its message.
    pub finish: bool,
    /// RSV1. With permessage-deflate, the first frame of a compressed message sets it: the payloads
    /// of the message's frames are compressed already (RFC 7692 6).
    ///
    /// To have the connection compress a message, use [`Frame::compress`].
    pub rsv1: bool,
}

impl Default for Flags {
    /// Returns the flags of an uncompressed message in one frame.
    fn default() -> Self {
        Flags { finish: true, rsv1: false }
    }
}

/// A frame, unmasked.
///
/// ```
/// use sockeye_core::{Frame, Opcode};
///
/// assert_eq!(Frame::text("hi").pack().unwrap(), b"\x81\x02hi");
/// let (frame, used) = Frame::unpack(b"\x81\x02hi, and more").unwrap().unwrap();
/// assert_eq!((frame.opcode, &*frame.data, frame.flags.finish, used), (Opcode::Text, &b"hi"[..], true, 4));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The opcode.
    pub opcode: Opcode,
    /// The payload, unmasked.
    pub data: Cow<'a, [u8]>,
    /// FIN and RSV1: whether this is the last frame of its message, and whether the message is
    /// compressed.
    pub flags: Flags,
}

/// A frame to be sent, and whether the connection is asked to compress its message.
///
/// A `&Frame` converts to it and leaves that to the
/// [`CompressionPolicy`](crate::deflate::CompressionPolicy). For a request see [`Frame::compress`].
#[derive(Debug, Clone, Copy)]
pub struct OutgoingFrame<'a> {
    /// The frame.
    pub frame: &'a Frame<'a>,
    /// The request, if there is one. Only the first frame of a message can make it.
    pub compress: Option<bool>,
}

impl<'a> From<&'a Frame<'_>> for OutgoingFrame<'a> {
    fn from(frame: &'a Frame<'_>) -> Self {
        OutgoingFrame { frame, compress: None }
    }
}

impl<'a> Frame<'a> {
    /// Creates a frame with FIN set.
    #[must_use]
    pub fn new(opcode: Opcode, data: impl Into<Cow<'a, [u8]>>) -> Self {
        Frame { opcode, data: data.into(), flags: Flags::default() }
    }

    /// Creates a text frame with FIN set.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Frame::new(Opcode::Text, text.as_bytes())
    }

    /// Creates a binary frame with FIN set.
    #[must_use]
    pub fn binary(bytes: &'a [u8]) -> Self {
        Frame::new(Opcode::Binary, bytes)
    }

    /// Creates a Close frame.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or the reason must not be sent, like [`CloseFrame::payload`].
    pub fn close(close: &CloseFrame<'_>) -> Result<Frame<'static>, SendError> {
        Ok(Frame::new(Opcode::Close, close.payload()?))
    }

    /// Sets or clears FIN.
    #[must_use]
    pub fn finish(mut self, finish: bool) -> Self {
        self.flags.finish = finish;
        self
    }

    /// Requests that the message that begins with this frame be compressed, or not be compressed,
    /// like [`Payload::compress`](crate::Payload::compress). The request has no effect on a
    /// continuation, on a control frame, or on a frame that is compressed already
    /// ([`Flags::rsv1`]).
    ///
    /// ```
    /// # use sockeye_core::{Connection, Frame, SendError};
    /// fn begin(connection: &mut Connection) -> Result<(), SendError> {
    ///     connection.send_frame(Frame::text("[1, 2, ").finish(false).compress(true))
    /// }
    /// # begin(&mut Connection::server(Default::default())).unwrap();
    /// ```
    #[must_use]
    pub fn compress(&self, compress: bool) -> OutgoingFrame<'_> {
        OutgoingFrame { frame: self, compress: Some(compress) }
    }

    /// Encodes the frame as a server does, unmasked. [`unpack`](Frame::unpack) returns an equal
    /// frame.
    ///
    /// # Errors
    ///
    /// Returns an error if no connection may carry the frame: it is a control frame of more than
    /// 125 bytes or without FIN (RFC 6455 5.5), a continuation or a control frame with RSV1
    /// (RFC 7692 6), a Close with an invalid payload (RFC 6455 5.5.1), or a whole text message that
    /// is not UTF-8.
    ///
    /// [`Connection::send_frame`](crate::Connection::send_frame) also checks whether the frame may
    /// be sent now.
    pub fn pack(&self) -> Result<Vec<u8>, SendError> {
        self.encode(None)
    }

    /// Encodes the frame as a client does, masked with `key`. The key must be fresh and
    /// unpredictable (RFC 6455 5.3).
    ///
    /// # Errors
    ///
    /// Returns an error in the same cases as [`pack`](Frame::pack).
    pub fn pack_masked(&self, key: [u8; 4]) -> Result<Vec<u8>, SendError> {
        self.encode(Some(key))
    }

    /// Decodes the frame at the start of `bytes`. Returns the frame and its length in bytes, or
    /// `None` while it is incomplete. A masked payload is unmasked into a copy.
    ///
    /// This does not check the rules that depend on a connection: which endpoint masks, whether the
    /// opcode fits the message so far, whether text is UTF-8, whether the payload of a Close is
    /// valid, and whether RSV1 may be set.
    ///
    /// # Errors
    ///
    /// Returns an error if no valid frame starts with these bytes.
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

    /// Checks the flags against the opcode.
    pub(crate) fn check_flags(&self) -> Result<(), SendError> {
        let Flags { finish, rsv1 } = self.flags;
        if self.opcode.is_control() && !finish {
            return Err(SendError::FragmentedControl);
        }
        // "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and
        // non-first fragments of a data message." (RFC 7692 6)
        if rsv1 && !matches!(self.opcode, Opcode::Text | Opcode::Binary) {
            return Err(SendError::ReservedBits);
        }
        Ok(())
    }

    /// Checks the rules that do not depend on a connection.
    fn check(&self) -> Result<(), SendError> {
        self.check_flags()?;
        match self.opcode {
            Opcode::Ping | Opcode::Pong => check_control(&self.data),
            Opcode::Close => self.parse_close()?.payload().map(drop),
            // A fragment may end inside a character, and a compressed payload is not text yet.
            Opcode::Text if self.flags.finish && !self.flags.rsv1 => Ok(check_text(&self.data).map(drop)?),
            _ => Ok(()),
        }
    }

    /// Decodes the payload of a Close frame.
    pub(crate) fn parse_close(&self) -> Result<CloseFrame<'_>, SendError> {
        CloseFrame::parse(Cow::Borrowed(&self.data)).map_err(|error| match error {
            ProtocolError::InvalidCloseCode(code) => SendError::InvalidCloseCode(code.into()),
            _ => SendError::InvalidCloseFrame,
        })
    }

    fn encode(&self, mask: Option<[u8; 4]>) -> Result<Vec<u8>, SendError> {
        self.check()?;
        let header =
            FrameHeader { opcode: self.opcode, flags: self.flags, mask, len: self.data.len() as u64 };
        let mut out = Vec::with_capacity(self.data.len().saturating_add(MAX_HEADER));
        header.encode(&mut out);
        out.extend_from_slice(&self.data);
        if let Some(key) = mask {
            let start = out.len().saturating_sub(self.data.len());
            apply_mask(out.get_mut(start..).unwrap_or_default(), key);
        }
        Ok(out)
    }
}

/// Checks the payload of a control frame (RFC 6455 5.5).
pub(crate) fn check_control(payload: &[u8]) -> Result<(), SendError> {
    if payload.len() > MAX_CONTROL_PAYLOAD {
        return Err(SendError::ControlTooLong(payload.len()));
    }
    Ok(())
}

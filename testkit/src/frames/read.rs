use sockeye_core::{Flags, Frame, Opcode};

use super::build::{length, xor};
use super::{CLOSE, RSV1};

/// A frame that was read from the wire, with its payload unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireFrame {
    /// FIN, the reserved bits and the opcode.
    pub first: u8,
    /// The masking key, if the frame was masked.
    pub key: Option<[u8; 4]>,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

impl WireFrame {
    /// Returns the status code of a Close.
    ///
    /// # Panics
    ///
    /// Panics if the frame is not a Close or has no code.
    #[must_use]
    pub fn close_code(&self) -> u16 {
        assert_eq!(self.first, CLOSE, "not a Close: {self:02x?}");
        u16::from_be_bytes([self.payload[0], self.payload[1]])
    }
}

/// Reads the first frame of `bytes` and returns it with the bytes after it, or `None` if the frame
/// is incomplete.
///
/// # Panics
///
/// Panics if the length is not in its shortest form.
#[must_use]
pub fn read_frame(bytes: &[u8]) -> Option<(WireFrame, &[u8])> {
    let [first, second, ..] = *bytes else { return None };
    let (len, at) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        len => (u64::from(len), 2),
    };
    let masked = second & 0x80 != 0;
    assert_eq!(bytes[1..at], length(len, masked), "the length is not in its shortest form");
    let (key, rest) = bytes[at..].split_at_checked(if masked { 4 } else { 0 })?;
    let key: Option<[u8; 4]> = key.try_into().ok();
    let (payload, rest) = rest.split_at_checked(len as usize)?;
    let payload = key.map_or_else(|| payload.to_vec(), |key| xor(payload, key));
    Some((WireFrame { first, key, payload }, rest))
}

/// Reads the complete frames of `bytes`.
///
/// # Panics
///
/// Panics if `bytes` ends inside a frame, unless `may_be_cut`.
#[must_use]
pub fn read_frames_until(mut bytes: &[u8], may_be_cut: bool) -> Vec<WireFrame> {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = read_frame(bytes) {
        frames.push(frame);
        bytes = rest;
    }
    assert!(may_be_cut || bytes.is_empty(), "the wire ends inside a frame: {bytes:02x?}");
    frames
}

/// Reads frames up to the end of `bytes`.
///
/// # Panics
///
/// Panics if `bytes` ends inside a frame.
#[must_use]
pub fn read_frames(bytes: &[u8]) -> Vec<WireFrame> {
    read_frames_until(bytes, false)
}

/// Reads frames up to the end of `bytes`, as frames of the core.
///
/// # Panics
///
/// Panics if a frame is invalid or incomplete.
#[must_use]
pub fn parse_frames(bytes: &[u8]) -> Vec<Frame<'static>> {
    read_frames(bytes).into_iter().map(into_frame).collect()
}

pub(crate) fn into_frame(frame: WireFrame) -> Frame<'static> {
    let WireFrame { first, payload, .. } = frame;
    let opcode = Opcode::try_from(first & 0x0f).unwrap();
    let flags = Flags { finish: first & 0x80 != 0, rsv1: first & RSV1 != 0 };
    assert_eq!(first & 0x30, 0, "RSV2 or RSV3 is set");
    if opcode.is_control() {
        assert!(payload.len() <= 125 && flags.finish && !flags.rsv1, "invalid {opcode:?}: {payload:02x?}");
    }
    Frame { flags, ..Frame::new(opcode, payload) }
}

use sockeye_core::{CloseCode, CloseFrame, Frame, MaskKeys, Opcode};

use super::{MASK_KEY, RSV1};

/// Returns the length field in its shortest form, with the mask bit if `masked`.
#[must_use]
pub fn length(len: u64, masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    match len {
        0..=125 => vec![bit | len as u8],
        126..=0xffff => [&[bit | 126][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[bit | 127][..], &len.to_be_bytes()].concat(),
    }
}

/// Masks or unmasks `bytes`.
#[must_use]
pub fn xor(bytes: &[u8], key: [u8; 4]) -> Vec<u8> {
    bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

/// Returns a header that declares `len` bytes, from a client (`to_server`) or from a server.
#[must_use]
pub fn header(to_server: bool, first: u8, len: u64) -> Vec<u8> {
    let mut bytes = [&[first][..], &length(len, to_server)].concat();
    if to_server {
        bytes.extend_from_slice(&MASK_KEY);
    }
    bytes
}

/// Returns a frame from a client (`to_server`), masked with [`MASK_KEY`], or from a server.
#[must_use]
pub fn frame(to_server: bool, first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_frame(&mut bytes, first, to_server.then_some(MASK_KEY), payload.as_ref());
    bytes
}

/// Appends a frame to `wire`, masked if a key is given.
pub fn put_frame(wire: &mut Vec<u8>, first: u8, key: Option<[u8; 4]>, payload: &[u8]) {
    wire.push(first);
    wire.extend(length(payload.len() as u64, key.is_some()));
    match key {
        Some(key) => {
            wire.extend_from_slice(&key);
            wire.extend(xor(payload, key));
        }
        None => wire.extend_from_slice(payload),
    }
}

/// Returns the payload of a Close frame.
#[must_use]
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// Returns the first byte of `frame`.
pub(crate) fn first_byte(frame: &Frame<'_>) -> u8 {
    let fin = if frame.flags.finish { 0x80 } else { 0 };
    let rsv1 = if frame.flags.rsv1 { RSV1 } else { 0 };
    fin | rsv1 | u8::from(frame.opcode)
}

/// Returns a finished frame from a client.
#[must_use]
pub fn client_frame(opcode: Opcode, data: &[u8]) -> Vec<u8> {
    FrameWriter::to(true).frame(opcode, true, data)
}

/// Returns a finished frame from a server.
#[must_use]
pub fn server_frame(opcode: Opcode, data: &[u8]) -> Vec<u8> {
    FrameWriter::to(false).frame(opcode, true, data)
}

/// A builder for the frames of one role.
#[derive(Debug, Clone, Copy)]
pub struct FrameWriter {
    to_server: bool,
}

impl FrameWriter {
    /// Creates a writer for the peer of a server (`to_server`), or of a client.
    #[must_use]
    pub fn to(to_server: bool) -> Self {
        FrameWriter { to_server }
    }

    /// Returns a frame, the last of its message if `finish`.
    #[must_use]
    pub fn frame(self, opcode: Opcode, finish: bool, data: &[u8]) -> Vec<u8> {
        frame(self.to_server, first_byte(&Frame::new(opcode, data).finish(finish)), data)
    }

    /// Returns a text message.
    #[must_use]
    pub fn text(self, text: &str) -> Vec<u8> {
        self.frame(Opcode::Text, true, text.as_bytes())
    }

    /// Returns a ping.
    #[must_use]
    pub fn ping(self, data: &[u8]) -> Vec<u8> {
        self.frame(Opcode::Ping, true, data)
    }

    /// Returns a Close.
    #[must_use]
    pub fn close(self, code: CloseCode, reason: &str) -> Vec<u8> {
        let data = CloseFrame::new(code, reason).payload().unwrap();
        self.frame(Opcode::Close, true, &data)
    }
}

/// Returns masking keys for a client. No key repeats the one before it.
#[must_use]
pub fn mask_keys() -> MaskKeys {
    let mut n = 0u32;
    Box::new(move || {
        n += 1;
        (n.wrapping_mul(0x9e37_79b1) | 1).to_le_bytes()
    })
}

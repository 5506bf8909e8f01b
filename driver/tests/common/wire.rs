//! Frames as bytes, and bytes as frames.

use sockeye_core::{CloseCode, CloseFrame, Frame, Opcode};

/// Some bytes that tell where they are cut or mixed up.
pub(crate) fn payload(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31).wrapping_add(seed.wrapping_mul(101)) >> 2) as u8).collect()
}

/// A finished frame as a client sends it.
pub(crate) fn by_client(opcode: Opcode, data: &[u8]) -> Vec<u8> {
    Wire { masked: true }.frame(opcode, true, data)
}

/// A finished frame as a server sends it.
pub(crate) fn by_server(opcode: Opcode, data: &[u8]) -> Vec<u8> {
    Wire { masked: false }.frame(opcode, true, data)
}

/// Writes frames by hand, as one of the roles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) masked: bool,
}

impl Wire {
    /// What the peer of such an end writes.
    pub(crate) fn to(is_server: bool) -> Self {
        Wire { masked: is_server }
    }

    pub(crate) fn frame(self, opcode: Opcode, finish: bool, data: &[u8]) -> Vec<u8> {
        let frame = Frame::new(opcode, data).finish(finish);
        if self.masked { frame.pack_masked([0x37, 0xfa, 0x21, 0x3d]) } else { frame.pack() }
    }

    pub(crate) fn text(self, text: &str) -> Vec<u8> {
        self.frame(Opcode::Text, true, text.as_bytes())
    }

    pub(crate) fn ping(self, data: &[u8]) -> Vec<u8> {
        self.frame(Opcode::Ping, true, data)
    }

    pub(crate) fn close(self, code: CloseCode, reason: &str) -> Vec<u8> {
        let data = CloseFrame::new(code, reason).payload().unwrap();
        self.frame(Opcode::Close, true, &data)
    }
}

/// All frames in `bytes`, which must end where a frame ends.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame<'static>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, used) = Frame::unpack(bytes).expect("valid frames").expect("whole frames");
        let data = frame.data.into_owned();
        frames.push(Frame::new(frame.opcode, data).finish(frame.flags.finish));
        bytes = &bytes[used..];
    }
    frames
}

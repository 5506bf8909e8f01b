//! permessage-deflate (RFC 7692 7.2) by hand, with flate2 over zlib-rs: what the traffic is made of, what the libraries' output
//! is checked with, and what they cannot be faster than.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// What RFC 7692 7.2.1 takes off the end of each message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Compresses messages.
#[derive(Debug)]
pub struct RawDeflate {
    state: Compress,
    takeover: bool,
}

impl RawDeflate {
    /// A window of 32 KiB, kept from one message to the next with `takeover`.
    #[must_use]
    pub fn new(level: u32, takeover: bool) -> Self {
        RawDeflate { state: Compress::new(Compression::new(level), false), takeover }
    }

    /// Replaces what is in `out` with `message`, compressed.
    pub fn message(&mut self, message: &[u8], out: &mut Vec<u8>) {
        out.clear();
        if !self.takeover {
            self.state.reset();
        }
        let start = self.state.total_in();
        loop {
            out.reserve(message.len() / 2 + 64);
            let rest = &message[(self.state.total_in() - start) as usize..];
            self.state.compress_vec(rest, out, FlushCompress::Sync).expect("nothing to object to");
            // Room that is left means that nothing is held back.
            if out.len() < out.capacity() {
                break;
            }
        }
        assert!(out.ends_with(&TAIL), "a sync flush ends with an empty block");
        out.truncate(out.len() - TAIL.len());
    }
}

/// Inflates messages.
#[derive(Debug)]
pub struct RawInflate {
    state: Decompress,
    takeover: bool,
    input: Vec<u8>,
}

impl RawInflate {
    /// A window of 32 KiB, kept from one message to the next with `takeover`.
    #[must_use]
    pub fn new(takeover: bool) -> Self {
        RawInflate { state: Decompress::new(false), takeover, input: Vec::new() }
    }

    /// Replaces what is in `out` with what `compressed` inflates to.
    pub fn message(&mut self, compressed: &[u8], out: &mut Vec<u8>) {
        out.clear();
        if !self.takeover {
            self.state.reset(false);
        }
        self.input.clear();
        self.input.extend_from_slice(compressed);
        self.input.extend_from_slice(&TAIL);
        let start = self.state.total_in();
        loop {
            out.reserve(compressed.len() * 4 + 64);
            let rest = &self.input[(self.state.total_in() - start) as usize..];
            self.state.decompress_vec(rest, out, FlushDecompress::Sync).expect("a valid stream");
            if out.len() < out.capacity() {
                break;
            }
        }
        let read = (self.state.total_in() - start) as usize;
        assert_eq!(read, self.input.len(), "the stream ended before the message did");
    }
}

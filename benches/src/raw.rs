//! permessage-deflate (RFC 7692 section 7.2) by hand, with flate2 over zlib-rs. It compresses the
//! traffic, checks the output of the libraries, and is the lower limit of their times.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// The end of each message, which the sender removes (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A compressor of messages.
#[derive(Debug)]
pub struct RawDeflate {
    state: Compress,
    takeover: bool,
}

impl RawDeflate {
    /// Creates a codec with a window of 32 KiB, which is kept between messages with `takeover`.
    #[must_use]
    pub fn new(level: u32, takeover: bool) -> Self {
        RawDeflate { state: Compress::new(Compression::new(level), false), takeover }
    }

    /// Replaces the content of `out` with the compressed `message`.
    pub fn message(&mut self, message: &[u8], out: &mut Vec<u8>) {
        out.clear();
        if !self.takeover {
            self.state.reset();
        }
        let start = self.state.total_in();
        loop {
            out.reserve(message.len() / 2 + 64);
            let rest = &message[(self.state.total_in() - start) as usize..];
            self.state.compress_vec(rest, out, FlushCompress::Sync).expect("compression cannot fail");
            // If room is left, the compressor holds nothing back.
            if out.len() < out.capacity() {
                break;
            }
        }
        assert!(out.ends_with(&TAIL), "a sync flush ends with an empty block");
        out.truncate(out.len() - TAIL.len());
    }
}

/// A decompressor of messages.
#[derive(Debug)]
pub struct RawInflate {
    state: Decompress,
    takeover: bool,
    input: Vec<u8>,
}

impl RawInflate {
    /// Creates a codec with a window of 32 KiB, which is kept between messages with `takeover`.
    #[must_use]
    pub fn new(takeover: bool) -> Self {
        RawInflate { state: Decompress::new(false), takeover, input: Vec::new() }
    }

    /// Replaces the content of `out` with the inflated `compressed`.
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

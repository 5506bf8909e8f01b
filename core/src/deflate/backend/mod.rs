//! The codecs. Each backend has the same three types:
//!
//! - `Available`: the proof that a backend is compiled in. Settings carry it, so without a backend
//!   they cannot be created.
//! - `Encoder`: raw deflate (RFC 1951), in parts. Each part ends on a byte boundary with the empty
//!   stored block, whose last four bytes are `00 00 ff ff`. No distance reaches beyond the
//!   encoder's window, or before the history it was reset with.
//! - `Decoder`: raw inflate into any amount of room, and a check that a message ends where a block
//!   ends. RFC 7692 7.2.3.4 allows a message to have blocks with BFINAL. Another stream, which
//!   cannot refer back, begins at the next byte boundary after such a block.

#[cfg(all(feature = "deflate", any(not(feature = "zlib-rs"), test)))]
mod miniz;
#[cfg(not(feature = "_deflate"))]
mod none;
#[cfg(test)]
#[cfg(feature = "_deflate")]
mod tests;
#[cfg(feature = "zlib-rs")]
mod zlib;

#[cfg(all(feature = "deflate", not(feature = "zlib-rs")))]
pub(crate) use miniz::{Available, Decoder, Encoder};
#[cfg(not(feature = "_deflate"))]
pub(crate) use none::{Available, Decoder, Encoder};
#[cfg(feature = "zlib-rs")]
pub(crate) use zlib::{Available, Decoder, Encoder};

/// The progress of one call of `Decoder::inflate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inflated {
    /// The bytes of input consumed.
    pub(crate) read: usize,
    /// The bytes of output written. If room is left, all input has been consumed and no output is
    /// pending.
    pub(crate) written: usize,
}

/// The error for bytes that are not a deflate stream, or that end in the middle of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// The error of `Decoder::inflate`, with the number of bytes written before the fault. Those bytes
/// may contain an earlier fault, such as bad UTF-8. The earlier one must be reported, so that the
/// error does not depend on how the input is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CorruptAfter(pub(crate) usize);

impl From<CorruptAfter> for Corrupt {
    fn from(_: CorruptAfter) -> Self {
        Corrupt
    }
}

/// The largest window of deflate, in bytes.
#[cfg(feature = "_deflate")]
const MAX_WINDOW: usize = 1 << 15;

/// An empty stored block that begins on a byte boundary.
#[cfg(feature = "zlib-rs")]
const EMPTY_BLOCK: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];

/// Returns the last `window` bytes, or all of them if there are fewer.
#[cfg(feature = "_deflate")]
fn tail(history: &[u8], window: usize) -> &[u8] {
    history.get(history.len().saturating_sub(window)..).unwrap_or_default()
}

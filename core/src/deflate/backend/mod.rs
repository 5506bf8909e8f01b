//! The codec behind the extension. Each backend has the same three types:
//!
//! - `Available`: the proof that there is one. Settings carry it, so without a backend none can be made.
//! - `Encoder`: raw deflate (RFC 1951), one stretch after the other, each ending at a byte with the empty stored block whose last
//!   four bytes are `00 00 ff ff`. No distance goes beyond the window it was made for, nor beyond what it was reset with.
//! - `Decoder`: raw inflate into whatever room there is, and a check that a message ended where a block ended. RFC 7692 7.2.3.4 lets
//!   a message have blocks with BFINAL: behind one, at the next byte, another stream begins, which cannot refer back.

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

/// How far `Decoder::inflate` came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inflated {
    /// Bytes of the input that were taken.
    pub(crate) read: usize,
    /// Bytes of the output that were written. Less than there was room for means that all of the input has been taken and nothing
    /// is held back.
    pub(crate) written: usize,
}

/// The bytes are no deflate stream, or end in the middle of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// The same in `Decoder::inflate`, which has written so many bytes before that: what they are may be the earlier fault, and which one
/// is told must not depend on how the input is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CorruptAfter(pub(crate) usize);

impl From<CorruptAfter> for Corrupt {
    fn from(_: CorruptAfter) -> Self {
        Corrupt
    }
}

/// The largest window that deflate has.
#[cfg(feature = "_deflate")]
const MAX_WINDOW: usize = 1 << 15;

/// A stored block of nothing, from the beginning of a byte.
#[cfg(feature = "zlib-rs")]
const EMPTY_BLOCK: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];

/// The last `window` bytes, if there are more.
#[cfg(feature = "_deflate")]
fn tail(history: &[u8], window: usize) -> &[u8] {
    history.get(history.len().saturating_sub(window)..).unwrap_or_default()
}

//! permessage-deflate (RFC 7692): compression of messages.
//!
//! Compression is off by default. Set [`Config::deflate`](crate::Config#structfield.deflate) to
//! negotiate it in the opening handshake. A connection that has agreed on it compresses the
//! messages that [`CompressionPolicy`] selects. It inflates received messages in chunks, and never
//! beyond [`Config::max_message_size`](crate::Config#structfield.max_message_size).
//!
//! ```
//! # #[cfg(feature = "_deflate")] {
//! use sockeye_core::Config;
//! use sockeye_core::deflate::{CompressionPolicy, Deflate};
//!
//! let deflate = Deflate::new().level(4).policy(CompressionPolicy::Above(256));
//! let config = Config::new().deflate(deflate);
//! # }
//! ```
//!
//! # What it costs
//!
//! An idle connection needs this much more memory than without compression. It allocates nothing
//! before the first compressed message, and never more than has been sent or received:
//!
//! | | sending | receiving |
//! |---|---|---|
//! | no context takeover | 0 | 0 |
//! | context takeover | 4 KiB ([`Memory::History`]) or the window, if smaller | the negotiated window |
//! | with [`Memory::Compressor`] | 380,032 bytes (zlib-rs), 319,326 (miniz_oxide) | the negotiated window |
//!
//! The negotiated window is 32 KiB by default, and 4 KiB with 12 bits.
//!
//! Smaller windows and a lower [`mem_level`](Deflate#structfield.mem_level) shrink a compressor of
//! zlib-rs to as little as 137,216 bytes; compressors of miniz_oxide have one size. We measured the
//! resident memory of 5,000 idle connections of the `autobahn_server` example on tokio, after one
//! message of 60 kB each. It was 1.40 KiB a connection without compression, 1.75 without context
//! takeover, 9.8 with windows of 12 bits and 37.7 with the defaults. Of the latter, 32 KiB are the
//! window that the peer may refer back to.
//!
//! Compressors and decompressors come from a [`CodecPool`] for the length of one message. With the
//! feature `std` each thread has one, which connections use by default; without it,
//! [`Connection::set_codec_pool`](crate::Connection::set_codec_pool) sets one. A decompressor takes
//! 50 KiB.
//!
//! A pooled compressor is primed with the connection's history. The receiver cannot tell, because a
//! sender may always look back less far than the window allows. Compared with one compressor for
//! each connection, at level 6, JSON messages of 1 KiB become 10 % longer and those of 64 KiB 2 %.
//! In return the compressor stays in the cache, which serves 32 connections that take turns 3 to 4
//! times as fast. A connection that sends several messages in a row gets the same compressor back
//! unchanged, and loses nothing.
//!
//! # The backends
//!
//! Either of the features `zlib-rs` and `deflate` provides compression. With both, `zlib-rs` is
//! used. The backend of `deflate` is miniz_oxide, which has no unsafe code and needs no standard
//! library. It has no small windows: below 15 bits its history is restarted again and again, which
//! is correct but slow (8 MB/s at 8 bits, which a peer may request). One of its constructors takes
//! some 70 KiB of stack.

mod backend;
mod codec;
mod deflater;
mod history;
mod inflater;
mod negotiation;
mod params;
#[cfg(feature = "std")]
mod pool;
mod settings;

pub use codec::{CodecPool, Compressor, CompressorSettings, Decompressor};
pub use negotiation::{Context, InvalidAnswer, Negotiated, accept, offer, verify};
#[cfg(feature = "std")]
pub use pool::{codec_pool, shared_codec_pool};
pub use settings::{CompressionPolicy, Deflate, IntoDeflate, Memory};

pub(crate) use deflater::{Deflater, deflate_once};

/// Returns the pool of a connection that has been given none.
fn default_pool() -> Option<alloc::sync::Arc<dyn CodecPool>> {
    #[cfg(feature = "std")]
    return Some(codec_pool());
    #[cfg(not(feature = "std"))]
    None
}
pub(crate) use inflater::Inflater;

//! permessage-deflate (RFC 7692): compression of messages.
//!
//! It is off unless [`Config::deflate`](crate::Config#structfield.deflate) asks for it. Then the opening handshakes negotiate it, and
//! the connections that agreed on it deflate what [`Policy`] says and inflate what comes compressed, chunk by chunk and never
//! beyond [`Config::max_message_size`](crate::Config#structfield.max_message_size).
//!
//! ```
//! # #[cfg(feature = "_deflate")] {
//! use sockeye_core::Config;
//! use sockeye_core::deflate::{Deflate, Policy};
//!
//! let config = Config::new().deflate(Deflate::new().level(4).policy(Policy::Above(256)));
//! # }
//! ```
//!
//! # What it costs
//!
//! Memory of an idle connection, beside what it has without compression. Nothing is taken before the first compressed message, and
//! never more than has been sent or received:
//!
//! | | of what is sent | of what is received |
//! |---|---|---|
//! | no context takeover | 0 | 0 |
//! | context takeover | 4 KiB ([`Memory::History`]), or the window if that is less | the window agreed on: 32 KiB, 4 KiB with 12 bits |
//! | and [`Memory::Compressor`] | 380,032 bytes (zlib-rs), 319,326 (miniz_oxide) | the same |
//!
//! Windows and [`mem_level`](Deflate#structfield.mem_level) make a compressor of zlib-rs smaller, down to 137,216 bytes; those of
//! miniz_oxide have one size. Of 5,000 idle connections of the `autobahn_server` example on tokio, after a message of 60 kB each, 1.40 KiB
//! each were resident without compression, 1.75 without context takeover, 9.8 with windows of 12 bits and 37.7 with the
//! defaults, 32 of which are what the peer may refer back to.
//!
//! While a message is compressed or inflated, codecs come from a [`CodecPool`]: a decompressor has 50 KiB.
//!
//! A compressor from the pool is primed with the history; its receiver cannot tell, for a sender may always look back less far than it
//! could. Against a compressor of its own, at level 6, JSON messages of 1 KiB become 10 % longer and those of 64 KiB 2 %; in return a
//! compressor stays in the cache, so that 32 connections that take turns are served 3 to 4 times as fast. Where one connection sends
//! several messages in a row, it gets its compressor back as it was, and there is no difference.
//!
//! # The backends
//!
//! The feature `zlib-rs` or `deflate` brings compression; with both, `zlib-rs` is used. `deflate` is miniz_oxide, which has no
//! unsafe code and needs no standard library. It knows no small windows: below 15 bits its history is restarted again
//! and again, which is correct but slow (8 MB/s at 8 bits, which a peer may ask for). One of its constructors takes
//! some 70 KiB of stack.

mod backend;
mod codec;
mod deflater;
mod history;
mod inflater;
mod negotiation;
mod params;
mod settings;

pub use codec::{CodecPool, Compressor, CompressorSettings, Decompressor};
pub use negotiation::{Context, InvalidAnswer, Negotiated, accept, offer, verify};
pub use settings::{Deflate, Memory, Policy};

pub(crate) use deflater::{Deflater, deflate_once};
pub(crate) use inflater::Inflater;

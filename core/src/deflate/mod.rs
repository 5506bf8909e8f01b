//! permessage-deflate (RFC 7692): compression of messages.
//!
//! It is off unless [`Config::deflate`](crate::Config#structfield.deflate) asks for it. Then the opening handshakes negotiate it, and
//! the connections that agreed on it deflate what [`Policy`] says and inflate what comes compressed, chunk by chunk and never
//! beyond [`Config::max_message_size`](crate::Config#structfield.max_message_size).
//!
//! ```
//! # #[cfg(feature = "deflate")] {
//! use sockeye_core::Config;
//! use sockeye_core::deflate::{Deflate, Policy};
//!
//! let config = Config::new().deflate(Deflate::new().level(4).policy(Policy::Above(256)));
//! # }
//! ```

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

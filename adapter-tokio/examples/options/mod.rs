//! Options that several examples have.

use clap::Args;
use sockeye_core::Config;
use sockeye_core::deflate::{Deflate, Policy};

#[derive(Args)]
pub(crate) struct Options {
    /// Largest frame accepted, in bytes.
    #[arg(long, default_value_t = 2 << 20)]
    max_frame: u64,
    /// Largest message accepted, in bytes; also of a compressed one when it is inflated.
    #[arg(long, default_value_t = 2 << 20)]
    max_message: u64,
    /// Most fragments of a message.
    #[arg(long, default_value_t = 16_384)]
    max_fragments: u32,
    /// Compress messages if the peer can do that too (permessage-deflate).
    #[arg(long)]
    compress: bool,
    /// With --compress: no message, in either direction, refers back to those before it.
    #[arg(long)]
    no_context_takeover: bool,
    /// With --compress: the largest window in either direction, in bits.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u8).range(8..=15))]
    window_bits: u8,
    /// With --compress: from 1, the fastest, to 9, the smallest output.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=9))]
    level: u8,
    /// With --compress: messages shorter than this go as they are, in bytes.
    #[arg(long, default_value_t = 128)]
    threshold: usize,
}

impl Options {
    pub(crate) fn config(&self) -> Config {
        let config = Config::new()
            .max_frame_size(self.max_frame)
            .max_message_size(self.max_message)
            .max_send_size(self.max_message)
            .max_fragments(self.max_fragments);
        if self.compress { config.deflate(self.deflate()) } else { config }
    }

    fn deflate(&self) -> Deflate {
        Deflate::new()
            .policy(Policy::Above(self.threshold))
            .level(self.level)
            .window_bits(self.window_bits)
            .peer_window_bits(self.window_bits)
            .context_takeover(!self.no_context_takeover)
            .peer_context_takeover(!self.no_context_takeover)
    }
}

//! The command-line options of `autobahn_server` and `autobahn_client`.

use clap::Args;
use sockeye_core::Config;
use sockeye_core::deflate::{CompressionPolicy, Deflate};

/// Limits and compression of a connection.
#[derive(Debug, Args)]
pub struct Options {
    /// The largest frame to accept, in bytes.
    #[arg(long, default_value_t = 2 << 20)]
    max_frame: u64,
    /// The largest message to accept, in bytes, measured after decompression.
    #[arg(long, default_value_t = 2 << 20)]
    max_message: u64,
    /// The largest number of fragments in a message.
    #[arg(long, default_value_t = 16_384)]
    max_fragments: u32,
    /// Compress messages if the peer supports it (permessage-deflate).
    #[arg(long)]
    compress: bool,
    /// With --compress: compress every message independently, in both directions.
    #[arg(long)]
    no_context_takeover: bool,
    /// With --compress: the largest window in both directions, in bits.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u8).range(8..=15))]
    window_bits: u8,
    /// With --compress: the level, from 1 (fastest) to 9 (smallest output).
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=9))]
    level: u8,
    /// With --compress: send messages shorter than this uncompressed, in bytes.
    #[arg(long, default_value_t = 128)]
    threshold: usize,
}

impl Options {
    /// Returns the configuration that the options describe. `deflate` is the starting point for
    /// compression: the adapter creates it, because its features choose the backend.
    #[must_use]
    pub fn config(&self, deflate: Deflate) -> Config {
        let config = Config::new()
            .max_frame_size(self.max_frame)
            .max_message_size(self.max_message)
            .max_send_size(self.max_message)
            .max_fragments(self.max_fragments);
        if self.compress { config.deflate(self.deflate(deflate)) } else { config }
    }

    fn deflate(&self, deflate: Deflate) -> Deflate {
        deflate
            .policy(CompressionPolicy::Above(self.threshold))
            .level(self.level)
            .window_bits(self.window_bits)
            .peer_window_bits(self.window_bits)
            .context_takeover(!self.no_context_takeover)
            .peer_context_takeover(!self.no_context_takeover)
    }
}

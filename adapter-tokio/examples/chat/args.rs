//! What can be chosen, and the limits that follow from what a chat needs.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use sockeye::core::deflate::Deflate;
use sockeye::server::{Limits, SlowReader};
use sockeye::{CloseCode, Config};

#[derive(Parser)]
pub(crate) struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9501")]
    pub(crate) addr: SocketAddr,
    /// Do not compress messages.
    #[arg(long)]
    no_compress: bool,
}

/// How long a shutdown waits for those who do not answer.
pub(crate) const GRACE: Duration = Duration::from_secs(3);

/// Who cannot follow the talk is closed, and may try again.
pub(crate) const SLOW_READER: SlowReader = SlowReader::Close(CloseCode::TRY_AGAIN_LATER);

impl Args {
    pub(crate) fn config(&self) -> Config {
        let config = Config::new()
            .max_frame_size(16 << 10)
            .max_message_size(16 << 10)
            // There is room for the longest history, and for what is said while it is on its way.
            .high_water_mark(1 << 20)
            .keepalive(Duration::from_secs(20), Duration::from_secs(20));
        if self.no_compress { config } else { config.deflate(Deflate::new()) }
    }
}

pub(crate) fn limits() -> Limits {
    Limits::new().max_connections(10_000).max_queued(256 << 20)
}

//! The chat's command line, and the limits that suit a chat.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use sockeye_core::deflate::Deflate;
use sockeye_core::{CloseCode, Config};
use sockeye_driver::server::{Limits, SlowReader};

/// The command line of the chat.
#[derive(Debug, Parser)]
pub struct Args {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:9501")]
    pub addr: SocketAddr,
    /// Do not compress messages.
    #[arg(long)]
    no_compress: bool,
}

/// The time a shutdown grants clients to answer the Close.
pub const GRACE: Duration = Duration::from_secs(3);

/// A client that reads too slowly is disconnected and may reconnect.
pub const SLOW_READER: SlowReader = SlowReader::Close(CloseCode::TRY_AGAIN_LATER);

impl Args {
    /// Returns the configuration of a connection. `deflate` is used unless the command line
    /// disables compression.
    #[must_use]
    pub fn config(&self, deflate: Deflate) -> Config {
        let config = Config::new()
            .max_frame_size(16 << 10)
            .max_message_size(16 << 10)
            // Room for the longest history and for the messages that arrive while it is being sent.
            .high_water_mark(1 << 20)
            .keepalive(Duration::from_secs(20), Duration::from_secs(20));
        if self.no_compress { config } else { config.deflate(deflate) }
    }
}

/// Returns the limits of the whole server.
#[must_use]
pub fn limits() -> Limits {
    Limits::new().max_connections(10_000).max_queued(256 << 20)
}

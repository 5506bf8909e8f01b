//! The chat's command line, and the limits that suit a chat.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

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
    /// The certificate and its chain, a PEM file: speak TLS.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, a PEM file.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
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

impl Args {
    /// Reads the certificate and its private key, if the command line names them.
    ///
    /// # Errors
    ///
    /// Returns an error if one of the files cannot be read.
    pub fn pem(&self) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(chain), Some(key)) => Ok(Some((fs::read(chain)?, fs::read(key)?))),
            _ => Ok(None),
        }
    }
}

/// Returns the limits of the whole server.
#[must_use]
pub fn limits() -> Limits {
    Limits::new().max_connections(10_000).max_queued(256 << 20)
}

//! Settings for compression, and ends that have negotiated it.
#![allow(dead_code, reason = "not every test file uses all of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye_core::Config;
use sockeye_core::deflate::{CompressionPolicy, Deflate};
use sockeye_testkit::deflate::agree;
use sockeye_testkit::pair::End;

/// Returns settings that compress every message.
pub(crate) fn always() -> Deflate {
    Deflate::new().policy(CompressionPolicy::Always)
}

/// Returns an end with these settings. Its peer has the defaults.
pub(crate) fn deflating(server: bool, settings: Deflate) -> End {
    deflating_with(server, Config::new().max_send_size(u64::MAX).deflate(settings))
}

/// Returns an end with this configuration, which must contain settings for compression. Its peer
/// has the defaults.
pub(crate) fn deflating_with(server: bool, config: Config) -> End {
    let settings = config.deflate.clone().unwrap();
    let (at_server, at_client) = match server {
        true => agree(&settings, &Deflate::new()),
        false => agree(&Deflate::new(), &settings),
    };
    let mut end = End::of(server, config);
    end.connection.enable_deflate(if server { &at_server } else { &at_client });
    end
}

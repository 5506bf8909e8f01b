//! Limits on compressed messages.
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deflate_support;

use deflate_support::*;
use sockeye_core::Config;
use sockeye_core::deflate::Deflate;
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// A peer that compresses everything sends incompressible data in stored blocks (RFC 1951 3.2.4),
/// which adds five bytes to each 16 KiB or so. Its application keeps to the limit, and cannot know
/// of the overhead.
#[test]
fn a_message_of_the_maximum_size_may_exceed_it_when_compressed() {
    const LIMIT: usize = 32 << 10;
    let message: Vec<u8> = (0..LIMIT as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut compressed = Vec::new();
    for block in message.chunks(16_383) {
        let size = block.len() as u16;
        compressed.push(0);
        compressed.extend_from_slice(&size.to_le_bytes());
        compressed.extend_from_slice(&(!size).to_le_bytes());
        compressed.extend_from_slice(block);
    }
    compressed.push(0);
    for server in [true, false] {
        let limits = Config::new().max_message_size(LIMIT as u64).max_frame_size(LIMIT as u64);
        let mut end = deflating_with(server, limits.deflate(Deflate::new()));
        end.feed(&frame(server, BINARY | RSV1, &compressed)).unwrap();
        assert_eq!(end.got, [Got::Binary(message.clone())]);
    }
}

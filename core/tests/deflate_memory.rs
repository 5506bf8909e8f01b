//! The memory that a hostile compressed message can take, in both roles (T15, T41 of
//! docs/requirements.md). The allocator counts per thread, and every test runs on its own thread.
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deflate_support;

use deflate_support::*;
use sockeye_core::deflate::Deflate;
use sockeye_core::{Config, Incoming, ProtocolError, RecvBuf};
use sockeye_testkit::frames::*;
use sockeye_testkit::memory::{self, CountingAllocator};
use sockeye_testkit::pair::*;

// Growing a message counts once, as with an allocator that grows blocks in place.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::growing_in_place();

/// The end of every message, which the sender removes and the receiver appends (RFC 7692 7.2.1).
const TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];

/// Returns one compressed message in frames of at most `size` bytes.
fn fragments(to_server: bool, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let last = payload.len().div_ceil(size) - 1;
    let first = |n: usize| {
        let opcode = if n == 0 { BINARY_START | RSV1 } else { CONTINUATION };
        opcode | if n == last { LAST_CONTINUATION } else { 0 }
    };
    payload.chunks(size).enumerate().map(|(n, part)| frame(to_server, first(n), part)).collect()
}

/// Returns the number of message bytes received, or the error, and the peak of live bytes.
fn peak(end: &mut End, mut frames: Vec<Vec<u8>>) -> (Result<usize, ProtocolError>, isize) {
    let before = memory::live();
    memory::reset_peak();
    let mut received = 0;
    for bytes in &mut frames {
        let mut input = RecvBuf::new(bytes);
        loop {
            match end.assembler.poll(&mut end.connection, &mut input) {
                Ok(Some(Incoming::Message(message))) => received += message.as_ref().as_bytes().len(),
                Ok(Some(Incoming::Control(_))) => {}
                Ok(None) => break,
                Err(error) => return (Err(error), memory::peak() - before),
            }
        }
    }
    (Ok(received), memory::peak() - before)
}

/// Returns a mebibyte that inflates to nearly a gibibyte of zeros.
fn bomb() -> Vec<u8> {
    let mut sender = deflating(true, always().context_takeover(false));
    sender.connection.send(vec![0; 1 << 20]).unwrap();
    let mebibyte = sender.frames().remove(0).payload;
    let mut bomb = [&mebibyte[..], TAIL].concat().repeat(1000);
    bomb.truncate(bomb.len() - TAIL.len());
    bomb
}

#[test]
fn t15_t41_a_bomb_stops_at_the_message_limit_with_1009_in_both_roles_however_it_is_split() {
    const LIMIT: usize = 2 << 20;
    let bomb = bomb();
    let empty_first = [&[0x00, 0x00, 0x00, 0xff, 0xff].repeat(1000)[..], &bomb].concat();
    for server in [true, false] {
        for (payload, size) in [(&bomb, usize::MAX), (&bomb, bomb.len() / 1000), (&empty_first, usize::MAX)] {
            for takeover in [true, false] {
                let deflate = Deflate::new().peer_context_takeover(takeover);
                let mut end = deflating_with(server, Config::new().deflate(deflate));
                end.feed(&frame(server, TEXT | RSV1, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])).unwrap();
                let frames = fragments(server, payload, size.min(payload.len()));
                // The fragments are collected, in a buffer that grows by doubling.
                let collected = if frames.len() > 1 { 2 * payload.len() } else { 0 };
                let (outcome, peak) = peak(&mut end, frames);
                assert_eq!(outcome, Err(ProtocolError::MessageTooBig { limit: LIMIT as u64 }));
                let most = LIMIT + collected + (192 << 10);
                assert!(peak <= most as isize, "{peak} bytes, in frames of {size}");
                assert_eq!(end.frames().last().unwrap().close_code(), 1009);
            }
        }
    }
}

#[test]
fn t42_an_unfinished_compressed_message_takes_no_more_than_twice_what_was_sent() {
    let bomb = bomb();
    for server in [true, false] {
        for takeover in [true, false] {
            for sent in [100, 2_000, 30_000] {
                let deflate = Deflate::new().peer_context_takeover(takeover);
                let mut end = deflating_with(server, Config::new().deflate(deflate));
                let before = memory::live();
                for part in fragments(server, &bomb, sent / 10).drain(..10) {
                    end.feed(&part).unwrap();
                }
                let held = memory::live() - before;
                assert!(held <= 2 * sent as isize, "{held} bytes held, {sent} sent");
                assert_eq!(end.assembler.partial_len(), sent / 10 * 10);
            }
        }
    }
}

#[test]
fn t15_a_hundred_thousand_empty_blocks_are_an_empty_message_and_take_no_memory() {
    let mut blocks = [0x00, 0x00, 0x00, 0xff, 0xff].repeat(100_000);
    blocks.truncate(blocks.len() - TAIL.len());
    for server in [true, false] {
        let mut end = deflating(server, Deflate::new());
        let (outcome, peak) = peak(&mut end, fragments(server, &blocks, usize::MAX));
        assert_eq!(outcome, Ok(0));
        assert!(peak <= 128 << 10, "{peak} bytes");
    }
}

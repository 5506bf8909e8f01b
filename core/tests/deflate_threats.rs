//! Compressed data inside compressed data, and secrets that compression reveals (T16, T19 of
//! docs/requirements.md).
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deflate_support;

use deflate_support::*;
use sockeye_core::Payload;
use sockeye_core::deflate::Deflate;
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// Long enough for compression to make it shorter; otherwise it would be sent uncompressed.
const SECRET: &str = "user=ann; user-session=ann; session=5f2c9d71e8";
const GUESS: &str = "session=5f2c9d71e8";
/// As long as the right guess, and as compressible on its own.
const WRONG: &str = "session=0ab46e38d2";

/// Returns a stored block of `bytes` (RFC 1951 3.2.4), then the first byte of the empty block that
/// the receiver completes.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    [&[0x00][..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes, &[0x00]].concat()
}

/// Returns the length on the wire of the messages, sent in turn by a server that compresses
/// everything.
fn sent(messages: &[Payload<'_>]) -> usize {
    let mut end = deflating(true, always());
    for message in messages {
        end.connection.send(message.clone()).unwrap();
    }
    end.write(usize::MAX).len()
}

#[test]
fn t16_a_message_is_inflated_only_once() {
    for server in [true, false] {
        let inner = stored(b"packed twice");
        let mut end = deflating(server, Deflate::new());
        end.feed(&frame(server, BINARY | RSV1, stored(&inner))).unwrap();
        assert_eq!(end.got, [Got::Binary(inner)]);
    }
}

/// RFC 7692 7.2.3.4: another block may follow a final one. Any bytes after a final block must form
/// such a block.
#[test]
fn t16_garbage_after_a_final_block_fails_with_1007() {
    for server in [true, false] {
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let mut end = deflating(server, Deflate::new());
        end.feed(&frame(server, BINARY | RSV1, [&last[..], &[0x06, 0xff, 0xff]].concat())).unwrap_err();
        assert_eq!(end.frames()[0].close_code(), 1007);
    }
}

/// The attack of CRIME and BREACH: the length on the wire reveals whether a guess is right.
#[test]
fn t19_compression_reveals_a_secret_by_the_length_of_a_message() {
    let together = |guess: &str| sent(&[Payload::from(format!("{SECRET} {guess}"))]);
    assert!(together(GUESS) < together(WRONG));
    let in_turn = |guess: &'static str| sent(&[Payload::from(SECRET), Payload::from(guess)]);
    assert!(in_turn(GUESS) < in_turn(WRONG), "context takeover refers back to earlier messages");
}

#[test]
fn t19_a_secret_sent_uncompressed_is_not_revealed() {
    let together = |guess: &str| sent(&[Payload::from(format!("{SECRET} {guess}")).compress(false)]);
    assert_eq!(together(GUESS), together(WRONG));
    let in_turn = |guess: &'static str| sent(&[Payload::from(SECRET).compress(false), Payload::from(guess)]);
    assert_eq!(in_turn(GUESS), in_turn(WRONG), "no later message refers back to it");
}

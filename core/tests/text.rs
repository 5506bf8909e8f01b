//! Text must be UTF-8, and the connection fails at the first byte that is not (E4, T23).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use sockeye_core::{
    Assembler, CloseCode, Config, Connection, Incoming, Message, Payload, ProtocolError, RecvBuf, State,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// Invalid UTF-8, and the number of bytes after which it is known to be invalid.
const BAD: [(&[u8], usize); 14] = [
    (b"\x80", 1),             // a continuation byte without a start
    (b"\xbf", 1),             //
    (b"\xc0\xaf", 1),         // overlong: two bytes for '/'
    (b"\xc1\xbf", 1),         //
    (b"\xe0\x80\xaf", 2),     // three
    (b"\xe0\x9f\xbf", 2),     //
    (b"\xf0\x80\x80\xaf", 2), // four
    (b"\xf0\x8f\xbf\xbf", 2), //
    (b"\xed\xa0\x80", 2),     // a surrogate
    (b"\xed\xbf\xbf", 2),     //
    (b"\xf4\x90\x80\x80", 2), // above U+10FFFF
    (b"\xf5\x80\x80\x80", 1), //
    (b"\xce\xba\xcf\x41", 4), // an incomplete character
    (b"\xf0\x9f\x8e\x41", 4), //
];

/// The edges of the ranges of UTF-8.
const GOOD: [&str; 10] = [
    "",
    "\0",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}",
    "\u{800}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{ffff}",
    "\u{10000}\u{10ffff}",
];

/// Feeds byte by byte. Returns the number of bytes after which the end failed.
fn fails_after(end: &mut End, bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| end.feed(&[*byte]).is_err()).map(|at| at + 1)
}

#[test]
fn e4_bad_text_fails_with_1007_at_its_first_invalid_byte_while_the_frame_is_arriving() {
    for server in [true, false] {
        for (bad, needed) in BAD {
            for before in ["", "x", "ñ", "long enough for a whole vector of bytes 漢"] {
                let payload = [before.as_bytes(), bad, &[b'z'; 1000]].concat();
                let head = header(server, TEXT, payload.len() as u64).len();
                let mut end = End::of(server, Config::new());
                let taken = fails_after(&mut end, &frame(server, TEXT, &payload));
                assert_eq!(taken, Some(head + before.len() + needed), "{before:?} {bad:02x?}");
                assert_eq!(end.error, Some(ProtocolError::InvalidUtf8));
                assert_eq!(end.frames()[0].close_code(), 1007);
                assert_eq!(end.ended(), (false, CloseCode::INVALID_PAYLOAD.as_u16(), true));
            }
        }
    }
}

#[test]
fn e4_bad_text_split_anywhere_fails_with_the_piece_that_contains_its_first_invalid_byte() {
    for (bad, needed) in BAD {
        let payload = [b"ok", bad, b"and more"].concat();
        let bytes = frame(true, TEXT, &payload);
        let head = header(true, TEXT, payload.len() as u64).len();
        for at in 0..bytes.len() {
            let mut end = End::server(Config::new());
            let known = at >= head + 2 + needed;
            assert_eq!(end.feed(&bytes[..at]).is_err(), known, "{bad:02x?} split at {at}");
            assert!(end.feed(&bytes[at..]).is_err());
            assert!(end.got.is_empty());
        }
    }
}

#[test]
fn t23_bad_text_fails_across_every_pair_of_fragments() {
    for (bad, needed) in BAD {
        for cut in 0..=bad.len() {
            let mut end = End::server(Config::new());
            let begun = end.feed(&frame(true, TEXT_START, &bad[..cut])).is_err();
            assert_eq!(begun, cut >= needed, "{bad:02x?} cut at {cut}");
            assert!(
                end.feed(&frame(true, LAST_CONTINUATION, &bad[cut..])).is_err(),
                "{bad:02x?} cut at {cut}"
            );
        }
    }
}

#[test]
fn a_whole_frame_of_bad_text_fails() {
    for (bad, _) in BAD {
        assert_eq!(End::server(Config::new()).feed(&frame(true, TEXT, bad)), Err(ProtocolError::InvalidUtf8));
    }
}

#[test]
fn text_that_ends_inside_a_character_fails_with_1007_at_its_end_and_not_before() {
    for text in GOOD.iter().filter(|text| text.len() > 1) {
        let cut = &text.as_bytes()[..text.len() - 1];
        let mut end = End::server(Config::new());
        assert_eq!(end.feed(&frame(true, TEXT, cut)), Err(ProtocolError::InvalidUtf8));
        for ending in [(LAST_CONTINUATION, &b""[..]), (CONTINUATION, b"")] {
            let mut end = End::server(Config::new());
            end.feed(&frame(true, TEXT_START, cut)).unwrap();
            assert_eq!(end.feed(&frame(true, ending.0, ending.1)).is_err(), ending.0 == LAST_CONTINUATION);
        }
    }
}

#[test]
fn t23_text_split_inside_every_character_by_fragments_and_by_reads_arrives_whole() {
    let text = GOOD.concat();
    for cut in 0..=text.len() {
        let (head, tail) = text.as_bytes().split_at(cut);
        let bytes = [
            frame(true, TEXT_START, head),
            frame(true, CONTINUATION, ""),
            frame(true, LAST_CONTINUATION, tail),
        ]
        .concat();
        for size in [1, 2, 3, 5, bytes.len()] {
            let mut end = End::server(Config::new());
            end.feed_in(size, &bytes).unwrap();
            assert_eq!(end.got, [Got::Text(text.clone())], "cut at {cut}, pieces of {size}");
        }
    }
}

#[test]
fn a_character_split_in_one_message_does_not_affect_the_next() {
    let mut end = End::server(Config::new());
    let bytes = [
        frame(true, TEXT_START, b"\xc3"),
        frame(true, LAST_CONTINUATION, b"\xb1"),
        frame(true, TEXT_START, b"\xb1"),
    ]
    .concat();
    assert!(end.feed(&bytes).is_err());
    assert_eq!(end.got, [Got::Text("ñ".into())]);
}

#[test]
fn binary_messages_are_not_checked_as_text() {
    for (bad, _) in BAD {
        let mut end = End::server(Config::new());
        end.feed_in(3, &[frame(true, BINARY_START, bad), frame(true, LAST_CONTINUATION, bad)].concat())
            .unwrap();
        assert_eq!(end.got, [Got::Binary([bad, bad].concat())]);
    }
}

/// Bad text fails the connection, so later messages are ignored.
#[test]
fn no_message_is_delivered_after_bad_text() {
    let mut end = End::server(Config::new());
    let bytes = [frame(true, TEXT, "good"), frame(true, TEXT, b"\xff"), frame(true, TEXT, "late")].concat();
    assert!(end.feed(&bytes).is_err());
    assert!(end.feed(&frame(true, TEXT, "later")).is_err());
    assert_eq!(end.got, [Got::Text("good".into())]);
    assert_eq!(end.connection.state(), State::Closing);
    assert_eq!(end.firsts(), [CLOSE]);
}

#[test]
fn a_merged_text_and_its_clones_share_one_buffer_up_to_the_next_send() {
    let long = "ab".repeat(2000);
    let mut bytes = frame(true, TEXT_START, &long[..1000]);
    bytes.extend(frame(true, LAST_CONTINUATION, &long[1000..]));
    let mut connection = Connection::server(Arc::new(Config::new()));
    let mut assembler = Assembler::new();
    let mut input = RecvBuf::new(&mut bytes);
    let Ok(Some(Incoming::Message(merged))) = assembler.poll(&mut connection, &mut input) else { panic!() };
    let address = merged.as_ref().as_bytes().as_ptr();
    let message = merged.into_message();
    let Message::Text(text) = message.clone() else { panic!() };
    assert_eq!(text, long);
    assert_eq!((message.as_bytes().as_ptr(), text.as_ptr()), (address, address));
    assert_eq!(Payload::from(text).as_bytes().as_ptr(), address);
    assert_eq!(message.into_text().unwrap().as_ptr(), address);
}

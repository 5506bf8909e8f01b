//! Frames without a connection (M10, F1, F2, F5, T24), and every header that a peer can send
//! (W1-W5, T9, T20, T25).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use sockeye_core::{CloseCode, CloseFrame, Config, Flags, Frame, Opcode, ProtocolError, SendError, State};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

const OPCODES: [(u8, Opcode); 6] = [
    (0, Opcode::Continuation),
    (1, Opcode::Text),
    (2, Opcode::Binary),
    (8, Opcode::Close),
    (9, Opcode::Ping),
    (10, Opcode::Pong),
];

fn unpack(bytes: &[u8]) -> (Frame<'_>, usize) {
    Frame::unpack(bytes).unwrap().unwrap()
}

/// Returns the examples of RFC 6455 5.7 and others: frames, their masking keys, and their encoding.
fn golden() -> Vec<(Frame<'static>, Option<[u8; 4]>, Vec<u8>)> {
    let key = Some([0x37, 0xfa, 0x21, 0x3d]);
    let close = Frame::close(&CloseFrame::new(CloseCode::NORMAL, "")).unwrap();
    let long = |len: usize| Frame::new(Opcode::Binary, (0..len).map(|i| i as u8).collect::<Vec<_>>());
    let with_head = |head: &[u8], len| [head, &long(len).data].concat();
    vec![
        (Frame::text("Hello"), None, b"\x81\x05\x48\x65\x6c\x6c\x6f".to_vec()),
        (Frame::text("Hello"), key, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec()),
        (Frame::text("Hel").finish(false), None, b"\x01\x03\x48\x65\x6c".to_vec()),
        (Frame::new(Opcode::Continuation, &b"lo"[..]), None, b"\x80\x02\x6c\x6f".to_vec()),
        (Frame::new(Opcode::Ping, &b"Hello"[..]), None, b"\x89\x05\x48\x65\x6c\x6c\x6f".to_vec()),
        (
            Frame::new(Opcode::Pong, &b"Hello"[..]),
            key,
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
        ),
        (long(256), None, with_head(b"\x82\x7e\x01\x00", 256)),
        (long(65536), None, with_head(b"\x82\x7f\0\0\0\0\0\x01\0\0", 65536)),
        (Frame::text("hi"), None, b"\x81\x02\x68\x69".to_vec()),
        (Frame::text(""), None, b"\x81\x00".to_vec()),
        (close, None, b"\x88\x02\x03\xe8".to_vec()),
        (Frame::close(&CloseFrame::default()).unwrap(), None, b"\x88\x00".to_vec()),
    ]
}

#[test]
fn m10_the_examples_of_the_rfc_pack_and_unpack_byte_for_byte() {
    for (frame, key, bytes) in golden() {
        let packed = key.map_or_else(|| frame.pack(), |key| frame.pack_masked(key)).unwrap();
        assert_eq!(packed, bytes, "{:?}", frame.opcode);
        assert_eq!(unpack(&bytes), (frame, bytes.len()));
    }
}

#[test]
fn m10_every_form_of_header_packs_to_its_shortest_form_and_unpacks() {
    for (number, opcode) in OPCODES {
        for len in [0, 1, 125, 126, 127, 65535, 65536, 65537] {
            if opcode.is_control() && len > 125 {
                continue;
            }
            for flags in 0..4u8 {
                let (finish, rsv1) = (flags & 1 != 0 || opcode.is_control(), flags & 2 != 0);
                if rsv1 && !matches!(opcode, Opcode::Text | Opcode::Binary)
                    || (opcode, len) == (Opcode::Close, 1)
                {
                    continue;
                }
                // As the payload of a Close, this is the code 3072 and a reason.
                let payload = [&b"\x0c\0"[..], &vec![0x5a; len]].concat()[..len].to_vec();
                let mut frame = Frame::new(opcode, payload.clone()).finish(finish);
                frame.flags.rsv1 = rsv1;
                let first = number | u8::from(finish) << 7 | u8::from(rsv1) << 6;
                let (plain, masked) = (frame.pack().unwrap(), frame.pack_masked(MASK_KEY).unwrap());
                assert_eq!(read_frames(&plain), [WireFrame { first, key: None, payload: payload.clone() }]);
                assert_eq!(read_frames(&masked), [WireFrame { first, key: Some(MASK_KEY), payload }]);
                assert_eq!(unpack(&plain).0, frame);
                assert_eq!(unpack(&masked).0, frame);
            }
        }
    }
}

#[test]
fn m10_pack_refuses_frames_that_no_connection_may_carry() {
    let frame = |opcode, data: &'static [u8], finish, rsv1| Frame {
        flags: Flags { finish, rsv1 },
        ..Frame::new(opcode, data)
    };
    let (yes, no) = (true, false);
    let refused = [
        (frame(Opcode::Ping, &[0; 126], yes, no), SendError::ControlTooLong(126)),
        (frame(Opcode::Pong, &[0; 70_000], yes, no), SendError::ControlTooLong(70_000)),
        (frame(Opcode::Close, &[b'\x0c'; 126], yes, no), SendError::CloseReasonTooLong(124)),
        (frame(Opcode::Ping, b"", no, no), SendError::FragmentedControl),
        (frame(Opcode::Pong, b"", no, no), SendError::FragmentedControl),
        (frame(Opcode::Close, b"", no, no), SendError::FragmentedControl),
        (frame(Opcode::Ping, b"", yes, yes), SendError::ReservedBits),
        (frame(Opcode::Close, b"", yes, yes), SendError::ReservedBits),
        (frame(Opcode::Continuation, b"", yes, yes), SendError::ReservedBits),
        (frame(Opcode::Continuation, b"", no, yes), SendError::ReservedBits),
        (frame(Opcode::Close, b"\x03", yes, no), SendError::InvalidCloseFrame),
        (frame(Opcode::Close, b"\x03\xe8\xff", yes, no), SendError::InvalidCloseFrame),
        (frame(Opcode::Close, b"\x03\xed", yes, no), SendError::InvalidCloseCode(CloseCode::NO_STATUS)),
        (frame(Opcode::Text, b"\xff", yes, no), SendError::InvalidUtf8),
    ];
    for (frame, error) in refused {
        assert_eq!(frame.pack(), Err(error), "{frame:?}");
        assert_eq!(frame.pack_masked(MASK_KEY), Err(error), "{frame:?}");
    }
    // A fragment may end inside a character, and compressed text is not text yet.
    frame(Opcode::Text, b"\xe2\x82", no, no).pack().unwrap();
    frame(Opcode::Text, b"\xff", yes, yes).pack().unwrap();
}

proptest! {
    #[test]
    fn m10_unpack_reads_back_whatever_pack_accepts(
        opcode in 0..OPCODES.len(),
        finish: bool,
        rsv1: bool,
        data in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            ".{0,40}".prop_map(String::into_bytes),
            (1000..5000u16, ".{0,40}").prop_map(|(code, reason)| close_payload(code, &reason)),
            (65_000..66_000usize).prop_map(|len| vec![b'x'; len]),
        ],
        key: Option<[u8; 4]>,
    ) {
        let frame = Frame { flags: Flags { finish, rsv1 }, ..Frame::new(OPCODES[opcode].1, data) };
        let packed = key.map_or_else(|| frame.pack(), |key| frame.pack_masked(key));
        if let Ok(bytes) = packed {
            prop_assert_eq!(Frame::unpack(&bytes), Ok(Some((frame, bytes.len()))));
        }
    }
}

#[test]
fn m10_unpack_reports_every_truncation_as_incomplete_and_ignores_later_bytes() {
    for (frame, key, bytes) in golden() {
        for cut in (0..bytes.len().min(300)).chain([bytes.len() - 1]) {
            assert_eq!(Frame::unpack(&bytes[..cut]), Ok(None), "{key:?} {:02x?}", &bytes[..cut.min(14)]);
        }
        let followed = [&bytes[..], b"\xff\xff\xff"].concat();
        assert_eq!(unpack(&followed), (frame, bytes.len()));
    }
}

#[test]
fn m10_unpack_leaves_its_input_alone_and_borrows_unmasked_payloads() {
    let bytes = frame(true, TEXT, "Hello");
    let before = bytes.clone();
    assert_eq!(&*unpack(&bytes).0.data, b"Hello");
    assert_eq!(bytes, before);
    let bytes = frame(false, TEXT, "Hello");
    assert_eq!(unpack(&bytes).0.data.as_ptr(), bytes[2..].as_ptr());
}

#[test]
fn f2_opcodes_are_the_numbers_of_the_rfc_and_no_others() {
    for number in 0..=u8::MAX {
        let expected = OPCODES.iter().find(|(n, _)| *n == number).map(|(_, opcode)| *opcode);
        let opcode = Opcode::try_from(number);
        assert_eq!(opcode.ok(), expected);
        if let Ok(opcode) = opcode {
            assert_eq!((u8::from(opcode), opcode.is_control()), (number, number >= 8));
        }
    }
}

#[test]
fn f5_a_frame_is_final_and_uncompressed_by_default() {
    assert_eq!(Flags::default(), Flags { finish: true, rsv1: false });
    assert_eq!(Frame::binary(b"x").flags, Flags::default());
    assert!(unpack(b"\xc1\x00").0.flags.rsv1);
    assert!(!unpack(b"\x01\x00").0.flags.finish);
}

/// The expected result of a frame with given first two bytes. The exhaustive test compares the code
/// with this table.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Verdict {
    Fails,
    Message,
    Part,
    Answered,
    Dropped,
    Closes,
}

fn oracle(server: bool, in_fragments: bool, first: u8, second: u8) -> Verdict {
    let (fin, rsv, opcode) = (first >> 7 == 1, first >> 4 & 7, first & 15);
    let (masked, len) = (second >> 7 == 1, second & 127);
    let control = opcode >= 8;
    if masked != server || rsv != 0 || (control && (len > 125 || !fin)) {
        return Verdict::Fails;
    }
    match (opcode, in_fragments, len) {
        (8, _, 1) => Verdict::Fails,
        (8, ..) => Verdict::Closes,
        (9, ..) => Verdict::Answered,
        (10, ..) => Verdict::Dropped,
        (0, true, _) | (1 | 2, false, _) if fin => Verdict::Message,
        (0, true, _) | (1 | 2, false, _) => Verdict::Part,
        _ => Verdict::Fails,
    }
}

/// Returns the two bytes and the rest of the frame that they announce. The payload is masked with
/// zeros, and is valid both as text and as a close code (3072) with a reason.
fn announced(first: u8, second: u8) -> Vec<u8> {
    let mut bytes = vec![first, second];
    let len = match second & 127 {
        126 => {
            bytes.extend_from_slice(&126u16.to_be_bytes());
            126
        }
        127 => {
            bytes.extend_from_slice(&65536u64.to_be_bytes());
            65536
        }
        len => usize::from(len),
    };
    bytes.extend_from_slice(&[0; 4][..if second & 128 == 0 { 0 } else { 4 }]);
    bytes.extend([0x0c, 0x00].into_iter().chain(std::iter::repeat(b'x')).take(len));
    bytes
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Before {
    Idle,
    InFragments,
    CloseSent,
}

fn check_first_two_bytes(server: bool, before: Before, first: u8, second: u8) {
    let verdict = oracle(server, before == Before::InFragments, first, second);
    let context = || format!("{first:02x} {second:02x} to the server: {server}, {before:?}, {verdict:?}");
    let mut end = End::of(server, Config::new());
    match before {
        Before::Idle => {}
        Before::InFragments => end.feed(&frame(server, TEXT_START, "x")).unwrap(),
        Before::CloseSent => {
            end.connection.close(CloseCode::NORMAL, "").unwrap();
            end.write(usize::MAX);
        }
    }
    let result = end.feed(&announced(first, second));
    let sent = end.frames();
    let sent: Vec<(u8, u16)> = sent
        .iter()
        .map(|f| (f.first, if f.first == CLOSE && !f.payload.is_empty() { f.close_code() } else { 0 }))
        .collect();
    let close_code = if second & 127 == 0 { 0 } else { 3072 };
    let (error, events, answer): (bool, usize, &[(u8, u16)]) = match verdict {
        Verdict::Fails => (true, 0, &[(CLOSE, 1002)]),
        Verdict::Message => (false, 1, &[]),
        Verdict::Part => (false, 0, &[]),
        Verdict::Answered => (false, 1, &[(PONG, 0)]),
        Verdict::Dropped => (false, 1, &[]),
        Verdict::Closes => (false, 1, &[(CLOSE, close_code)]),
    };
    assert_eq!((result.is_err(), end.got.len()), (error, events), "{}", context());
    // Nothing is written after our Close.
    let answer = if before == Before::CloseSent { &[] } else { answer };
    assert_eq!(sent, answer, "{}", context());
    let closing = before == Before::CloseSent || matches!(verdict, Verdict::Fails | Verdict::Closes);
    assert_eq!(end.connection.state() == State::Open, !closing, "{}", context());
}

#[test]
fn t25_every_first_two_bytes_in_both_roles_and_three_states_match_the_table() {
    for server in [true, false] {
        for before in [Before::Idle, Before::InFragments, Before::CloseSent] {
            for pair in 0..=u16::MAX {
                let [first, second] = pair.to_be_bytes();
                check_first_two_bytes(server, before, first, second);
            }
        }
    }
}

/// Returns a header whose 16-bit or 64-bit length field holds `len`, even if a shorter form exists.
fn in_form(server: bool, first: u8, form: u8, len: u64) -> Vec<u8> {
    let bit = if server { 0x80 } else { 0 };
    let mut bytes = vec![first, bit | form];
    match form {
        126 => bytes.extend_from_slice(&(len as u16).to_be_bytes()),
        _ => bytes.extend_from_slice(&len.to_be_bytes()),
    }
    bytes.extend_from_slice(if server { &MASK_KEY } else { &[] });
    bytes
}

#[test]
fn w5_t24_a_length_not_in_its_shortest_form_fails_with_1002() {
    for server in [true, false] {
        for first in [TEXT, BINARY, TEXT_START] {
            for (form, len) in
                [(126, 0), (126, 1), (126, 125), (127, 0), (127, 125), (127, 126), (127, 65535)]
            {
                let bytes = in_form(server, first, form, len);
                assert_eq!(End::of(server, Config::new()).feed(&bytes), Err(ProtocolError::InvalidLength));
                assert_eq!(Frame::unpack(&bytes), Err(ProtocolError::InvalidLength), "{form} {len}");
            }
            for (form, len) in [(126, 126), (126, 65535), (127, 65536)] {
                let bytes = in_form(server, first, form, len);
                assert_eq!(End::of(server, Config::new()).feed(&bytes), Ok(()), "{form} {len}");
            }
        }
    }
}

#[test]
fn t9_no_declared_length_overflows_anything_in_either_role() {
    let near = |n: u64| [n - 1, n, n + 1];
    let lens = [0, 125, 126, 127, 65535, 65536].into_iter().chain(near(1 << 31)).chain(near(1 << 32));
    let lens = lens.chain(near(1 << 63)).chain(u64::MAX - 15..=u64::MAX);
    for (len, first) in lens.flat_map(|len| [TEXT, BINARY, BINARY_START, PING].map(|first| (len, first))) {
        for server in [true, false] {
            let key = if server { MASK_KEY } else { [0; 4] };
            let bytes = [header(server, first, len), xor(&[b'x'; 64], key)].concat();
            let expected = match (first, len) {
                (PING, 126..) => Err(1002),
                (_, 0x8000_0000_0000_0000..) => Err(1002),
                (_, len) if len > 2 << 20 => Err(1009),
                _ => Ok(()),
            };
            // Feed only one frame: the header and as much of its payload as exists.
            let fed = bytes.len().min(header(server, first, len).len() + len.min(64) as usize);
            let mut end = End::of(server, Config::new());
            let result = end.feed(&bytes[..fed]).map_err(|error| error.close_code().as_u16());
            assert_eq!(result, expected, "{len:#x} {first:02x}");
            if expected.is_ok() {
                let mut end =
                    End::of(server, Config::new().max_frame_size(u64::MAX).max_message_size(u64::MAX));
                assert_eq!(end.feed(&bytes[..fed]), Ok(()));
            }
            if len > i64::MAX as u64 {
                assert!(Frame::unpack(&bytes).is_err());
            } else if first != PING && len > 64 {
                assert_eq!(Frame::unpack(&bytes), Ok(None), "{len:#x}");
            }
        }
    }
}

#[test]
fn t9_without_limits_the_longest_length_waits_for_its_payload() {
    for server in [true, false] {
        let mut end = End::of(server, Config::new().max_frame_size(u64::MAX).max_message_size(u64::MAX));
        let bytes = [header(server, BINARY_START, i64::MAX as u64), vec![0; 64]].concat();
        assert_eq!(end.feed(&bytes), Ok(()));
        assert!(end.got.is_empty() && end.connection.state() == State::Open);
    }
}

#[test]
fn w1_t20_a_missing_or_unexpected_mask_fails_with_1002_in_both_roles() {
    for server in [true, false] {
        let expected = if server { ProtocolError::UnmaskedFrame } else { ProtocolError::MaskedFrame };
        for first in [TEXT, BINARY, TEXT_START, CLOSE, PING, PONG] {
            let mut end = End::of(server, Config::new());
            assert_eq!(end.feed(&frame(!server, first, "")), Err(expected));
            assert_eq!(end.frames()[0].close_code(), 1002);
        }
    }
}

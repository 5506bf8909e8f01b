//! Limits on received frames and messages, enforced at the header (W12, O6, T11, T12).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye_core::{Config, ProtocolError};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// Feeds byte by byte. Returns the fault and the number of bytes after which it was found.
fn fault(server: bool, config: Config, bytes: &[u8]) -> Option<(ProtocolError, usize)> {
    let mut end = End::of(server, config);
    let fault = bytes.iter().enumerate().find_map(|(at, byte)| Some((end.feed(&[*byte]).err()?, at + 1)));
    if let Some((error, _)) = fault {
        let close = end.frames().into_iter().find(|frame| frame.first == CLOSE).unwrap();
        assert_eq!(close.close_code(), error.close_code().as_u16());
    }
    fault
}

#[test]
fn w12_a_frame_above_the_limit_fails_with_1009_at_its_header() {
    for server in [true, false] {
        for limit in [0, 1, 125, 126, 1000, 65535, 65536, 1 << 40] {
            let config = Config::new().max_frame_size(limit).max_message_size(u64::MAX);
            for first in [TEXT, BINARY, TEXT_START] {
                let head = header(server, first, limit);
                assert_eq!(fault(server, config.clone(), &head), None);
                let head = header(server, first, limit + 1);
                let expected = ProtocolError::FrameTooBig { size: limit + 1, limit };
                assert_eq!(fault(server, config.clone(), &head), Some((expected, head.len())));
                assert_eq!(expected.close_code().as_u16(), 1009);
            }
        }
    }
}

#[test]
fn w12_the_limits_are_two_mebibytes_unless_set() {
    for first in [TEXT, BINARY_START] {
        assert_eq!(fault(true, Config::new(), &header(true, first, 2 << 20)), None);
        let (error, _) = fault(true, Config::new(), &header(true, first, (2 << 20) + 1)).unwrap();
        assert_eq!(error.close_code().as_u16(), 1009);
    }
}

#[test]
fn w12_a_complete_frame_above_a_limit_fails_and_is_not_delivered() {
    let frame_limit = Config::new().max_frame_size(10);
    let message_limit = Config::new().max_message_size(10);
    for server in [true, false] {
        for (config, code) in
            [(&frame_limit, 1009), (&message_limit, 1009), (&Config::new().max_fragments(0), 1008)]
        {
            let mut end = End::of(server, config.clone());
            let error = end.feed(&frame(server, BINARY, [0; 11])).unwrap_err();
            assert_eq!((error.close_code().as_u16(), end.got.len()), (code, 0));
        }
        let mut end = End::of(server, frame_limit.clone().max_message_size(10).max_fragments(1));
        end.feed(&frame(server, BINARY, [0; 10])).unwrap();
    }
}

#[test]
fn a_continuation_is_subject_to_the_frame_limit() {
    let config = Config::new().max_frame_size(10);
    let begin = frame(true, BINARY_START, "0123456789");
    let head = header(true, LAST_CONTINUATION, 11);
    let expected = ProtocolError::FrameTooBig { size: 11, limit: 10 };
    let bytes = [begin, head].concat();
    assert_eq!(fault(true, config, &bytes), Some((expected, bytes.len())));
}

#[test]
fn t11_a_message_one_byte_above_the_limit_fails_with_1009_at_the_header_of_the_offending_fragment() {
    const LIMIT: usize = 12_000;
    for server in [true, false] {
        for fragments in [1, 2, 3, 1000] {
            for above in [0, 1] {
                let part = LIMIT / fragments;
                let mut bytes = Vec::new();
                for n in 0..fragments - 1 {
                    let first = if n == 0 { BINARY_START } else { CONTINUATION };
                    bytes.extend(frame(server, first, vec![0; part]));
                }
                let left = LIMIT - part * (fragments - 1) + above;
                bytes.extend(header(
                    server,
                    if fragments == 1 { BINARY } else { LAST_CONTINUATION },
                    left as u64,
                ));
                let expected = ProtocolError::MessageTooBig { limit: LIMIT as u64 };
                let expected = (above == 1).then_some((expected, bytes.len()));
                let config = Config::new().max_message_size(LIMIT as u64);
                assert_eq!(fault(server, config, &bytes), expected, "{fragments} fragments, {above} above");
            }
        }
    }
    assert_eq!(ProtocolError::MessageTooBig { limit: 0 }.close_code().as_u16(), 1009);
}

#[test]
fn t11_the_limit_applies_to_each_message_not_to_their_sum() {
    let config = Config::new().max_message_size(10);
    let message = [frame(true, BINARY_START, "01234"), frame(true, LAST_CONTINUATION, "56789")].concat();
    assert_eq!(fault(true, config.clone(), &message.repeat(5)), None);
    let mut end = End::server(config);
    end.feed(&frame(true, BINARY, "0123456789").repeat(5)).unwrap();
    assert_eq!(end.got.len(), 5);
}

#[test]
fn t9_declared_lengths_that_would_wrap_when_added_are_refused() {
    for second in [i64::MAX as u64, i64::MAX as u64 - 4, 1 << 62] {
        let config = Config::new().max_frame_size(u64::MAX).max_message_size(i64::MAX as u64);
        let bytes = [frame(true, BINARY_START, "01234"), header(true, CONTINUATION, second)].concat();
        let failed = fault(true, config, &bytes).is_some();
        assert_eq!(failed, second > i64::MAX as u64 - 5, "{second:#x}");
    }
}

#[test]
fn t12_too_many_fragments_fail_with_1008_at_the_header_of_the_first_one_above_the_limit() {
    for server in [true, false] {
        for payload in ["", "x"] {
            let config = Config::new().max_fragments(100);
            let begin = frame(server, BINARY_START, payload);
            let fine = [
                begin.clone(),
                frame(server, CONTINUATION, payload).repeat(98),
                frame(server, LAST_CONTINUATION, payload),
            ];
            assert_eq!(fault(server, config.clone(), &fine.concat().repeat(3)), None);
            let many = [
                begin,
                frame(server, CONTINUATION, payload).repeat(99),
                header(server, LAST_CONTINUATION, 1),
            ]
            .concat();
            let expected = ProtocolError::TooManyFragments { limit: 100 };
            assert_eq!(fault(server, config, &many), Some((expected, many.len())));
            assert_eq!(expected.close_code().as_u16(), 1008);
        }
    }
}

#[test]
fn t12_two_million_empty_fragments_are_cut_with_1008_after_16_384() {
    let mut end = End::server(Config::new());
    end.feed(&frame(true, TEXT_START, "")).unwrap();
    let fragments = frame(true, CONTINUATION, "").repeat(1000);
    let fed = (0..2000).take_while(|_| end.feed(&fragments).is_ok()).count();
    assert_eq!(fed, 16);
    assert_eq!(end.frames().last().map(WireFrame::close_code), Some(1008));
}

#[test]
fn control_frames_between_fragments_do_not_count_as_fragments() {
    let config = Config::new().max_fragments(2);
    let bytes =
        [frame(true, TEXT_START, "a"), frame(true, PONG, "").repeat(50), frame(true, LAST_CONTINUATION, "b")]
            .concat();
    assert_eq!(fault(true, config, &bytes), None);
}

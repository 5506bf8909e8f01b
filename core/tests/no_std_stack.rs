//! A small stack is enough for hostile input (T35): nothing recurses, and no large array is on the
//! stack.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye_core::{CloseCode, CloseFrame, Config, Frame, Opcode};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// Runs `work` in a thread with a stack of 64 KiB. An overflow kills the whole test process.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(64 << 10).spawn(work).unwrap().join().unwrap();
}

#[test]
fn t35_every_first_byte_and_length_is_decoded_on_a_stack_of_64_kib() {
    on_a_small_stack(|| {
        for first in 0..=u8::MAX {
            for second in [0, 1, 125, 126, 127, 0x80, 0x81, 0xfd, 0xfe, 0xff] {
                for server in [true, false] {
                    for filler in [0, 0x7f, 0xff] {
                        let bytes = [&[first, second][..], &[filler; 200]].concat();
                        let mut end = End::of(server, Config::new());
                        let _ = end.feed_in(50, &bytes);
                        let _ = Frame::unpack(&bytes);
                        end.connection.handle_eof();
                    }
                }
            }
        }
    });
}

#[test]
fn t35_a_hundred_thousand_frames_and_fragments_in_one_input_need_no_more_stack() {
    on_a_small_stack(|| {
        let mut end = End::server(Config::new().max_fragments(u32::MAX));
        let empty =
            [frame(true, CONTINUATION, ""), frame(true, PING, "?"), frame(true, CONTINUATION, "ñ")].concat();
        let bytes =
            [frame(true, TEXT_START, ""), empty.repeat(33_000), frame(true, LAST_CONTINUATION, b"\xff")]
                .concat();
        assert!(end.feed(&bytes).is_err());
        assert_eq!(end.got.len(), 33_000);
    });
}

#[test]
fn t35_the_largest_messages_and_control_frames_are_sent_on_a_stack_of_64_kib() {
    on_a_small_stack(|| {
        for server in [true, false] {
            let mut end = End::of(server, Config::new());
            end.connection.send(vec![0; 2 << 20]).unwrap();
            end.write(usize::MAX);
            end.connection.send_frame(&Frame::new(Opcode::Ping, &[0; 125][..])).unwrap();
            let frame = Frame::close(&CloseFrame::new(CloseCode::NORMAL, "r".repeat(123))).unwrap();
            end.connection.send_frame(&frame).unwrap();
            assert_eq!(end.frames().len(), 2);
        }
    });
}

//! Frames that stay in the input until they are complete, and the fast paths for whole messages and
//! ASCII text.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use sockeye_core::{
    Assembler, Config, Data, Event, Incoming, Message, MessageRef, ProtocolError, Receiver, RecvBuf, Role,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

fn receiver(server: bool) -> Receiver {
    Receiver::new(if server { Role::Server } else { Role::Client }, Arc::new(Config::new()))
}

/// Describes an event without borrowing.
fn note(event: &Event<'_>) -> String {
    match event {
        Event::Data(Data { payload, first, last, kind, .. }) => {
            format!("{kind:?} {payload:02x?} {first} {last}")
        }
        event => format!("{event:?}"),
    }
}

/// Feeds `bytes` in pieces of `step` bytes, each appended to the remaining input. Returns
/// descriptions of the events, and the input that remains at the end.
fn read_whole(server: bool, bytes: &[u8], room: usize, step: usize) -> (Vec<String>, Vec<u8>) {
    let (mut receiver, mut left, mut events) = (receiver(server), Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        left.extend_from_slice(piece);
        let mut input = RecvBuf::new(&mut left);
        while let Some(event) = receiver.poll_whole_event(&mut input, room).unwrap() {
            events.push(note(&event));
        }
        let taken = input.consumed();
        left.drain(..taken);
    }
    (events, left)
}

fn stream(server: bool) -> Vec<u8> {
    let frames = [
        (TEXT, "abc"),
        (TEXT_START, "añ"),
        (PING, "now"),
        (LAST_CONTINUATION, "z"),
        (BINARY, ""),
        (TEXT, "ñ"),
        (CLOSE, ""),
    ];
    frames.iter().flat_map(|(first, data)| frame(server, *first, data)).collect()
}

#[test]
fn frames_that_fit_the_room_are_delivered_whole_at_any_read_size() {
    for server in [true, false] {
        let bytes = stream(server);
        let (whole, left) = read_whole(server, &bytes, 64, bytes.len());
        assert_eq!((whole.len(), left.len()), (7, 0));
        for step in 1..bytes.len() {
            assert_eq!(read_whole(server, &bytes, 64, step), (whole.clone(), vec![]), "{step} at a time");
        }
    }
}

#[test]
fn only_a_frame_that_does_not_fit_the_room_is_delivered_in_parts() {
    for server in [true, false] {
        let bytes = frame(server, BINARY, [7; 100]);
        let (events, left) = read_whole(server, &bytes, bytes.len(), bytes.len() - 1);
        assert_eq!((events.len(), left.len()), (1, 0));
        let (events, left) = read_whole(server, &bytes, bytes.len() - 1, bytes.len() - 1);
        assert_eq!((events.len(), left.len()), (2, 0));
    }
}

#[test]
fn remaining_input_is_consumed_by_a_poll_without_room() {
    let bytes = frame(true, BINARY, [7; 100]);
    let mut half = bytes[..50].to_vec();
    let mut receiver = receiver(true);
    let mut input = RecvBuf::new(&mut half);
    assert_eq!(receiver.frame_len(input.remaining()), Some(106));
    assert_eq!(receiver.poll_whole_event(&mut input, 200), Ok(None));
    assert_eq!(input.consumed(), 0);
    let event = receiver.poll_event(&mut input).unwrap();
    assert!(
        matches!(event, Some(Event::Data(Data { payload, first: true, last: false, .. })) if payload.len() == 44)
    );
    assert!(input.is_empty());
    assert_eq!(receiver.frame_len(b"\x82\x80\0\0\0\0"), None, "the receiver is inside a frame");
    let mut rest = bytes[50..].to_vec();
    let event = receiver.poll_whole_event(&mut RecvBuf::new(&mut rest), 200).unwrap();
    assert!(
        matches!(event, Some(Event::Data(Data { payload, first: false, last: true, .. })) if payload.len() == 56)
    );
}

#[test]
fn a_fault_in_a_header_is_found_before_its_frame_is_whole() {
    for (server, bytes, error) in [
        (true, b"\x83\x80".to_vec(), ProtocolError::ReservedOpcode(3)),
        (true, b"\x89\xfe".to_vec(), ProtocolError::ControlTooLong),
        (false, b"\x82\x7e\x00\x01".to_vec(), ProtocolError::InvalidLength),
    ] {
        let mut bytes = bytes;
        let mut input = RecvBuf::new(&mut bytes);
        assert_eq!(receiver(server).poll_whole_event(&mut input, 1000), Err(error));
    }
}

#[test]
fn a_receiver_reports_its_failure() {
    let mut receiver = receiver(true);
    assert_eq!((receiver.failure(), receiver.is_open(), receiver.is_between_messages()), (None, true, true));
    let error = receiver.poll_event(&mut RecvBuf::new(&mut [0xff, 0xff])).unwrap_err();
    assert_eq!((receiver.failure(), receiver.is_open()), (Some(error), false));
}

#[test]
fn the_fast_path_takes_whole_messages_and_leaves_other_input_to_poll_event() {
    for server in [true, false] {
        let take = |bytes: &[u8]| {
            let mut receiver = receiver(server);
            let mut bytes = bytes.to_vec();
            let mut input = RecvBuf::new(&mut bytes);
            let message = receiver.poll_message(&mut input).map(MessageRef::to_message);
            (message, input.consumed(), receiver.poll_event(&mut input).is_err())
        };
        let message = frame(server, TEXT, "a\u{f1}");
        assert_eq!(take(&message), (Some(Message::from("a\u{f1}")), message.len(), false));
        assert_eq!(take(&frame(server, BINARY, "")).0, Some(Message::from(&b""[..])));
        assert_eq!(take(&message[..message.len() - 1]), (None, 0, false));
        for first in [TEXT_START, PING, CLOSE] {
            assert_eq!(take(&frame(server, first, "")), (None, 0, false), "{first:02x}");
        }
        for bytes in
            [frame(!server, TEXT, ""), frame(server, TEXT | 0x40, ""), frame(server, LAST_CONTINUATION, "")]
        {
            assert_eq!(take(&bytes), (None, 0, true));
        }
        assert_eq!(take(&header(server, BINARY, 3 << 20)), (None, 0, true));
        let (message, _, failed) = take(&frame(server, TEXT, b"\xff"));
        assert_eq!((message, failed), (None, true));
    }
}

#[test]
fn ascii_text_after_half_a_character_fails() {
    let mut end = End::server(Config::new());
    let bytes = [frame(true, TEXT_START, b"ok\xc3"), frame(true, LAST_CONTINUATION, "plain")].concat();
    assert_eq!(end.feed(&bytes), Err(ProtocolError::InvalidUtf8));
}

#[test]
fn halves_merge_events_like_a_whole_connection() {
    for server in [true, false] {
        let (mut receiver, mut assembler) = (receiver(server), Assembler::new());
        let mut bytes = stream(server);
        let mut input = RecvBuf::new(&mut bytes);
        let mut got = Vec::new();
        while let Some(event) = receiver.poll_event(&mut input).unwrap() {
            match assembler.push(event, &mut receiver).unwrap() {
                Some(Incoming::Message(message)) => got.push(format!("{:?}", message.as_ref())),
                Some(Incoming::Control(control)) => got.push(format!("{control:?}")),
                None => got.push("incomplete".into()),
            }
        }
        assert_eq!(got.len(), 7, "{got:?}");
        assert_eq!(got.iter().filter(|item| *item == "incomplete").count(), 1);
        assert!(got[0].contains("abc") && got[2].contains("Ping") && got[3].contains("añz"), "{got:?}");
    }
}

#[test]
fn halves_report_bad_text_in_the_last_fragment() {
    let (mut receiver, mut assembler) = (receiver(true), Assembler::new());
    let mut bytes = [frame(true, TEXT_START, "a"), frame(true, LAST_CONTINUATION, b"\xff")].concat();
    let mut input = RecvBuf::new(&mut bytes);
    let first = receiver.poll_event(&mut input).unwrap().unwrap();
    assert!(assembler.push(first, &mut receiver).unwrap().is_none());
    let last = receiver
        .poll_event(&mut input)
        .and_then(|event| assembler.push(event.unwrap(), &mut receiver).map(|incoming| incoming.is_some()));
    assert_eq!(last, Err(ProtocolError::InvalidUtf8));
}

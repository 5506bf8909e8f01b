//! Receiving (W6-W8, T12) and sending (M2) fragmented messages.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye_core::{
    Config, Connection, Data, Event, Frame, Incoming, Opcode, ProtocolError, RecvBuf, SendError,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

/// Feeds these frames to a server and a client, and returns what both received. They must agree.
fn receive(frames: &[(u8, &[u8])]) -> (Vec<Got>, Option<ProtocolError>) {
    let both = [true, false].map(|server| {
        let mut end = End::of(server, Config::new());
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| frame(server, *first, payload)).collect();
        let _ = end.feed(&bytes);
        (end.got, end.error)
    });
    let [server, client] = both;
    assert_eq!(server, client);
    server
}

#[test]
fn w6_a_continuation_with_no_start_fails_with_1002() {
    for first in [CONTINUATION, LAST_CONTINUATION] {
        assert_eq!(receive(&[(first, b"x")]), (vec![], Some(ProtocolError::UnexpectedContinuation)));
    }
}

#[test]
fn w6_a_continuation_after_the_end_of_its_message_fails() {
    let (got, error) = receive(&[(TEXT_START, b"a"), (LAST_CONTINUATION, b"b"), (LAST_CONTINUATION, b"c")]);
    assert_eq!((got, error), (vec![Got::Text("ab".into())], Some(ProtocolError::UnexpectedContinuation)));
    let (got, error) = receive(&[(TEXT, b"a"), (CONTINUATION, b"b")]);
    assert_eq!((got, error), (vec![Got::Text("a".into())], Some(ProtocolError::UnexpectedContinuation)));
}

#[test]
fn w6_a_new_message_inside_a_fragmented_one_fails_with_1002() {
    for begin in [TEXT_START, BINARY_START] {
        for second in [TEXT, BINARY, TEXT_START, BINARY_START] {
            let expected = (vec![], Some(ProtocolError::ExpectedContinuation));
            assert_eq!(receive(&[(begin, b"a"), (second, b"b")]), expected);
            assert_eq!(receive(&[(begin, b"a"), (CONTINUATION, b"b"), (second, b"c")]), expected);
        }
    }
    assert_eq!(ProtocolError::ExpectedContinuation.close_code().as_u16(), 1002);
    assert_eq!(ProtocolError::UnexpectedContinuation.close_code().as_u16(), 1002);
}

#[test]
fn w7_control_frames_between_fragments_are_delivered_at_once_and_merging_continues() {
    let frames: [(u8, &[u8]); 6] = [
        (TEXT_START, b"a"),
        (PING, b"1"),
        (CONTINUATION, b"b"),
        (PONG, b"2"),
        (PING, b"3"),
        (LAST_CONTINUATION, b"c"),
    ];
    let control = |n: u8| vec![n];
    let expected = vec![
        Got::Ping(control(b'1')),
        Got::Pong(control(b'2')),
        Got::Ping(control(b'3')),
        Got::Text("abc".into()),
    ];
    assert_eq!(receive(&frames), (expected, None));
}

#[test]
fn w7_a_ping_inside_a_fragmented_message_is_answered_before_the_message_ends() {
    let mut end = End::server(Config::new());
    end.feed(&[frame(true, TEXT_START, "a"), frame(true, PING, "now")].concat()).unwrap();
    assert_eq!(end.frames(), [WireFrame { first: PONG, key: None, payload: b"now".to_vec() }]);
}

#[test]
fn w7_a_close_inside_a_fragmented_message_ends_it_undelivered() {
    let (got, error) = receive(&[(TEXT_START, b"a"), (CLOSE, b""), (LAST_CONTINUATION, b"b")]);
    assert_eq!((got, error), (vec![Got::Close(None, String::new())], None));
}

#[test]
fn w8_zero_length_messages_and_fragments_are_delivered() {
    for (frames, expected) in [
        (&[(TEXT, &b""[..])][..], Got::Text(String::new())),
        (&[(BINARY, b"")], Got::Binary(vec![])),
        (&[(TEXT_START, b""), (LAST_CONTINUATION, b"")], Got::Text(String::new())),
        (&[(BINARY_START, b""), (CONTINUATION, b""), (LAST_CONTINUATION, b"")], Got::Binary(vec![])),
        (&[(TEXT_START, b""), (CONTINUATION, b"x"), (LAST_CONTINUATION, b"")], Got::Text("x".into())),
        (&[(TEXT_START, b"x"), (CONTINUATION, b""), (LAST_CONTINUATION, b"y")], Got::Text("xy".into())),
    ] {
        assert_eq!(receive(frames), (vec![expected], None));
    }
}

#[test]
fn w8_the_events_of_an_empty_fragmented_message_mark_its_start_and_end() {
    let mut connection = Connection::server(Default::default());
    let frames = [(BINARY_START, ""), (CONTINUATION, ""), (LAST_CONTINUATION, "")];
    let mut bytes: Vec<u8> =
        frames.iter().flat_map(|(first, payload)| frame(true, *first, payload)).collect();
    let mut input = RecvBuf::new(&mut bytes);
    let mut brackets = Vec::new();
    while let Some(event) = connection.poll_event(&mut input).unwrap() {
        if let Event::Data(Data { payload: [], first, last, .. }) = event {
            brackets.push((first, last));
        }
    }
    assert_eq!(brackets, [(true, false), (false, true)]);
}

#[test]
fn a_part_of_a_frame_is_an_event_as_soon_as_it_arrives() {
    let mut connection = Connection::server(Default::default());
    let bytes = frame(true, BINARY, "abcdef");
    let mut seen = Vec::new();
    for piece in [&bytes[..6], &bytes[6..8], &bytes[8..]] {
        let mut piece = piece.to_vec();
        let mut input = RecvBuf::new(&mut piece);
        while let Some(event) = connection.poll_event(&mut input).unwrap() {
            if let Event::Data(Data { payload, first, last, .. }) = event {
                seen.push((payload.to_vec(), first, last));
            }
        }
    }
    assert_eq!(seen, [(b"ab".to_vec(), true, false), (b"cdef".to_vec(), false, true)]);
}

#[test]
fn the_opcode_of_a_merged_message_is_that_of_its_first_fragment() {
    assert_eq!(receive(&[(TEXT_START, b"a"), (LAST_CONTINUATION, b"b")]).0, [Got::Text("ab".into())]);
    assert_eq!(receive(&[(BINARY_START, b"a"), (LAST_CONTINUATION, b"b")]).0, [Got::Binary(b"ab".to_vec())]);
    // The kind of one message does not affect the next.
    let mixed = receive(&[
        (TEXT_START, b"a"),
        (LAST_CONTINUATION, b""),
        (BINARY_START, b"\xff"),
        (LAST_CONTINUATION, b"b"),
        (TEXT, b"c"),
    ]);
    assert_eq!(mixed.0, [Got::Text("a".into()), Got::Binary(b"\xffb".to_vec()), Got::Text("c".into())]);
}

#[test]
fn a_merged_message_may_be_left_in_the_assembler() {
    let mut end = End::server(Config::new());
    for text in ["first", "second, longer", "x"] {
        let (head, tail) = text.split_at(1);
        let mut bytes = [frame(true, TEXT_START, head), frame(true, LAST_CONTINUATION, tail)].concat();
        let mut input = RecvBuf::new(&mut bytes);
        match end.assembler.poll(&mut end.connection, &mut input).unwrap() {
            Some(Incoming::Message(message)) => assert_eq!(message.as_ref().as_text(), Some(text)),
            other => assert!(other.is_none(), "{other:?}"),
        };
        // No poll in between has returned `None`. Still, the next message must not start with this
        // one.
    }
}

#[test]
fn t12_an_honest_message_of_a_mebibyte_in_a_thousand_fragments_passes() {
    let payload: Vec<u8> = (0..1 << 20).map(|i| (i % 251) as u8).collect();
    let mut parts: Vec<Vec<u8>> = payload.chunks(1049).map(|part| frame(true, CONTINUATION, part)).collect();
    let last = parts.len() - 1;
    parts[0][0] = BINARY_START;
    parts[last][0] = LAST_CONTINUATION;
    let mut end = End::server(Config::new());
    end.feed_in(16 << 10, &parts.concat()).unwrap();
    assert_eq!(end.got, [Got::Binary(payload)]);
}

#[test]
fn m2_fragments_pushed_in_sequence_arrive_as_one_message() {
    for server in [true, false] {
        let mut pair = Pair::new(Config::new());
        let sender = pair.end(server);
        for (opcode, data, finish) in [
            (Opcode::Text, "Hel", false),
            (Opcode::Continuation, "l", false),
            (Opcode::Continuation, "o", true),
        ] {
            sender.connection.send_frame(&Frame::new(opcode, data.as_bytes()).finish(finish)).unwrap();
        }
        pair.drive();
        let link = if server { &pair.to_client } else { &pair.to_server };
        assert_eq!(
            link.frames().iter().map(|f| f.first).collect::<Vec<_>>(),
            [TEXT_START, CONTINUATION, LAST_CONTINUATION]
        );
        assert_eq!(pair.end(!server).got, [Got::Text("Hello".into())]);
    }
}

#[test]
fn m2_a_wrong_sequence_is_an_error_and_nothing_is_sent() {
    let part = |opcode, finish| Frame::new(opcode, &b"x"[..]).finish(finish);
    for server in [true, false] {
        let mut end = End::of(server, Config::new());
        for finish in [true, false] {
            let result = end.connection.send_frame(&part(Opcode::Continuation, finish));
            assert_eq!(result, Err(SendError::UnexpectedContinuation));
        }
        end.connection.send_frame(&part(Opcode::Binary, false)).unwrap();
        let queued = end.connection.queued();
        for (opcode, finish) in [(Opcode::Text, true), (Opcode::Text, false), (Opcode::Binary, true)] {
            let result = end.connection.send_frame(&part(opcode, finish));
            assert_eq!(result, Err(SendError::ExpectedContinuation));
        }
        assert_eq!(end.connection.send("whole"), Err(SendError::ExpectedContinuation));
        assert_eq!(end.connection.queued(), queued);
        // The message continues unchanged, and control frames may come in between.
        end.connection.ping(b"").unwrap();
        end.connection.send_frame(&part(Opcode::Continuation, true)).unwrap();
        end.connection.send("whole").unwrap();
        assert_eq!(end.firsts(), [BINARY_START, PING, LAST_CONTINUATION, TEXT]);
    }
}

#[test]
fn m2_text_fragments_that_are_not_utf8_together_are_refused_and_nothing_is_sent() {
    let mut end = End::server(Config::new());
    let mut push = |opcode, data: &'static [u8], finish| {
        let before = end.connection.queued();
        let result = end.connection.send_frame(&Frame::new(opcode, data).finish(finish));
        assert_eq!(result.is_err(), end.connection.queued() == before);
        result
    };
    assert_eq!(push(Opcode::Text, b"\xff", true), Err(SendError::InvalidUtf8));
    assert_eq!(push(Opcode::Text, b"\xc3", true), Err(SendError::InvalidUtf8));
    assert_eq!(push(Opcode::Text, b"\xc3", false), Ok(()));
    assert_eq!(push(Opcode::Continuation, b"x", true), Err(SendError::InvalidUtf8));
    assert_eq!(push(Opcode::Continuation, b"", true), Err(SendError::InvalidUtf8));
    assert_eq!(push(Opcode::Continuation, b"\xb1", true), Ok(()));
    assert_eq!(push(Opcode::Binary, b"\xff", true), Ok(()));
    assert_eq!(end.frames().len(), 3);
}

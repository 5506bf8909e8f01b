//! Any bytes as frames: what they mean must not depend on how they are cut.

use std::sync::Arc;

use sockeye_core::{
    Assembler, CloseFrame, Config, Connection, Event, Frame, Incoming, MessageKind, MessageRef, Opcode,
    ProtocolError, Receiver, RecvBuf, Role,
};

use crate::input::{Cut, Input};

/// Checks one input: a byte of choices, a byte that cuts, then the bytes of the peer.
pub fn frames(data: &[u8]) {
    let mut input = Input::new(data);
    let (choices, seed) = (input.byte(), input.byte());
    let wire = input.rest();
    let role = if choices & 1 == 0 { Role::Server } else { Role::Client };
    let config = Arc::new(config(choices >> 1));

    let whole = hear(role, &config, wire, Cut::Whole, 0);
    for cut in Cut::all(seed) {
        for room in [0, 64, 4096] {
            assert_eq!(hear(role, &config, wire, cut, room), whole, "{cut:?}, room {room}");
        }
    }
    within_limits(&config, wire, &whole);
    let whole = assemble(role, &config, wire, Cut::Whole);
    for cut in Cut::all(seed) {
        assert_eq!(assemble(role, &config, wire, cut), whole, "{cut:?}");
    }
    unpack(role, wire);
}

/// Limits that are met often.
fn config(choices: u8) -> Config {
    let sizes = [16, 130, 70_000, u64::MAX];
    Config::new()
        .max_frame_size(sizes[usize::from(choices & 3)])
        .max_message_size(sizes[usize::from(choices >> 2 & 3)])
        .max_fragments(if choices & 0x10 == 0 { 3 } else { 16_384 })
        .high_water_mark(if choices & 0x20 == 0 { 40 } else { 1 << 16 })
        .auto_pong(choices & 0x40 == 0)
}

/// The messages that came out whole were within the limits, by the frames on the wire.
fn within_limits(config: &Config, mut wire: &[u8], story: &Story) {
    let whole = |heard: &&Heard| matches!(heard, Heard::Data { last: true, .. });
    let (mut left, mut size, mut frames) = (story.heard.iter().filter(whole).count(), 0, 0);
    while left > 0 {
        let (frame, used) = Frame::unpack(wire).expect("it was valid").expect("it was whole");
        wire = &wire[used..];
        if frame.opcode.is_control() {
            continue;
        }
        (size, frames) = (size + frame.data.len() as u64, frames + 1);
        assert!(frame.data.len() as u64 <= config.max_frame_size);
        assert!(size <= config.max_message_size && frames <= config.max_fragments, "{size} in {frames}");
        if frame.flags.finish {
            (left, size, frames) = (left - 1, 0, 0);
        }
    }
}

/// An event that owns its data. Stretches of a message that follow one another are one.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Data { kind: MessageKind, payload: Vec<u8>, first: bool, last: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseFrame<'static>),
}

/// Everything that a receiver says about some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Story {
    heard: Vec<Heard>,
    error: Option<ProtocolError>,
    is_open: bool,
    is_between_messages: bool,
}

fn hear(role: Role, config: &Arc<Config>, wire: &[u8], cut: Cut, room: usize) -> Story {
    let mut receiver = Receiver::new(role, config.clone());
    let mut heard = Vec::new();
    // What is left in the input because it may become whole.
    let mut held = Vec::new();
    let pieces = cut.pieces(wire);
    let count = pieces.len();
    for (i, piece) in pieces.into_iter().enumerate() {
        held.extend_from_slice(&piece);
        let room = if i + 1 == count { 0 } else { room };
        let mut bytes = std::mem::take(&mut held);
        let mut input = RecvBuf::new(&mut bytes);
        // Every step takes a byte, or is the last one.
        let mut steps = input.remaining().len() + 1;
        loop {
            let before = input.remaining().len();
            match receiver.poll_whole_event(&mut input, room) {
                Ok(Some(event)) => note(&mut heard, &event),
                Ok(None) => break,
                Err(error) => {
                    assert!(!receiver.is_open());
                    assert_eq!(receiver.failure(), Some(error));
                    assert_eq!(receiver.poll_event(&mut input), Err(error), "an error stays");
                    assert!(input.is_empty());
                    return Story { heard, error: Some(error), is_open: false, is_between_messages: false };
                }
            }
            assert!(input.remaining().len() < before, "an event takes at least a byte");
            steps -= 1;
            assert!(steps > 0, "no end");
        }
        assert!(room > 0 || input.is_empty(), "everything is taken");
        if !input.is_empty() {
            assert!(input.remaining().len() < room);
            if let Some(len) = receiver.frame_len(input.remaining()) {
                assert!(len > input.remaining().len() as u64 && len <= room as u64);
            }
        }
        held.extend_from_slice(input.remaining());
    }
    Story {
        heard,
        error: None,
        is_open: receiver.is_open(),
        is_between_messages: receiver.is_between_messages(),
    }
}

fn note(heard: &mut Vec<Heard>, event: &Event<'_>) {
    match event {
        Event::Data { kind, payload, ascii, first, last, .. } => {
            if let Some(ascii) = ascii {
                assert!(ascii.is_ascii() && ascii.as_bytes() == *payload && *kind == MessageKind::Text);
            }
            match heard.last_mut() {
                Some(Heard::Data { kind: same, payload: begun, last: ended @ false, .. }) if !first => {
                    assert_eq!(kind, same);
                    begun.extend_from_slice(payload);
                    *ended = *last;
                }
                _ => {
                    let (payload, first, last) = (payload.to_vec(), *first, *last);
                    heard.push(Heard::Data { kind: *kind, payload, first, last });
                }
            }
        }
        Event::Ping(payload) => heard.push(Heard::Ping(payload.to_vec())),
        Event::Pong(payload) => heard.push(Heard::Pong(payload.to_vec())),
        Event::Close(close) => heard.push(Heard::Close(close.clone().into_owned())),
    }
}

/// What a connection makes of some bytes: messages, in between what is none, the error, and its answers.
type Assembled = (Vec<Result<(MessageKind, Vec<u8>), Heard>>, Option<ProtocolError>, Vec<u8>);

fn assemble(role: Role, config: &Arc<Config>, wire: &[u8], cut: Cut) -> Assembled {
    let mut connection = match role {
        Role::Server => Connection::server(config.clone()),
        Role::Client => Connection::client(config.clone(), Box::new(|| [1, 2, 3, 4])),
    };
    let mut assembler = Assembler::new();
    let mut messages = Vec::new();
    let mut error = None;
    'pieces: for mut piece in cut.pieces(wire) {
        let mut input = RecvBuf::new(&mut piece);
        loop {
            match assembler.poll(&mut connection, &mut input) {
                Ok(Some(Incoming::Message(message))) => {
                    let message = message.as_ref();
                    if let MessageRef::Text(text) = message {
                        assert!(std::str::from_utf8(text.as_bytes()).is_ok());
                    }
                    assert!(message.as_bytes().len() as u64 <= config.max_message_size);
                    messages.push(Ok((message.kind(), message.as_bytes().to_vec())));
                }
                Ok(Some(Incoming::Control(event))) => {
                    let mut heard = Vec::new();
                    note(&mut heard, &event);
                    messages.extend(heard.into_iter().map(Err));
                }
                Ok(None) => break,
                Err(fault) => {
                    assert_eq!(connection.close_info().map(|info| info.clean), Some(false));
                    error = Some(fault);
                    break 'pieces;
                }
            }
        }
        assert!(input.is_empty());
    }
    let answers =
        connection.poll_transmit().into_iter().flat_map(|transmit| transmit.slices().flatten().copied());
    (messages, error, answers.collect())
}

/// Each frame by itself means the same to `unpack`, which knows no connection, and to a receiver.
fn unpack(role: Role, wire: &[u8]) {
    let config = Arc::new(Config::new().max_frame_size(u64::MAX).max_message_size(u64::MAX));
    let mut rest = wire;
    loop {
        let (frame, used) = match Frame::unpack(rest) {
            Ok(Some(unpacked)) => unpacked,
            Ok(None) => return,
            Err(error) => {
                assert_eq!(hear(role, &config, rest, Cut::Whole, 0).error, Some(error));
                return;
            }
        };
        let (bytes, behind) = rest.split_at(used);
        let story = hear(role, &config, bytes, Cut::Whole, 0);
        assert_eq!(story, expected(role, bytes[1] & 0x80 != 0, &frame), "{frame:?}");
        for packed in [frame.pack(), frame.pack_masked([9, 8, 7, 6])] {
            let again = Frame::unpack(&packed).expect("what was packed is valid");
            assert_eq!(again, Some((frame.clone(), packed.len())));
        }
        rest = behind;
    }
}

/// What a receiver has to say about one frame, by the rules of RFC 6455.
fn expected(role: Role, masked: bool, frame: &Frame<'_>) -> Story {
    let failed =
        |error| Story { heard: Vec::new(), error: Some(error), is_open: false, is_between_messages: false };
    match (role, masked) {
        (Role::Server, false) => return failed(ProtocolError::UnmaskedFrame),
        (Role::Client, true) => return failed(ProtocolError::MaskedFrame),
        _ => {}
    }
    if frame.flags.compress {
        return failed(ProtocolError::ReservedBits);
    }
    let payload = frame.data.to_vec();
    let data = |kind| Heard::Data { kind, payload: payload.clone(), first: true, last: frame.flags.finish };
    let (heard, is_open, is_between_messages) = match frame.opcode {
        Opcode::Continuation => return failed(ProtocolError::UnexpectedContinuation),
        Opcode::Text => (data(MessageKind::Text), true, frame.flags.finish),
        Opcode::Binary => (data(MessageKind::Binary), true, frame.flags.finish),
        Opcode::Ping => (Heard::Ping(payload), true, true),
        Opcode::Pong => (Heard::Pong(payload), true, true),
        Opcode::Close => match CloseFrame::parse(payload.into()) {
            Ok(close) => (Heard::Close(close), false, false),
            Err(error) => return failed(error),
        },
    };
    Story { heard: vec![heard], error: None, is_open, is_between_messages }
}

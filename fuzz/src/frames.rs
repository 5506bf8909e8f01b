//! Receives any bytes as frames. The result must not depend on how the bytes are cut into pieces.

use std::sync::Arc;

use sockeye_core::{
    Assembler, CloseFrame, Config, Connection, Control, Data, Event, Flags, Frame, Incoming, MessageKind,
    MessageRef, Opcode, ProtocolError, Receiver, RecvBuf, Role,
};

use crate::input::{Cut, Input};

/// Checks one input: a byte of choices, a seed for the cut, then the bytes of the peer.
pub fn frames(data: &[u8]) {
    let mut input = Input::new(data);
    let (choices, seed) = (input.byte(), input.byte());
    let wire = input.rest();
    let role = if choices & 1 == 0 { Role::Server } else { Role::Client };
    let config = Arc::new(config(choices >> 1));

    let whole = receive(role, &config, wire, Cut::Whole, 0);
    for cut in Cut::all(seed) {
        for room in [0, 64, 4096] {
            assert_eq!(receive(role, &config, wire, cut, room), whole, "{cut:?}, room {room}");
        }
    }
    check_limits(&config, wire, &whole);
    let whole = assemble(role, &config, wire, Cut::Whole);
    for cut in Cut::all(seed) {
        assert_eq!(assemble(role, &config, wire, cut), whole, "{cut:?}");
    }
    check_unpack(role, wire);
}

/// Returns limits that inputs often reach.
fn config(choices: u8) -> Config {
    let sizes = [16, 130, 70_000, u64::MAX];
    Config::new()
        .max_frame_size(sizes[usize::from(choices & 3)])
        .max_message_size(sizes[usize::from(choices >> 2 & 3)])
        .max_fragments(if choices & 0x10 == 0 { 3 } else { 16_384 })
        .high_water_mark(if choices & 0x20 == 0 { 40 } else { 1 << 16 })
        .auto_pong(choices & 0x40 == 0)
}

/// Checks, with the frames on the wire, that every complete message was within the limits.
fn check_limits(config: &Config, mut wire: &[u8], outcome: &Outcome) {
    let whole = |events: &&Received| matches!(events, Received::Data { last: true, .. });
    let (mut left, mut size, mut frames) = (outcome.events.iter().filter(whole).count(), 0, 0);
    while left > 0 {
        let (frame, used) = Frame::unpack(wire).expect("a valid frame").expect("a whole frame");
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

/// An event that owns its data. Consecutive parts of a message are one event.
#[derive(Debug, PartialEq, Eq)]
enum Received {
    Data { kind: MessageKind, payload: Vec<u8>, first: bool, last: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseFrame<'static>),
}

/// Everything that a receiver reports about some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    events: Vec<Received>,
    error: Option<ProtocolError>,
    is_open: bool,
    is_between_messages: bool,
}

fn receive(role: Role, config: &Arc<Config>, wire: &[u8], cut: Cut, room: usize) -> Outcome {
    let mut receiver = Receiver::new(role, config.clone());
    let mut events = Vec::new();
    // The part of the input that waits for the rest of its frame.
    let mut held = Vec::new();
    let pieces = cut.pieces(wire);
    let count = pieces.len();
    for (i, piece) in pieces.into_iter().enumerate() {
        held.extend_from_slice(&piece);
        let room = if i + 1 == count { 0 } else { room };
        let mut bytes = std::mem::take(&mut held);
        let mut input = RecvBuf::new(&mut bytes);
        // Every step takes a byte or is the last one.
        let mut steps = input.remaining().len() + 1;
        loop {
            let before = input.remaining().len();
            match receiver.poll_whole_event(&mut input, room) {
                Ok(Some(event)) => record(&mut events, &event),
                Ok(None) => break,
                Err(error) => {
                    assert!(!receiver.is_open());
                    assert_eq!(receiver.failure(), Some(error));
                    assert_eq!(receiver.poll_event(&mut input), Err(error), "the error changed");
                    assert!(input.is_empty());
                    return Outcome {
                        events,
                        error: Some(error),
                        is_open: false,
                        is_between_messages: false,
                    };
                }
            }
            assert!(input.remaining().len() < before, "an event took no byte");
            steps -= 1;
            assert!(steps > 0, "the receiver does not stop");
        }
        assert!(room > 0 || input.is_empty(), "input is left");
        if !input.is_empty() {
            assert!(input.remaining().len() < room);
            if let Some(len) = receiver.frame_len(input.remaining()) {
                assert!(len > input.remaining().len() as u64 && len <= room as u64);
            }
        }
        held.extend_from_slice(input.remaining());
    }
    Outcome {
        events,
        error: None,
        is_open: receiver.is_open(),
        is_between_messages: receiver.is_between_messages(),
    }
}

fn record(events: &mut Vec<Received>, event: &Event<'_>) {
    match event {
        Event::Data(Data { kind, payload, first, last, .. }) => match events.last_mut() {
            Some(Received::Data { kind: same, payload: begun, last: ended @ false, .. }) if !first => {
                assert_eq!(kind, same);
                begun.extend_from_slice(payload);
                *ended = *last;
            }
            _ => {
                let (payload, first, last) = (payload.to_vec(), *first, *last);
                events.push(Received::Data { kind: *kind, payload, first, last });
            }
        },
        Event::Control(Control::Ping(payload)) => events.push(Received::Ping(payload.to_vec())),
        Event::Control(Control::Pong(payload)) => events.push(Received::Pong(payload.to_vec())),
        Event::Control(Control::Close(close)) => {
            events.push(Received::Close(close.clone().into_owned()));
        }
    }
}

/// The results of a connection: messages and control events in order, the error, and the answers.
type Assembled = (Vec<Result<(MessageKind, Vec<u8>), Received>>, Option<ProtocolError>, Vec<u8>);

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
                Ok(Some(Incoming::Control(control))) => {
                    let mut events = Vec::new();
                    record(&mut events, &Event::Control(control));
                    messages.extend(events.into_iter().map(Err));
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

/// Checks that `Frame::unpack`, which has no connection, agrees with a receiver on each single
/// frame.
fn check_unpack(role: Role, wire: &[u8]) {
    let config = Arc::new(Config::new().max_frame_size(u64::MAX).max_message_size(u64::MAX));
    let mut rest = wire;
    loop {
        let (frame, used) = match Frame::unpack(rest) {
            Ok(Some(unpacked)) => unpacked,
            Ok(None) => return,
            Err(error) => {
                assert_eq!(receive(role, &config, rest, Cut::Whole, 0).error, Some(error));
                return;
            }
        };
        let (bytes, after) = rest.split_at(used);
        let outcome = receive(role, &config, bytes, Cut::Whole, 0);
        assert_eq!(outcome, expected(role, bytes[1] & 0x80 != 0, &frame), "{frame:?}");
        for packed in [frame.pack(), frame.pack_masked([9, 8, 7, 6])] {
            let Ok(packed) = packed else {
                assert!(can_never_be_valid(&frame), "{frame:?}");
                continue;
            };
            assert!(!can_never_be_valid(&frame), "{frame:?}");
            let again = Frame::unpack(&packed).expect("a packed frame is valid");
            assert_eq!(again, Some((frame.clone(), packed.len())));
        }
        rest = after;
    }
}

/// Returns whether a frame that `unpack` returned is invalid on every connection.
fn can_never_be_valid(frame: &Frame<'_>) -> bool {
    let Flags { finish, rsv1 } = frame.flags;
    match frame.opcode {
        Opcode::Text => finish && !rsv1 && std::str::from_utf8(&frame.data).is_err(),
        Opcode::Binary => false,
        Opcode::Close => rsv1 || CloseFrame::parse(frame.data.as_ref().into()).is_err(),
        Opcode::Continuation | Opcode::Ping | Opcode::Pong => rsv1,
    }
}

/// Returns what a receiver must report about one frame, by the rules of RFC 6455.
fn expected(role: Role, masked: bool, frame: &Frame<'_>) -> Outcome {
    let failed = |error| Outcome {
        events: Vec::new(),
        error: Some(error),
        is_open: false,
        is_between_messages: false,
    };
    match (role, masked) {
        (Role::Server, false) => return failed(ProtocolError::UnmaskedFrame),
        (Role::Client, true) => return failed(ProtocolError::MaskedFrame),
        _ => {}
    }
    if frame.flags.rsv1 {
        return failed(ProtocolError::ReservedBits);
    }
    let payload = frame.data.to_vec();
    let data =
        |kind| Received::Data { kind, payload: payload.clone(), first: true, last: frame.flags.finish };
    let (events, is_open, is_between_messages) = match frame.opcode {
        Opcode::Continuation => return failed(ProtocolError::UnexpectedContinuation),
        Opcode::Text => (data(MessageKind::Text), true, frame.flags.finish),
        Opcode::Binary => (data(MessageKind::Binary), true, frame.flags.finish),
        Opcode::Ping => (Received::Ping(payload), true, true),
        Opcode::Pong => (Received::Pong(payload), true, true),
        Opcode::Close => match CloseFrame::parse(payload.into()) {
            Ok(close) => (Received::Close(close), false, false),
            Err(error) => return failed(error),
        },
    };
    Outcome { events: vec![events], error: None, is_open, is_between_messages }
}

//! Any sequence of calls on two ends, over a transport that may do anything.

use std::time::Duration;

use sockeye_core::{CloseCode, Config, Frame, MessageKind, Opcode, Prepared, ProtocolError, State};

use crate::input::Input;
use crate::pair::{End, Pair};

/// Checks one input: two bytes of configuration, then calls. Each call is a byte and its arguments.
pub fn ops(data: &[u8]) {
    let mut input = Input::new(data);
    let mut pair = Pair::new(config(&mut input));
    // Every message is copied and compared, so bound the number of calls.
    for _ in 0..400 {
        if input.is_empty() {
            break;
        }
        step(&mut pair, &mut input);
        for end in &mut pair.ends {
            end.check();
        }
    }
    finish(&mut pair);
}

fn config(input: &mut Input<'_>) -> Config {
    let (choices, times) = (input.byte(), input.byte());
    let mut config = Config::new()
        .high_water_mark([0, 30, 1000, 1 << 16][usize::from(choices & 3)])
        // With a fragment size of 0, a message may consist of frames of one byte.
        .max_fragments(u32::MAX)
        .max_send_size([50, 5000, 2 << 20][usize::from(choices >> 2) % 3])
        .auto_pong(choices & 0x10 == 0)
        .auto_close(choices & 0x20 == 0);
    config.fragment_size = [None, Some(0), Some(7), Some(1000)][usize::from(choices >> 6)];
    if times & 1 != 0 {
        config.idle_timeout = Some(Duration::from_nanos(u64::from(times >> 4)));
    }
    if times & 2 != 0 {
        let interval = Duration::from_nanos(u64::from(times >> 4 & 7));
        config = config.keepalive(interval, Duration::from_nanos(u64::from(times >> 2 & 3)));
    }
    config.close_timeout = Duration::from_nanos(u64::from(times >> 3));
    config
}

/// Makes one call. The upper bit of the byte chooses the end.
fn step(pair: &mut Pair, input: &mut Input<'_>) {
    let op = input.byte();
    let now = pair.now;
    let (end, other) = pair.ends(usize::from(op >> 7));
    match op & 0x7f {
        0..20 => send(end, op & 3, input),
        20..30 => send_frame(end, input),
        30..34 => _ = end.connection.ping(input.bytes()),
        34..38 => _ = end.connection.pong(input.bytes()),
        38 => {
            let code = [1000, 1001, 1005, 1011, 2999, 3000, 4999, 5000][usize::from(input.byte() & 7)];
            let reason = input.text();
            let result = end.connection.close(CloseCode::from(code), &reason);
            assert!(result.is_err() || end.connection.state() != State::Open);
        }
        39 => {
            let error = [
                ProtocolError::InvalidUtf8,
                ProtocolError::MessageTooBig { limit: 9 },
                ProtocolError::ReservedBits,
            ];
            end.connection.fail(error[usize::from(input.byte()) % 3]);
            cut_off(end, other);
        }
        40 => {
            end.connection.abort();
            cut_off(end, other);
            assert_eq!(end.connection.state(), State::Closed);
        }
        41 => {
            // The other end has closed the transport.
            end.eof();
            cut_off(end, other);
        }
        42 => {
            end.connection.handle_write_error();
            cut_off(end, other);
        }
        43 => {
            let garbage = input.bytes();
            end.wire.extend(garbage);
            other.tampered = true;
            // The other end may fail the connection in response.
            cut_off(end, other);
        }
        44 => end.connection.answer_close(),
        45..60 => _ = end.transmit(input.size(), op & 1 != 0),
        60..90 => {
            end.transmit(usize::MAX, op & 1 != 0);
            other.deliver(&mut end.wire, usize::MAX);
        }
        90..110 => _ = other.deliver(&mut end.wire, input.size()),
        110..118 => {
            pair.now = now + Duration::from_nanos(u64::from(input.byte()));
            let now = pair.now;
            pair.ends.iter_mut().for_each(|end| end.handle_time(now));
        }
        118 => end.connection.lend_buffer(|| Vec::with_capacity(64)),
        119 => {
            let waits = end.connection.queued() > 0;
            let buffer = end.connection.reclaim_buffer();
            assert!(buffer.is_none() || !waits, "a buffer with queued bytes was reclaimed");
        }
        _ => {
            end.handle_time(now);
            let _ = end.connection.round_trip();
        }
    }
}

/// From here on, messages need not arrive at the other end.
fn cut_off(end: &mut End, other: &mut End) {
    end.cut_off = true;
    other.cut_off = true;
}

fn send(end: &mut End, how: u8, input: &mut Input<'_>) {
    let size = input.size();
    let text: String = std::iter::repeat_n(['a', 'ß', '語', '🐟'][size & 3], size).collect();
    let (result, kind) = match how {
        0 => (end.connection.send(&*text), MessageKind::Text),
        1 => (end.connection.send(text.as_bytes()), MessageKind::Binary),
        2 => (end.connection.send(text.clone()), MessageKind::Text),
        _ => (end.connection.send_prepared(&Prepared::new(&*text)), MessageKind::Text),
    };
    end.record_send(result, kind, text.as_bytes());
}

fn send_frame(end: &mut End, input: &mut Input<'_>) {
    let choices = input.byte();
    let opcodes =
        [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
    let opcode = opcodes[usize::from(choices & 0x7f) % opcodes.len()];
    let finish = choices & 0x80 == 0;
    let part = input.bytes();
    let result = end.connection.send_frame(&Frame::new(opcode, part).finish(finish));
    end.record_frame(result, opcode, part, finish);
}

/// Checks that a close over a working transport ends both connections, regardless of earlier calls.
fn finish(pair: &mut Pair) {
    pair.run_until_idle();
    pair.check_delivery();
    for which in [0, 1] {
        // An end that is already closing returns an error.
        let _ = pair.ends(which).0.connection.close(CloseCode::NORMAL, "the end");
    }
    pair.run_until_idle();
    let is_intact = pair.ends.iter().all(|end| !end.cut_off);
    if is_intact {
        for end in &pair.ends {
            assert_eq!(end.connection.state(), State::Closed, "{:?}", end.connection);
            let info = end.connection.close_info().expect("the connection has ended");
            assert!(info.clean, "{info:?}");
        }
    }
    // On a dead transport, the deadlines end the connections.
    for _ in 0..4 {
        pair.now = pair.now + Duration::from_secs(60);
        pair.run_until_idle();
    }
    for end in &pair.ends {
        assert_eq!(end.connection.state(), State::Closed, "{:?}", end.connection);
    }
    pair.check_delivery();
}

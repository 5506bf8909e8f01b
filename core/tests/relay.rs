//! Relays, which forward the frames of one connection on another (X10; RFC 6455 5.4, RFC 7692 6).
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod deflate_support;

use deflate_support::*;
use sockeye_core::deflate::{Deflate, Memory};
use sockeye_core::{Config, Flags, Frame, MessageKind, Opcode, Payload, SendError};
use sockeye_testkit::deflate::*;
use sockeye_testkit::frames::*;
use sockeye_testkit::pair::*;

const BOOLS: [bool; 2] = [false, true];

/// Returns the `n`th message. The messages resemble each other, so a compressor often refers back
/// to earlier ones.
fn message(n: usize) -> Vec<u8> {
    let line = format!("{n}: the same words as in all of the other messages, and {}; ", n * n);
    line.repeat(2 + n % 4).into_bytes()
}

/// A source that compresses, a relay between two connections, and a sink.
struct Relay {
    /// The source is the client.
    incoming: Pair,
    /// The sink is the client.
    outgoing: Pair,
    /// The number of the source's frames that have been relayed.
    relayed: usize,
    /// The messages that the sink must get.
    expected: Vec<Got>,
}

impl Relay {
    fn new(source: Deflate, outgoing: Deflate) -> Self {
        let config = |deflate| Config::new().deflate(deflate);
        // The fragment size splits the source's messages into several frames.
        let incoming = deflating_pair(config(Deflate::new()), config(source).fragment_size(20_usize));
        let outgoing = deflating_pair(config(outgoing), config(Deflate::new()));
        Relay { incoming, outgoing, relayed: 0, expected: Vec::new() }
    }

    fn can_relay(&self) -> bool {
        let [source, target] = [&self.incoming, &self.outgoing].map(|pair| pair.server.connection.deflate());
        target.unwrap().can_relay(&source.unwrap())
    }

    /// Sends a message from the source. The relay forwards its frames unchanged if `as_is`, and
    /// sends the inflated message otherwise.
    fn forward(&mut self, message: &[u8], as_is: bool) {
        self.incoming.client.connection.send(message).unwrap();
        self.incoming.drive();
        let Some(Got::Binary(inflated)) = self.incoming.server.got.pop() else { panic!("no message") };
        let frames = parse_frames(&self.incoming.to_server.wire);
        for frame in frames[self.relayed..].iter().filter(|_| as_is) {
            self.outgoing.server.connection.send_frame(frame).unwrap();
            self.outgoing.drive();
        }
        self.relayed = frames.len();
        if !as_is {
            self.outgoing.server.connection.send(&inflated).unwrap();
        }
        self.expected.push(Got::Binary(message.to_vec()));
    }

    /// Sends a message that the relay itself produced.
    fn send(&mut self, message: &[u8], compress: bool) {
        self.outgoing.server.connection.send(Payload::from(message).compress(compress)).unwrap();
        self.expected.push(Got::Binary(message.to_vec()));
    }

    #[track_caller]
    fn check(&mut self) {
        self.outgoing.drive();
        assert_eq!(self.outgoing.client.got, self.expected);
    }
}

#[test]
fn x10_relayed_messages_and_own_ones_arrive_whole_with_all_settings() {
    for (from, to) in BOOLS.into_iter().flat_map(|from| BOOLS.map(|to| (from, to))) {
        for memory in [Memory::History(4 << 10), Memory::History(50), Memory::Compressor] {
            for source_bits in [9, 15] {
                let source = always().context_takeover(from).window_bits(source_bits);
                let mut relay = Relay::new(source, always().context_takeover(to).memory(memory));
                let as_is = relay.can_relay();
                assert_eq!(as_is, !from);
                for n in 0..30 {
                    if n % 3 == 1 {
                        relay.send(&message(n), true);
                    } else {
                        relay.forward(&message(n), as_is);
                    }
                    relay.check();
                }
                let firsts = relay.outgoing.to_client.frames().into_iter().map(|frame| frame.first);
                assert_eq!(firsts.filter(|first| first & RSV1 != 0).count(), 30);
            }
        }
    }
}

#[test]
fn x10_a_tunnel_relays_with_context_takeover_if_it_sends_nothing_compressed_itself() {
    let mut relay = Relay::new(always(), always());
    assert!(!relay.can_relay());
    for n in 0..30 {
        relay.forward(&message(n), true);
        relay.send(&message(n), false);
        relay.check();
    }
}

#[test]
fn x10_a_message_in_parts_after_a_relayed_one_refers_to_nothing_before_it() {
    for memory in [Memory::History(4 << 10), Memory::Compressor] {
        let mut relay = Relay::new(always().context_takeover(false), always().memory(memory));
        relay.send(&message(1), true);
        relay.forward(&message(2), true);
        let (own, connection) = (message(3), &mut relay.outgoing.server.connection);
        let (one, two) = own.split_at(own.len() / 2);
        connection.send_frame(&Frame::binary(one).finish(false)).unwrap();
        connection.send_frame(&Frame::new(Opcode::Continuation, two)).unwrap();
        relay.expected.push(Got::Binary(own));
        relay.check();
    }
}

#[test]
fn x10_a_relay_needs_a_source_without_takeover_and_a_window_that_is_large_enough() {
    for (takeover, source, target, expected) in
        [(false, 15, 15, true), (false, 9, 15, true), (false, 15, 9, false), (true, 15, 15, false)]
    {
        let source = always().context_takeover(takeover).window_bits(source);
        let relay = Relay::new(source, always().window_bits(target));
        assert_eq!(relay.can_relay(), expected);
    }
}

#[test]
fn x10_rsv1_is_sent_only_on_the_first_frame_of_a_message_once_compression_is_negotiated() {
    let rsv1 = |opcode, finish| Frame {
        flags: Flags { finish, rsv1: true },
        ..Frame::new(opcode, &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..])
    };
    for server in BOOLS {
        let mut end = End::of(server, Config::new());
        for opcode in [Opcode::Text, Opcode::Binary, Opcode::Continuation, Opcode::Ping, Opcode::Pong] {
            for finish in BOOLS.into_iter().filter(|finish| *finish || !opcode.is_control()) {
                let result = end.connection.send_frame(&rsv1(opcode, finish));
                assert_eq!(result, Err(SendError::ReservedBits), "{opcode:?}");
            }
        }
        let mut end = deflating(server, always());
        let close =
            Frame { flags: Flags { finish: true, rsv1: true }, ..Frame::new(Opcode::Close, &b""[..]) };
        for frame in [rsv1(Opcode::Ping, true), rsv1(Opcode::Pong, true), close] {
            assert_eq!(end.connection.send_frame(&frame), Err(SendError::ReservedBits));
        }
        assert_eq!(end.connection.queued(), 0);
        end.connection.send_frame(&rsv1(Opcode::Text, false)).unwrap();
        let again = end.connection.send_frame(&rsv1(Opcode::Continuation, true));
        assert_eq!(again, Err(SendError::ReservedBits));
        end.connection.send_frame(&Frame::new(Opcode::Continuation, &b""[..])).unwrap();
        // A request to compress changes nothing about a message that is compressed already.
        end.connection.send_frame(rsv1(Opcode::Text, true).compress(false)).unwrap();
        assert_eq!(end.firsts(), [TEXT_START | RSV1, LAST_CONTINUATION, TEXT | RSV1]);
    }
}

#[test]
fn x10_a_relayed_text_arrives_as_text_and_is_checked_by_its_receiver() {
    let mut pair = deflating_pair(Config::new().deflate(always()), Config::new().deflate(Deflate::new()));
    // "Hello", from RFC 7692 section 7.2.3.1.
    let mut frame = Frame::new(MessageKind::Text.opcode(), &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..]);
    frame.flags.rsv1 = true;
    pair.server.connection.send_frame(&frame).unwrap();
    pair.drive();
    assert_eq!(pair.client.got, [Got::Text("Hello".into())]);
}

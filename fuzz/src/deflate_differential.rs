//! Any messages, compressed and sent. Other inflaters must understand them, within the negotiated
//! window.

use std::sync::Arc;

use sockeye_core::deflate::{CodecPool, CompressionPolicy, Deflate, Memory, Negotiated};
use sockeye_core::{
    Assembler, Config, Connection, Frame, Incoming, MessageKind, Opcode, Payload, Prepared, RecvBuf, Role,
};
use sockeye_testkit::deflate::Pool;

use crate::compressed::{self, agree, connection};
use crate::input::{Cut, Input};
use crate::original::Original;
use crate::reference::{Reference, Takeover};

/// The largest size of all messages. Each is compressed once and inflated three times.
const MAX_SIZE: usize = 30_000;

/// Checks one input: a byte of choices, a seed for the cut, four bytes of settings for each end,
/// then the messages.
pub fn deflate_differential(data: &[u8]) {
    let mut input = Input::new(data);
    let (choices, seed) = (input.byte(), input.byte());
    let role = if choices & 1 == 0 { Role::Server } else { Role::Client };
    let (own, peer) = (compressed::settings(&mut input), compressed::settings(&mut input));
    let pool = (choices & 2 != 0).then(|| Pool::new().shared());
    let (at_own, at_peer) = agree(role, &own, &peer);
    let mut config = Config::new().max_send_size(u64::MAX).high_water_mark(usize::MAX);
    config.fragment_size = [None, Some(1000), Some(7), Some(60)][usize::from(choices >> 2 & 3)];
    let mut sender = Sender {
        connection: connection(role, &Arc::new(config.deflate(own.clone())), &at_own),
        settings: own,
        pool,
        wire: Vec::new(),
        sent: Vec::new(),
        size: 0,
    };
    if let Some(pool) = &sender.pool {
        sender.connection.set_codec_pool(pool);
    }
    while !input.is_empty() && sender.size < MAX_SIZE && sender.sent.len() < 40 {
        sender.send_message(&mut input);
    }
    let Sender { wire, sent, settings, .. } = sender;
    check_with_references(&at_own, &settings, &wire, &sent, 1 + usize::from(seed) * 16);
    let other = if role == Role::Server { Role::Client } else { Role::Server };
    let config = Config::new().max_fragments(u32::MAX).deflate(peer);
    check_with_receiver(connection(other, &Arc::new(config), &at_peer), &wire, &sent, seed);
}

#[derive(Debug)]
struct SentMessage {
    kind: MessageKind,
    plain: Vec<u8>,
    in_parts: bool,
}

struct Sender {
    connection: Connection,
    settings: Deflate,
    pool: Option<Arc<dyn CodecPool>>,
    wire: Vec<u8>,
    sent: Vec<SentMessage>,
    size: usize,
}

impl Sender {
    /// Sends one message.
    fn send_message(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let plain = self.plain(how >> 5, input);
        self.size += plain.len();
        let asked = [None, None, Some(true), Some(false)][usize::from(how >> 3 & 3)];
        let kind = if how & 1 == 0 { MessageKind::Binary } else { MessageKind::Text };
        let plain = match kind {
            MessageKind::Binary => plain,
            MessageKind::Text => String::from_utf8_lossy(&plain).into_owned().into_bytes(),
        };
        let payload = || {
            let payload = match (kind, std::str::from_utf8(&plain)) {
                (MessageKind::Text, Ok(text)) => Payload::from(text),
                _ => Payload::from(&plain),
            };
            asked.map_or(payload.clone(), |asked| payload.compress(asked))
        };
        match how >> 1 & 3 {
            0 => self.connection.send(payload()).expect("open"),
            1 => self.connection.send(payload().into_owned()).expect("open"),
            2 => self.parts(kind, &plain, asked, input.byte()),
            _ => self.prepared(payload(), input.byte()),
        }
        self.sent.push(SentMessage { kind, plain, in_parts: how >> 1 & 3 == 2 });
        self.write();
    }

    fn parts(&mut self, kind: MessageKind, plain: &[u8], asked: Option<bool>, cut: u8) {
        let pieces = match cut {
            0 => vec![plain.to_vec(), Vec::new()],
            _ => Cut::Seeded(cut).pieces(plain),
        };
        let mut opcode = kind.opcode();
        for (i, piece) in pieces.iter().enumerate() {
            let frame = Frame::new(opcode, &piece[..]).finish(i + 1 == pieces.len());
            let sent = match asked {
                Some(compress) => self.connection.send_frame(frame.compress(compress)),
                None => self.connection.send_frame(&frame),
            };
            sent.expect("open");
            if i == 1 {
                self.connection.ping(b"between").expect("open");
            }
            opcode = Opcode::Continuation;
        }
    }

    /// Sends a prepared message, compressed with the settings of this end or others, or not at all.
    fn prepared(&mut self, payload: Payload<'_>, how: u8) {
        let settings = match how & 3 {
            0 | 1 => self.settings.clone(),
            2 => Deflate::new().policy(CompressionPolicy::Always).level(how >> 5),
            _ => self.settings.clone().policy(CompressionPolicy::Always).window_bits(8 + (how >> 5)),
        };
        let pool = self.pool.as_deref();
        let prepared = match how & 0x1c {
            0 => Prepared::new(payload),
            _ => Prepared::deflated(payload, &settings, pool),
        };
        self.connection.send_prepared(&prepared).expect("open");
    }

    /// Returns bytes from the input, generated bytes, or a part of an earlier message.
    fn plain(&self, how: u8, input: &mut Input<'_>) -> Vec<u8> {
        const EDGES: [usize; 16] =
            [0, 1, 2, 3, 127, 128, 255, 256, 257, 258, 262, 506, 4096, 32_768, 65_535, 65_536];
        match how {
            0 | 1 => input.bytes().to_vec(),
            2 => {
                let part = input.bytes();
                part.repeat(input.size()).into_iter().take(MAX_SIZE).collect()
            }
            3 => vec![input.byte(); EDGES[usize::from(input.byte() & 15)]],
            4 => noise(
                u64::from(input.byte()),
                EDGES[usize::from(input.byte() & 15)] + usize::from(input.byte()),
            ),
            5 => noise(u64::from(input.byte()), input.size()),
            6 => {
                // An earlier message with one bit changed.
                let (back, at) = (usize::from(input.byte()), usize::from(input.byte()));
                let mut again = self.again(back);
                if let Some(byte) = again.get_mut(at * 131 % back.max(1)) {
                    *byte ^= 1;
                }
                again
            }
            _ => {
                let (back, from, len) = (usize::from(input.byte()), input.size(), input.size());
                self.again(back).into_iter().skip(from).take(len).collect()
            }
        }
    }

    fn again(&self, back: usize) -> Vec<u8> {
        self.sent
            .iter()
            .rev()
            .nth(back % self.sent.len().max(1))
            .map_or(Vec::new(), |sent| sent.plain.clone())
    }

    fn write(&mut self) {
        while let Some(transmit) = self.connection.poll_transmit() {
            let before = self.wire.len();
            transmit.slices().for_each(|slice| self.wire.extend_from_slice(slice));
            self.connection.transmitted(self.wire.len() - before);
        }
    }
}

/// Returns incompressible bytes (Marsaglia's xorshift).
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Reads the frames. Checks that zlib and the reference inflate them to the messages sent, with no
/// more than the negotiated window.
fn check_with_references(
    agreed: &Negotiated,
    settings: &Deflate,
    mut wire: &[u8],
    sent: &[SentMessage],
    room: usize,
) {
    let takeover = if agreed.own.takeover { Takeover::Stream } else { Takeover::None };
    let mut reference = Reference::new(takeover);
    let mut original = Original::new(takeover, agreed.own.window_bits);
    let keeps_codec = agreed.own.takeover && settings.memory == Memory::Compressor;
    let (mut sent, mut message) = (sent.iter(), None);
    while let Some((frame, used)) = Frame::unpack(wire).expect("valid frames") {
        wire = &wire[used..];
        let kind = match frame.opcode {
            Opcode::Ping => {
                assert!(!frame.flags.rsv1);
                continue;
            }
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            _ => None,
        };
        let (kind, mut payload, compressed) = match (kind, message.take()) {
            (Some(kind), None) => (kind, Vec::new(), frame.flags.rsv1),
            (None, Some((kind, payload, compressed))) => {
                assert!(!frame.flags.rsv1, "RSV1 is set after the first frame");
                (kind, payload, compressed)
            }
            (kind, message) => panic!("{kind:?} {message:?}"),
        };
        payload.extend_from_slice(&frame.data);
        if !frame.flags.finish {
            message = Some((kind, payload, compressed));
            continue;
        }
        let SentMessage { kind: expected, plain, in_parts } = sent.next().expect("a message that was sent");
        assert_eq!(kind, *expected);
        if !compressed {
            assert!(payload == *plain);
            continue;
        }
        assert!(settings.policy != CompressionPolicy::Never);
        // A message whose compression is requested may become a little longer.
        assert!(*in_parts || keeps_codec || payload.len() <= plain.len() + plain.len() / 4 + 16);
        let (expected_plain, fault) = reference.message(&payload, u64::MAX);
        assert!(fault.is_ok() && expected_plain == *plain, "{fault:?}");
        let (inflated, zlib_result) = original.message(&payload, u64::MAX, room);
        assert!(zlib_result.is_ok() && inflated == *plain, "{zlib_result:?}");
        assert!(reference.max_distance <= 1 << agreed.own.window_bits, "{} back", reference.max_distance);
    }
    assert!(message.is_none() && wire.is_empty() && sent.next().is_none());
}

fn check_with_receiver(mut connection: Connection, wire: &[u8], sent: &[SentMessage], seed: u8) {
    let mut assembler = Assembler::new();
    let mut sent = sent.iter();
    for mut piece in Cut::Seeded(seed).pieces(wire) {
        let mut input = RecvBuf::new(&mut piece);
        while let Some(incoming) = assembler.poll(&mut connection, &mut input).expect("no fault") {
            if let Incoming::Message(message) = incoming {
                let message = message.as_ref();
                let SentMessage { kind, plain, .. } = sent.next().expect("a message that was sent");
                assert!(message.kind() == *kind && message.as_bytes() == plain);
            }
        }
    }
    assert!(sent.next().is_none());
}

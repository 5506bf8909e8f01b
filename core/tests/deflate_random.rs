//! Random messages arrive unchanged in both directions, with any settings and any chunking (X2).
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod deflate_support;

use deflate_support::*;
use proptest::prelude::*;
use sockeye_core::deflate::{CompressionPolicy, Deflate, Memory};
use sockeye_core::{Config, Frame, Opcode, Payload, Prepared};
use sockeye_testkit::deflate::*;
use sockeye_testkit::pair::*;

#[derive(Debug, Clone)]
struct Sending {
    by_server: bool,
    is_text: bool,
    content: Content,
    size: usize,
    compress: Option<bool>,
    form: Form,
    /// The number of bytes written or delivered at a time after this message, or 0 to leave it
    /// queued until the next one.
    chunk: usize,
}

#[derive(Debug, Clone, Copy)]
enum Content {
    Noise(u64),
    Same(u8),
    Words(usize),
}

#[derive(Debug, Clone)]
enum Form {
    Whole,
    Parts(usize),
    Prepared,
    PreparedFor(u8),
}

impl Sending {
    fn plain(&self) -> Vec<u8> {
        let mut state = match self.content {
            Content::Noise(seed) => seed | 1,
            Content::Same(_) | Content::Words(_) => 0,
        };
        let words = b"the quick brown fox {\"id\":17} jumps over [1,2,3] the lazy dog; ";
        let byte = |n: usize| match self.content {
            Content::Noise(_) => {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 24) as u8
            }
            Content::Same(byte) => byte,
            // One word changes in each line.
            Content::Words(step) => words[(n + n / 97 * step) % words.len()],
        };
        let mut plain: Vec<u8> = (0..self.size).map(byte).collect();
        if self.is_text {
            plain.iter_mut().for_each(|byte| *byte &= 0x7f);
        }
        plain
    }

    fn send(&self, end: &mut End, plain: &[u8]) {
        let payload = || {
            let payload = match self.is_text {
                true => Payload::from(std::str::from_utf8(plain).unwrap()),
                false => Payload::from(plain),
            };
            self.compress.map_or(payload.clone(), |compress| payload.compress(compress))
        };
        match self.form {
            Form::Whole => end.connection.send(payload()).unwrap(),
            Form::Prepared => end.connection.send_prepared(&Prepared::new(payload())).unwrap(),
            Form::PreparedFor(window_bits) => {
                let settings = always().window_bits(window_bits);
                let prepared = Prepared::deflated(payload(), &settings, None);
                end.connection.send_prepared(&prepared).unwrap();
            }
            Form::Parts(size) => {
                let mut opcode = if self.is_text { Opcode::Text } else { Opcode::Binary };
                let mut parts = plain.chunks(size).peekable();
                while let Some(part) = parts.next() {
                    let frame = Frame::new(opcode, part).finish(parts.peek().is_none());
                    let sent = match self.compress {
                        Some(compress) => end.connection.send_frame(frame.compress(compress)),
                        None => end.connection.send_frame(&frame),
                    };
                    sent.unwrap();
                    opcode = Opcode::Continuation;
                }
                if plain.is_empty() {
                    end.connection.send(payload()).unwrap();
                }
            }
        }
    }
}

fn size() -> impl Strategy<Value = usize> {
    let edges =
        [0, 1, 2, 127, 128, 255, 256, 257, 511, 512, 4095, 4096, 4097, 32_768, 65_535, 65_536, 131_072];
    // Long messages are rare, because they take most of the time.
    prop_oneof![
        6 => 0..300_usize,
        6 => prop::sample::select(edges[..13].to_vec()),
        1 => prop::sample::select(edges[13..].to_vec()),
        2 => 0..10_000_usize,
        1 => 0..131_073_usize,
    ]
}

fn sending() -> impl Strategy<Value = Sending> {
    let content = prop_oneof![
        any::<u64>().prop_map(Content::Noise),
        any::<u8>().prop_map(Content::Same),
        (0..5_usize).prop_map(Content::Words),
        (0..5_usize).prop_map(Content::Words),
    ];
    let form = prop_oneof![
        3 => Just(Form::Whole),
        2 => (1..5000_usize).prop_map(Form::Parts),
        1 => Just(Form::Prepared),
        1 => (8..16_u8).prop_map(Form::PreparedFor),
    ];
    let chunk = prop_oneof![2 => Just(0), 1 => 1..20_usize, 2 => 20..5000_usize, 2 => Just(usize::MAX >> 1)];
    (any::<bool>(), any::<bool>(), content, size(), any::<Option<bool>>(), form, chunk).prop_map(
        |(by_server, is_text, content, size, compress, form, chunk)| {
            // Long messages in small parts or chunks take too long.
            let chunk = if chunk == 0 { 0 } else { chunk.max(size / 500) };
            let form = if let Form::Parts(part) = form { Form::Parts(part.max(size / 100)) } else { form };
            Sending { by_server, is_text, content, size, compress, form, chunk }
        },
    )
}

fn config() -> impl Strategy<Value = Config> {
    let memory = prop_oneof![
        Just(Memory::Compressor),
        prop::sample::select(vec![0, 1, 255, 256, 700, 4096, 40_000]).prop_map(Memory::History),
    ];
    let policy = prop_oneof![
        4 => Just(CompressionPolicy::Always),
        2 => (0..1000_usize).prop_map(CompressionPolicy::Above),
        1 => Just(CompressionPolicy::OnRequest),
        1 => Just(CompressionPolicy::Never),
    ];
    let windows = (8..16_u8, 8..16_u8, prop::bool::weighted(0.7), prop::bool::weighted(0.7));
    let fragments = prop::option::weighted(0.3, 60..3000_usize);
    (windows, 0..11_u8, 0..11_u8, memory, policy, fragments).prop_map(
        |((own, peer, takeover, peer_takeover), level, mem_level, memory, policy, fragments)| {
            let settings = Deflate::new().window_bits(own).peer_window_bits(peer).context_takeover(takeover);
            let settings = settings.peer_context_takeover(peer_takeover).level(level).mem_level(mem_level);
            let mut config = Config::new().high_water_mark(usize::MAX);
            config.fragment_size = fragments;
            config.deflate(settings.memory(memory).policy(policy))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn x2_sent_messages_arrive_unchanged(
        server in config(), client in config(), pooled: bool,
        messages in prop::collection::vec(sending(), 1..10),
    ) {
        let mut pair = deflating_pair(server, client);
        if pooled {
            let pool = Pool::new();
            pair.server.connection.set_codec_pool(&pool.shared());
            pair.client.connection.set_codec_pool(&pool.shared());
        }
        let (mut by_server, mut by_client) = (Vec::new(), Vec::new());
        for sending in &messages {
            let plain = sending.plain();
            sending.send(pair.end(sending.by_server), &plain);
            let got = match sending.is_text {
                true => Got::Text(String::from_utf8(plain).unwrap()),
                false => Got::Binary(plain),
            };
            if sending.by_server { by_server.push(got) } else { by_client.push(got) }
            if sending.chunk > 0 {
                pair.chunk = sending.chunk;
                pair.drive();
            }
        }
        pair.drive();
        // Not `assert_eq`: the messages are too long to print.
        prop_assert!(pair.client.got == by_server && pair.server.got == by_client);
        prop_assert_eq!((pair.client.error, pair.server.error), (None, None));
    }
}

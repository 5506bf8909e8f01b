//! Every test runs with every backend that is compiled in, and each backend inflates the output of
//! the others.

mod agreement;
mod checker;
mod decoding;
mod encoding;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::{Corrupt, CorruptAfter, Inflated};
use crate::deflate::CompressorSettings;

trait Encode {
    fn reset(&mut self, history: &[u8]);
    fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Corrupt>;
}

trait Decode {
    fn reset(&mut self, history: &[u8]);
    fn inflate(&mut self, input: &[u8], out: &mut [u8]) -> Result<Inflated, CorruptAfter>;
    fn finish(&mut self) -> Result<(), Corrupt>;
    fn since_final(&self) -> Option<usize>;
}

struct Backend {
    name: &'static str,
    encoder: fn(&CompressorSettings) -> Box<dyn Encode>,
    decoder: fn() -> Box<dyn Decode>,
}

macro_rules! backend {
    ($name:ident, $module:ident) => {
        impl Encode for super::$module::Encoder {
            fn reset(&mut self, history: &[u8]) {
                self.reset(history);
            }
            fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Corrupt> {
                self.compress(input, out)
            }
        }

        impl Decode for super::$module::Decoder {
            fn reset(&mut self, history: &[u8]) {
                self.reset(history);
            }
            fn inflate(&mut self, input: &[u8], out: &mut [u8]) -> Result<Inflated, CorruptAfter> {
                self.inflate(input, out)
            }
            fn finish(&mut self) -> Result<(), Corrupt> {
                self.finish()
            }
            fn since_final(&self) -> Option<usize> {
                self.since_final()
            }
        }

        const $name: Backend = Backend {
            name: stringify!($module),
            encoder: |settings| Box::new(super::$module::Encoder::new(settings)),
            decoder: || Box::new(super::$module::Decoder::new(super::$module::Available)),
        };
    };
}

#[cfg(feature = "deflate")]
backend!(MINIZ, miniz);
#[cfg(feature = "zlib-rs")]
backend!(ZLIB, zlib);

const BACKENDS: &[Backend] = &[
    #[cfg(feature = "deflate")]
    MINIZ,
    #[cfg(feature = "zlib-rs")]
    ZLIB,
];

fn settings(level: u8, window_bits: u8) -> CompressorSettings {
    CompressorSettings { level, window_bits, mem_level: 8, available: super::Available }
}

impl Backend {
    /// Returns an encoder and a decoder of this backend, ready for use.
    fn pair(&self, settings: &CompressorSettings) -> (Box<dyn Encode>, Box<dyn Decode>) {
        let (mut encoder, mut decoder) = ((self.encoder)(settings), (self.decoder)());
        encoder.reset(&[]);
        decoder.reset(&[]);
        (encoder, decoder)
    }
}

/// Compresses one message as it is sent, without the four bytes that RFC 7692 7.2.1 removes.
fn compress_message(encoder: &mut dyn Encode, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.compress(input, &mut out).unwrap();
    assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Inflates a message without finishing it, with `chunk` bytes of input and `room` bytes of output
/// at a time.
fn feed(decoder: &mut dyn Decode, message: &[u8], chunk: usize, room: usize) -> Result<Vec<u8>, Corrupt> {
    let (mut output, mut buffer) = (Vec::new(), vec![0xaa; room]);
    for mut input in message.chunks(chunk) {
        loop {
            let Inflated { read, written } = decoder.inflate(input, &mut buffer)?;
            input = &input[read..];
            output.extend_from_slice(&buffer[..written]);
            if written < room {
                break;
            }
        }
        assert!(input.is_empty(), "if room is left, all input has been consumed");
        assert_eq!(
            decoder.inflate(&[], &mut buffer),
            Ok(Inflated { read: 0, written: 0 }),
            "if room is left, no output is pending"
        );
    }
    Ok(output)
}

fn inflate_message(decoder: &mut dyn Decode, message: &[u8]) -> Result<Vec<u8>, Corrupt> {
    let output = feed(decoder, message, usize::MAX, 4096)?;
    decoder.finish()?;
    Ok(output)
}

/// A generator (xorshift) with a fixed seed, so that the tests are reproducible.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Returns bytes with repetitions at every distance up to `far`.
    fn repetitive(&mut self, count: usize, far: usize) -> Vec<u8> {
        let mut bytes = self.bytes(8);
        while bytes.len() < count {
            let from = bytes.len() - 1 - self.below(far.min(bytes.len()));
            for at in from..from + 3 + self.below(40) {
                bytes.push(bytes[at]);
            }
            bytes.push(self.next() as u8);
        }
        bytes.truncate(count);
        bytes
    }

    /// Returns lines of JSON, as applications send them.
    fn json(&mut self, count: usize) -> Vec<u8> {
        let mut text = alloc::string::String::new();
        while text.len() < count {
            let (id, price, side) =
                (self.below(1_000_000), self.below(90_000), ["buy", "sell"][self.below(2)]);
            text += &alloc::format!(
                "{{\"id\":{id},\"price\":{price}.{:02},\"side\":\"{side}\",\"symbol\":\"BTC-{}\"}}\n",
                price % 97,
                id % 7
            );
        }
        text.truncate(count);
        text.into_bytes()
    }
}

//! The input of the libraries: distinct messages, as the bytes that a client sends.

use std::fmt;

use sockeye_testkit::frames::put_frame;

use crate::RawDeflate;
use crate::json::json;

/// The smallest total size of the messages. It is so large that neither caches nor branch
/// predictors can learn them.
const LAP: usize = 256 << 10;

/// The "Per-Message Compressed" bit (RFC 7692 6), in the same byte as the opcode.
const RSV1: u8 = 0x40;

/// The contents of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Random bytes.
    Binary,
    /// ASCII text, much like JSON.
    Ascii,
    /// Text with characters of one to four bytes.
    MultiByte,
    /// Records like those of an application, which compress well.
    Json,
}

impl Kind {
    /// Returns whether the messages are text.
    #[must_use]
    pub fn is_text(self) -> bool {
        self != Kind::Binary
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Binary => "binary",
            Kind::Ascii => "ascii",
            Kind::MultiByte => "multi-byte",
            Kind::Json => "json",
        })
    }
}

/// The shape of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its contents.
    pub kind: Kind,
    /// The bytes of its payload.
    pub size: usize,
    /// The bytes in each of its frames, or `None` for a single frame.
    pub fragment: Option<usize>,
}

impl Shape {
    /// Returns the shape of a message in one frame.
    #[must_use]
    pub fn new(kind: Kind, size: usize) -> Self {
        Shape { kind, size, fragment: None }
    }

    /// Splits the message into frames of `size` bytes.
    #[must_use]
    pub fn in_fragments(self, size: usize) -> Self {
        Shape { fragment: Some(size), ..self }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = format!("{} {}", self.kind, size_name(self.size));
        if let Some(fragment) = self.fragment {
            name = format!("{name} in {}", size_name(fragment));
        }
        f.pad(&name)
    }
}

/// Formats a size, such as `16 B` or `1 KiB`.
#[must_use]
pub fn size_name(size: usize) -> String {
    match size {
        _ if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        _ if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        _ => format!("{size} B"),
    }
}

/// Distinct messages of one shape, and the masked frames that carry them.
#[derive(Debug)]
pub struct Traffic {
    /// The shape of every message.
    pub shape: Shape,
    /// The messages.
    pub messages: Vec<Vec<u8>>,
    /// The compressed messages, if the wire is compressed.
    pub compressed: Vec<Vec<u8>>,
    pub(crate) wire: Vec<u8>,
    /// The index in `wire` at which the messages begin.
    pub(crate) start: usize,
    /// The end of each message, relative to `start`.
    pub(crate) ends: Vec<usize>,
}

impl Traffic {
    /// Returns the first messages as they are on the wire.
    #[must_use]
    pub fn first(&self, count: usize) -> &[u8] {
        &self.wire[self.start..][..self.ends[count - 1]]
    }

    /// Generates the messages, which are the same in every run.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self::with_wire(shape, None)
    }

    /// Generates the same messages, compressed at level 6 on the wire. No message refers back
    /// beyond the first one, so a connection can read the wire repeatedly.
    #[must_use]
    pub fn deflated(shape: Shape, takeover: bool) -> Self {
        Self::with_wire(shape, Some(RawDeflate::new(6, takeover)))
    }

    fn with_wire(shape: Shape, mut deflate: Option<RawDeflate>) -> Self {
        let mut random = fastrand::Rng::with_seed(0x50c_4e7e);
        let count = LAP.div_ceil(shape.size.max(1)).clamp(4, 4096);
        let mut traffic = Traffic {
            shape,
            messages: Vec::new(),
            compressed: Vec::new(),
            wire: Vec::new(),
            start: 0,
            ends: Vec::new(),
        };
        for _ in 0..count {
            let message = payload(shape.kind, shape.size, &mut random);
            let mut first = if shape.kind.is_text() { 1 } else { 2 };
            let mut compressed = Vec::new();
            if let Some(deflate) = &mut deflate {
                deflate.message(&message, &mut compressed);
                first |= RSV1;
            }
            let sent = if deflate.is_some() { &compressed } else { &message };
            let parts: Vec<_> = sent.chunks(shape.fragment.unwrap_or(shape.size).max(1)).collect();
            for (i, part) in parts.iter().enumerate() {
                let opcode = if i == 0 { first } else { 0 };
                let finish = i + 1 == parts.len();
                put_frame(
                    &mut traffic.wire,
                    u8::from(finish) << 7 | opcode,
                    Some(random.u32(..).to_ne_bytes()),
                    part,
                );
            }
            traffic.ends.push(traffic.wire.len());
            traffic.messages.push(message);
            if deflate.is_some() {
                traffic.compressed.push(compressed);
            }
        }
        traffic
    }

    /// Returns a copy of the traffic that begins `by` bytes into its memory. The speed of copying
    /// depends on the relative alignment of the addresses, by a factor of three, so each round uses
    /// a different alignment.
    #[must_use]
    pub fn moved(&self, by: usize) -> Self {
        let mut wire = vec![0; by];
        wire.extend_from_slice(&self.wire[self.start..]);
        Traffic {
            shape: self.shape,
            messages: self.messages.clone(),
            compressed: self.compressed.clone(),
            wire,
            start: by,
            ends: self.ends.clone(),
        }
    }
}

/// Returns a payload of exactly `size` bytes.
#[must_use]
pub fn payload(kind: Kind, size: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    match kind {
        Kind::Binary => std::iter::repeat_with(|| random.u8(..)).take(size).collect(),
        Kind::Ascii => ascii(size, random).into_bytes(),
        Kind::MultiByte => multi_byte(size, random).into_bytes(),
        Kind::Json => json(size, random).into_bytes(),
    }
}

fn ascii(size: usize, random: &mut fastrand::Rng) -> String {
    const WORDS: [&str; 8] = ["river", "fall", "spawn", "upstream", "salt", "lake", "gill", "smolt"];
    let mut text = String::new();
    while text.len() < size {
        let word = WORDS[random.usize(..WORDS.len())];
        text +=
            &format!("{{\"{word}\":{},\"at\":{}}},", random.u16(..), 1_700_000_000 + random.u32(..9_999_999));
    }
    text.truncate(size);
    text
}

fn multi_byte(size: usize, random: &mut fastrand::Rng) -> String {
    let mut text = String::new();
    while text.len() < size {
        let character = match random.u8(..8) {
            0..3 => random.char('a'..='z'),
            3..5 => random.char('а'..='я'),
            5..7 => random.char('一'..='俿'),
            _ => random.char('😀'..='😻'),
        };
        text.push(if text.len() + character.len_utf8() <= size { character } else { '.' });
    }
    text
}

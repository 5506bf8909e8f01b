//! What the libraries are given: distinct messages, as the bytes that a client sends.

use std::fmt;

use sockeye_testkit::frames::put_frame;

use crate::RawDeflate;
use crate::json::json;

/// At least this many bytes of distinct messages, so that neither caches nor branch predictors learn them by heart.
const LAP: usize = 256 << 10;

/// "Per-Message Compressed" (RFC 7692 6), beside the opcode.
const RSV1: u8 = 0x40;

/// What a payload is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Random bytes.
    Binary,
    /// Text that is all ASCII, much like JSON.
    Ascii,
    /// Text whose characters take one to four bytes.
    MultiByte,
    /// Records as an application sends them: what compression is for.
    Json,
}

impl Kind {
    /// Whether its messages are text.
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

/// One kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What it is made of.
    pub kind: Kind,
    /// Bytes of payload.
    pub size: usize,
    /// Bytes in each of its frames; `None` for one frame.
    pub fragment: Option<usize>,
}

impl Shape {
    /// A message in one frame.
    #[must_use]
    pub fn new(kind: Kind, size: usize) -> Self {
        Shape { kind, size, fragment: None }
    }

    /// The same message in frames of `size` bytes.
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

/// A size as one says it: `16 B`, `1 KiB`.
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
    /// What they have in common.
    pub shape: Shape,
    /// The messages.
    pub messages: Vec<Vec<u8>>,
    /// The same compressed, if that is how they are sent.
    pub compressed: Vec<Vec<u8>>,
    pub(crate) wire: Vec<u8>,
    /// Where the messages begin in `wire`.
    pub(crate) start: usize,
    /// Where each message ends, from there.
    pub(crate) ends: Vec<usize>,
}

impl Traffic {
    /// The first messages as they are on the wire.
    #[must_use]
    pub fn first(&self, count: usize) -> &[u8] {
        &self.wire[self.start..][..self.ends[count - 1]]
    }

    /// Makes them; the same ones each time.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self::with_wire(shape, None)
    }

    /// The same messages, but what is on the wire is compressed at level 6. Nothing looks back beyond the first message, so the
    /// wire may be read again and again on one connection.
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

    /// The same at another place in memory, `by` bytes into it. How fast a processor copies depends on how the addresses
    /// lie to one another, by a factor of three; that is to be chance, not fate.
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

/// A payload of exactly `size` bytes.
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

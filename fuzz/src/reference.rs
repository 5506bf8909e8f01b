//! A reference inflater, written bit by bit from RFC 1951 and RFC 7692 7.2.2. It shares no code
//! with the inflaters under test.

use std::sync::LazyLock;

/// "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message."
pub(crate) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The part of earlier messages that a message can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takeover {
    None,
    /// The last 32 KiB of the stream. A block with BFINAL ends the stream.
    Stream,
    /// This many of the last bytes of the messages, but none before a block with BFINAL.
    History(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not a deflate stream, regardless of what follows.
    Invalid,
    /// The end is inside a block or a byte.
    Truncated,
    /// More output than the limit.
    TooBig,
}

pub(crate) struct Reference {
    takeover: Takeover,
    window: Vec<u8>,
    /// The largest distance that a message has used.
    pub(crate) max_distance: usize,
}

impl Reference {
    pub(crate) fn new(takeover: Takeover) -> Self {
        Reference { takeover, window: Vec::new(), max_distance: 0 }
    }

    /// Inflates the next message, up to the first fault.
    pub(crate) fn message(&mut self, payload: &[u8], limit: u64) -> (Vec<u8>, Result<(), Fault>) {
        let data = [payload, &TAIL].concat();
        let before = self.window.len();
        let mut stream = Stream {
            bits: Bits { bytes: &data, at: 0 },
            payload: payload.len() * 8,
            out: std::mem::take(&mut self.window),
            start: 0,
            end: usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(before),
            max_distance: self.max_distance,
        };
        let result = stream.blocks();
        let Stream { out, start, max_distance, .. } = stream;
        self.max_distance = max_distance;
        let kept = match self.takeover {
            Takeover::None => 0,
            Takeover::Stream => (out.len() - start).min(1 << 15),
            Takeover::History(limit) => (out.len() - start).min(limit),
        };
        self.window = out[out.len() - kept..].to_vec();
        (out[before..].to_vec(), result)
    }
}

struct Bits<'b> {
    bytes: &'b [u8],
    /// The position, in bits.
    at: usize,
}

impl Bits<'_> {
    /// Takes up to 16 bits.
    fn take(&mut self, count: usize) -> Result<usize, Fault> {
        if self.at + count > self.bytes.len() * 8 {
            return Err(Fault::Truncated);
        }
        let value = self.peek() & ((1 << count) - 1);
        self.at += count;
        Ok(value)
    }

    /// Returns the next 17 bits or more, with zeros after the end.
    fn peek(&self) -> usize {
        let byte = |n| self.bytes.get(self.at / 8 + n).map_or(0, |byte| usize::from(*byte) << (8 * n));
        (byte(0) | byte(1) | byte(2)) >> (self.at % 8)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

struct Stream<'b> {
    bits: Bits<'b>,
    /// The bit at which the message ends and the tail begins.
    payload: usize,
    /// The output. A distance may reach back to `start`.
    out: Vec<u8>,
    start: usize,
    end: usize,
    max_distance: usize,
}

impl Stream<'_> {
    fn blocks(&mut self) -> Result<(), Fault> {
        let mut fresh = true;
        loop {
            // An empty message, or nothing after a block with BFINAL. Then the tail alone is half a
            // block, which is no fault.
            if fresh && self.bits.at == self.payload || self.bits.at == self.bits.bytes.len() * 8 {
                return Ok(());
            }
            let is_last = self.bits.take(1)? == 1;
            match self.bits.take(2)? {
                0 => self.stored()?,
                1 => {
                    let (symbols, distances) = &*FIXED;
                    self.coded(symbols, distances)?;
                }
                2 => {
                    let (symbols, distances) = self.tables()?;
                    self.coded(&symbols, &distances)?;
                }
                _ => return Err(Fault::Invalid),
            }
            fresh = is_last;
            if is_last {
                self.bits.align();
                self.start = self.out.len();
                // The rest of the tail is not a stream.
                if self.bits.at > self.payload && self.bits.at < self.bits.bytes.len() * 8 {
                    return Err(Fault::Truncated);
                }
            }
        }
    }

    fn stored(&mut self) -> Result<(), Fault> {
        self.bits.align();
        let length = self.bits.take(16)?;
        if self.bits.take(16)? != !length & 0xffff {
            return Err(Fault::Invalid);
        }
        let at = self.bits.at / 8;
        let present = self.bits.bytes.get(at..).unwrap_or_default();
        let present = present.get(..length).unwrap_or(present);
        // The tail may end a block, but it must not add content.
        let own = present.len().min((self.payload / 8).saturating_sub(at));
        self.bits.at += length * 8;
        self.put(&present[..own])?;
        if own < length {
            return Err(Fault::Truncated);
        }
        Ok(())
    }

    fn coded(&mut self, symbols: &Code, distances: &Code) -> Result<(), Fault> {
        loop {
            let symbol = match symbols.symbol(&mut self.bits)? {
                256 => return Ok(()),
                literal @ 0..256 => {
                    self.check_not_in_tail()?;
                    self.put(&[literal as u8])?;
                    continue;
                }
                symbol => symbol - 257,
            };
            let (base, extra) = *LENGTHS.get(symbol).ok_or(Fault::Invalid)?;
            let length = base + self.bits.take(extra)?;
            let (base, extra) = *DISTANCES.get(distances.symbol(&mut self.bits)?).ok_or(Fault::Invalid)?;
            let distance = base + self.bits.take(extra)?;
            if distance > self.out.len() - self.start {
                return Err(Fault::Invalid);
            }
            self.max_distance = self.max_distance.max(distance);
            self.check_not_in_tail()?;
            let period = self.out[self.out.len() - distance..].to_vec();
            let copy: Vec<u8> = period.into_iter().cycle().take(length).collect();
            self.put(&copy)?;
        }
    }

    fn tables(&mut self) -> Result<(Code, Code), Fault> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (symbols, distances) = (self.bits.take(5)? + 257, self.bits.take(5)? + 1);
        let count = self.bits.take(4)? + 4;
        // Like zlib, refuse to declare symbols without a meaning.
        if symbols > 286 || distances > 30 {
            return Err(Fault::Invalid);
        }
        let mut of_lengths = [0; 19];
        for &place in &ORDER[..count] {
            of_lengths[place] = self.bits.take(3)?;
        }
        if of_lengths == [0; 19] {
            // zlib reads lengths of zero to the end of the input and then misses the end of the
            // block.
            return Err(Fault::Truncated);
        }
        let code = Code::new(&of_lengths)?;
        if !code.is_complete {
            return Err(Fault::Invalid);
        }
        let mut lengths = Vec::new();
        while lengths.len() < symbols + distances {
            let (length, times) = match code.symbol(&mut self.bits)? {
                16 => {
                    let times = 3 + self.bits.take(2)?;
                    (*lengths.last().ok_or(Fault::Invalid)?, times)
                }
                17 => (0, 3 + self.bits.take(3)?),
                18 => (0, 11 + self.bits.take(7)?),
                length => (length, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        if lengths.len() > symbols + distances || lengths[256] == 0 {
            return Err(Fault::Invalid);
        }
        let (symbols, distances) = lengths.split_at(symbols);
        Ok((Code::new(symbols)?, Code::new(distances)?))
    }

    /// Fails inside the tail, which may end a block but must not add content.
    fn check_not_in_tail(&self) -> Result<(), Fault> {
        if self.bits.at > self.payload { Err(Fault::Truncated) } else { Ok(()) }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let room = self.end - self.out.len();
        self.out.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room { Err(Fault::TooBig) } else { Ok(()) }
    }
}

/// The fixed codes of RFC 1951 3.2.6. Two distances have no meaning and only make the code
/// complete.
static FIXED: LazyLock<(Code, Code)> = LazyLock::new(|| {
    let length = |symbol| match symbol {
        0..144 | 280.. => 8,
        144..256 => 9,
        _ => 7,
    };
    let lengths: Vec<usize> = (0..288).map(length).collect();
    let code = |lengths| Code::new(lengths).expect("a complete code");
    (code(&lengths), code(&[5; 32]))
});

/// A canonical code (RFC 1951 3.2.2), as a table from the next bits to a symbol and its length.
struct Code {
    table: Vec<Option<(usize, usize)>>,
    is_complete: bool,
}

impl Code {
    fn new(lengths: &[usize]) -> Result<Self, Fault> {
        let mut counts = [0; 16];
        lengths.iter().for_each(|&length| counts[length] += 1);
        counts[0] = 0;
        let mut left = 1_isize;
        for &count in &counts[1..] {
            left = left * 2 - count as isize;
            if left < 0 {
                return Err(Fault::Invalid);
            }
        }
        // Like zlib, allow an incomplete code only if it has at most one symbol, of one bit.
        if left > 0 && counts[2..].iter().any(|&count| count > 0) {
            return Err(Fault::Invalid);
        }
        let mut next = [0_usize; 16];
        for length in 1..16 {
            next[length] = (next[length - 1] + counts[length - 1]) << 1;
        }
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut table = vec![None; 1 << longest];
        for (symbol, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            // Codes are stored with their first bit first, everything else with the last.
            let first = next[length].reverse_bits() >> (usize::BITS as usize - length);
            next[length] += 1;
            table[first..].iter_mut().step_by(1 << length).for_each(|slot| *slot = Some((symbol, length)));
        }
        Ok(Code { table, is_complete: left == 0 })
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Result<usize, Fault> {
        match self.table[bits.peek() & (self.table.len() - 1)] {
            Some((symbol, length)) => {
                bits.take(length)?;
                Ok(symbol)
            }
            // At the end of the input, the fault is the missing bit.
            None => Err(bits.take(1).err().unwrap_or(Fault::Invalid)),
        }
    }
}

/// RFC 1951 3.2.5: the smallest length of each symbol, and the number of extra bits.
const LENGTHS: [(usize, usize); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// RFC 1951 3.2.5: the smallest distance of each symbol, and the number of extra bits.
const DISTANCES: [(usize, usize); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

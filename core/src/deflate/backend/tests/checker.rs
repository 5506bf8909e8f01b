//! An inflater that is independent of the backends, and returns how far back a stream refers.

use alloc::vec::Vec;

pub(super) struct Checked {
    pub(super) output: Vec<u8>,
    pub(super) max_distance: usize,
    /// Whether the last block has BFINAL.
    last: bool,
    /// Whether the last block is an empty stored block.
    empty: bool,
}

/// Inflates a message. It is valid if it ends with a BFINAL block, or if the bytes that RFC 7692
/// 7.2.2 appends complete an empty block.
pub(super) fn check_message(message: &[u8], history: &[u8]) -> Option<Vec<u8>> {
    let complete = check(message, history).filter(|checked| message.is_empty() || checked.last);
    let flushed = || check(&[message, &super::TAIL].concat(), history).filter(|checked| checked.empty);
    complete.or_else(flushed).map(|checked| checked.output)
}

/// Inflates `stream`, which may refer back to `history`, and must end with a block and on a byte
/// boundary.
pub(super) fn check(stream: &[u8], history: &[u8]) -> Option<Checked> {
    let mut bits = Bits { bytes: stream, at: 0 };
    let mut checked = Checked { output: history.to_vec(), max_distance: 0, last: false, empty: false };
    let mut start = 0;
    while bits.at < stream.len() * 8 {
        checked.last = bits.take(1)? == 1;
        checked.empty = false;
        match bits.take(2)? {
            0 => checked.empty = stored(&mut bits, &mut checked.output)? == 0,
            1 => {
                let lengths: Vec<usize> = (0..288)
                    .map(|symbol| match symbol {
                        0..144 | 280.. => 8,
                        144..256 => 9,
                        _ => 7,
                    })
                    .collect();
                coded(&mut bits, &Code::new(&lengths)?, &Code::new(&[5; 32])?, &mut checked, start)?;
            }
            2 => {
                let (symbols, distances) = tables(&mut bits)?;
                coded(&mut bits, &symbols, &distances, &mut checked, start)?;
            }
            _ => return None,
        }
        if checked.last {
            bits.align();
            start = checked.output.len();
        }
    }
    checked.output.drain(..history.len());
    (bits.at == stream.len() * 8).then_some(checked)
}

struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<usize> {
        let mut value = 0;
        for bit in 0..count {
            value |= usize::from(self.bytes.get(self.at / 8)? >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

fn stored(bits: &mut Bits<'_>, output: &mut Vec<u8>) -> Option<usize> {
    bits.align();
    let length = bits.take(16)?;
    if bits.take(16)? != !length & 0xffff {
        return None;
    }
    let at = bits.at / 8;
    output.extend_from_slice(bits.bytes.get(at..at + length)?);
    bits.at += length * 8;
    Some(length)
}

/// A canonical code: the number of symbols of each length, and the symbols in the order of their
/// codes.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Option<Self> {
        let mut counts = [0; 16];
        lengths.iter().for_each(|&length| counts[length] += 1);
        counts[0] = 0;
        let mut left = 1_isize;
        for &count in &counts[1..] {
            left = left * 2 - count as isize;
            if left < 0 {
                return None;
            }
        }
        // Like zlib: a code may have gaps only if it has no more than one symbol, of one bit.
        if left > 0 && counts[2..].iter().any(|&count| count > 0) {
            return None;
        }
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        Some(Code { counts, symbols })
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for &count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return Some(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

fn tables(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (symbols, distances, count) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    if symbols > 286 || distances > 30 {
        return None;
    }
    let mut lengths = [0; 19];
    for &symbol in &ORDER[..count] {
        lengths[symbol] = bits.take(3)?;
    }
    // Unlike the others, this code must be complete.
    let kraft: usize = lengths.iter().filter(|&&length| length > 0).map(|length| 128 >> length).sum();
    let code = Code::new(&lengths).filter(|_| kraft == 128)?;
    let mut lengths = Vec::new();
    while lengths.len() < symbols + distances {
        let (length, times) = match code.symbol(bits)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        lengths.resize(lengths.len() + times, length);
    }
    // A block without a code for its end is invalid.
    if lengths.len() > symbols + distances || lengths[256] == 0 {
        return None;
    }
    Some((Code::new(&lengths[..symbols])?, Code::new(&lengths[symbols..])?))
}

fn coded(
    bits: &mut Bits<'_>,
    symbols: &Code,
    distances: &Code,
    to: &mut Checked,
    start: usize,
) -> Option<()> {
    loop {
        let symbol = symbols.symbol(bits)?;
        match symbol {
            0..256 => to.output.push(symbol as u8),
            256 => return Some(()),
            286.. => return None,
            _ => {
                let length = match symbol - 257 {
                    code @ 0..8 => 3 + code,
                    28 => 258,
                    code => 3 + ((4 + code % 4) << (code / 4 - 1)) + bits.take(code / 4 - 1)?,
                };
                let distance = match distances.symbol(bits)? {
                    code @ 0..4 => 1 + code,
                    code @ 4..30 => 1 + ((2 + code % 2) << (code / 2 - 1)) + bits.take(code / 2 - 1)?,
                    _ => return None,
                };
                let from = to.output.len().checked_sub(distance).filter(|&from| from >= start)?;
                to.max_distance = to.max_distance.max(distance);
                for at in from..from + length {
                    to.output.push(to.output[at]);
                }
            }
        }
    }
}

//! The reader of a target's input: byte by byte from front to back, with zeros after the end. A
//! small change of the input is then a small change of the test, and seeds can be written by hand.

/// The bytes from the fuzzer.
pub(crate) struct Input<'d> {
    rest: &'d [u8],
}

impl<'d> Input<'d> {
    pub(crate) fn new(data: &'d [u8]) -> Self {
        Input { rest: data }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *byte
    }

    /// Returns a size. Half of the byte values stand for themselves, the others for a multiple of
    /// 37.
    pub(crate) fn size(&mut self) -> usize {
        match usize::from(self.byte()) {
            small @ 0..128 => small,
            large => (large - 127) * 37,
        }
    }

    /// Returns up to `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> &'d [u8] {
        let (front, rest) = self.rest.split_at(n.min(self.rest.len()));
        self.rest = rest;
        front
    }

    /// Returns up to 127 bytes. The first byte says how many.
    pub(crate) fn bytes(&mut self) -> &'d [u8] {
        let n = usize::from(self.byte() & 0x7f);
        self.take(n)
    }

    /// Returns up to 127 bytes as text. The first byte says how many.
    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub(crate) fn rest(self) -> &'d [u8] {
        self.rest
    }
}

/// A way to cut bytes into pieces.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    Whole,
    Single,
    /// Pieces of at most 3, 8, 64 or 700 bytes, chosen by this seed.
    Seeded(u8),
}

impl Cut {
    /// Returns the two extremes and a cut in between.
    pub(crate) fn all(seed: u8) -> [Cut; 3] {
        [Cut::Whole, Cut::Single, Cut::Seeded(seed)]
    }

    /// Cuts `bytes` into pieces.
    pub(crate) fn pieces(self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut state = match self {
            _ if bytes.is_empty() => return vec![Vec::new()],
            Cut::Whole => return vec![bytes.to_vec()],
            Cut::Single => return bytes.chunks(1).map(<[u8]>::to_vec).collect(),
            Cut::Seeded(seed) => u32::from(seed) << 8 | 1,
        };
        let most = [3, 8, 64, 700][state as usize >> 8 & 3];
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            // Lehmer's generator is random enough here.
            state = (u64::from(state) * 48_271 % 0x7fff_ffff) as u32;
            let (piece, after) = rest.split_at(rest.len().min(1 + state as usize % most));
            pieces.push(piece.to_vec());
            rest = after;
        }
        pieces
    }
}

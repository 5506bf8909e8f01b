//! The buffer that a connection reads into.

/// What an idle connection waits with.
const SMALL: usize = 4 << 10;

/// What a busy one reads with: 64 KiB of payload and its header.
const LARGE: usize = (64 << 10) + 64;

/// So many reads in a row that would have fitted a small buffer bring it back.
const QUIET: u8 = 16;

/// Bytes read and not taken yet. The buffer is large only while a lot comes in, so that a connection that waits holds
/// little, but a stream of data does not cost a system call for every few kilobytes.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Small reads in a row.
    quiet: u8,
    /// The last read filled the buffer.
    full: bool,
}

impl Input {
    pub(crate) fn new(unread: &[u8]) -> Self {
        Input { bytes: unread.to_vec(), end: unread.len(), ..Input::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn unread(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
    }

    /// Room for a read; what is unread is forgotten. The bytes are what an earlier read left: not zeroed again.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        (self.start, self.end) = (0, 0);
        let len = if self.full {
            LARGE
        } else if self.quiet >= QUIET || self.bytes.len() < SMALL {
            SMALL
        } else {
            self.bytes.len()
        };
        if self.bytes.len() != len {
            self.bytes = vec![0; len];
        }
        &mut self.bytes
    }

    /// `n` bytes have been read into the [`space`](Self::space).
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = n.min(self.bytes.len());
        self.full = n == self.bytes.len();
        self.quiet = if n < SMALL { self.quiet.saturating_add(1) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_when_full_and_shrinks_when_quiet() {
        let mut input = Input::default();
        assert_eq!(input.space().len(), SMALL);
        input.filled(SMALL);
        assert_eq!(input.unread().len(), SMALL);
        assert_eq!(input.space().len(), LARGE);
        input.filled(LARGE);
        for _ in 0..QUIET {
            assert_eq!(input.space().len(), LARGE);
            input.filled(10);
            assert_eq!(input.unread().len(), 10);
            input.consume(10);
        }
        assert_eq!(input.space().len(), SMALL);
        input.filled(10);
        assert_eq!(input.space().len(), SMALL);
    }

    #[test]
    fn what_was_read_before_comes_first() {
        let mut input = Input::new(b"abc");
        input.consume(1);
        assert_eq!(input.unread(), b"bc");
        input.consume(usize::MAX);
        assert_eq!(input.unread(), b"");
        assert_eq!(input.space().len(), SMALL);
    }
}

//! The buffer that a connection reads into.

/// The size for an idle connection.
const SMALL: usize = 4 << 10;

/// The size for a busy connection: 64 KiB of payload and its header.
const LARGE: usize = (64 << 10) + 64;

/// After this many reads in a row that fit a small buffer, the buffer becomes small again.
const SMALL_READS_TO_SHRINK: u8 = 16;

/// Bytes that were read and not decoded yet.
///
/// The buffer is large only while much data arrives. So an idle connection holds little memory, and
/// a stream of data does not cost a system call for every few kilobytes.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Reads in a row that fit a small buffer.
    small_reads: u8,
    /// The last read filled the buffer.
    was_filled: bool,
}

impl ReadBuffer {
    pub(crate) fn new(unread: &[u8]) -> Self {
        ReadBuffer { bytes: unread.to_vec(), end: unread.len(), ..ReadBuffer::default() }
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

    /// Discards unread bytes and returns the space for a read. It holds the bytes of an earlier
    /// read, because zeroing it again would cost time.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        (self.start, self.end) = (0, 0);
        let len = if self.was_filled {
            LARGE
        } else if self.small_reads >= SMALL_READS_TO_SHRINK || self.bytes.len() < SMALL {
            SMALL
        } else {
            self.bytes.len()
        };
        if self.bytes.len() != len {
            self.bytes = vec![0; len];
        }
        &mut self.bytes
    }

    /// Marks the first `n` bytes of the [`space`](Self::space) as unread.
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = n.min(self.bytes.len());
        self.was_filled = n == self.bytes.len();
        self.small_reads = if n < SMALL { self.small_reads.saturating_add(1) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_after_a_full_read_and_shrinks_after_small_ones() {
        let mut input = ReadBuffer::default();
        assert_eq!(input.space().len(), SMALL);
        input.filled(SMALL);
        assert_eq!(input.unread().len(), SMALL);
        assert_eq!(input.space().len(), LARGE);
        input.filled(LARGE);
        for _ in 0..SMALL_READS_TO_SHRINK {
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
    fn bytes_from_the_handshake_come_first() {
        let mut input = ReadBuffer::new(b"abc");
        input.consume(1);
        assert_eq!(input.unread(), b"bc");
        input.consume(usize::MAX);
        assert_eq!(input.unread(), b"");
        assert_eq!(input.space().len(), SMALL);
    }
}

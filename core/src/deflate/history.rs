//! The most recent bytes of a stream, before compression.

use alloc::collections::VecDeque;

/// A buffer of the last `limit` bytes. It allocates no more memory than it has needed.
#[derive(Debug)]
pub(super) struct History {
    bytes: VecDeque<u8>,
    limit: usize,
}

impl History {
    pub(super) fn new(limit: usize) -> Self {
        History { bytes: VecDeque::new(), limit }
    }

    pub(super) fn as_bytes(&mut self) -> &[u8] {
        self.bytes.make_contiguous()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let tail = bytes.get(bytes.len().saturating_sub(self.limit)..).unwrap_or_default();
        self.keep(self.limit.saturating_sub(tail.len()));
        let needed = self.bytes.len().saturating_add(tail.len());
        if needed > self.bytes.capacity() {
            // Grow geometrically, but not beyond the limit.
            let capacity = needed.saturating_mul(2).min(self.limit);
            self.bytes.reserve_exact(capacity.saturating_sub(self.bytes.len()));
        }
        self.bytes.extend(tail);
    }

    /// Discards all but the last `n` bytes.
    pub(super) fn keep(&mut self, n: usize) {
        self.bytes.drain(..self.bytes.len().saturating_sub(n));
    }
}

#[cfg(test)]
mod tests {
    use super::History;

    #[test]
    fn the_last_bytes_are_kept_at_any_part_size() {
        for limit in 0..12 {
            for step in 1..20 {
                let (mut history, all) =
                    (History::new(limit), *b"the quick brown fox jumps over the lazy dog");
                let mut seen = 0;
                for part in all.chunks(step) {
                    history.push(part);
                    seen += part.len();
                    assert_eq!(history.as_bytes(), &all[seen.saturating_sub(limit)..seen]);
                    assert!(history.bytes.capacity() <= limit.max(8));
                }
            }
        }
    }
}

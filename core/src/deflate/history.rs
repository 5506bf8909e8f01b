//! The last stretch of what has gone by, as it was before compression.

use alloc::vec::Vec;

/// At most `limit` bytes; no more memory than has been of use.
#[derive(Debug)]
pub(super) struct History {
    bytes: Vec<u8>,
    limit: usize,
}

impl History {
    pub(super) fn new(limit: usize) -> Self {
        History { bytes: Vec::new(), limit }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let tail = bytes.get(bytes.len().saturating_sub(self.limit)..).unwrap_or_default();
        let surplus = self.bytes.len().saturating_add(tail.len()).saturating_sub(self.limit);
        self.bytes.drain(..surplus.min(self.bytes.len()));
        self.bytes.reserve_exact(tail.len());
        self.bytes.extend_from_slice(tail);
    }
}

#[cfg(test)]
mod tests {
    use super::History;

    #[test]
    fn the_last_bytes_are_kept_however_they_come() {
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

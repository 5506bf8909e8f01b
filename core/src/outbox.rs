//! The queue of bytes to be written.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

/// Shared payloads of at most this many bytes are copied, because that is cheaper than a separate
/// segment.
const COPY_LIMIT: usize = 4 << 10;

/// A buffer with a larger capacity is freed when it has been written, unless it is lent.
const MAX_KEPT_CAPACITY: usize = 4 << 10;

/// The bytes to be written next, in one or more slices for a vectored write.
#[derive(Debug, Clone)]
pub struct Transmit<'a> {
    first: &'a [u8],
    shared: Option<alloc::collections::vec_deque::Iter<'a, Bytes>>,
    last: &'a [u8],
}

impl<'a> Transmit<'a> {
    /// Creates a transmit of one slice, which must not be empty.
    pub(crate) fn of_slice(slice: &'a [u8]) -> Self {
        Transmit { first: slice, shared: None, last: &[] }
    }

    /// Returns the first slice, which is never empty. A writer that writes one slice at a time
    /// needs only this.
    #[must_use]
    pub fn first(&self) -> &'a [u8] {
        self.first
    }

    /// Returns all slices in order. None of them is empty.
    pub fn slices(self) -> impl Iterator<Item = &'a [u8]> {
        let shared = self.shared.into_iter().flatten().map(|bytes| &**bytes);
        core::iter::once(self.first).chain(shared).chain(Some(self.last)).filter(|slice| !slice.is_empty())
    }
}

/// A queue of bytes that takes large payloads by reference and copies the rest into one buffer.
///
/// ```text
///   front                                                                  back
///   shared: [ Bytes ][ Bytes ] ...   buffer: [ headers and small payloads ]
///              ^ written
/// ```
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The segments before `buffer`. Boxed, because most connections never have one.
    shared: Option<Box<Shared>>,
    buffer: Vec<u8>,
    /// The bytes of the front segment that have been written.
    written: usize,
    /// The caller lent `buffer` and will reclaim it, so it must not be freed.
    is_lent: bool,
}

#[derive(Debug, Default)]
struct Shared {
    segments: VecDeque<Bytes>,
    /// The total length of the segments.
    len: usize,
}

impl Shared {
    fn push(&mut self, bytes: Bytes) {
        self.len = self.len.saturating_add(bytes.len());
        self.segments.push_back(bytes);
    }

    /// Removes the segments that end within the first `written` bytes. Returns how many of these
    /// bytes are in the segment after them.
    fn pop(&mut self, mut written: usize) -> usize {
        while let Some(front) = self.segments.front()
            && written >= front.len()
        {
            written = written.saturating_sub(front.len());
            self.len = self.len.saturating_sub(front.len());
            self.segments.pop_front();
        }
        written
    }
}

impl Outbox {
    /// Returns the length of the queue in bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let shared = self.shared.as_ref().map_or(0, |shared| shared.len);
        shared.saturating_add(self.buffer.len()).saturating_sub(self.written)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.shared.is_none() && self.buffer.len() == self.written
    }

    pub(crate) fn poll_transmit(&self) -> Option<Transmit<'_>> {
        if self.is_empty() {
            return None;
        }
        let mut shared = self.shared.as_ref().map(|shared| shared.segments.iter());
        Some(match shared.as_mut().and_then(Iterator::next) {
            Some(front) => {
                Transmit { first: front.get(self.written..).unwrap_or_default(), shared, last: &self.buffer }
            }
            None => {
                let first = self.buffer.get(self.written..).unwrap_or_default();
                Transmit { first, shared: None, last: &[] }
            }
        })
    }

    /// Removes everything, because it can no longer be written.
    pub(crate) fn discard(&mut self) {
        self.transmitted(usize::MAX);
    }

    /// Removes the first `n` bytes, because they have been written.
    pub(crate) fn transmitted(&mut self, n: usize) {
        self.written = self.written.saturating_add(n.min(self.len()));
        if let Some(shared) = &mut self.shared {
            self.written = shared.pop(self.written);
            if !shared.segments.is_empty() {
                return;
            }
            self.shared = None;
        }
        if self.is_empty() {
            self.written = 0;
            self.buffer.clear();
            if !self.is_lent && self.buffer.capacity() > MAX_KEPT_CAPACITY {
                self.buffer = Vec::new();
            }
        } else if self.written >= MAX_KEPT_CAPACITY && self.written >= self.buffer.len() / 2 {
            // Otherwise a queue that never becomes empty would keep all bytes that have ever passed
            // through it.
            self.buffer.drain(..self.written);
            self.written = 0;
        }
    }

    /// Passes the buffer to `write`, which must only append to it.
    #[inline]
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.buffer);
    }

    /// Appends `bytes`, without a copy if they are large.
    pub(crate) fn append_shared(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_LIMIT {
            return self.append(|buffer| buffer.extend_from_slice(&bytes));
        }
        let shared = self.shared.get_or_insert_default();
        if !self.buffer.is_empty() {
            shared.push(Bytes::from(core::mem::take(&mut self.buffer)));
            self.is_lent = false;
        }
        shared.push(bytes);
    }

    /// Borrows the buffer that `buffer` returns for the bytes that are queued next, unless the
    /// queue already has a buffer.
    #[inline]
    pub(crate) fn lend(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if self.buffer.capacity() == 0 {
            self.buffer = buffer();
            self.buffer.clear();
            self.is_lent = true;
        }
    }

    /// Gives the buffer back if the queue is empty.
    pub(crate) fn reclaim(&mut self) -> Option<Vec<u8>> {
        if !self.is_empty() || self.buffer.capacity() == 0 {
            return None;
        }
        self.is_lent = false;
        Some(core::mem::take(&mut self.buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes at most `step` bytes at a time until the queue is empty.
    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut wire = Vec::new();
        while let Some(transmit) = outbox.poll_transmit() {
            assert_eq!(transmit.clone().slices().map(<[u8]>::len).sum::<usize>(), outbox.len());
            let before = wire.len();
            for slice in transmit.slices() {
                wire.extend_from_slice(&slice[..slice.len().min(step - (wire.len() - before))]);
            }
            outbox.transmitted(wire.len() - before);
        }
        wire
    }

    #[test]
    fn small_and_shared_bytes_leave_in_the_order_they_were_queued_for_all_sizes_of_writes() {
        for step in [1, 2, 7, 100, 4096, 5000, 100_000] {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for round in 0..3u8 {
                outbox.append(|buffer| buffer.extend_from_slice(&[round; 10]));
                outbox.append_shared(Bytes::from(alloc::vec![100 + round; 5000]));
                outbox.append_shared(Bytes::from(alloc::vec![200 + round; 5]));
                expected.extend_from_slice(&[round; 10]);
                expected.extend_from_slice(&[100 + round; 5000]);
                expected.extend_from_slice(&[200 + round; 5]);
                if round == 1 {
                    outbox.transmitted(10);
                    expected.drain(..10);
                }
            }
            assert_eq!(drain(&mut outbox, step), expected);
            assert!(outbox.is_empty() && outbox.shared.is_none());
        }
    }

    #[test]
    fn reporting_more_bytes_as_written_than_were_queued_empties_the_queue() {
        let mut outbox = Outbox::default();
        outbox.append(|buffer| buffer.push(1));
        outbox.transmitted(usize::MAX);
        assert!(outbox.is_empty() && outbox.poll_transmit().is_none());
        outbox.append(|buffer| buffer.push(2));
        assert_eq!(drain(&mut outbox, 1), [2]);
    }

    #[test]
    fn a_large_buffer_is_freed_when_it_has_been_written() {
        let mut outbox = Outbox::default();
        outbox.append(|buffer| buffer.resize(MAX_KEPT_CAPACITY + 1, 0));
        outbox.transmitted(MAX_KEPT_CAPACITY + 1);
        assert_eq!(outbox.buffer.capacity(), 0);
    }

    #[test]
    fn a_lent_buffer_can_be_reclaimed_when_the_queue_is_empty() {
        let mut outbox = Outbox::default();
        outbox.lend(|| Vec::with_capacity(64));
        outbox.append(|buffer| buffer.push(1));
        assert!(outbox.reclaim().is_none());
        outbox.transmitted(1);
        assert!(outbox.reclaim().is_some_and(|buffer| buffer.capacity() >= 64));
        assert!(outbox.reclaim().is_none());
    }
}

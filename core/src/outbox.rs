//! The queue of bytes to be written.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

/// Shared payloads of at most this many bytes are copied, because that is cheaper than a separate
/// segment.
const COPY_LIMIT: usize = 4 << 10;

/// From this length on, the buffer grows by a quarter at a time instead of doubling, so that a
/// queue that waits takes little more memory than its length.
const DOUBLING_LIMIT: usize = 16 << 10;

/// A buffer with a larger capacity is freed when it has been written, unless it is lent.
const MAX_KEPT_CAPACITY: usize = 4 << 10;

/// A queue that waits for the peer keeps spare memory of this many bytes, or of a quarter of its
/// length.
const MAX_SPARE: usize = 512;

/// The bytes to be written next, in one or more slices for a vectored write.
#[derive(Debug, Clone)]
pub struct Transmit<'a> {
    first: &'a [u8],
    shared: Option<alloc::collections::vec_deque::Iter<'a, Segment>>,
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
        let shared = self.shared.into_iter().flatten().map(|segment| &*segment.bytes);
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
    /// The number of bytes before the mark.
    before_mark: u32,
    /// The caller lent `buffer` and will reclaim it, so it must not be freed.
    is_lent: bool,
}

#[derive(Debug, Default)]
struct Shared {
    segments: VecDeque<Segment>,
    /// The total length of the segments.
    len: usize,
    /// The total length of the guarded segments.
    guarded: usize,
}

#[derive(Debug, Clone)]
struct Segment {
    bytes: Bytes,
    /// The bytes belong to a prepared message whose owner counts them.
    is_guarded: bool,
}

impl Segment {
    fn guarded_len(&self) -> usize {
        if self.is_guarded { self.bytes.len() } else { 0 }
    }
}

impl Shared {
    fn push(&mut self, bytes: Bytes, is_guarded: bool) {
        let segment = Segment { bytes, is_guarded };
        self.len = self.len.saturating_add(segment.bytes.len());
        self.guarded = self.guarded.saturating_add(segment.guarded_len());
        self.segments.push_back(segment);
    }

    /// Removes the segments that end within the first `written` bytes. Returns how many of these
    /// bytes are in the segment after them.
    fn pop(&mut self, mut written: usize) -> usize {
        while let Some(front) = self.segments.front()
            && written >= front.bytes.len()
        {
            written = written.saturating_sub(front.bytes.len());
            self.len = self.len.saturating_sub(front.bytes.len());
            self.guarded = self.guarded.saturating_sub(front.guarded_len());
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

    /// Returns the number of queued bytes that belong to guarded messages.
    #[inline]
    pub(crate) fn guarded_len(&self) -> usize {
        self.shared.as_ref().map_or(0, |shared| {
            let front_is_guarded = shared.segments.front().is_some_and(|front| front.is_guarded);
            shared.guarded.saturating_sub(if front_is_guarded { self.written } else { 0 })
        })
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
                let first = front.bytes.get(self.written..).unwrap_or_default();
                Transmit { first, shared, last: &self.buffer }
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
        let n = n.min(self.len());
        self.written = self.written.saturating_add(n);
        self.before_mark = self.before_mark.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
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
            if !self.is_lent {
                self.buffer.shrink_to(MAX_KEPT_CAPACITY.max(self.buffer.len().saturating_mul(2)));
            }
        }
    }

    /// Moves the bytes of the buffer to memory of their own size, because they wait for the peer.
    /// Returns the buffer if it was lent.
    pub(crate) fn compact(&mut self) -> Option<Vec<u8>> {
        let written = if self.shared.is_none() { self.written } else { 0 };
        let unwritten = self.buffer.get(written..).unwrap_or_default();
        let spare = self.buffer.capacity().saturating_sub(unwritten.len());
        if spare <= (unwritten.len() / 4).max(MAX_SPARE) {
            return None;
        }
        let unwritten = unwritten.to_vec();
        let buffer = core::mem::replace(&mut self.buffer, unwritten);
        self.written = self.written.saturating_sub(written);
        core::mem::take(&mut self.is_lent).then_some(buffer)
    }

    /// Moves the mark to the end of the queue.
    pub(crate) fn mark_end(&mut self) {
        self.before_mark = u32::try_from(self.len()).unwrap_or(u32::MAX);
    }

    /// Returns whether bytes before the mark have not been written.
    #[inline]
    pub(crate) fn is_before_mark(&self) -> bool {
        self.before_mark > 0
    }

    /// Passes the buffer to `write`, which must only append to it, at most `len` bytes.
    #[inline]
    pub(crate) fn append(&mut self, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.buffer.capacity().wrapping_sub(self.buffer.len()) < len {
            self.grow(len);
        }
        write(&mut self.buffer);
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        let needed = self.buffer.len().saturating_add(len);
        let spare = if needed < DOUBLING_LIMIT { needed } else { needed / 4 };
        self.buffer.reserve_exact(len.saturating_add(spare));
    }

    /// Appends `bytes`, without a copy if they are large.
    pub(crate) fn append_shared(&mut self, bytes: Bytes, is_guarded: bool) {
        if bytes.len() <= COPY_LIMIT {
            return self.append(bytes.len(), |buffer| buffer.extend_from_slice(&bytes));
        }
        let shared = self.shared.get_or_insert_default();
        if !self.buffer.is_empty() {
            shared.push(Bytes::from(core::mem::take(&mut self.buffer)), false);
            self.is_lent = false;
        }
        shared.push(bytes, is_guarded);
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
                outbox.append(10, |buffer| buffer.extend_from_slice(&[round; 10]));
                outbox.append_shared(Bytes::from(alloc::vec![100 + round; 5000]), false);
                outbox.append_shared(Bytes::from(alloc::vec![200 + round; 5]), false);
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
        outbox.append(1, |buffer| buffer.push(1));
        outbox.transmitted(usize::MAX);
        assert!(outbox.is_empty() && outbox.poll_transmit().is_none());
        outbox.append(1, |buffer| buffer.push(2));
        assert_eq!(drain(&mut outbox, 1), [2]);
    }

    #[test]
    fn a_large_buffer_is_freed_when_it_has_been_written() {
        let mut outbox = Outbox::default();
        outbox.append(MAX_KEPT_CAPACITY + 1, |buffer| buffer.resize(MAX_KEPT_CAPACITY + 1, 0));
        outbox.transmitted(MAX_KEPT_CAPACITY + 1);
        assert_eq!(outbox.buffer.capacity(), 0);
    }

    #[test]
    fn a_long_queue_takes_a_quarter_more_memory_than_its_length() {
        let mut outbox = Outbox::default();
        for size in [1, 10, 200, 3000] {
            while outbox.len() < 100_000 {
                outbox.append(size, |buffer| buffer.resize(buffer.len() + size, 0));
                let most = (outbox.len() + outbox.len() / 4).max(2 * DOUBLING_LIMIT);
                assert!(outbox.buffer.capacity() <= most, "{} bytes", outbox.buffer.capacity());
            }
            outbox = Outbox::default();
        }
    }

    #[test]
    fn guarded_bytes_are_counted_apart_until_they_are_written() {
        let mut outbox = Outbox::default();
        outbox.append(10, |buffer| buffer.resize(10, 0));
        outbox.append_shared(Bytes::from(alloc::vec![1; 5000]), true);
        outbox.append_shared(Bytes::from(alloc::vec![2; 6000]), false);
        outbox.append_shared(Bytes::from(alloc::vec![3; 7000]), true);
        let mut counts = alloc::vec![(outbox.len(), outbox.guarded_len())];
        for n in [5, 5, 1000, 4000, 1, 5999, 6000, 1000] {
            outbox.transmitted(n);
            counts.push((outbox.len(), outbox.guarded_len()));
        }
        let guarded = [12_000, 12_000, 12_000, 11_000, 7000, 7000, 7000, 1000, 0];
        assert_eq!(counts.iter().map(|count| count.1).collect::<Vec<_>>(), guarded);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_lent_buffer_can_be_reclaimed_when_the_queue_is_empty() {
        let mut outbox = Outbox::default();
        outbox.lend(|| Vec::with_capacity(64));
        outbox.append(1, |buffer| buffer.push(1));
        assert!(outbox.reclaim().is_none());
        outbox.transmitted(1);
        assert!(outbox.reclaim().is_some_and(|buffer| buffer.capacity() >= 64));
        assert!(outbox.reclaim().is_none());
    }
}

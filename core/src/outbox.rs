//! Bytes that wait to be written.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

/// Payloads above this many bytes are queued by reference when the caller gave them away.
const COPY_LIMIT: usize = 4 << 10;

/// A buffer of our own beyond this is given back to the allocator when it has been written.
const KEEP: usize = 4 << 10;

/// What waits to be written, in order: one slice or several, for a vectored write.
#[derive(Debug, Clone)]
pub struct Transmit<'a> {
    first: &'a [u8],
    shared: Option<alloc::collections::vec_deque::Iter<'a, Bytes>>,
    last: &'a [u8],
}

impl<'a> Transmit<'a> {
    /// A transmit of one slice, which must not be empty.
    pub(crate) fn of_slice(slice: &'a [u8]) -> Self {
        Transmit { first: slice, shared: None, last: &[] }
    }

    /// The first slice; never empty. Writers that write one slice at a time need no more.
    #[must_use]
    pub fn first(&self) -> &'a [u8] {
        self.first
    }

    /// All slices in order, none of them empty.
    pub fn slices(self) -> impl Iterator<Item = &'a [u8]> {
        let shared = self.shared.into_iter().flatten().map(|bytes| &**bytes);
        core::iter::once(self.first).chain(shared).chain(Some(self.last)).filter(|slice| !slice.is_empty())
    }
}

/// ```text
///   shared: [ Bytes ][ Bytes ] ... then buffer: [ headers and small payloads ]
///             ^ written           <- the front is what has been queued first
/// ```
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Whole segments in front of `buffer`; boxed, for most connections never have one.
    shared: Option<Box<Shared>>,
    buffer: Vec<u8>,
    /// How much of the front segment has been written.
    written: usize,
    /// `buffer` is somebody's who will ask for it.
    lent: bool,
}

#[derive(Debug, Default)]
struct Shared {
    segments: VecDeque<Bytes>,
    /// Bytes in all of them.
    len: usize,
}

impl Shared {
    fn push(&mut self, bytes: Bytes) {
        self.len = self.len.saturating_add(bytes.len());
        self.segments.push_back(bytes);
    }

    /// Drops the segments that lie within the first `written` bytes; gives what of these is left over.
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
    /// Bytes that wait.
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

    /// Forgets everything: it can no longer be written.
    pub(crate) fn discard(&mut self) {
        self.transmitted(usize::MAX);
    }

    /// Forgets the first `n` bytes: they have been written.
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
            if !self.lent && self.buffer.capacity() > KEEP {
                self.buffer = Vec::new();
            }
        } else if self.written >= KEEP && self.written >= self.buffer.len() / 2 {
            // A queue that is never quite empty must not keep all that ever went through it.
            self.buffer.drain(..self.written);
            self.written = 0;
        }
    }

    /// Appends through `write`, which may only append.
    #[inline]
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.buffer);
    }

    /// Appends without a copy if it is large.
    pub(crate) fn append_shared(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_LIMIT {
            return self.append(|buffer| buffer.extend_from_slice(&bytes));
        }
        let shared = self.shared.get_or_insert_default();
        if !self.buffer.is_empty() {
            shared.push(Bytes::from(core::mem::take(&mut self.buffer)));
            self.lent = false;
        }
        shared.push(bytes);
    }

    /// Takes over an empty buffer for what is queued next, if there is none yet.
    #[inline]
    pub(crate) fn lend(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if self.buffer.capacity() == 0 {
            self.buffer = buffer();
            self.buffer.clear();
            self.lent = true;
        }
    }

    /// Gives the buffer away if nothing waits.
    pub(crate) fn reclaim(&mut self) -> Option<Vec<u8>> {
        if !self.is_empty() || self.buffer.capacity() == 0 {
            return None;
        }
        self.lent = false;
        Some(core::mem::take(&mut self.buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes at most `step` bytes at a time until nothing waits.
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
    fn small_and_shared_bytes_leave_in_the_order_they_were_queued_whatever_the_write_sizes() {
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
    fn telling_of_more_than_there_was_is_harmless() {
        let mut outbox = Outbox::default();
        outbox.append(|buffer| buffer.push(1));
        outbox.transmitted(usize::MAX);
        assert!(outbox.is_empty() && outbox.poll_transmit().is_none());
        outbox.append(|buffer| buffer.push(2));
        assert_eq!(drain(&mut outbox, 1), [2]);
    }

    #[test]
    fn a_large_buffer_is_given_back_when_it_has_been_written() {
        let mut outbox = Outbox::default();
        outbox.append(|buffer| buffer.resize(KEEP + 1, 0));
        outbox.transmitted(KEEP + 1);
        assert_eq!(outbox.buffer.capacity(), 0);
    }

    #[test]
    fn a_lent_buffer_comes_back_when_nothing_waits() {
        let mut outbox = Outbox::default();
        outbox.lend(|| Vec::with_capacity(64));
        outbox.append(|buffer| buffer.push(1));
        assert!(outbox.reclaim().is_none());
        outbox.transmitted(1);
        assert!(outbox.reclaim().is_some_and(|buffer| buffer.capacity() >= 64));
        assert!(outbox.reclaim().is_none());
    }
}

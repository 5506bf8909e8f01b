//! Buffers that belong to the thread, so that an idle connection owns none.

use std::cell::Cell;

#[cfg(feature = "server")]
use sockeye_core::Message;

/// The size of one read: 64 KiB of payload with its header. A larger buffer would not stay in the
/// cache, and a smaller one would cost more system calls.
pub(crate) const READ: usize = (64 << 10) + 64;

/// A frame that lacks at least this many bytes is read to its end and no further. So the next frame
/// begins at the front of the buffer and need not be moved there.
const EXACT: usize = 16 << 10;

/// The initial capacity of a write buffer.
const WRITE: usize = 16 << 10;

/// The largest write buffer that a thread keeps.
const KEEP_WRITE: usize = 256 << 10;

/// The largest message buffer that a thread keeps.
const KEEP_MESSAGE: usize = 128 << 10;

/// A message buffer is lent only to a message whose first part fills at least this fraction of it,
/// so that the memory of a connection stays in proportion to what it has received: a smaller
/// fraction if the message is whole, because it is delivered at once.
const LEND_MESSAGE: usize = 2;
const LEND_WHOLE_MESSAGE: usize = 8;

/// The largest buffer for unread bytes that a thread keeps.
const KEEP_REST: usize = 4 << 10;

/// Up to this many unread bytes are moved to memory of their own size before the task waits, so
/// that the memory of a connection stays in proportion to what it has not read.
const MOVE: usize = 16 << 10;

thread_local! {
    static SPARE_READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE_REST: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE_WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE_MESSAGE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes that have been read and not decoded yet.
///
/// Its memory belongs to the thread: borrowed for a read, and returned when it is empty.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The maximum number of bytes that the next read may return.
    limit: Option<usize>,
}

impl ReadBuffer {
    pub(crate) fn new(unread: &[u8]) -> Self {
        ReadBuffer { bytes: unread.to_vec(), start: 0, end: unread.len(), limit: None }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    #[inline]
    pub(crate) fn unread(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    #[cfg(feature = "server")]
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    #[inline]
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
    }

    /// Consumes `n` bytes, and releases memory before control returns to the application.
    #[inline]
    pub(crate) fn consume_and_release(&mut self, n: usize) {
        self.consume(n);
        self.release();
    }

    /// Moves the unread bytes to the front, and returns the space after them for a read.
    ///
    /// The space holds bytes of earlier reads: it is never zeroed again.
    #[inline]
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.bytes.len() < READ {
            let rest = std::mem::replace(&mut self.bytes, take_read());
            if !rest.is_empty() {
                let unread = &rest[self.start..self.end];
                self.bytes[..unread.len()].copy_from_slice(unread);
                give_rest(rest);
            }
        } else if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
        }
        (self.start, self.end) = (0, self.end - self.start);
        let space = &mut self.bytes[self.end..];
        let limit = self.limit.unwrap_or(space.len()).min(space.len());
        &mut space[..limit]
    }

    /// Returns the [`space`](Self::space), at most `most` bytes of it.
    pub(crate) fn space_up_to(&mut self, most: usize) -> &mut [u8] {
        let space = self.space();
        let len = space.len().min(most);
        &mut space[..len]
    }

    /// Limits the next read to the rest of the frame at the front, which has `len` bytes, if that
    /// rest is long.
    pub(crate) fn limit_read_to_frame(&mut self, len: Option<u64>) {
        let missing = len.and_then(|len| usize::try_from(len).ok()?.checked_sub(self.end - self.start));
        self.limit = missing.filter(|missing| *missing >= EXACT);
    }

    /// Adds `n` bytes that were read into the [`space`](Self::space).
    #[inline]
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.bytes.len());
        self.limit = None;
    }

    /// Releases memory if the frame at the front, which has `len` bytes, is complete: a handler may
    /// borrow it for a long time.
    #[cfg(feature = "server")]
    pub(crate) fn release_if_whole(&mut self, len: Option<u64>) {
        if len.is_some_and(|len| len <= (self.end - self.start) as u64) {
            self.release();
        }
    }

    /// Returns the memory to the thread and keeps no more than the unread bytes need. Call before
    /// the task waits or control returns to the application.
    #[inline]
    pub(crate) fn release(&mut self) {
        if self.bytes.len() >= READ && self.end - self.start <= MOVE {
            let rest = copy_rest(self.unread());
            let rest = ReadBuffer { start: 0, end: rest.len(), bytes: rest, limit: None };
            SPARE_READ.set(std::mem::replace(self, rest).bytes);
        } else if self.is_empty() {
            give_rest(std::mem::take(self).bytes);
        }
    }
}

#[cfg(feature = "server")]
impl ReadBuffer {
    /// Releases memory like [`release`](Self::release), also if many bytes are unread: a handler
    /// may keep them waiting for a long time.
    pub(crate) fn release_waiting(&mut self) {
        let is_waste = self.bytes.len() - self.len() > MOVE;
        if is_waste && !self.is_empty() {
            let rest = self.unread().to_vec();
            let bytes = std::mem::take(&mut self.bytes);
            if bytes.len() >= READ {
                SPARE_READ.set(bytes);
            }
            *self = ReadBuffer { start: 0, end: rest.len(), bytes: rest, limit: None };
        } else {
            self.release();
        }
    }
}

/// Takes the thread's read buffer, or allocates one.
#[inline]
fn take_read() -> Vec<u8> {
    let spare = SPARE_READ.take();
    if spare.is_empty() { vec![0; READ] } else { spare }
}

/// Copies unread bytes to memory of their own size.
#[inline]
fn copy_rest(unread: &[u8]) -> Vec<u8> {
    if unread.is_empty() || unread.len() > KEEP_REST {
        return unread.to_vec();
    }
    let mut rest = SPARE_REST.take();
    rest.clear();
    rest.extend_from_slice(unread);
    rest
}

/// Returns memory of unread bytes to the thread, unless it is large.
#[inline]
fn give_rest(rest: Vec<u8>) {
    if (1..=KEEP_REST).contains(&rest.capacity()) {
        SPARE_REST.set(rest);
    }
}

/// Takes the thread's write buffer, or allocates one.
#[inline]
pub(crate) fn take_write() -> Vec<u8> {
    let spare = SPARE_WRITE.take();
    if spare.capacity() == 0 { Vec::with_capacity(WRITE) } else { spare }
}

/// Returns a write buffer to the thread. A buffer too small to be of use does not replace the spare
/// one.
#[inline]
pub(crate) fn give_write(buffer: Vec<u8>) {
    if (WRITE..=KEEP_WRITE).contains(&buffer.capacity()) {
        SPARE_WRITE.set(buffer);
    }
}

/// Frees the large buffers of a thread that serves one connection, which waits. So many threads
/// take memory in proportion to what their connections hold.
#[cfg(feature = "server")]
pub(crate) fn trim_thread() {
    for spare in [&SPARE_WRITE, &SPARE_MESSAGE] {
        let buffer = spare.take();
        if buffer.capacity() <= WRITE {
            spare.set(buffer);
        }
    }
}

/// Takes a buffer for a message whose first part has `arrived` bytes.
pub(crate) fn take_message(arrived: usize, is_whole: bool) -> Vec<u8> {
    let spare = SPARE_MESSAGE.take();
    let fraction = if is_whole { LEND_WHOLE_MESSAGE } else { LEND_MESSAGE };
    if spare.capacity() / fraction <= arrived {
        return spare;
    }
    SPARE_MESSAGE.set(spare);
    Vec::new()
}

/// Returns the memory of a message to the thread, unless the application has kept the message.
#[cfg(feature = "server")]
pub(crate) fn give_message_memory(message: Message) {
    if let Ok(mut bytes) = message.into_bytes().try_into_mut() {
        // An empty buffer becomes a vector without a copy.
        bytes.clear();
        give_message(Vec::from(bytes));
    }
}

/// Returns a message buffer to the thread, unless it has no memory or has grown too large.
pub(crate) fn give_message(buffer: Vec<u8>) {
    if (1..=KEEP_MESSAGE).contains(&buffer.capacity()) {
        SPARE_MESSAGE.set(buffer);
    }
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use super::*;

    #[test]
    fn the_thread_of_a_waiting_connection_keeps_only_small_buffers() {
        for (capacity, kept) in [(WRITE, true), (100_000, false)] {
            give_write(Vec::with_capacity(capacity));
            give_message(Vec::with_capacity(capacity));
            trim_thread();
            assert_eq!(SPARE_WRITE.take().capacity() > 0, kept);
            assert_eq!(SPARE_MESSAGE.take().capacity() > 0, kept);
        }
    }
}

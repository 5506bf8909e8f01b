//! Buffers that belong to the thread, so that an idle connection owns none.

use std::cell::Cell;

/// One read's worth: 64 KiB of payload with its header. Larger ones fall out of the cache, smaller ones cost system calls.
pub(crate) const READ: usize = (64 << 10) + 64;

/// A frame that lacks at least this much is read to its end and no further, so that the next begins at the front of the
/// buffer and need not be moved there.
const EXACT: usize = 16 << 10;

/// What a connection starts to queue in.
const WRITE: usize = 16 << 10;

/// A write buffer that has grown beyond this is not worth keeping.
const KEEP_WRITE: usize = 256 << 10;

/// Memory of a message that came in parts is kept up to this size,
const KEEP_MESSAGE: usize = 128 << 10;

/// and lent to one whose first part is at least this fraction of it: what a connection holds stays in proportion to
/// what it has received.
const LEND_MESSAGE: usize = 8;

/// Unread bytes up to this many are moved to memory of their size when they must wait, so that what a connection
/// holds is in proportion to what it has not read.
const MOVE: usize = 16 << 10;

thread_local! {
    static SPARE_READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE_WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE_MESSAGE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes read and not taken yet. The memory is the thread's: borrowed for a read, given back when empty.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The most that the next read may bring.
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

    #[inline]
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
    }

    /// Room for a read behind what is unread, which is moved to the front for it. The bytes are what an earlier read
    /// left there: never zeroed again.
    #[inline]
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.bytes.len() < READ {
            let unread = std::mem::take(&mut self.bytes);
            self.bytes = SPARE_READ.take();
            if self.bytes.is_empty() {
                self.bytes = vec![0; READ];
            }
            let unread = &unread[self.start..self.end];
            self.bytes[..unread.len()].copy_from_slice(unread);
        } else if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
        }
        (self.start, self.end) = (0, self.end - self.start);
        let space = &mut self.bytes[self.end..];
        let limit = self.limit.unwrap_or(space.len()).min(space.len());
        &mut space[..limit]
    }

    /// What is unread is the beginning of a frame of `len` bytes.
    pub(crate) fn limit_read_to_frame(&mut self, len: Option<u64>) {
        let missing = len.and_then(|len| usize::try_from(len).ok()?.checked_sub(self.end - self.start));
        self.limit = missing.filter(|missing| *missing >= EXACT);
    }

    /// `n` bytes have been read into the [`space`](Self::space).
    #[inline]
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.bytes.len());
        self.limit = None;
    }

    /// What begins with a frame of `len` bytes is looked at where it lies, by somebody who may take long: if that frame is here
    /// whole, the memory is from now on in proportion to what is unread.
    pub(crate) fn release_if_whole(&mut self, len: Option<u64>) {
        if len.is_some_and(|len| len <= (self.end - self.start) as u64) {
            self.release();
        }
    }

    /// Gives the memory back, before the connection waits or its user goes on.
    #[inline]
    pub(crate) fn release(&mut self) {
        if self.bytes.len() >= READ && self.end - self.start <= MOVE {
            let rest = self.unread().to_vec();
            SPARE_READ.set(std::mem::take(&mut self.bytes));
            *self = ReadBuffer { start: 0, end: rest.len(), bytes: rest, limit: None };
        } else if self.is_empty() {
            *self = ReadBuffer::default();
        }
    }
}

/// A buffer to queue in.
#[inline]
pub(crate) fn take_write() -> Vec<u8> {
    let spare = SPARE_WRITE.take();
    if spare.capacity() == 0 { Vec::with_capacity(WRITE) } else { spare }
}

/// The way back; one too small to be of use must not push the spare one out.
#[inline]
pub(crate) fn give_write(buffer: Vec<u8>) {
    if (WRITE..=KEEP_WRITE).contains(&buffer.capacity()) {
        SPARE_WRITE.set(buffer);
    }
}

/// Memory to put a message together in, whose first part has `arrived` bytes.
pub(crate) fn take_message(arrived: usize) -> Vec<u8> {
    let spare = SPARE_MESSAGE.take();
    if spare.capacity() / LEND_MESSAGE <= arrived {
        return spare;
    }
    SPARE_MESSAGE.set(spare);
    Vec::new()
}

/// The way back.
pub(crate) fn give_message(buffer: Vec<u8>) {
    if buffer.capacity() <= KEEP_MESSAGE {
        SPARE_MESSAGE.set(buffer);
    }
}

//! Buffers for records. They belong to the thread, so that an idle connection owns none.

use std::cell::Cell;

/// The size of the buffer that records are read into: as much as one read of a WebSocket returns,
/// after the beginning of a record that has arrived before.
const INPUT: usize = 96 << 10;

/// The initial size of a buffer for records to be written.
const OUTPUT: usize = 34 << 10;

/// The largest output buffer that a thread keeps.
const KEEP_OUTPUT: usize = 128 << 10;

thread_local! {
    static SPARE_INPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE_OUTPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE_GATHER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The thread's buffer for a read of records. Dropping it returns it to the thread.
#[derive(Debug)]
pub struct Scratch(Vec<u8>);

impl Scratch {
    /// Takes the thread's buffer, or allocates one.
    #[must_use]
    pub fn take() -> Self {
        let spare = SPARE_INPUT.take();
        Scratch(if spare.is_empty() { vec![0; INPUT] } else { spare })
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SPARE_INPUT.set(std::mem::take(&mut self.0));
    }
}

/// Calls `f` with the thread's empty buffer for plaintext that is gathered for one record.
pub(super) fn with_gather<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut buffer = SPARE_GATHER.take();
    buffer.clear();
    let result = f(&mut buffer);
    SPARE_GATHER.set(buffer);
    result
}

/// Records that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// All of it is initialized, so that a record can be encoded into any part.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Output {
    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Removes `n` bytes that were written. Returns the memory to the thread when all are.
    pub(super) fn sent(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
        if self.start == self.end {
            let bytes = std::mem::take(&mut self.bytes);
            (self.start, self.end) = (0, 0);
            if (OUTPUT..=KEEP_OUTPUT).contains(&bytes.len()) {
                SPARE_OUTPUT.set(bytes);
            }
        }
    }

    /// Appends bytes that `encode` writes into the space that it is lent. `encode` returns their
    /// number, or `Err` with the size that it needs.
    pub(super) fn append(&mut self, mut encode: impl FnMut(&mut [u8]) -> Result<usize, usize>) {
        if self.bytes.is_empty() {
            self.bytes = SPARE_OUTPUT.take();
            if self.bytes.is_empty() {
                self.bytes = vec![0; OUTPUT];
            }
        }
        loop {
            match encode(&mut self.bytes[self.end..]) {
                Ok(n) => {
                    self.end = (self.end + n).min(self.bytes.len());
                    return;
                }
                Err(size) => self.bytes.resize(self.end + size, 0),
            }
        }
    }
}

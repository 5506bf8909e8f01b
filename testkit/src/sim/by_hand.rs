//! Operations on the end of a pipe that the test itself holds. Most of them act at once, without a
//! task.

use std::io;

use sockeye_driver::Io;

use super::pipe::{Pipe, wake};

impl Pipe {
    /// Reads to the end of the input.
    pub async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match self.read_some().await? {
                some if some.is_empty() => return Ok(all),
                some => all.extend(some),
            }
        }
    }

    /// Waits for input and reads it. Returns an empty vector at the end of the input.
    pub async fn read_some(&mut self) -> io::Result<Vec<u8>> {
        let mut some = vec![0; 1000];
        let n = std::future::poll_fn(|cx| self.poll_read(cx, &mut some)).await?;
        some.truncate(n);
        Ok(some)
    }

    /// Writes at once, even beyond the capacity.
    pub fn push(&self, bytes: &[u8]) {
        let mut tx = self.tx.lock().unwrap();
        tx.bytes.extend(bytes);
        wake(&mut tx.reader);
    }

    /// Reads up to `n` bytes without waiting.
    pub fn take(&self, n: usize) -> Vec<u8> {
        let mut rx = self.rx.lock().unwrap();
        let n = n.min(rx.bytes.len());
        let bytes = rx.bytes.drain(..n).collect();
        wake(&mut rx.writer);
        bytes
    }

    /// Reads everything without waiting.
    pub fn take_all(&self) -> Vec<u8> {
        self.take(usize::MAX)
    }

    /// Frees the memory of the pipe itself, so that the memory in use is the connection's.
    pub fn release_memory(&self) {
        for channel in [&self.rx, &self.tx] {
            let mut channel = channel.lock().unwrap();
            channel.bytes.clear();
            channel.bytes.shrink_to_fit();
        }
        self.stats.lock().unwrap().log = Vec::new();
    }

    /// Returns how many of the written bytes the peer has not read.
    #[must_use]
    pub fn unread_by_peer(&self) -> usize {
        self.tx.lock().unwrap().bytes.len()
    }

    /// Returns how many of the bytes that the peer has written wait to be read.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.rx.lock().unwrap().bytes.len()
    }

    /// Closes the writing side of this end.
    pub fn shut(&self) {
        let mut tx = self.tx.lock().unwrap();
        tx.end = true;
        wake(&mut tx.reader);
    }

    /// Makes every write of the peer fail. The other direction keeps working.
    #[must_use]
    pub fn refuse_writes(self) -> Self {
        let mut rx = self.rx.lock().unwrap();
        rx.gone = true;
        wake(&mut rx.writer);
        drop(rx);
        self
    }

    /// Resets the connection: the peer reads what was written, and then gets an error.
    pub fn reset(&self) {
        let mut tx = self.tx.lock().unwrap();
        tx.reset = true;
        wake(&mut tx.reader);
    }

    /// Returns whether the peer has closed its writing side.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.rx.lock().unwrap().end
    }
}

//! An end of a pipe in the hands of the test itself.

use std::io;

use sockeye_driver::Io;

use super::pipe::{Pipe, wake};

impl Pipe {
    /// Reads to the end.
    pub(crate) async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match self.read_some().await? {
                some if some.is_empty() => return Ok(all),
                some => all.extend(some),
            }
        }
    }

    /// Reads what there is, at least a byte; nothing at the end.
    pub(crate) async fn read_some(&mut self) -> io::Result<Vec<u8>> {
        let mut some = vec![0; 1000];
        let n = std::future::poll_fn(|cx| self.poll_read(cx, &mut some)).await?;
        some.truncate(n);
        Ok(some)
    }

    // The end as a test's own, without waiting.

    /// Writes, however much waits already.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut tx = self.tx.lock().unwrap();
        tx.bytes.extend(bytes);
        wake(&mut tx.reader);
    }

    /// Reads up to `n` bytes.
    pub(crate) fn take(&self, n: usize) -> Vec<u8> {
        let mut rx = self.rx.lock().unwrap();
        let n = n.min(rx.bytes.len());
        let bytes = rx.bytes.drain(..n).collect();
        wake(&mut rx.writer);
        bytes
    }

    pub(crate) fn take_all(&self) -> Vec<u8> {
        self.take(usize::MAX)
    }

    /// Gives the memory back that the pipe itself takes, so that what is left is the connection's.
    pub(crate) fn forget(&self) {
        for channel in [&self.rx, &self.tx] {
            let mut channel = channel.lock().unwrap();
            channel.bytes.clear();
            channel.bytes.shrink_to_fit();
        }
        self.stats.lock().unwrap().log = Vec::new();
    }

    /// How much of what was written the other end has not read.
    pub(crate) fn unread_by_other(&self) -> usize {
        self.tx.lock().unwrap().bytes.len()
    }

    /// Closes this end's side.
    pub(crate) fn shut(&self) {
        let mut tx = self.tx.lock().unwrap();
        tx.end = true;
        wake(&mut tx.reader);
    }

    /// Reads no more: what the other end writes fails. Nothing ends in the other direction.
    pub(crate) fn deaf(self) -> Self {
        self.rx.lock().unwrap().gone = true;
        self
    }

    /// Breaks the line behind what has been written.
    pub(crate) fn reset(&self) {
        let mut tx = self.tx.lock().unwrap();
        tx.reset = true;
        wake(&mut tx.reader);
    }

    /// Whether the other end has closed its side.
    pub(crate) fn is_shut(&self) -> bool {
        self.rx.lock().unwrap().end
    }
}

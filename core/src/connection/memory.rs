//! Lending a connection the memory for its queue.

use alloc::vec::Vec;

use super::Connection;

impl Connection {
    /// Lends an empty buffer for the queue, so that one buffer can serve many connections. `buffer`
    /// is called only if the connection has none. Take it back with
    /// [`reclaim_buffer`](Connection::reclaim_buffer).
    #[inline]
    pub fn lend_buffer(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        self.sender.lend_buffer(buffer);
    }

    /// Takes the queue's buffer back if the queue is empty. An idle connection then owns no memory.
    pub fn reclaim_buffer(&mut self) -> Option<Vec<u8>> {
        self.sender.reclaim_buffer()
    }
}

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

    /// Notifies the connection that the transport takes no more bytes for now, because the peer
    /// does not read. Returns the lent buffer if the queue moves to memory of its own.
    ///
    /// The queue then takes at most a quarter more memory than its bytes, or 512 bytes more. Until it is empty, it holds one pong
    /// at most, and of further pings only the latest is answered (RFC 6455 section 5.5.3). So a peer
    /// that sends pings without reading makes its connection hold next to nothing. Without this
    /// notification, pings are answered up to
    /// [`Config::high_water_mark`](crate::Config#structfield.high_water_mark).
    pub fn handle_blocked(&mut self) -> Option<Vec<u8>> {
        self.sender.handle_blocked()
    }
}

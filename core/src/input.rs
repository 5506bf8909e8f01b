//! The bytes that the caller lends for reading.

use core::fmt;

/// Bytes received from the peer, lent to the core and consumed from the front.
///
/// The core takes what it understands; the events it returns borrow those bytes (unmasked in place), not
/// the connection and not this view, so an answer can be sent while a payload is still in hand:
///
/// ```text
///   the caller's buffer   [ frame ][ frame ][ fra ]
///   RecvBuf::new           ^ remaining ...........
///   poll_event             └─ Event ─┘^ remaining .   (the event lives on its own)
/// ```
///
/// An open connection drains it: what is left of a cut frame is kept by the connection, so a buffer can
/// be reused for the next read as soon as it [`is_empty`](RecvBuf::is_empty). A handshake stops behind its
/// head and leaves the frames that follow for the connection.
#[derive(Default)]
pub struct RecvBuf<'a> {
    rest: &'a mut [u8],
    consumed: usize,
}

impl<'a> RecvBuf<'a> {
    /// Lends `bytes`, just as they came from the transport.
    #[must_use]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        RecvBuf { rest: bytes, consumed: 0 }
    }

    /// How many bytes have been taken so far.
    #[must_use]
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// The bytes not taken yet.
    #[must_use]
    pub fn remaining(&self) -> &[u8] {
        self.rest
    }

    /// Whether everything has been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes up to `n` bytes from the front.
    pub fn take(&mut self, n: usize) -> &'a mut [u8] {
        let n = n.min(self.rest.len());
        let (front, rest) = core::mem::take(&mut self.rest).split_at_mut(n);
        self.rest = rest;
        self.consumed = self.consumed.wrapping_add(n);
        front
    }

    /// Takes everything that is left.
    pub fn take_all(&mut self) -> &'a mut [u8] {
        self.take(usize::MAX)
    }
}

impl fmt::Debug for RecvBuf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBuf")
            .field("consumed", &self.consumed)
            .field("remaining", &self.rest.len())
            .finish()
    }
}

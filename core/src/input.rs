//! Received bytes, which the caller lends to the core.

use core::fmt;

/// Bytes received from the peer, which the caller lends and the core consumes from the front.
///
/// The events that the core returns borrow these bytes, unmasked in place. They borrow neither the
/// connection nor the `RecvBuf`, so an answer can be sent while its payload is still borrowed:
///
/// ```text
///   the caller's buffer   [ frame ][ frame ][ fra ]
///   RecvBuf::new           ^ remaining ...........
///   poll_event             └─ Event ─┘^ remaining .
/// ```
///
/// ```
/// use sockeye_core::RecvBuf;
///
/// let mut bytes = *b"GET / HTTP/1.1";
/// let mut input = RecvBuf::new(&mut bytes);
/// assert_eq!(input.take(4), b"GET ");
/// assert_eq!((input.consumed(), input.remaining()), (4, &b"/ HTTP/1.1"[..]));
/// ```
///
/// An open connection takes everything and keeps a partial frame itself, so the buffer can be
/// reused for the next read when the `RecvBuf` [`is_empty`](RecvBuf::is_empty). A handshake stops
/// after its head and leaves the frames that follow for the connection.
#[derive(Default)]
pub struct RecvBuf<'a> {
    rest: &'a mut [u8],
    consumed: usize,
}

impl<'a> RecvBuf<'a> {
    /// Lends `bytes`, as they were read from the transport.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        RecvBuf { rest: bytes, consumed: 0 }
    }

    /// Returns how many bytes have been taken so far.
    #[must_use]
    #[inline]
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// Returns the bytes that have not been taken yet.
    #[must_use]
    pub fn remaining(&self) -> &[u8] {
        self.rest
    }

    /// Returns whether all bytes have been taken.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes up to `n` bytes from the front.
    #[inline]
    pub fn take(&mut self, n: usize) -> &'a mut [u8] {
        let n = n.min(self.rest.len());
        let (front, rest) = core::mem::take(&mut self.rest).split_at_mut(n);
        self.rest = rest;
        self.consumed = self.consumed.wrapping_add(n);
        front
    }

    /// Takes all remaining bytes.
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

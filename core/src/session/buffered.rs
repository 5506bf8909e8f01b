//! A session with an input buffer, and reads and writes that the caller passes as closures.

use alloc::vec::Vec;
use core::fmt;

use super::{Session, SessionEvent};
use crate::RecvBuf;

/// The default of [`InputBuffer::with_read_size`].
const READ_SIZE: usize = 16 << 10;

/// Bytes that have been received and that the session has not processed yet.
///
/// [`Session::read_with`] reads into this buffer, and [`Session::poll_event_from`] takes events out
/// of it. Use one for each session. While it is empty and a read has to wait, it owns no memory.
///
/// To lend the session a buffer of your own instead, use [`RecvBuf`] and
/// [`Session::poll_event`].
///
/// ```
/// use std::sync::Arc;
///
/// use sockeye_core::Config;
/// use sockeye_core::handshake::server::Policy;
/// use sockeye_core::session::{InputBuffer, Session, SessionEvent};
///
/// // The transport: its input and its output.
/// let mut received = &b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\
///     \x81\x82\0\0\0\0hi"[..];
/// let mut sent = Vec::new();
///
/// use std::io::{Read, Write};
/// let (mut session, mut input) = (Session::server(Arc::new(Config::new())), InputBuffer::new());
/// loop {
///     while let Some(event) = session.poll_event_from(&mut input) {
///         match event {
///             SessionEvent::Upgrade(upgrade) => session.decide(upgrade, &Policy::new()),
///             SessionEvent::Message(message) => {
///                 let message = message.into_message();
///                 session.send(message)?;
///             }
///             _ => {}
///         }
///     }
///     let has_written = session.write_with(|bytes| sent.write(bytes))?;
///     if !has_written && !session.read_with(&mut input, |space| received.read(space))? {
///         break;
///     }
/// }
/// assert!(sent.starts_with(b"HTTP/1.1 101 ") && sent.ends_with(b"\r\n\r\n\x81\x02hi"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct InputBuffer {
    /// The unprocessed bytes from `start` to `end`, and space for the next read.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    read_size: usize,
}

impl InputBuffer {
    /// Creates an empty buffer for reads of up to 16 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_read_size(READ_SIZE)
    }

    /// Creates an empty buffer for reads of up to `bytes`. 0 counts as 1.
    #[must_use]
    pub fn with_read_size(bytes: usize) -> Self {
        InputBuffer { bytes: Vec::new(), start: 0, end: 0, read_size: bytes.max(1) }
    }

    /// Appends received bytes, for transports that return their own buffers, and for bytes that an
    /// HTTP library has read ahead.
    pub fn extend_from_slice(&mut self, received: &[u8]) {
        self.bytes.truncate(self.end);
        self.bytes.drain(..self.start.min(self.end));
        self.bytes.extend_from_slice(received);
        (self.start, self.end) = (0, self.bytes.len());
    }

    /// Returns the unprocessed bytes.
    #[must_use]
    pub fn remaining(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns whether all bytes have been processed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Fills the empty buffer by one read. An error of the read frees the memory: the transport has
    /// no more bytes at the moment.
    fn fill<E>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        if self.bytes.len() < self.read_size {
            self.bytes = alloc::vec![0; self.read_size];
        }
        match read(&mut self.bytes) {
            Ok(n) => {
                (self.start, self.end) = (0, n.min(self.bytes.len()));
                Ok(n)
            }
            Err(error) => {
                *self = Self::with_read_size(self.read_size);
                Err(error)
            }
        }
    }

    /// Frees a buffer that is empty and larger than a read needs.
    fn shrink(&mut self) {
        if self.is_empty() && self.bytes.capacity() > self.read_size {
            *self = Self::with_read_size(self.read_size);
        }
    }
}

impl Default for InputBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for InputBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputBuffer").field("remaining", &self.remaining().len()).finish_non_exhaustive()
    }
}

/// Reading and writing with the buffer of an [`InputBuffer`]. None of these calls waits by itself:
/// the closures do the I/O.
impl Session {
    /// Returns the next event, like [`poll_event`](Session::poll_event), and keeps the unprocessed
    /// bytes in `input`.
    pub fn poll_event_from<'a, 'm>(&'m mut self, input: &'a mut InputBuffer) -> Option<SessionEvent<'a, 'm>> {
        input.shrink();
        let InputBuffer { bytes, start, end, .. } = input;
        let mut lent = RecvBuf::new(bytes.get_mut(*start..*end).unwrap_or_default());
        let event = self.poll_event(&mut lent);
        *start = start.saturating_add(lent.consumed());
        event
    }

    /// Reads into `input`: calls `read` once with space for some bytes, which returns how many it
    /// has filled. 0 reports the [end of the transport](Session::handle_eof).
    ///
    /// Returns true if the session has new input: poll events. Returns false, without a call to
    /// `read`, while reading cannot help: the session has left bytes in `input`, so that the
    /// transport slows the peer down, or the transport has ended. A loop on `poll(2)` or another
    /// level-triggered interface must not wait for input then: it would spin.
    ///
    /// # Errors
    ///
    /// Returns the error of `read`. If the transport has failed, and not just would block, call
    /// [`handle_eof`](Session::handle_eof).
    pub fn read_with<E>(
        &mut self,
        input: &mut InputBuffer,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<bool, E> {
        if self.eof || !input.is_empty() {
            return Ok(false);
        }
        if input.fill(read)? == 0 {
            self.handle_eof();
        }
        Ok(true)
    }

    /// Writes queued output: calls `write` once with some bytes, which returns how many it has
    /// written.
    ///
    /// Returns true if bytes were written. That makes room, so poll events and write again. Returns
    /// false, without a call to `write`, if nothing is queued.
    ///
    /// # Errors
    ///
    /// Returns the error of `write`. If the transport has failed, and not just would block, call
    /// [`handle_write_error`](Session::handle_write_error).
    pub fn write_with<E>(&mut self, write: impl FnOnce(&[u8]) -> Result<usize, E>) -> Result<bool, E> {
        let Some(transmit) = self.poll_transmit() else { return Ok(false) };
        let written = write(transmit.first())?;
        self.transmitted(written);
        Ok(written > 0)
    }
}

//! A stream during the opening handshake, when each side sends a head and no frames.

use std::io::{self, IoSlice};
use std::time::Duration;

use sockeye_core::Instant;
use sockeye_driver::tuning::LINGER;

use crate::clock::{is_timeout, now};
use crate::read_buffer::ReadBuffer;
use crate::stream::Stream;
use crate::transport::{Transport, try_flush, try_write};

/// A transport, and the bytes read so far.
#[derive(Debug)]
pub(crate) struct Opening<S> {
    pub(crate) transport: Transport<S>,
    pub(crate) input: ReadBuffer,
}

/// How a wait during the handshake ended.
#[derive(Debug)]
pub(crate) enum WaitOutcome {
    /// The input holds new bytes.
    Bytes,
    /// The peer has closed its side.
    Eof,
    /// The deadline has passed. Holds the current time.
    Time(Instant),
}

impl<S: Stream> Opening<S> {
    /// `write_limit` is as in [`Transport::new`].
    pub(crate) fn new(stream: S, write_limit: Duration) -> io::Result<Self> {
        Ok(Opening { transport: Transport::new(stream, write_limit)?, input: ReadBuffer::default() })
    }

    /// Waits for bytes, for EOF, or for `deadline`, which comes first if it has passed.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> io::Result<WaitOutcome> {
        loop {
            let now = now();
            if let Some(deadline) = deadline
                && deadline <= now
            {
                return Ok(WaitOutcome::Time(now));
            }
            let transport = &mut self.transport;
            let timeout = deadline.map(|deadline| deadline.since(now));
            transport.read_timeout.set(&transport.stream, timeout)?;
            match transport.stream.read(self.input.space()) {
                Ok(0) => return Ok(WaitOutcome::Eof),
                Ok(n) => {
                    self.input.filled(n);
                    return Ok(WaitOutcome::Bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) && timeout.is_some() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes all of `bytes`, within `limit`.
    pub(crate) fn write(&mut self, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
        let deadline = now() + limit;
        let stream = &mut self.transport.stream;
        loop {
            if bytes.is_empty() {
                if try_flush(stream)? {
                    return Ok(());
                }
            } else if let Some(n) = try_write(stream, &[IoSlice::new(bytes)])? {
                bytes = bytes.get(n..).unwrap_or_default();
                continue;
            }
            if deadline <= now() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Sends the final response, and closes the stream once the peer had time to read it.
    ///
    /// Closing a socket that still holds unread bytes resets the connection, and the reset can
    /// destroy the response before the peer reads it (RFC 9112 9.6). So this discards input until
    /// the peer has closed its side, for at most [`LINGER`].
    pub(crate) fn end_with(mut self, response: &[u8]) -> io::Result<()> {
        let deadline = now() + LINGER;
        self.write(response, LINGER)?;
        // This fails if the peer is gone. The read reports that.
        let _ = self.transport.stream.shutdown_write();
        if !self.transport.has_timeouts {
            return Ok(());
        }
        while let WaitOutcome::Bytes = self.wait(Some(deadline))? {}
        Ok(())
    }
}

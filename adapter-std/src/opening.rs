//! A stream during the opening handshake: no frames yet, one head each way.

use std::io::{self, IoSlice};
use std::time::Duration;

use sockeye_core::Instant;

use crate::clock::{is_timeout, now};
use crate::input::Input;
use crate::link::{Wire, flush_some, write_some};
use crate::stream::Stream;

/// How long a refused peer may take to read why, before the stream is dropped under it.
const LINGER: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Opening<S> {
    pub(crate) wire: Wire<S>,
    pub(crate) input: Input,
}

/// What a wait during the handshake ended with.
#[derive(Debug)]
pub(crate) enum Waited {
    Bytes,
    Eof,
    /// The deadline has come; this is the time.
    Time(Instant),
}

impl<S: Stream> Opening<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> io::Result<Self> {
        Ok(Opening { wire: Wire::new(stream, limit)?, input: Input::default() })
    }

    /// Waits for bytes, their end, or `deadline`.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Waited> {
        loop {
            let now = now();
            if let Some(deadline) = deadline
                && deadline <= now
            {
                return Ok(Waited::Time(now));
            }
            let wire = &mut self.wire;
            let timeout = deadline.map(|deadline| deadline.since(now));
            wire.read_timeout.set(&wire.stream, timeout)?;
            match wire.stream.read(self.input.space()) {
                Ok(0) => return Ok(Waited::Eof),
                Ok(n) => {
                    self.input.filled(n);
                    return Ok(Waited::Bytes);
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
        let stream = &mut self.wire.stream;
        loop {
            if bytes.is_empty() {
                if flush_some(stream)? {
                    return Ok(());
                }
            } else if let Some(n) = write_some(stream, &[IoSlice::new(bytes)])? {
                bytes = bytes.get(n..).unwrap_or_default();
                continue;
            }
            if deadline <= now() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Sends the last word and sees to it that the peer can read it: closing a socket with unread bytes in it would
    /// reset the connection and take the answer away (RFC 9112 9.6).
    pub(crate) fn end_with(mut self, response: &[u8]) -> io::Result<()> {
        let deadline = now() + LINGER;
        self.write(response, LINGER)?;
        // It may fail because the peer has gone: the read will tell.
        let _ = self.wire.stream.shutdown_write();
        if !self.wire.is_timed {
            return Ok(());
        }
        while let Waited::Bytes = self.wait(Some(deadline))? {}
        Ok(())
    }
}

//! A transport during the opening handshake, when each side sends a head and no frames.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use sockeye_core::Instant;

use crate::engine::buffer::ReadBuffer;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{self as runtime, Clock, Io};
use crate::tuning::{LINGER, READS_IN_A_ROW};

/// A transport, a clock, and the bytes read so far.
#[derive(Debug)]
pub(crate) struct Opening<I, C> {
    pub(crate) io: I,
    pub(crate) clock: C,
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

impl<I: Io, C: Clock> Opening<I, C> {
    pub(crate) fn new(io: I, clock: C) -> Self {
        Opening { io, clock, input: ReadBuffer::default() }
    }

    /// Waits for bytes, for EOF, or for `deadline`, which comes first if it has passed.
    pub(crate) fn poll_wait(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Option<Instant>,
    ) -> Poll<io::Result<WaitOutcome>> {
        if let Some(deadline) = deadline {
            let now = self.clock.now();
            if deadline <= now {
                return Poll::Ready(Ok(WaitOutcome::Time(now)));
            }
        }
        loop {
            match self.io.poll_read(cx, self.input.space()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(WaitOutcome::Eof)),
                Poll::Ready(Ok(n)) => {
                    self.input.filled(n);
                    return Poll::Ready(Ok(WaitOutcome::Bytes));
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.input.release();
                    let Some(deadline) = deadline else { return Poll::Pending };
                    let now = ready!(poll_deadline(&mut self.clock, cx, deadline));
                    return Poll::Ready(Ok(WaitOutcome::Time(now)));
                }
            }
        }
    }

    /// Writes `bytes` from `written` on, adds to `written`, and flushes at the end.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
            match ready!(self.io.poll_write(cx, &[IoSlice::new(rest)])) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => *written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        runtime::poll_flush(&mut self.io, cx)
    }

    /// Sends the final response, and closes the transport once the peer had time to read it.
    ///
    /// Closing a socket that still holds unread bytes resets the connection, and the reset can
    /// destroy the response before the peer reads it (RFC 9112 9.6). So this discards input until
    /// the peer has closed its side, for at most [`LINGER`].
    pub(crate) async fn end_with(mut self, response: &[u8]) -> io::Result<()> {
        let deadline = self.clock.now() + LINGER;
        let (mut written, mut is_closed, mut is_eof) = (0, false, false);
        self.input.consume(usize::MAX);
        poll_fn(|cx| {
            if !is_closed && self.poll_write(cx, response, &mut written)?.is_ready() {
                is_closed = runtime::poll_close(&mut self.io, cx).is_ready();
            }
            for _ in 0..READS_IN_A_ROW {
                if is_eof && is_closed {
                    return Poll::Ready(Ok(()));
                }
                // A peer that has closed its side may still read: wait for the write only.
                let waited = if is_eof {
                    poll_deadline(&mut self.clock, cx, deadline).map(|now| Ok(WaitOutcome::Time(now)))
                } else {
                    self.poll_wait(cx, Some(deadline))
                };
                match ready!(waited)? {
                    WaitOutcome::Bytes => self.input.consume(usize::MAX),
                    WaitOutcome::Eof => is_eof = true,
                    WaitOutcome::Time(_) => return Poll::Ready(Ok(())),
                }
            }
            // A peer that never pauses must not keep other tasks from running.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

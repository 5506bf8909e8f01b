//! A transport during the opening handshake: no frames yet, one head each way.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sockeye_core::Instant;

use crate::engine::buffer::ReadBuffer;
use crate::engine::link::READS_IN_A_ROW;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};

/// How long a refused peer may take to read why, before the transport is dropped under it.
const LINGER: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Opening<I, C> {
    pub(crate) io: I,
    pub(crate) clock: C,
    pub(crate) input: ReadBuffer,
}

/// What a wait during the handshake ended with.
#[derive(Debug)]
pub(crate) enum WaitOutcome {
    Bytes,
    Eof,
    /// The deadline has come; this is the time.
    Time(Instant),
}

impl<I: Io, C: Clock> Opening<I, C> {
    pub(crate) fn new(io: I, clock: C) -> Self {
        Opening { io, clock, input: ReadBuffer::default() }
    }

    /// Waits for bytes, their end, or `deadline`.
    pub(crate) fn poll_wait(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Option<Instant>,
    ) -> Poll<io::Result<WaitOutcome>> {
        loop {
            if let Some(deadline) = deadline {
                let now = self.clock.now();
                if deadline <= now {
                    return Poll::Ready(Ok(WaitOutcome::Time(now)));
                }
            }
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

    /// Writes all of `bytes`, from `written` on, and flushes.
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
        loop {
            match self.io.poll_flush(cx) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                flushed => return flushed,
            }
        }
    }

    /// Sends the last word and sees to it that the peer can read it: closing a socket with unread bytes in it would
    /// reset the connection and take the answer away (RFC 9112 9.6).
    pub(crate) async fn end_with(mut self, response: &[u8]) -> io::Result<()> {
        let deadline = self.clock.now() + LINGER;
        let (mut written, mut shut, mut eof) = (0, false, false);
        self.input.consume(usize::MAX);
        poll_fn(|cx| {
            if !shut && self.poll_write(cx, response, &mut written)?.is_ready() {
                shut = poll_close(&mut self.io, cx).is_ready();
            }
            for _ in 0..READS_IN_A_ROW {
                // A peer that has said all it has to say may still read.
                if eof && shut {
                    return Poll::Ready(Ok(()));
                }
                let waited = if eof {
                    poll_deadline(&mut self.clock, cx, deadline).map(|now| Ok(WaitOutcome::Time(now)))
                } else {
                    self.poll_wait(cx, Some(deadline))
                };
                match ready!(waited)? {
                    WaitOutcome::Bytes => self.input.consume(usize::MAX),
                    WaitOutcome::Eof => eof = true,
                    WaitOutcome::Time(_) => return Poll::Ready(Ok(())),
                }
            }
            // It talks on and on: others are to have their turn.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

/// Closes this end's side. It may fail because the peer has gone: the read will tell.
pub(crate) fn poll_close<I: Io>(io: &mut I, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        match ready!(io.poll_close(cx)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return Poll::Ready(()),
        }
    }
}

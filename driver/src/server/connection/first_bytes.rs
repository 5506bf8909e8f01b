//! Waiting for the first bytes of a client. Until they arrive, a connection has no session, so that
//! silent clients take little memory.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use sockeye_core::Instant;
use sockeye_core::session::Session;

use crate::engine::buffer::ReadBuffer;
use crate::handshake::opening::Opening;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};

/// A transport whose client has not begun a request.
pub(crate) struct Silent<I, C> {
    io: I,
    clock: C,
    input: ReadBuffer,
    since: Instant,
    is_eof: bool,
}

impl<I: Io, C: Clock> Silent<I, C> {
    /// `input` holds the bytes that followed a header of a proxy.
    pub(crate) fn new(io: I, clock: C, input: ReadBuffer) -> Self {
        let since = clock.now();
        Silent { io, clock, input, since, is_eof: false }
    }

    /// Waits until bytes have arrived, the transport has ended, or `deadline` has passed.
    pub(crate) async fn first_bytes(&mut self, deadline: Instant) -> io::Result<()> {
        poll_fn(|cx| self.poll_first_bytes(cx, deadline)).await
    }

    fn poll_first_bytes(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Result<()>> {
        if !self.input.is_empty() {
            return Poll::Ready(Ok(()));
        }
        loop {
            match self.io.poll_read(cx, self.input.space()) {
                Poll::Ready(Ok(n)) => {
                    self.input.filled(n);
                    self.is_eof = n == 0;
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.input.release();
                    return poll_deadline(&mut self.clock, cx, deadline).map(|_| Ok(()));
                }
            }
        }
    }

    /// Returns when the client connected.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Begins the session, which acts on what has happened. Its deadlines count the time that has
    /// passed before.
    pub(crate) fn begin(self, mut session: Session) -> Opening<I, C> {
        session.handle_timeout(self.since);
        if self.is_eof {
            session.handle_eof();
        }
        Opening::with_input(session, self.io, self.clock, self.input, self.is_eof)
    }
}

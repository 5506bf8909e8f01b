//! A transport until its WebSocket is open, or until it has been refused.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use sockeye_core::handshake::server::Upgrade;
use sockeye_core::http::Request;
#[cfg(feature = "server")]
use sockeye_core::http::Response;
use sockeye_core::session::{BodyFailure, OpenError, Opened, Session, SessionEvent};
use sockeye_core::{Connection, Instant, RecvBuf};

use crate::engine::buffer::ReadBuffer;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{self as runtime, Clock, Io, poll_read};
use crate::tuning::{LINGER, TURN_READ, TURN_WORK};

/// Drives a [`Session`] over a transport. The session implements all rules.
#[derive(Debug)]
pub(crate) struct Opening<I, C> {
    pub(crate) session: Session,
    io: I,
    clock: C,
    input: ReadBuffer,
    /// The bytes of a request's body that have arrived.
    pub(crate) body: Vec<u8>,
    is_eof: bool,
    is_closed: bool,
    /// The transport has accepted bytes since its last flush.
    needs_flush: bool,
    /// The deadline for closing this side, set when the session ends.
    close_deadline: Option<Instant>,
    /// The bytes that were read since the task last waited or yielded.
    read_in_turn: u32,
    /// The bytes that the transport has accepted.
    written: u64,
    /// The error that ended writing. The peer may have sent something before, so reading continues.
    write_error: Option<io::Error>,
    /// The error that ended reading, found by [`poll_peer_end`](Opening::poll_peer_end).
    read_error: Option<io::Error>,
    #[cfg(feature = "server")]
    meter: Option<Meter>,
}

/// Counts the bytes that a connection holds before it waits. Returns false if the connection must
/// end, because the server has no memory left.
#[cfg(feature = "server")]
pub(crate) struct Meter(pub(crate) Box<dyn FnMut(usize) -> bool + Send>);

#[cfg(feature = "server")]
impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meter")
    }
}

/// The length of the input at which [`Opening::poll_peer_end`] stops reading.
#[cfg(feature = "server")]
const READ_AHEAD: usize = 16 << 10;

/// An event of the session that does not borrow the input.
#[derive(Debug)]
#[cfg_attr(not(feature = "server"), expect(dead_code, reason = "only servers answer plain HTTP"))]
pub(crate) enum OpeningEvent {
    Upgrade(Upgrade),
    Request(Request),
    /// The body is complete, in [`Opening::body`].
    BodyEnd,
    BodyFailed(BodyFailure),
    Open(Opened),
    NotOpened(OpenError),
    Ended,
}

impl<I: Io, C: Clock> Opening<I, C> {
    pub(crate) fn new(session: Session, io: I, clock: C) -> Self {
        Self::with_input(session, io, clock, ReadBuffer::default(), false)
    }

    /// Continues with bytes that have been read, or with a transport that has ended.
    pub(crate) fn with_input(session: Session, io: I, clock: C, input: ReadBuffer, is_eof: bool) -> Self {
        Opening {
            session,
            io,
            clock,
            input,
            body: Vec::new(),
            is_eof,
            is_closed: false,
            needs_flush: false,
            close_deadline: None,
            read_in_turn: 0,
            written: 0,
            write_error: None,
            read_error: None,
            #[cfg(feature = "server")]
            meter: None,
        }
    }

    /// Counts the bytes that wait for the rest of a request, if there is a meter.
    #[cfg(feature = "server")]
    pub(crate) fn set_meter(&mut self, meter: Option<Meter>) {
        self.meter = meter;
    }

    /// Waits for the next event, like [`poll_event`](Opening::poll_event).
    pub(crate) async fn next_event(&mut self) -> io::Result<OpeningEvent> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Waits for the next event: writes what is queued, reads, and enforces the session's
    /// deadlines.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<OpeningEvent>> {
        loop {
            if let Some(deadline) = self.close_deadline {
                if runtime::poll_close(&mut self.io, cx).is_pending() {
                    ready!(poll_deadline(&mut self.clock, cx, deadline));
                }
                self.clock.cancel();
                return Poll::Ready(Ok(OpeningEvent::Ended));
            }
            match self.take_event() {
                // The peer may still wait for the end of the response.
                Some(OpeningEvent::Ended) if !self.is_closed && self.write_error.is_none() => {
                    self.close_deadline = Some(self.clock.now() + LINGER);
                    continue;
                }
                Some(event) => {
                    self.clock.cancel();
                    return Poll::Ready(Ok(event));
                }
                None => {}
            }
            if self.read_in_turn >= TURN_WORK {
                // A peer that never pauses must not keep other tasks from running.
                self.yield_now(cx);
                return Poll::Pending;
            }
            let had_output = self.session.poll_transmit().is_some();
            let is_written = self.poll_write(cx).is_ready();
            if is_written && had_output {
                // The session may have left input for which there is room now.
                continue;
            }
            if is_written && self.session.wants_shutdown() && !self.is_closed {
                self.is_closed = runtime::poll_close(&mut self.io, cx).is_ready();
            }
            match self.poll_input(cx)? {
                Poll::Ready(()) => {}
                Poll::Pending => {
                    self.read_in_turn = 0;
                    self.input.release();
                    #[cfg(feature = "server")]
                    if !self.count_held() {
                        continue;
                    }
                    ready!(self.poll_timer(cx));
                }
            }
        }
    }

    /// Ends the turn of the task, like [`Clock::yield_now`]. The caller returns `Pending`.
    pub(crate) fn yield_now(&mut self, cx: &mut Context<'_>) {
        self.read_in_turn = 0;
        self.clock.yield_now(cx);
    }

    /// Counts the bytes that wait here for the rest of a request. Refuses the request and returns
    /// false if the server has no memory left for it.
    #[cfg(feature = "server")]
    fn count_held(&mut self) -> bool {
        let Some(Meter(meter)) = &mut self.meter else { return true };
        let held = self.input.len() + self.body.len() + self.session.received_head();
        if meter(held) {
            return true;
        }
        meter(0);
        self.meter = None;
        self.input.consume(usize::MAX);
        self.body = Vec::new();
        self.session.reject(Response::text(503, "the server has no memory left; try again later\n"));
        false
    }

    /// Takes the next event out of the bytes that have arrived.
    fn take_event(&mut self) -> Option<OpeningEvent> {
        let mut view = RecvBuf::new(self.input.unread());
        let event = loop {
            break match self.session.poll_event(&mut view) {
                None => None,
                Some(SessionEvent::Body(part)) => {
                    self.body.extend_from_slice(part);
                    continue;
                }
                Some(SessionEvent::Upgrade(upgrade)) => Some(OpeningEvent::Upgrade(upgrade)),
                Some(SessionEvent::Request(request)) => Some(OpeningEvent::Request(request)),
                Some(SessionEvent::BodyEnd) => Some(OpeningEvent::BodyEnd),
                Some(SessionEvent::BodyFailed(failure)) => Some(OpeningEvent::BodyFailed(failure)),
                Some(SessionEvent::Open(opened)) => Some(OpeningEvent::Open(opened)),
                Some(SessionEvent::NotOpened(error)) => Some(OpeningEvent::NotOpened(error)),
                // The connection leaves the session when it opens, so there are no messages.
                Some(_) => Some(OpeningEvent::Ended),
            };
        };
        let used = view.consumed();
        self.input.consume(used);
        event
    }

    /// Reads, unless a deadline has passed or more input cannot help. Returns `Ready` if the
    /// session must be polled again.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        if let Some(deadline) = self.session.poll_timeout() {
            let now = self.clock.now();
            if deadline <= now {
                self.session.handle_timeout(now);
                return Ok(Poll::Ready(()));
            }
        }
        // If the session has left input, it needs room and not more input. After EOF every read
        // would return EOF again.
        if self.is_eof || !self.input.is_empty() {
            return Ok(Poll::Pending);
        }
        if let Some(error) = self.read_error.take() {
            return Err(error);
        }
        match poll_read(&mut self.io, cx, self.input.space()) {
            Poll::Ready(Ok(0)) => {
                self.is_eof = true;
                self.session.handle_eof();
            }
            Poll::Ready(Ok(n)) => {
                let cost = u32::try_from(n).unwrap_or(u32::MAX).max(TURN_READ);
                self.read_in_turn = self.read_in_turn.saturating_add(cost);
                self.input.filled(n);
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => return Ok(Poll::Pending),
        }
        Ok(Poll::Ready(()))
    }

    /// Waits for the session's next deadline.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.session.poll_timeout() else { return Poll::Pending };
        let now = ready!(poll_deadline(&mut self.clock, cx, deadline));
        self.session.handle_timeout(now);
        Poll::Ready(())
    }

    /// Writes and flushes everything that the session has queued. Keeps an error in `write_error`.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let result = self.poll_write_and_flush(cx);
        if let Poll::Ready(Err(error)) = result {
            self.session.handle_write_error();
            self.write_error = Some(error);
            self.needs_flush = false;
            return Poll::Ready(());
        }
        result.map(drop)
    }

    fn poll_write_and_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(transmit) = self.session.poll_transmit() {
            match ready!(self.io.poll_write(cx, &[IoSlice::new(transmit.first())])) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.needs_flush = true;
                    self.written += n as u64;
                    self.session.transmitted(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if self.needs_flush {
            ready!(runtime::poll_flush(&mut self.io, cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes and flushes everything that is queued. Returns an error if the transport fails or
    /// `deadline` passes.
    pub(crate) async fn flush(&mut self, deadline: Instant) -> io::Result<()> {
        poll_fn(|cx| {
            if self.poll_write(cx).is_ready() {
                return Poll::Ready(self.write_error.take().map_or(Ok(()), Err));
            }
            poll_deadline(&mut self.clock, cx, deadline).map(|_| Err(io::ErrorKind::TimedOut.into()))
        })
        .await?;
        self.clock.cancel();
        Ok(())
    }

    /// Writes and flushes everything that is queued, as [`flush`](Opening::flush) does, but with a
    /// deadline of `timeout` that is set again whenever `demanded` bytes have been written.
    #[cfg(feature = "server")]
    pub(crate) async fn flush_paced(
        &mut self,
        timeout: std::time::Duration,
        demanded: u64,
    ) -> io::Result<()> {
        let (mut deadline, mut mark) = (self.now() + timeout, self.written);
        poll_fn(|cx| {
            if self.poll_write(cx).is_ready() {
                return Poll::Ready(self.write_error.take().map_or(Ok(()), Err));
            }
            if self.written - mark >= demanded.max(1) {
                (deadline, mark) = (self.now() + timeout, self.written);
            }
            poll_deadline(&mut self.clock, cx, deadline).map(|_| Err(io::ErrorKind::TimedOut.into()))
        })
        .await?;
        self.clock.cancel();
        Ok(())
    }

    /// Waits until the session has ended: the last response has been written, and the peer has had
    /// time to read it.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        if !self.session.is_ending() {
            // No response is due, so a request that arrives now would wait forever.
            self.session.abort();
        }
        while !matches!(self.next_event().await?, OpeningEvent::Ended) {}
        self.write_error.map_or(Ok(()), Err)
    }

    /// Takes the body as far as it has arrived. Returns true if that completes it.
    #[cfg(feature = "server")]
    pub(crate) fn take_arrived_body(&mut self) -> bool {
        // With an empty input, the session would send a 100 to a client that waits for one.
        !self.input.is_empty() && matches!(self.take_event(), Some(OpeningEvent::BodyEnd))
    }

    /// Waits, while the application decides, until the peer closes its side or the transport fails.
    ///
    /// Bytes that arrive before that stay in the input. At [`READ_AHEAD`] bytes this stops reading,
    /// so it no longer notices the end.
    #[cfg(feature = "server")]
    pub(crate) fn poll_peer_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = loop {
            if self.is_eof || self.read_error.is_some() {
                break Poll::Ready(());
            }
            if self.input.len() >= READ_AHEAD {
                break Poll::Pending;
            }
            match poll_read(&mut self.io, cx, self.input.space()) {
                // The next read returns the end again.
                Poll::Ready(Ok(0)) => break Poll::Ready(()),
                Poll::Ready(Ok(n)) => self.input.filled(n),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => self.read_error = Some(error),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.input.release();
        end
    }

    /// Returns whether bytes of a further request have arrived.
    #[cfg(feature = "server")]
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Frees the memory that is not needed while the application decides.
    pub(crate) fn release(&mut self) {
        self.input.release();
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Takes the error that ended writing.
    pub(crate) fn take_write_error(&mut self) -> Option<io::Error> {
        self.write_error.take()
    }

    /// Returns the open connection with its transport, clock and input. The session must have
    /// reported [`Open`](OpeningEvent::Open), and everything must have been written.
    pub(crate) fn into_open(self) -> io::Result<(Connection, I, C, ReadBuffer)> {
        if let Some(error) = self.read_error {
            return Err(error);
        }
        match self.session.into_connection() {
            Ok(connection) => Ok((connection, self.io, self.clock, self.input)),
            Err(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

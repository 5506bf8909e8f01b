//! The body of a plain HTTP request, read when the handler asks for it.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sockeye_core::http::{BodyError, BodyEvent, BodyReader, Request, Version};
use sockeye_core::{Instant, RecvBuf};

use crate::handshake::opening::{Opening, WaitOutcome};
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};
use crate::server::api::http_request::{HttpBodyError, PollBody};

/// The body of one request, and the transport that it arrives on.
pub(crate) struct Body<'o, I, C> {
    reader: BodyReader,
    /// The bytes that have arrived and that no call has returned yet.
    content: Vec<u8>,
    opening: &'o mut Opening<I, C>,
    /// The client waits for a 100 before it sends the body.
    wants_continue: bool,
    timeout: Duration,
    deadline: Option<Instant>,
    /// How many bytes of the 100 have been written.
    written: usize,
    /// Set when a read failed.
    pub(crate) failure: Option<BodyFailure>,
}

/// How to answer a handler that returns the error of its body.
pub(crate) enum BodyFailure {
    /// With this status and text.
    Respond(u16, String),
    /// Not at all: the transport has failed.
    Transport,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<'o, I: Io, C: Clock> Body<'o, I, C> {
    pub(crate) fn new(
        request: &Request,
        opening: &'o mut Opening<I, C>,
        max_size: u64,
        timeout: Duration,
    ) -> Self {
        Body {
            reader: BodyReader::new(request.body_length(), max_size),
            content: Vec::new(),
            wants_continue: request.version() >= Version::Http11
                && request.headers().contains_token("expect", "100-continue"),
            opening,
            timeout,
            deadline: None,
            written: 0,
            failure: None,
        }
    }

    /// Returns whether the bytes that have arrived complete the body.
    pub(crate) fn is_read(&mut self) -> bool {
        matches!(self.take_arrived(), Ok(true))
    }

    /// Moves the bytes that have arrived into `content`. Returns true if they complete the body.
    fn take_arrived(&mut self) -> Result<bool, BodyError> {
        let input = &mut self.opening.input;
        let mut view = RecvBuf::new(input.unread());
        let result = loop {
            match self.reader.poll_event(&mut view) {
                Ok(Some(BodyEvent::Data(part))) => self.content.extend_from_slice(part),
                Ok(Some(BodyEvent::End)) => break Ok(true),
                Ok(None) => break Ok(false),
                Err(error) => break Err(error),
            }
        };
        let used = view.consumed();
        input.consume(used);
        result
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HttpBodyError>> {
        loop {
            if self.take_arrived().map_err(HttpBodyError::Body)? {
                self.opening.clock.cancel();
                return Poll::Ready(Ok(()));
            }
            let deadline = *self.deadline.get_or_insert_with(|| self.opening.clock.now() + self.timeout);
            if self.wants_continue {
                // RFC 9110 10.1.1: "A server MAY omit sending a 100 (Continue) response if it has
                // already received some or all of the content".
                let Poll::Ready(written) = self.opening.poll_write(cx, CONTINUE, &mut self.written) else {
                    ready!(poll_deadline(&mut self.opening.clock, cx, deadline));
                    // The client did not even read the 100, so it would not read a 408 either.
                    return Poll::Ready(Err(HttpBodyError::Io(io::ErrorKind::TimedOut.into())));
                };
                written.map_err(HttpBodyError::Io)?;
                self.wants_continue = false;
            }
            match ready!(self.opening.poll_wait(cx, Some(deadline))).map_err(HttpBodyError::Io)? {
                WaitOutcome::Bytes => self.wants_continue = false,
                WaitOutcome::Eof => self.reader.handle_eof().map_err(HttpBodyError::Body)?,
                WaitOutcome::Time(_) => return Poll::Ready(Err(HttpBodyError::TimedOut)),
            }
        }
    }
}

impl<I: Io, C: Clock> PollBody for Body<'_, I, C> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, HttpBodyError>> {
        let result = ready!(self.poll_rest(cx));
        if let Err(error) = &result {
            self.failure = Some(match error.status() {
                Some(status) => BodyFailure::Respond(status, format!("bad request: {error}\n")),
                None => BodyFailure::Transport,
            });
        }
        Poll::Ready(result.map(|()| std::mem::take(&mut self.content)))
    }
}

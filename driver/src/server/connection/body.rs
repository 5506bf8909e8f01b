//! The body of a plain HTTP request, read when it is asked for.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sockeye_core::http::{BodyError, BodyEvent, BodyReader, Request, Version};
use sockeye_core::{Instant, RecvBuf};

use crate::handshake::opening::{Opening, WaitOutcome};
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};
use crate::server::api::http_request::{HttpBodyError, PollBody};

pub(crate) struct Body<'o, I, C> {
    reader: BodyReader,
    /// What has come of it and has not been given out.
    content: Vec<u8>,
    opening: &'o mut Opening<I, C>,
    /// The client waits to be asked for it.
    wants_continue: bool,
    timeout: Duration,
    deadline: Option<Instant>,
    /// Of the 100.
    written: usize,
    pub(crate) failure: Option<BodyFailure>,
}

/// What the client is told if the application fails with the error of its body.
pub(crate) enum BodyFailure {
    Respond(u16, String),
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

    /// Whether nothing of it is left, looking at no more than what has come.
    pub(crate) fn is_read(&mut self) -> bool {
        matches!(self.take_arrived(), Ok(true))
    }

    /// Takes what has come of it; `true` when that is all.
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
                // RFC 9110 10.1.1: "A server MAY omit sending a 100 (Continue) response if it has already received some or all of
                // the content".
                let Poll::Ready(written) = self.opening.poll_write(cx, CONTINUE, &mut self.written) else {
                    ready!(poll_deadline(&mut self.opening.clock, cx, deadline));
                    // It did not even take that: there is no use in a 408.
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

//! The body of a plain HTTP request, read when the handler asks for it.

use std::io;
use std::task::{Context, Poll, ready};

use sockeye_core::session::BodyFailure;

use crate::handshake::opening::{Opening, OpeningEvent};
use crate::lock::lock;
use crate::runtime::io::{Clock, Io};
use crate::server::api::http_request::{HttpBodyError, PollBody};
use crate::sync::Mutex;

/// The body of one request, and the transport that it arrives on.
///
/// The task of the connection shares the transport, to watch it while the handler does not read.
/// Both run in the same task, so the lock is always free.
pub(crate) struct Body<'o, I, C> {
    shared: &'o Mutex<Shared<'o, I, C>>,
    /// A call has returned the body.
    is_read: bool,
    /// Set when a read failed.
    pub(crate) failure: Option<Failure>,
}

/// The transport, shared by a handler that reads a body and the task that watches the peer.
pub(crate) struct Shared<'o, I, C> {
    opening: &'o mut Opening<I, C>,
    /// The handler waits for the body, so it watches the peer itself.
    waits_for_body: bool,
}

impl<'o, I: Io, C: Clock> Shared<'o, I, C> {
    pub(crate) fn new(opening: &'o mut Opening<I, C>) -> Self {
        Shared { opening, waits_for_body: false }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<OpeningEvent>> {
        let event = self.opening.poll_event(cx);
        self.waits_for_body = event.is_pending();
        event
    }

    /// Returns the transport, unless the handler has waited for the body since the last call.
    pub(crate) fn unused(&mut self) -> Option<&mut Opening<I, C>> {
        if std::mem::take(&mut self.waits_for_body) { None } else { Some(self.opening) }
    }
}

/// The answer to a request whose handler returned the error of its body.
pub(crate) enum Failure {
    /// A response that names the failure.
    Body(BodyFailure),
    /// None, because the transport has failed.
    Transport,
}

impl Failure {
    fn error(&self) -> HttpBodyError {
        match self {
            Failure::Body(BodyFailure::Body(error)) => HttpBodyError::Body(*error),
            Failure::Body(_) => HttpBodyError::TimedOut,
            Failure::Transport => HttpBodyError::Io(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl<'o, I: Io, C: Clock> Body<'o, I, C> {
    pub(crate) fn new(shared: &'o Mutex<Shared<'o, I, C>>) -> Self {
        Body { shared, is_read: false, failure: None }
    }

    fn poll_complete(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HttpBodyError>> {
        if self.is_read {
            return Poll::Ready(Ok(()));
        }
        // The session reports a failure once. Another call must not wait for it.
        if let Some(failure) = &self.failure {
            return Poll::Ready(Err(failure.error()));
        }
        loop {
            return Poll::Ready(match ready!(lock(self.shared).poll_event(cx)) {
                Ok(OpeningEvent::BodyEnd) => {
                    self.is_read = true;
                    Ok(())
                }
                Ok(OpeningEvent::BodyFailed(failure)) => {
                    Err(self.failure.insert(Failure::Body(failure)).error())
                }
                Ok(OpeningEvent::Ended) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => continue,
                Err(error) => Err(self.broken(error)),
            });
        }
    }

    fn broken(&mut self, error: io::Error) -> HttpBodyError {
        self.failure = Some(Failure::Transport);
        HttpBodyError::Io(error)
    }
}

impl<I: Io, C: Clock> PollBody for Body<'_, I, C> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, HttpBodyError>> {
        ready!(self.poll_complete(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut lock(self.shared).opening.body)))
    }
}

//! Reading the client's request.

use alloc::format;
use alloc::sync::Arc;
use core::fmt;

use crate::http::{HeadError, HeadReader, Kind, Request, Response};
use crate::time::Deadline;
use crate::{Config, Instant, RecvBuf};

/// Waits for the head of one request, within limits of size and of time.
///
/// *Asking*: [`poll_request`](Handshake::poll_request), [`poll_timeout`](Handshake::poll_timeout). *Telling*:
/// [`handle_timeout`](Handshake::handle_timeout), [`handle_eof`](Handshake::handle_eof). It ends with one request
/// or one error; a further request on the same transport, behind a plain HTTP answer, takes a new `Handshake`.
///
/// The time is that of the whole handshake, [`Config::handshake_timeout`]; bytes that arrive do not extend it.
#[derive(Debug)]
pub struct Handshake {
    config: Arc<Config>,
    state: State,
    deadline: Deadline,
}

#[derive(Debug)]
enum State {
    Reading(HeadReader),
    Over(HandshakeError),
}

impl Handshake {
    /// Begins one; its time runs from the first [`handle_timeout`](Handshake::handle_timeout).
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Handshake {
            config,
            state: State::Reading(HeadReader::new(Kind::Request)),
            deadline: Deadline::start(),
        }
    }

    /// The request, once its head is complete; `None` when more bytes are needed.
    ///
    /// It takes the bytes of the head and no more: a body, or the frames of a hasty client, stay in `input`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Head`] as soon as it is clear that no valid head can come. An error stays.
    pub fn poll_request(&mut self, input: &mut RecvBuf<'_>) -> Result<Option<Request>, HandshakeError> {
        match &mut self.state {
            State::Over(error) => Err(*error),
            State::Reading(reader) => match reader.poll_request(input, &self.config) {
                Ok(None) => Ok(None),
                Ok(Some(request)) => {
                    self.end(HandshakeError::Over);
                    Ok(Some(request))
                }
                Err(error) => Err(self.end(HandshakeError::Head(error))),
            },
        }
    }

    /// When [`handle_timeout`](Handshake::handle_timeout) is to be called; `None` once the handshake is over. At
    /// first it is due at once, to learn the time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.poll()
    }

    /// Tells the time.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::TimedOut`] when the time is up; before that nothing happens.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        if self.deadline.handle(now, self.config.handshake_timeout) {
            let received = self.received();
            return Err(self.end(HandshakeError::TimedOut { received }));
        }
        Ok(())
    }

    /// Tells that the client will send no more, which ends the handshake with the error that it answers:
    /// [`HandshakeError::Eof`], or that which had ended it before.
    pub fn handle_eof(&mut self) -> HandshakeError {
        match self.state {
            State::Over(error) => error,
            State::Reading(_) => {
                let received = self.received();
                self.end(HandshakeError::Eof { received })
            }
        }
    }

    fn received(&self) -> usize {
        match &self.state {
            State::Reading(reader) => reader.received(),
            State::Over(_) => 0,
        }
    }

    /// Ends it; the memory of a half-read head goes with that.
    fn end(&mut self, error: HandshakeError) -> HandshakeError {
        self.state = State::Over(error);
        self.deadline = Deadline::OFF;
        error
    }
}

/// Why no request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// What came is not a head that may be answered (RFC 9112).
    Head(HeadError),
    /// The time for the handshake was up.
    TimedOut {
        /// How many bytes of the head had come.
        received: usize,
    },
    /// The client closed the connection before its head was complete.
    Eof {
        /// How many bytes of the head had come.
        received: usize,
    },
    /// The request was handed out before; this `Handshake` has nothing more to give.
    Over,
}

impl HandshakeError {
    /// What to send before the connection is closed; `None` when it is just to be closed.
    #[must_use]
    pub fn response(&self) -> Option<Response> {
        let status = match self {
            HandshakeError::Head(error) => error.status(),
            // RFC 9110 15.5.9: 408 is for a request that was not complete in time. Who sent nothing asked nothing:
            // a browser that opened the connection as a reserve would take it for the answer to its next request.
            HandshakeError::TimedOut { received: 1.. } => 408,
            HandshakeError::TimedOut { .. } | HandshakeError::Eof { .. } | HandshakeError::Over => {
                return None;
            }
        };
        Some(Response::text(status, format!("{self}\n")))
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Head(error) => write!(f, "bad request: {error}"),
            HandshakeError::TimedOut { received } => {
                write!(f, "the request was not complete in time; {received} bytes of it came")
            }
            HandshakeError::Eof { received } => {
                write!(f, "the client left before its request was complete; {received} bytes of it came")
            }
            HandshakeError::Over => {
                f.write_str("the handshake is over; a further request takes a new Handshake")
            }
        }
    }
}

impl core::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            HandshakeError::Head(error) => Some(error),
            _ => None,
        }
    }
}

//! Reading the client's request.

use alloc::format;
use alloc::sync::Arc;
use core::fmt;

use crate::http::{HeadError, HeadKind, HeadReader, Request, Response};
use crate::time::Deadline;
use crate::{Config, Instant, RecvBuf};

/// A reader for the head of one request, with limits on size and time.
///
/// Poll it with [`poll_request`](ServerHandshake::poll_request) and
/// [`poll_timeout`](ServerHandshake::poll_timeout); notify it with
/// [`handle_timeout`](ServerHandshake::handle_timeout) and
/// [`handle_eof`](ServerHandshake::handle_eof). It ends with one request or one error. The next
/// request on the same transport, after a plain HTTP response, needs a new `ServerHandshake`.
///
/// [`Config::handshake_timeout`] limits the whole handshake; bytes that arrive do not extend it.
///
/// ```
/// use std::sync::Arc;
///
/// use sockeye_core::handshake::server::ServerHandshake;
/// use sockeye_core::{Config, RecvBuf};
///
/// let mut handshake = ServerHandshake::new(Arc::new(Config::new()));
/// let mut received = *b"GET /chat HTTP/1.1\r\nHost: a\r\n\r\nmore";
/// let mut input = RecvBuf::new(&mut received);
/// let request = handshake.poll_request(&mut input)?.expect("a whole head");
/// assert_eq!((request.path(), input.remaining()), ("/chat", &b"more"[..]));
/// # Ok::<(), sockeye_core::handshake::server::ServerHandshakeError>(())
/// ```
#[derive(Debug)]
pub struct ServerHandshake {
    config: Arc<Config>,
    state: State,
    deadline: Deadline,
}

#[derive(Debug)]
enum State {
    Reading(HeadReader),
    Over(ServerHandshakeError),
}

impl ServerHandshake {
    /// Creates a handshake. The timeout starts with the first
    /// [`handle_timeout`](ServerHandshake::handle_timeout).
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        ServerHandshake {
            config,
            state: State::Reading(HeadReader::new(HeadKind::Request)),
            deadline: Deadline::start(),
        }
    }

    /// Returns the request once its head is complete, or `None` if more bytes are needed.
    ///
    /// This consumes the bytes of the head only. A body, or frames that the client sends early,
    /// stay in `input`.
    ///
    /// # Errors
    ///
    /// Returns [`ServerHandshakeError::Head`] as soon as the input can no longer become a valid
    /// head, and the same error on every further call. Returns [`ServerHandshakeError::Over`] after
    /// the request.
    pub fn poll_request(&mut self, input: &mut RecvBuf<'_>) -> Result<Option<Request>, ServerHandshakeError> {
        match &mut self.state {
            State::Over(error) => Err(*error),
            State::Reading(reader) => match reader.poll_request(input, &self.config) {
                Ok(None) => Ok(None),
                Ok(Some(request)) => {
                    self.end(ServerHandshakeError::Over);
                    Ok(Some(request))
                }
                Err(error) => Err(self.end(ServerHandshakeError::Head(error))),
            },
        }
    }

    /// Returns when to call [`handle_timeout`](ServerHandshake::handle_timeout), or `None` once the
    /// handshake is over. The first call is due immediately, because the handshake needs to know
    /// the time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.poll()
    }

    /// Handles the passing of time. Calling it early has no effect.
    ///
    /// # Errors
    ///
    /// Returns [`ServerHandshakeError::TimedOut`] once [`Config::handshake_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ServerHandshakeError> {
        if self.deadline.handle(now, self.config.handshake_timeout) {
            let received = self.received();
            return Err(self.end(ServerHandshakeError::TimedOut { received }));
        }
        Ok(())
    }

    /// Handles the end of the client's stream, which ends the handshake.
    ///
    /// Returns [`ServerHandshakeError::Eof`], or the error that has ended the handshake before.
    pub fn handle_eof(&mut self) -> ServerHandshakeError {
        match self.state {
            State::Over(error) => error,
            State::Reading(_) => {
                let received = self.received();
                self.end(ServerHandshakeError::Eof { received })
            }
        }
    }

    /// Returns the number of bytes of an incomplete head.
    pub(crate) fn received(&self) -> usize {
        match &self.state {
            State::Reading(reader) => reader.received(),
            State::Over(_) => 0,
        }
    }

    /// Ends the handshake and frees an incomplete head.
    fn end(&mut self, error: ServerHandshakeError) -> ServerHandshakeError {
        self.state = State::Over(error);
        self.deadline = Deadline::OFF;
        error
    }
}

/// The reason why a handshake yielded no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerHandshakeError {
    /// The client sent an invalid head (RFC 9112).
    Head(HeadError),
    /// The request was not complete within [`Config::handshake_timeout`].
    TimedOut {
        /// The number of bytes of the head that arrived.
        received: usize,
    },
    /// The client closed the connection before its request was complete.
    Eof {
        /// The number of bytes of the head that arrived.
        received: usize,
    },
    /// This `ServerHandshake` has already returned its request.
    Over,
}

impl ServerHandshakeError {
    /// Returns the response to send before closing the connection, or `None` to close it without
    /// one.
    #[must_use]
    pub fn response(&self) -> Option<Response> {
        let status = match self {
            ServerHandshakeError::Head(error) => error.status(),
            // RFC 9110 15.5.9: 408 is for a request that was not complete in time. A client that
            // has sent nothing gets no response: a browser that opened the connection in advance
            // would take it for the response to its next request.
            ServerHandshakeError::TimedOut { received: 1.. } => 408,
            ServerHandshakeError::TimedOut { .. }
            | ServerHandshakeError::Eof { .. }
            | ServerHandshakeError::Over => {
                return None;
            }
        };
        let text = match self {
            ServerHandshakeError::Head(error) => format!("{self}: {error}\n"),
            _ => format!("{self}\n"),
        };
        Some(Response::text(status, text))
    }
}

impl fmt::Display for ServerHandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerHandshakeError::Head(_) => f.write_str("bad request"),
            ServerHandshakeError::TimedOut { received } => {
                write!(f, "the request was not complete in time; received {received} bytes")
            }
            ServerHandshakeError::Eof { received } => {
                write!(
                    f,
                    "the client closed the connection before its request was complete; received {received} bytes"
                )
            }
            ServerHandshakeError::Over => {
                f.write_str("this handshake is over; the next request needs a new ServerHandshake")
            }
        }
    }
}

impl core::error::Error for ServerHandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            ServerHandshakeError::Head(error) => Some(error),
            _ => None,
        }
    }
}

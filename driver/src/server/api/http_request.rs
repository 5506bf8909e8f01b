//! A plain HTTP request in the hands of a handler.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::task::{Context, Poll};

use sockeye_core::http::{BodyError, Request};

/// A plain HTTP request: its head, as a [`Request`], and its body, if it is asked for.
pub struct HttpRequest<'a> {
    head: &'a Request,
    body: &'a mut (dyn PollBody + Send + 'a),
}

impl<'a> HttpRequest<'a> {
    pub(crate) fn new(head: &'a Request, body: &'a mut (dyn PollBody + Send + 'a)) -> Self {
        HttpRequest { head, body }
    }

    /// The whole body; a second call gives nothing. A client that waits to be asked for it (`Expect: 100-continue`) is asked.
    ///
    /// # Errors
    ///
    /// It is above [`Port::max_body_size`](crate::server::Port::max_body_size), malformed, or did not come in time. Return the error: the
    /// client is told.
    ///
    /// # Cancel safety
    ///
    /// What has come when the future is dropped is part of what the next call gives.
    pub async fn body(&mut self) -> Result<Vec<u8>, HttpBodyError> {
        poll_fn(|cx| self.body.poll_body(cx)).await
    }
}

impl Deref for HttpRequest<'_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.head
    }
}

impl fmt::Debug for HttpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("head", &self.head).finish_non_exhaustive()
    }
}

/// The body of a request, whatever its transport.
pub(crate) trait PollBody {
    /// Reads what is left of it, and gives all of it.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, HttpBodyError>>;
}

/// Why the body of a request could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpBodyError {
    /// It is too big or malformed, or ended too early.
    Body(BodyError),
    /// It did not come in time.
    TimedOut,
    /// The transport broke.
    Io(io::Error),
}

impl HttpBodyError {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            HttpBodyError::Body(error) => Some(error.status()),
            HttpBodyError::TimedOut => Some(408),
            HttpBodyError::Io(_) => None,
        }
    }
}

impl fmt::Display for HttpBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpBodyError::Body(error) => error.fmt(f),
            HttpBodyError::TimedOut => f.write_str("the body did not come in time"),
            HttpBodyError::Io(error) => write!(f, "the transport broke in a body: {error}"),
        }
    }
}

impl std::error::Error for HttpBodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            HttpBodyError::Body(error) => Some(error),
            HttpBodyError::TimedOut => None,
            HttpBodyError::Io(error) => Some(error),
        }
    }
}

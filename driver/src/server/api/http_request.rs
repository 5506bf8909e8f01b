//! A plain HTTP request, as a handler receives it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::task::{Context, Poll};

use sockeye_core::http::{BodyError, Request};

/// A plain HTTP request: its head, as a [`Request`], and its body, which is read on demand.
pub struct HttpRequest<'a> {
    head: &'a Request,
    body: &'a mut (dyn PollBody + Send + 'a),
}

impl<'a> HttpRequest<'a> {
    pub(crate) fn new(head: &'a Request, body: &'a mut (dyn PollBody + Send + 'a)) -> Self {
        HttpRequest { head, body }
    }

    /// Reads the whole body and returns it; a second call returns nothing. If the client sent
    /// `Expect: 100-continue`, this sends the 100.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is larger than
    /// [`Port::max_body_size`](crate::server::Port::max_body_size), malformed or incomplete, or did
    /// not arrive within [`Port::body_timeout`](crate::server::Port::body_timeout). Return that
    /// error from the handler: the client then receives the fitting response.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call returns the whole body.
    pub async fn body(&mut self) -> Result<Vec<u8>, HttpBodyError> {
        poll_fn(|cx| self.body.poll_body(cx)).await
    }

    /// Reads a form, and returns its fields, decoded (`application/x-www-form-urlencoded`). There are
    /// none if the body has another type: see [`Request::has_form`].
    ///
    /// ```
    /// use sockeye_core::http::Response;
    /// use sockeye_driver::server::{BoxError, HttpRequest};
    ///
    /// async fn log_in(request: &mut HttpRequest<'_>) -> Result<Response, BoxError> {
    ///     let form = request.form().await?;
    ///     let name = form.iter().find(|(field, _)| field == "name").map_or("stranger", |(_, name)| name);
    ///     Ok(Response::text(200, format!("hello {name}\n")))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error like [`body`](HttpRequest::body).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, like [`body`](HttpRequest::body).
    pub async fn form(&mut self) -> Result<Vec<(String, String)>, HttpBodyError> {
        let body = self.body().await?;
        Ok(self.head.form(&body).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
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

/// A request's body, without the types of its transport and clock.
pub(crate) trait PollBody {
    /// Reads the rest of the body. Returns the bytes that no call has returned yet.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, HttpBodyError>>;
}

/// The error of a request's body that could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpBodyError {
    /// The body is too large, malformed or incomplete.
    Body(BodyError),
    /// The body did not arrive in time.
    TimedOut,
    /// The transport broke.
    Io(io::Error),
}

impl fmt::Display for HttpBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpBodyError::Body(error) => error.fmt(f),
            HttpBodyError::TimedOut => f.write_str("the body did not arrive in time"),
            HttpBodyError::Io(_) => f.write_str("the transport broke while the body was read"),
        }
    }
}

impl std::error::Error for HttpBodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // This variant displays the error that it wraps, so the next source is the source of
            // that error.
            HttpBodyError::Body(error) => error.source(),
            HttpBodyError::TimedOut => None,
            HttpBodyError::Io(error) => Some(error),
        }
    }
}

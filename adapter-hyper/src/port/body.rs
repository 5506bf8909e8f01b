//! The bodies of responses.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use sockeye_driver::server::BoxError;

/// The body of a response.
pub(super) enum PortBody<B> {
    /// Of the tower service.
    Service(Pin<Box<B>>),
    /// Of the server itself.
    Own(Full<Bytes>),
}

impl<B> Body for PortBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = ServiceError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ServiceError>>> {
        match self.get_mut() {
            PortBody::Service(body) => {
                body.as_mut().poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(ServiceError::new)))
            }
            PortBody::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| match error {}))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            PortBody::Service(body) => body.is_end_stream(),
            PortBody::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            PortBody::Service(body) => body.size_hint(),
            PortBody::Own(body) => body.size_hint(),
        }
    }
}

/// An error of the tower service or of its body.
#[derive(Debug)]
pub(super) struct ServiceError(BoxError);

impl ServiceError {
    pub(super) fn new(error: impl Into<BoxError>) -> Self {
        ServiceError(error.into())
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for ServiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

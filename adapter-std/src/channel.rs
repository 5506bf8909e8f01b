//! The core's traits for library authors. Each poll blocks until it is ready.

use std::task::{Context, Poll};

use sockeye_core::channel::{Channel, ErrorType, RecvMessage, SendMessage};
use sockeye_core::{CloseCode, CloseInfo, Message, Payload, SendError};
use sockeye_driver::Error;

use crate::split::{RecvHalf, SendHalf};
use crate::stream::Stream;
use crate::websocket::WebSocket;

impl<S: Stream> ErrorType for WebSocket<S> {
    type Error = Error;
}

/// Each poll blocks until it is ready, and ignores the waker.
impl<S: Stream> Channel for WebSocket<S> {
    fn subprotocol(&self) -> Option<&str> {
        WebSocket::subprotocol(self)
    }

    fn poll_close(
        &mut self,
        _: &mut Context<'_>,
        code: CloseCode,
        reason: &str,
    ) -> Poll<Result<CloseInfo, Error>> {
        Poll::Ready(WebSocket::close(self, code, reason))
    }
}

/// Each poll blocks until it is ready, and ignores the waker.
impl<S: Stream> RecvMessage for WebSocket<S> {
    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        Poll::Ready(WebSocket::recv(self))
    }

    fn close_info(&self) -> Option<CloseInfo> {
        WebSocket::close_info(self).cloned()
    }
}

/// Each poll blocks until it is ready, and ignores the waker.
impl<S: Stream> SendMessage for WebSocket<S> {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(self.link.wait_writable().map_err(Error::Io))
    }

    fn start_send(&mut self, payload: Payload<'_>) -> Result<(), SendError> {
        self.link.sender.send(payload)
    }

    fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.queue_close(code, reason)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(WebSocket::flush(self))
    }
}

impl<S> ErrorType for RecvHalf<S>
where
    for<'s> &'s S: Stream,
{
    type Error = Error;
}

/// Each poll blocks until it is ready, and ignores the waker.
impl<S> RecvMessage for RecvHalf<S>
where
    for<'s> &'s S: Stream,
{
    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        Poll::Ready(RecvHalf::recv(self))
    }

    fn close_info(&self) -> Option<CloseInfo> {
        RecvHalf::close_info(self)
    }
}

impl<S> ErrorType for SendHalf<S>
where
    for<'s> &'s S: Stream,
{
    type Error = Error;
}

/// Each poll blocks until it is ready, and ignores the waker.
impl<S> SendMessage for SendHalf<S>
where
    for<'s> &'s S: Stream,
{
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(self.wait_writable())
    }

    fn start_send(&mut self, payload: Payload<'_>) -> Result<(), SendError> {
        // The receiving half may have taken the room since `poll_ready`.
        self.shared.make_room();
        self.queue_now(|sender| sender.send(payload))
    }

    fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.queue_close(code, reason)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(SendHalf::flush(self))
    }

    fn poll_feed(
        &mut self,
        _: &mut Context<'_>,
        payload: &mut Option<Payload<'_>>,
    ) -> Poll<Result<(), Error>> {
        Poll::Ready(payload.take().map_or(Ok(()), |payload| SendHalf::feed(self, payload)))
    }
}

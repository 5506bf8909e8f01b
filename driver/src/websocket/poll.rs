//! The poll functions of [`WebSocket`], and the queueing that they and the futures share.

use std::task::{Context, Poll, ready};

use sockeye_core::{
    CloseFrame, CloseInfo, Frame, Message, MessageRef, Payload, SendError, Sender, State, TrySendError,
};

use crate::engine::link::{DrainTo, Link};
use crate::engine::wakers::Half;
use crate::error::Error;
use crate::runtime::io::{Clock, Io};
use crate::websocket::WebSocket;

impl<I: Io, C: Clock> WebSocket<I, C> {
    /// Polls [`recv`](WebSocket::recv), for futures written by hand.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.reader.poll_message(&mut self.link, cx, |message, _| message.into_message())
    }

    /// Polls [`recv_with`](WebSocket::recv_with), for futures written by hand.
    pub fn poll_recv_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut f: impl FnMut(MessageRef<'_>, &mut Sender) -> R,
    ) -> Poll<Result<Option<R>, Error>> {
        ready!(self.poll_answer_room(cx));
        self.reader
            .poll_message(&mut self.link, cx, |message, link| f(message.as_ref(), link.sender_with_buffer()))
    }

    /// Waits until the queue has room for the answer to a message.
    pub(super) fn poll_answer_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A connection that is closing sends no answers, so it needs no room for them.
        if !self.link.sender.is_writable() && self.state() == State::Open {
            // Ignore an error here: the receive that follows reports it.
            let _ = ready!(self.link.poll_drain(cx, Half::Recv, DrainTo::Mark));
        }
        Poll::Ready(())
    }

    /// Queues a message, like [`feed`](WebSocket::feed), but returns it in the error instead of
    /// waiting for room. The next [`flush`](WebSocket::flush) or receive writes it.
    ///
    /// A full queue is first written as far as the transport takes it at once.
    ///
    /// # Errors
    ///
    /// Returns an error with the payload if the queue is full or the message cannot be sent.
    pub fn try_feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), TrySendError<'p>> {
        self.link.make_room();
        self.link.sender_with_buffer().try_send(payload)
    }

    /// Returns `Ready` when [`feed`](WebSocket::feed) would not wait.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_ready(&mut self.link, cx, Half::Recv)
    }

    /// Polls [`flush`](WebSocket::flush), for futures written by hand.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.link.poll_drain(cx, Half::Recv, DrainTo::Empty).map_err(Error::Io)
    }

    /// Polls [`close`](WebSocket::close): queues the Close unless the connection is closing, then
    /// receives and discards messages until it is over.
    pub(crate) fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        frame: &CloseFrame<'_>,
    ) -> Poll<Result<CloseInfo, Error>> {
        match self.queue_close(frame) {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => return Poll::Ready(Err(error.into())),
        }
        while !matches!(ready!(self.poll_recv_with(cx, |_, _| ())), Ok(None)) {}
        Poll::Ready(Ok(self.close_info().cloned().unwrap_or_else(CloseInfo::unknown)))
    }

    pub(crate) fn queue_frame(&mut self, frame: &Frame<'_>) -> Result<(), SendError> {
        self.link.sender_with_buffer().send_frame(frame)
    }

    pub(crate) fn queue_message(&mut self, payload: Payload<'_>) -> Result<(), SendError> {
        self.link.make_room();
        self.link.sender_with_buffer().send(payload)
    }

    pub(crate) fn queue_close(&mut self, frame: &CloseFrame<'_>) -> Result<(), SendError> {
        self.link.sender.close(frame)
    }

    #[cfg(feature = "futures")]
    pub(crate) fn link(&mut self) -> &mut Link<I, C> {
        &mut self.link
    }

    /// Returns true once a receive has reported the end of the connection.
    #[cfg(feature = "futures")]
    pub(crate) fn is_end_reported(&self) -> bool {
        self.reader.is_end_reported()
    }
}

/// Returns `Ready` when the queue has room for a message.
#[inline]
pub(crate) fn poll_ready<I: Io, C: Clock>(
    link: &mut Link<I, C>,
    cx: &mut Context<'_>,
    half: Half,
) -> Poll<Result<(), Error>> {
    if link.sender.is_writable() {
        return Poll::Ready(Ok(()));
    }
    link.poll_drain(cx, half, DrainTo::Mark).map_err(Error::Io)
}

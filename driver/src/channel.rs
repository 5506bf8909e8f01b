//! The core's traits for library authors, implemented by [`WebSocket`] and its halves.

use std::task::{Context, Poll};

use sockeye_core::channel::{Channel, ErrorType, RecvMessage, SendMessage};
use sockeye_core::{CloseCode, CloseFrame, CloseInfo, Message, Payload, SendError};

use crate::error::Error;
use crate::runtime::io::{Clock, Io};
use crate::split::{RecvHalf, SendHalf};
use crate::websocket::WebSocket;

impl<I: Io, C: Clock> ErrorType for WebSocket<I, C> {
    type Error = Error;
}

impl<I: Io, C: Clock> Channel for WebSocket<I, C> {
    fn subprotocol(&self) -> Option<&str> {
        WebSocket::subprotocol(self)
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        code: CloseCode,
        reason: &str,
    ) -> Poll<Result<CloseInfo, Error>> {
        WebSocket::poll_close(self, cx, &CloseFrame::new(code, reason))
    }
}

impl<I: Io, C: Clock> RecvMessage for WebSocket<I, C> {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        WebSocket::poll_recv(self, cx)
    }

    fn close_info(&self) -> Option<CloseInfo> {
        WebSocket::close_info(self).cloned()
    }
}

impl<I: Io, C: Clock> SendMessage for WebSocket<I, C> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        WebSocket::poll_ready(self, cx)
    }

    fn start_send(&mut self, payload: Payload<'_>) -> Result<(), SendError> {
        self.queue_message(payload)
    }

    fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.queue_close(&CloseFrame::new(code, reason))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        WebSocket::poll_flush(self, cx)
    }
}

impl<I: Io, C: Clock> ErrorType for RecvHalf<I, C> {
    type Error = Error;
}

impl<I: Io, C: Clock> RecvMessage for RecvHalf<I, C> {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        RecvHalf::poll_recv(self, cx)
    }

    fn close_info(&self) -> Option<CloseInfo> {
        RecvHalf::close_info(self)
    }
}

impl<I: Io, C: Clock> ErrorType for SendHalf<I, C> {
    type Error = Error;
}

impl<I: Io, C: Clock> SendMessage for SendHalf<I, C> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        SendHalf::poll_ready(self, cx)
    }

    fn start_send(&mut self, payload: Payload<'_>) -> Result<(), SendError> {
        self.queue_message(payload)
    }

    fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.queue_close(&CloseFrame::new(code, reason))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        SendHalf::poll_flush(self, cx)
    }

    fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        payload: &mut Option<Payload<'_>>,
    ) -> Poll<Result<(), Error>> {
        SendHalf::poll_feed(self, cx, payload)
    }
}

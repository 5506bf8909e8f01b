//! `Stream` and `Sink`, for the combinators of the futures crates.
//!
//! ```
//! use futures_core::Stream;
//! use futures_sink::Sink;
//! use sockeye_core::Message;
//! use sockeye_driver::{Clock, Error, Io, RecvHalf, SendHalf, WebSocket};
//!
//! fn receives(_: &impl Stream<Item = Result<Message, Error>>) {}
//! fn sends<P>(_: &impl Sink<P, Error = Error>) {}
//!
//! fn both<I: Io, C: Clock>(ws: WebSocket<I, C>) -> (RecvHalf<I, C>, SendHalf<I, C>) {
//!     receives(&ws);
//!     sends::<Message>(&ws);
//!     sends::<String>(&ws);
//!     ws.split()
//! }
//! ```
//!
//! The inherent methods go before those of `SinkExt` and `StreamExt` of the same names: `ws.send(…)` is
//! [`WebSocket::send`], `ws.split()` is [`WebSocket::split`].

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use sockeye_core::{CloseCode, CloseFrame, Message, Payload};

use crate::engine::link::DrainTo;
use crate::engine::wakers::Half;
use crate::error::Error;
use crate::runtime::io::{Clock, Io};
use crate::split::{RecvHalf, SendHalf};
use crate::websocket::{WebSocket, poll_ready};

/// Nothing in it is pinned: the transport is polled through `&mut`.
impl<I, C> Unpin for WebSocket<I, C> {}

/// [`recv`](WebSocket::recv) after [`recv`](WebSocket::recv). The stream ends behind the one error, or without one after a complete
/// closing handshake.
impl<I: Io, C: Clock> Stream for WebSocket<I, C> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Another task may use the sink, behind the `split` of the futures crates.
        self.link().share();
        self.poll_recv(cx).map(Result::transpose)
    }
}

impl<I: Io, C: Clock> FusedStream for WebSocket<I, C> {
    fn is_terminated(&self) -> bool {
        self.is_over()
    }
}

/// [`recv`](RecvHalf::recv) after [`recv`](RecvHalf::recv), to the end as for [`WebSocket`].
impl<I: Io, C: Clock> Stream for RecvHalf<I, C> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(Result::transpose)
    }
}

impl<I: Io, C: Clock> FusedStream for RecvHalf<I, C> {
    fn is_terminated(&self) -> bool {
        self.is_over()
    }
}

/// Anything that [`send`](WebSocket::send) takes and that owns its data.
///
/// `start_send` is [`feed`](WebSocket::feed), `poll_flush` is [`flush`](WebSocket::flush). `poll_close` closes with 1000, discards what still
/// comes, and tells how the connection ended if not with a complete closing handshake; if another task uses the stream,
/// it is done when the Close has been written, and the rest is the other's.
impl<I: Io, C: Clock, P: Into<Payload<'static>>> Sink<P> for WebSocket<I, C> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.link().share();
        poll_ready(self.link(), cx, Half::Send)
    }

    fn start_send(mut self: Pin<&mut Self>, payload: P) -> Result<(), Error> {
        self.queue_message(payload.into())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.link().share();
        self.link().poll_drain(cx, Half::Send, DrainTo::Empty).map_err(Error::Io)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // It can fail only because the end has begun already.
        let _ = self.queue_close(&CloseFrame::new(CloseCode::NORMAL, ""));
        self.link().after_queue();
        if self.link().is_other_receiving(cx.waker()) {
            return self.link().poll_drain(cx, Half::Send, DrainTo::Empty).map_err(Error::Io);
        }
        while ready!(self.poll_recv_with(cx, |_, _| ()))?.is_some() {}
        Poll::Ready(Ok(()))
    }
}

/// As for [`WebSocket`], but `poll_close` is done when the Close has been written: the end is the other half's.
impl<I: Io, C: Clock, P: Into<Payload<'static>>> Sink<P> for SendHalf<I, C> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        SendHalf::poll_ready(&mut self, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, payload: P) -> Result<(), Error> {
        self.queue_message(payload.into())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        SendHalf::poll_flush(&mut self, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // It can fail only because the end has begun already.
        let _ = self.queue_close(&CloseFrame::new(CloseCode::NORMAL, ""));
        SendHalf::poll_flush(&mut self, cx)
    }
}

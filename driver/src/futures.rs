//! [`Stream`] and [`Sink`] for connections, for the combinators of the futures crates.
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
//! fn both<I: Io, C: Clock>(ws: WebSocket<I, C>) -> (SendHalf<I, C>, RecvHalf<I, C>) {
//!     receives(&ws);
//!     sends::<Message>(&ws);
//!     sends::<String>(&ws);
//!     ws.split()
//! }
//! ```
//!
//! Inherent methods take precedence over those of `SinkExt` and `StreamExt` with the same names:
//! `ws.send(…)` is [`WebSocket::send`], and `ws.split()` is [`WebSocket::split`].

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

/// Nothing in a connection is pinned: the transport is polled through `&mut`.
impl<I, C> Unpin for WebSocket<I, C> {}

/// The messages that [`recv`](WebSocket::recv) returns. After a complete closing handshake the
/// stream ends. After any other end of the connection it first returns the error.
impl<I: Io, C: Clock> Stream for WebSocket<I, C> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The `split` of the futures crates may have given the sink to another task.
        self.link().share();
        self.poll_recv(cx).map(Result::transpose)
    }
}

impl<I: Io, C: Clock> FusedStream for WebSocket<I, C> {
    fn is_terminated(&self) -> bool {
        self.is_end_reported()
    }
}

/// The updates that [`recv`](crate::reconnect::Reconnecting::recv) returns. The stream ends once the
/// client was closed, or after the error with which it gives up.
#[cfg(feature = "reconnect")]
impl<I, C, D> Stream for crate::reconnect::Reconnecting<I, C, D>
where
    I: Io,
    C: Clock + Unpin,
    D: crate::reconnect::Dial<I, C> + Unpin,
{
    type Item = Result<crate::reconnect::Update, crate::reconnect::GaveUp>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(Result::transpose)
    }
}

/// The messages that [`recv`](RecvHalf::recv) returns. It ends like the stream of [`WebSocket`].
impl<I: Io, C: Clock> Stream for RecvHalf<I, C> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(Result::transpose)
    }
}

impl<I: Io, C: Clock> FusedStream for RecvHalf<I, C> {
    fn is_terminated(&self) -> bool {
        self.is_end_reported()
    }
}

/// Accepts everything that [`send`](WebSocket::send) accepts, if it owns its data.
///
/// `start_send` does what [`feed`](WebSocket::feed) does, and `poll_flush` what
/// [`flush`](WebSocket::flush) does. `poll_close` closes with 1000 and discards the remaining
/// messages. It returns an error if the connection ended without a complete closing handshake. If
/// another task polls the stream, `poll_close` returns once the Close has been written, and the
/// stream receives the rest.
impl<I: Io, C: Clock, P: Into<Payload<'static>>> Sink<P> for WebSocket<I, C> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.link().share();
        poll_ready(self.link(), cx, Half::Send)
    }

    fn start_send(mut self: Pin<&mut Self>, payload: P) -> Result<(), Error> {
        Ok(self.queue_message(payload.into())?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.link().share();
        self.link().poll_drain(cx, Half::Send, DrainTo::Empty).map_err(Error::Io)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // This fails only if the connection is closing already.
        let _ = self.queue_close(&CloseFrame::new(CloseCode::NORMAL, ""));
        self.link().after_queue();
        if self.link().is_other_receiving(cx.waker()) {
            return self.link().poll_drain(cx, Half::Send, DrainTo::Empty).map_err(Error::Io);
        }
        while ready!(self.poll_recv_with(cx, |_, _| ()))?.is_some() {}
        Poll::Ready(Ok(()))
    }
}

/// Accepts what the sink of [`WebSocket`] accepts. `poll_close` returns once the Close has been
/// written, and the receiving half receives the rest. If that half was dropped, `poll_close` waits
/// for the end of the connection, like [`SendHalf::close`].
impl<I: Io, C: Clock, P: Into<Payload<'static>>> Sink<P> for SendHalf<I, C> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        SendHalf::poll_ready(&mut self, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, payload: P) -> Result<(), Error> {
        Ok(self.queue_message(payload.into())?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        SendHalf::poll_flush(&mut self, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // This fails only if the connection is closing already.
        let _ = self.queue_close(&CloseFrame::new(CloseCode::NORMAL, ""));
        self.poll_closed(cx)
    }
}

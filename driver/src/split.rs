//! The two halves of a connection, for two tasks.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye_core::{
    CloseCode, CloseFrame, CloseInfo, Frame, Message, MessageRef, Payload, Prepared, SendError, Sender, State,
};

use crate::engine::decoder::Part;
use crate::engine::link::{DrainTo, Link};
use crate::engine::lock::lock;
use crate::engine::reader::Reader;
use crate::engine::wakers::{Half, RecvHalfGuard};
use crate::error::Error;
use crate::runtime::io::{Clock, Io};
use crate::websocket::{WebSocket, poll_ready};

type Shared<I, C> = Arc<Mutex<Link<I, C>>>;

/// The receiving half of a [`WebSocket`]. It drives the connection: pings are answered, Closes too, and deadlines kept, only
/// while it receives.
///
/// It takes the lock it shares with the other half to read from the transport and to answer control frames, not to
/// decode messages, and never holds it while it waits.
#[derive(Debug)]
pub struct RecvHalf<I, C> {
    reader: Reader,
    subprotocol: Option<Box<str>>,
    link: Shared<I, C>,
    guard: RecvHalfGuard,
}

/// The sending half of a [`WebSocket`].
///
/// What it [feeds](SendHalf::feed) is written by [`flush`](SendHalf::flush), or when the other half next waits.
#[derive(Debug)]
pub struct SendHalf<I, C> {
    link: Shared<I, C>,
}

pub(crate) fn split<I: Io, C: Clock>(
    reader: Reader,
    mut link: Link<I, C>,
    subprotocol: Option<Box<str>>,
) -> (RecvHalf<I, C>, SendHalf<I, C>) {
    let guard = RecvHalfGuard(link.share().clone());
    let link = Arc::new(Mutex::new(link));
    (RecvHalf { reader, subprotocol, link: link.clone(), guard }, SendHalf { link })
}

impl<I: Io, C: Clock> RecvHalf<I, C> {
    /// As [`WebSocket::recv`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`WebSocket::recv_with`], without the sender, which is in the other half. `f` runs with no lock held.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv_with<R>(&mut self, mut f: impl FnMut(MessageRef<'_>) -> R) -> Result<Option<R>, Error> {
        poll_fn(|cx| self.reader.poll_message(&mut self.link, cx, |message, _| f(message.as_ref()))).await
    }

    /// As [`WebSocket::recv_part`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv_part(&mut self) -> Result<Option<Part>, Error> {
        poll_fn(|cx| self.reader.poll_part(&mut self.link, cx)).await
    }

    /// How the connection ended or is ending; `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<CloseInfo> {
        lock(&self.link).sender.close_info().cloned()
    }

    /// [`recv`](RecvHalf::recv), polled.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.reader.poll_message(&mut self.link, cx, |message, _| message.into_message())
    }

    /// The end has been told.
    #[cfg(feature = "futures")]
    pub(crate) fn is_over(&self) -> bool {
        self.reader.is_terminated()
    }

    /// Whether the two are halves of one connection.
    #[must_use]
    pub fn is_pair_of(&self, other: &SendHalf<I, C>) -> bool {
        Arc::ptr_eq(&self.link, &other.link)
    }

    /// Puts the halves together again.
    ///
    /// # Errors
    ///
    /// They are not of one connection; they are given back.
    #[expect(clippy::result_large_err, reason = "the error gives back what was passed in")]
    pub fn join(self, other: SendHalf<I, C>) -> Result<WebSocket<I, C>, (Self, SendHalf<I, C>)> {
        if !self.is_pair_of(&other) {
            return Err((self, other));
        }
        let RecvHalf { reader, subprotocol, link, guard } = self;
        drop(link);
        match Arc::try_unwrap(other.link) {
            Ok(link) => {
                let mut link = link.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
                link.unshare();
                Ok(WebSocket::join(reader, link, subprotocol))
            }
            // Nobody else holds it; should it be so, nothing is lost.
            Err(link) => {
                let recv = RecvHalf { reader, subprotocol, link: link.clone(), guard };
                Err((recv, SendHalf { link }))
            }
        }
    }
}

impl<I: Io, C: Clock> SendHalf<I, C> {
    /// As [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// The message is queued whole or not at all.
    pub async fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.feed(payload).await?;
        self.flush().await
    }

    /// As [`WebSocket::feed`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// While it waits nothing has been queued; it does not wait afterwards.
    pub async fn feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        let mut payload = Some(payload.into());
        self.queue(|sender| payload.take().map_or(Ok(()), |payload| sender.send(payload))).await
    }

    /// As [`WebSocket::feed_prepared`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As [`feed`](SendHalf::feed).
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue(|sender| sender.send_prepared(prepared)).await
    }

    /// As [`WebSocket::send_frame`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](SendHalf::send).
    pub async fn send_frame(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        self.queue(|sender| sender.send_frame(frame)).await?;
        self.flush().await
    }

    /// As [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](SendHalf::send).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|sender| sender.ping(payload)).await?;
        self.flush().await
    }

    /// As [`WebSocket::flush`].
    ///
    /// # Errors
    ///
    /// The transport broke.
    ///
    /// # Cancel safety
    ///
    /// What has been written is not written again.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends a Close and returns when it has been written; the other half guard what still comes, then the end.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::begin_close`].
    ///
    /// # Cancel safety
    ///
    /// The Close is queued in the first poll.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.queue_close(&CloseFrame::new(code, reason))?;
        self.flush().await
    }

    /// How far the connection is.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.link).sender.state()
    }

    /// The time from the latest answered ping to its pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        lock(&self.link).sender.round_trip()
    }

    /// Bytes that are queued and not written yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.link).sender.queued()
    }

    /// Ready when [`feed`](SendHalf::feed) would not wait, unless another clone of the connection queues first.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_ready(&mut lock(&self.link), cx, Half::Send)
    }

    /// [`flush`](SendHalf::flush), polled.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        lock(&self.link).poll_drain(cx, Half::Send, DrainTo::Empty).map_err(Error::Io)
    }

    #[cfg(feature = "futures")]
    pub(crate) fn queue_message(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        let mut link = lock(&self.link);
        let queued = link.sender_with_buffer().send(payload);
        link.after_queue();
        Ok(queued?)
    }

    pub(crate) fn queue_close(&mut self, frame: &CloseFrame<'_>) -> Result<(), SendError> {
        let mut link = lock(&self.link);
        let queued = link.sender.close(frame);
        link.after_queue();
        queued
    }

    /// Waits for room, then queues, under one lock.
    async fn queue(
        &mut self,
        mut queue: impl FnMut(&mut Sender) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        poll_fn(|cx| {
            let mut link = lock(&self.link);
            std::task::ready!(poll_ready(&mut link, cx, Half::Send))?;
            let queued = queue(link.sender_with_buffer());
            link.after_queue();
            Poll::Ready(queued.map_err(Error::Send))
        })
        .await
    }
}

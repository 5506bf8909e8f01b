//! The two halves of a connection, for two tasks.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sockeye_core::{
    CloseCode, CloseFrame, CloseInfo, Message, MessageRef, OutgoingFrame, Payload, Prepared, SendError,
    Sender, State, TrySendError,
};

use crate::engine::decoder::Part;
use crate::engine::link::{DrainTo, Link};
use crate::engine::reader::Reader;
use crate::engine::wakers::{Half, RecvHalfGuard};
use crate::error::Error;
use crate::lock::lock;
use crate::runtime::io::{Clock, Io};
use crate::websocket::{WebSocket, poll_ready};

type SharedLink<I, C> = Arc<Mutex<Link<I, C>>>;

/// The receiving half of a [`WebSocket`], created by [`WebSocket::split`].
///
/// It drives the connection: it answers pings and Closes and enforces the deadlines, but only while
/// it receives.
///
/// It shares a lock with the other half, and takes it to read from the transport and to answer
/// control frames. It does not hold the lock while it decodes messages or waits.
#[derive(Debug)]
pub struct RecvHalf<I, C> {
    reader: Reader,
    subprotocol: Option<Box<str>>,
    link: SharedLink<I, C>,
    guard: RecvHalfGuard,
}

/// The sending half of a [`WebSocket`], created by [`WebSocket::split`].
///
/// [`feed`](SendHalf::feed) queues messages. [`flush`](SendHalf::flush) writes them; otherwise the
/// receiving half writes them before it next waits.
#[derive(Debug)]
pub struct SendHalf<I, C> {
    link: SharedLink<I, C>,
}

pub(crate) fn split<I: Io, C: Clock>(
    reader: Reader,
    mut link: Link<I, C>,
    subprotocol: Option<Box<str>>,
) -> (SendHalf<I, C>, RecvHalf<I, C>) {
    let guard = RecvHalfGuard(link.share().clone());
    let link = Arc::new(Mutex::new(link));
    (SendHalf { link: link.clone() }, RecvHalf { reader, subprotocol, link, guard })
}

impl<I: Io, C: Clock> RecvHalf<I, C> {
    /// Waits for the next message, like [`WebSocket::recv`]. Returns `None` once the connection is
    /// over.
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended without a complete closing handshake, like
    /// [`WebSocket::recv`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection keeps the part of a message that has arrived.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Waits for the next message and lends it to `f`, like [`WebSocket::recv_with`].
    ///
    /// `f` gets no sender, because that belongs to the other half. It runs without the lock.
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended without a complete closing handshake, like
    /// [`WebSocket::recv`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the poll that calls `f` also returns its result.
    pub async fn recv_with<R>(&mut self, mut f: impl FnMut(MessageRef<'_>) -> R) -> Result<Option<R>, Error> {
        poll_fn(|cx| self.reader.poll_message(&mut self.link, cx, |message, _| f(message.as_ref()))).await
    }

    /// Waits for the next part of a message, like [`WebSocket::recv_part`].
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection ended without a complete closing handshake, like
    /// [`WebSocket::recv`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no part is lost.
    pub async fn recv_part(&mut self) -> Result<Option<Part>, Error> {
        poll_fn(|cx| self.reader.poll_part(&mut self.link, cx)).await
    }

    /// Returns how the connection ended or is ending, or `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<CloseInfo> {
        lock(&self.link).sender.close_info().cloned()
    }

    /// Polls [`recv`](RecvHalf::recv), for futures written by hand.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.reader.poll_message(&mut self.link, cx, |message, _| message.into_message())
    }

    /// Returns true once a receive has reported the end of the connection.
    #[cfg(feature = "futures")]
    pub(crate) fn is_end_reported(&self) -> bool {
        self.reader.is_end_reported()
    }

    /// Returns true if the two are halves of one connection.
    #[must_use]
    pub fn is_pair_of(&self, other: &SendHalf<I, C>) -> bool {
        Arc::ptr_eq(&self.link, &other.link)
    }

    /// Joins the two halves of a connection again.
    ///
    /// # Errors
    ///
    /// Returns both halves if they do not belong to one connection.
    #[expect(clippy::result_large_err, reason = "the error returns what was passed in")]
    pub fn join(self, other: SendHalf<I, C>) -> Result<WebSocket<I, C>, (Self, SendHalf<I, C>)> {
        if !self.is_pair_of(&other) {
            return Err((self, other));
        }
        let RecvHalf { reader, subprotocol, link, guard } = self;
        drop(link);
        match Arc::try_unwrap(other.link) {
            Ok(link) => {
                let mut link = link.into_inner().unwrap_or_else(PoisonError::into_inner);
                link.unshare();
                Ok(WebSocket::join(reader, link, subprotocol))
            }
            // The two halves hold the only references, so this does not happen. If it did, the
            // caller would still get both halves back.
            Err(link) => {
                let recv = RecvHalf { reader, subprotocol, link: link.clone(), guard };
                Err((recv, SendHalf { link }))
            }
        }
    }
}

impl<I: Io, C: Clock> SendHalf<I, C> {
    /// Sends a message, like [`WebSocket::send`]: queues it, then writes everything that is queued.
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent (see [`Error::Send`]) or the transport broke.
    ///
    /// # Cancel safety
    ///
    /// The message is queued whole or not at all.
    pub async fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.feed(payload).await?;
        self.flush().await
    }

    /// Queues a message, like [`WebSocket::feed`].
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent or the transport broke, like
    /// [`send`](SendHalf::send).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future returns as soon as the message is queued, so a cancelled call has
    /// queued nothing.
    pub async fn feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        let mut payload = Some(payload.into());
        poll_fn(|cx| self.poll_feed(cx, &mut payload)).await
    }

    /// Queues a message, or returns it if the queue is full, like [`WebSocket::try_feed`].
    ///
    /// # Errors
    ///
    /// Returns an error with the payload if the queue is full or the message cannot be sent.
    pub fn try_feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), TrySendError<'p>> {
        let mut link = lock(&self.link);
        let queued = link.sender_with_buffer().try_send(payload);
        link.after_queue();
        queued
    }

    /// Queues a [prepared](Prepared) message, like [`WebSocket::feed_prepared`].
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent or the transport broke, like
    /// [`send`](SendHalf::send).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, like [`feed`](SendHalf::feed): while it waits, the message is not queued.
    pub async fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue(|sender| sender.send_prepared(prepared)).await
    }

    /// Sends one frame with its flags and opcode as given, like [`WebSocket::send_frame`].
    ///
    /// # Errors
    ///
    /// Returns an error if the frame may not be sent here, or the transport broke, like
    /// [`WebSocket::send_frame`].
    ///
    /// # Cancel safety
    ///
    /// The frame is queued whole or not at all, like the message in [`send`](SendHalf::send).
    pub async fn send_frame<'f>(&mut self, frame: impl Into<OutgoingFrame<'f>>) -> Result<(), Error> {
        let frame = frame.into();
        self.queue(|sender| sender.send_frame(frame)).await?;
        self.flush().await
    }

    /// Sends a ping of at most 125 bytes, like [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is too long, the connection is closing, or the transport
    /// broke.
    ///
    /// # Cancel safety
    ///
    /// The ping is queued whole or not at all, like the message in [`send`](SendHalf::send).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|sender| sender.ping(payload)).await?;
        self.flush().await
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call continues where this one stopped.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends a Close and returns when it has been written. The receiving half receives the
    /// remaining messages, then the end.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent, the connection is closing already, or
    /// the transport broke.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the Close.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.queue_close(&CloseFrame::new(code, reason))?;
        self.flush().await
    }

    /// Returns whether the connection is open, closing or closed.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.link).sender.state()
    }

    /// Returns the time from the latest answered ping to its pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        lock(&self.link).sender.round_trip()
    }

    /// Returns the number of bytes that are queued and not written yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.link).sender.queued()
    }

    /// Returns `Ready` when [`feed`](SendHalf::feed) would not wait. The receiving half may queue
    /// an answer in between, and then `feed` waits again.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_ready(&mut lock(&self.link), cx, Half::Send)
    }

    /// Polls [`flush`](SendHalf::flush), for futures written by hand.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        lock(&self.link).poll_drain(cx, Half::Send, DrainTo::Empty).map_err(Error::Io)
    }

    /// Polls [`feed`](SendHalf::feed): waits for room and queues, under one lock. Takes the payload
    /// once it is queued or refused.
    pub(crate) fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        payload: &mut Option<Payload<'_>>,
    ) -> Poll<Result<(), Error>> {
        self.poll_queue(cx, |sender| payload.take().map_or(Ok(()), |payload| sender.send(payload)))
    }

    pub(crate) fn queue_message(&mut self, payload: Payload<'_>) -> Result<(), SendError> {
        let mut link = lock(&self.link);
        let queued = link.sender_with_buffer().send(payload);
        link.after_queue();
        queued
    }

    pub(crate) fn queue_close(&mut self, frame: &CloseFrame<'_>) -> Result<(), SendError> {
        let mut link = lock(&self.link);
        let queued = link.sender.close(frame);
        link.after_queue();
        queued
    }

    /// Waits for room and queues, under one lock.
    async fn queue(
        &mut self,
        mut queue: impl FnMut(&mut Sender) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        poll_fn(|cx| self.poll_queue(cx, &mut queue)).await
    }

    fn poll_queue(
        &mut self,
        cx: &mut Context<'_>,
        queue: impl FnOnce(&mut Sender) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        let mut link = lock(&self.link);
        ready!(poll_ready(&mut link, cx, Half::Send))?;
        let queued = queue(link.sender_with_buffer());
        link.after_queue();
        Poll::Ready(queued.map_err(Error::Send))
    }
}

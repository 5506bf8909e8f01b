//! The two halves of a connection, for two tasks.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sockeye_core::{
    Assembled, CloseCode, CloseFrame, CloseInfo, Message, MessageRef, OutgoingFrame, Payload, Prepared,
    SendError, Sender, State, TrySendError,
};

use crate::engine::decoder::Part;
use crate::engine::link::{DrainTo, Link};
use crate::engine::reader::Reader;
use crate::engine::wakers::{Half, HalfWakers};
use crate::error::Error;
use crate::lock::lock;
use crate::runtime::io::{Clock, Io};
use crate::sync::Mutex;
use crate::websocket::{WebSocket, poll_ready};

mod events;
#[cfg(feature = "json")]
mod json;
mod shared;

use shared::{Shared, poll_end};

/// The receiving half of a [`WebSocket`], created by [`WebSocket::split`].
///
/// It drives the connection: it answers pings and Closes and enforces the deadlines, but only while
/// it receives. After it is dropped, the sending half does that while it sends, flushes or closes,
/// and discards messages.
///
/// It shares a lock with the other half, and takes it to read from the transport and to answer
/// control frames. It does not hold the lock while it decodes messages or waits.
#[derive(Debug)]
pub struct RecvHalf<I, C> {
    /// `None` once it was joined.
    reader: Option<Reader>,
    subprotocol: Option<Box<str>>,
    shared: Arc<Shared<I, C>>,
    wakers: Arc<HalfWakers>,
}

/// The sending half of a [`WebSocket`], created by [`WebSocket::split`].
///
/// [`feed`](SendHalf::feed) queues messages. [`flush`](SendHalf::flush) writes them; otherwise the
/// receiving half writes them before it next waits.
///
/// If the receiving half was dropped, every operation of this half also reads what the peer has
/// sent: it answers pings and the peer's Close, and discards messages. Once the connection is
/// closing, an operation waits for its end and then returns [`SendError::Closed`]. While no
/// operation runs, nothing is read.
#[derive(Debug)]
pub struct SendHalf<I, C> {
    shared: Arc<Shared<I, C>>,
}

pub(crate) fn split<I: Io, C: Clock>(
    reader: Reader,
    mut link: Link<I, C>,
    subprotocol: Option<Box<str>>,
) -> (SendHalf<I, C>, RecvHalf<I, C>) {
    let wakers = link.share().clone();
    let shared = Arc::new(Shared { link: Mutex::new(link), abandoned: OnceLock::new() });
    (SendHalf { shared: shared.clone() }, RecvHalf { reader: Some(reader), subprotocol, shared, wakers })
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
        poll_fn(|cx| self.poll_message(cx, |message| f(message.as_ref()))).await
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
        poll_fn(|cx| match &mut self.reader {
            Some(reader) => reader.poll_part(&mut &self.shared.link, cx),
            None => Poll::Ready(Ok(None)),
        })
        .await
    }

    /// Returns how the connection ended or is ending, or `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<CloseInfo> {
        lock(&self.shared.link).sender.close_info().cloned()
    }

    /// Polls [`recv`](RecvHalf::recv), for futures written by hand.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.poll_message(cx, |message| message.into_message())
    }

    fn poll_message<R>(
        &mut self,
        cx: &mut Context<'_>,
        deliver: impl FnOnce(Assembled<'_, '_>) -> R,
    ) -> Poll<Result<Option<R>, Error>> {
        match &mut self.reader {
            Some(reader) => reader.poll_message(&mut &self.shared.link, cx, |message, _| deliver(message)),
            None => Poll::Ready(Ok(None)),
        }
    }

    /// Returns true once a receive has reported the end of the connection.
    #[cfg(feature = "futures")]
    pub(crate) fn is_end_reported(&self) -> bool {
        self.reader.as_ref().is_none_or(Reader::is_end_reported)
    }

    /// Returns whether the two are halves of one connection.
    #[must_use]
    pub fn is_pair_of(&self, other: &SendHalf<I, C>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Joins the two halves of a connection again.
    ///
    /// # Errors
    ///
    /// Returns both halves if they do not belong to one connection.
    #[expect(clippy::result_large_err, reason = "the error returns what was passed in")]
    pub fn join(mut self, other: SendHalf<I, C>) -> Result<WebSocket<I, C>, (Self, SendHalf<I, C>)> {
        if !self.is_pair_of(&other) {
            return Err((self, other));
        }
        let Some(reader) = self.reader.take() else { return Err((self, other)) };
        let (subprotocol, wakers) = (self.subprotocol.take(), self.wakers.clone());
        drop(self);
        match Arc::try_unwrap(other.shared) {
            Ok(shared) => {
                let mut link = shared.link.into_inner().unwrap_or_else(PoisonError::into_inner);
                link.unshare();
                Ok(WebSocket::join(reader, link, subprotocol))
            }
            // The two halves hold the only references, so this does not happen. If it did, the
            // caller would still get both halves back.
            Err(shared) => {
                let recv = RecvHalf { reader: Some(reader), subprotocol, shared: shared.clone(), wakers };
                Err((recv, SendHalf { shared }))
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
        let mut link = lock(&self.shared.link);
        link.make_room();
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
    /// If the receiving half was dropped, this also waits for the end of the connection, like
    /// [`WebSocket::close`], for at most
    /// [`Config::close_timeout`](sockeye_core::Config::close_timeout).
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent, the connection is closing already, or
    /// the transport broke; if it waits for the end, also if the peer does not complete the closing
    /// handshake.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the Close.
    pub async fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        self.queue_close(&CloseFrame::new(code, reason))?;
        poll_fn(|cx| self.poll_closed(cx)).await
    }

    /// Returns whether the connection is open, closing or closed.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.shared.link).sender.state()
    }

    /// Returns the time from the latest answered ping to its pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        lock(&self.shared.link).sender.round_trip()
    }

    /// Returns the number of bytes that are queued and not written yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.shared.link).sender.queued()
    }

    /// Returns `Ready` when [`feed`](SendHalf::feed) would not wait. The receiving half may queue
    /// an answer in between, and then `feed` waits again.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_abandoned(cx));
        poll_ready(&mut lock(&self.shared.link), cx, Half::Send)
    }

    /// Polls [`flush`](SendHalf::flush), for futures written by hand.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_abandoned(cx));
        lock(&self.shared.link).poll_drain(cx, Half::Send, DrainTo::Empty).map_err(Error::Io)
    }

    /// Writes everything that is queued, and waits for the end of the connection if the receiving
    /// half was dropped.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(reader) = self.shared.abandoned.get() else { return self.poll_flush(cx) };
        poll_end(&mut lock(reader), &self.shared.link, cx)
    }

    /// Reads and discards what has arrived if the receiving half was dropped. So pings and Closes
    /// are answered, and the deadlines enforced. Once the connection is closing, waits for its end.
    fn poll_abandoned(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(reader) = self.shared.abandoned.get() else { return Poll::Ready(()) };
        // The operation that polls this reports the end.
        let end = poll_end(&mut lock(reader), &self.shared.link, cx);
        if end.is_pending() && self.state() != State::Open { Poll::Pending } else { Poll::Ready(()) }
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
        let mut link = lock(&self.shared.link);
        // The receiving half may have taken the room since `poll_ready`.
        link.make_room();
        let queued = link.sender_with_buffer().send(payload);
        link.after_queue();
        queued
    }

    pub(crate) fn queue_close(&mut self, frame: &CloseFrame<'_>) -> Result<(), SendError> {
        let mut link = lock(&self.shared.link);
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
        ready!(self.poll_abandoned(cx));
        let mut link = lock(&self.shared.link);
        ready!(poll_ready(&mut link, cx, Half::Send))?;
        let queued = queue(link.sender_with_buffer());
        link.after_queue();
        Poll::Ready(queued.map_err(Error::Send))
    }
}

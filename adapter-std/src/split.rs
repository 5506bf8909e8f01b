//! The two halves of a connection, for two threads.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use sockeye_core::{
    Assembled, CloseCode, CloseFrame, CloseInfo, Instant, Message, MessageRef, OutgoingFrame, Payload,
    Prepared, SendError, Sender, State, TrySendError,
};
use sockeye_driver::{Error, Part};

use crate::clock;
use crate::link::run_timers;
use crate::reader::{Reader, RecvOutcome};
use crate::received::Received;
use crate::shared::{Shared, SharedLink};
use crate::stream::Stream;
use crate::transport::WRITE_TURN;
use crate::websocket::WebSocket;
use crate::wire::inner;

/// How often in a close timeout the receiving thread checks whether the other thread has begun to
/// close.
const CHECKS_PER_CLOSE_TIMEOUT: u32 = 4;

/// The receiving half of a [`WebSocket`].
///
/// It drives the connection: it answers pings and Closes, and enforces deadlines, only while it
/// receives. After it is dropped, the sending half does that while it sends, flushes or closes, and
/// discards messages.
///
/// It takes the lock that it shares with the other half to answer control frames, but not to decode
/// messages, and it never holds the lock while it waits. If the peer does not answer a Close that
/// the other half has sent, the receive ends up to a quarter of the close timeout late.
#[derive(Debug)]
pub struct RecvHalf<S = TcpStream> {
    /// `None` once it was joined.
    pub(crate) reader: Option<Reader>,
    pub(crate) link: SharedLink<S>,
    subprotocol: Option<Box<str>>,
    close_timeout: Duration,
}

/// Leaves the connection to the sending half.
impl<S> Drop for RecvHalf<S> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.link.shared.abandon(reader, std::mem::take(&mut self.link.read_timeout));
        }
    }
}

/// The sending half of a [`WebSocket`].
///
/// Messages that are queued with [`feed`](SendHalf::feed) are written by
/// [`flush`](SendHalf::flush), or before the other half next waits.
///
/// If the receiving half was dropped, every operation of this half also looks for what the peer has
/// sent, at most ten times a second, which takes some milliseconds: it answers pings and the peer's
/// Close, and discards messages. Once the connection is closing, an operation waits for its end and
/// then returns [`SendError::Closed`]. While no operation runs, nothing is read, and nothing at all
/// from a stream without timeouts.
#[derive(Debug)]
pub struct SendHalf<S = TcpStream> {
    pub(crate) shared: Arc<Shared<S>>,
}

impl<S: Stream> WebSocket<S> {
    /// Splits the connection, so that one thread can send while another receives.
    ///
    /// The stream must work through a shared reference, as [`TcpStream`] does.
    #[must_use]
    pub fn split(self) -> (SendHalf<S>, RecvHalf<S>)
    where
        for<'s> &'s S: Stream,
    {
        let WebSocket { reader, mut link, subprotocol, close_timeout } = self;
        let max_read_wait = (close_timeout / CHECKS_PER_CLOSE_TIMEOUT).max(WRITE_TURN);
        let read_timeout = std::mem::take(&mut link.transport.read_timeout);
        let shared = Arc::new(Shared::new(link, max_read_wait));
        let link = SharedLink { shared: shared.clone(), read_timeout };
        (SendHalf { shared }, RecvHalf { reader: Some(reader), link, subprotocol, close_timeout })
    }
}

impl<S> RecvHalf<S>
where
    for<'s> &'s S: Stream,
{
    /// Receives the next message, like [`WebSocket::recv`].
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection does not close cleanly.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        Ok(self.message(None, |message| message.into_message())?.item())
    }

    /// Receives the next message, but waits for `timeout` at most, like
    /// [`WebSocket::recv_timeout`].
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection does not close cleanly.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Received, Error> {
        let until = clock::now() + timeout;
        Ok(self.message(Some(until), |message| message.into_message())?.into())
    }

    /// Receives the next message and lends it to `f`, like [`WebSocket::recv_with`] but without the
    /// sender, which belongs to the other half. No lock is held while `f` runs.
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection does not close cleanly.
    pub fn recv_with<R>(&mut self, f: impl FnOnce(MessageRef<'_>) -> R) -> Result<Option<R>, Error> {
        Ok(self.message(None, |message| f(message.as_ref()))?.item())
    }

    /// Receives the part of the next message that has arrived, like [`WebSocket::recv_part`].
    ///
    /// # Errors
    ///
    /// Returns an error, once, if the connection does not close cleanly.
    pub fn recv_part(&mut self) -> Result<Option<Part>, Error> {
        match &mut self.reader {
            Some(reader) => Ok(reader.part(&mut self.link)?.item()),
            None => Ok(None),
        }
    }

    fn message<R>(
        &mut self,
        until: Option<Instant>,
        deliver: impl FnOnce(Assembled<'_, '_>) -> R,
    ) -> Result<RecvOutcome<R>, Error> {
        match &mut self.reader {
            Some(reader) => reader.message(&mut self.link, until, |message, _| deliver(message)),
            None => Ok(RecvOutcome::Closed),
        }
    }
}

impl<S> RecvHalf<S> {
    /// Returns how the connection ended or is ending; `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<CloseInfo> {
        self.link.shared.with(|sender| sender.close_info().cloned())
    }

    /// Returns the negotiated subprotocol, if any (RFC 6455 1.9).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the stream.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        inner(&self.link.shared.stream)
    }

    /// Returns whether both are halves of the same connection.
    #[must_use]
    pub fn is_pair_of(&self, other: &SendHalf<S>) -> bool {
        Arc::ptr_eq(&self.link.shared, &other.shared)
    }

    /// Joins the halves to a connection.
    ///
    /// # Errors
    ///
    /// Returns both halves if they are not of the same connection.
    #[expect(clippy::result_large_err, reason = "the error returns what was passed in")]
    pub fn join(mut self, other: SendHalf<S>) -> Result<WebSocket<S>, (Self, SendHalf<S>)> {
        if !self.is_pair_of(&other) {
            return Err((self, other));
        }
        let Some(reader) = self.reader.take() else { return Err((self, other)) };
        let (subprotocol, close_timeout) = (self.subprotocol.take(), self.close_timeout);
        let read_timeout = std::mem::take(&mut self.link.read_timeout);
        drop(self);
        match Arc::try_unwrap(other.shared) {
            Ok(shared) => {
                let link = shared.into_owned(read_timeout);
                Ok(WebSocket { reader, link, subprotocol, close_timeout })
            }
            // Unreachable, because only the two halves hold the link. Give them back rather than
            // panic.
            Err(shared) => {
                let link = SharedLink { shared: shared.clone(), read_timeout };
                let recv = RecvHalf { reader: Some(reader), link, subprotocol, close_timeout };
                Err((recv, SendHalf { shared }))
            }
        }
    }
}

impl<S> SendHalf<S>
where
    for<'s> &'s S: Stream,
{
    /// Sends a message: queues it and writes the queue, like [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent (the connection is still usable), or if the
    /// stream breaks.
    pub fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.feed(payload)?;
        self.flush()
    }

    /// Queues a message, like [`WebSocket::feed`]. Waits only while the queue is full.
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent (the connection is still usable), or if the
    /// stream breaks.
    pub fn feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        let payload = payload.into();
        self.queue(|sender| sender.send(payload))
    }

    /// Queues a message, or returns it if the queue is full, like [`WebSocket::try_feed`].
    ///
    /// # Errors
    ///
    /// Returns an error with the payload if the queue is full or the message cannot be sent.
    pub fn try_feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), TrySendError<'p>> {
        self.shared.serve_abandoned(false);
        self.shared.make_room();
        self.shared.with(|sender| sender.try_send(payload))
    }

    /// Queues a [`Prepared`] message, like [`WebSocket::feed_prepared`].
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be sent (the connection is still usable), or if the
    /// stream breaks.
    pub fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue(|sender| sender.send_prepared(prepared))
    }

    /// Sends a single frame, like [`WebSocket::send_frame`].
    ///
    /// # Errors
    ///
    /// Returns an error if the frame cannot be sent (the connection is still usable), or if the
    /// stream breaks.
    pub fn send_frame<'f>(&mut self, frame: impl Into<OutgoingFrame<'f>>) -> Result<(), Error> {
        let frame = frame.into();
        self.queue(|sender| sender.send_frame(frame))?;
        self.flush()
    }

    /// Sends a ping with a payload of up to 125 bytes, like [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is too long, if the connection is closing, or if the stream
    /// breaks.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|sender| sender.ping(payload))?;
        self.flush()
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    ///
    /// Returns an error if the stream breaks, or if a deadline ends the connection meanwhile.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.shared.serve_abandoned(false);
        self.shared.flush().map_err(Error::Io)
    }

    /// Sends a Close and returns when it is written. The other half receives the remaining
    /// messages, then the end.
    ///
    /// If the receiving half was dropped, this also waits for the end of the connection, like
    /// [`WebSocket::close`], for [`Config::close_timeout`](crate::Config::close_timeout) at most.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent, if the connection is closing already,
    /// or if the stream breaks; if it waits for the end, also if the peer does not complete the
    /// closing handshake.
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        self.queue_close(code, reason)?;
        if self.shared.is_abandoned() { self.shared.end_abandoned() } else { self.flush() }
    }

    pub(crate) fn queue_close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), SendError> {
        self.queue_now(|sender| sender.close(&CloseFrame::new(code, reason)))
    }

    /// Queues with `queue`, without waiting for room.
    pub(crate) fn queue_now(
        &mut self,
        queue: impl FnOnce(&mut Sender) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        self.shared.with(|sender| {
            let queued = queue(sender);
            run_timers(sender);
            queued
        })
    }

    /// Waits until the queue is below the high-water mark.
    pub(crate) fn wait_writable(&mut self) -> Result<(), Error> {
        while !self.shared.with(|sender| sender.is_writable()) {
            self.flush()?;
        }
        Ok(())
    }

    /// Waits for room in the queue, then queues with `queue`.
    fn queue(&mut self, queue: impl FnOnce(&mut Sender) -> Result<(), SendError>) -> Result<(), Error> {
        self.shared.serve_abandoned(false);
        let mut queue = Some(queue);
        loop {
            // Check and queue under one lock. Otherwise the other half could take the room with an
            // answer in between.
            let queued = self.shared.with(|sender| {
                let queue = queue.take_if(|_| sender.is_writable())?;
                let queued = queue(sender);
                run_timers(sender);
                Some(queued)
            });
            match queued {
                Some(queued) => return Ok(queued?),
                None => self.flush()?,
            }
        }
    }
}

impl<S> SendHalf<S> {
    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.with(|sender| sender.state())
    }

    /// Returns the time between the most recently answered ping and its pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared.with(|sender| sender.round_trip())
    }

    /// Returns the number of bytes that are queued and not written yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.with(|sender| sender.queued())
    }

    /// Returns the stream. Shutting it down ends a receive that waits in the other half.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        inner(&self.shared.stream)
    }
}

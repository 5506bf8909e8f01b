//! The two halves of a connection, for two threads.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use sockeye_core::{
    CloseCode, CloseFrame, CloseInfo, Frame, Message, MessageRef, Payload, Prepared, SendError, Sender, State,
};
use sockeye_driver::{Error, Part};

use crate::clock;
use crate::incoming::Incoming;
use crate::link::{Own, TURN, look};
use crate::received::Received;
use crate::shared::{Reading, Shared};
use crate::stream::Stream;
use crate::websocket::WebSocket;

/// The thread that receives looks this many times in a close timeout whether the other one has begun to close.
const LOOKS: u32 = 4;

/// The receiving half of a [`WebSocket`]. It drives the connection: pings are answered, Closes too, and deadlines kept, only
/// while it receives.
///
/// It takes the lock it shares with the other half to answer control frames, not to decode messages, and never holds it
/// while it waits. A Close that the other half has sent is given up at most a quarter of the close timeout late.
#[derive(Debug)]
pub struct RecvHalf<S = TcpStream> {
    incoming: Incoming,
    link: Reading<S>,
    subprotocol: Option<Box<str>>,
    close_timeout: Duration,
}

/// The sending half of a [`WebSocket`].
///
/// What it [feeds](SendHalf::feed) is written by [`flush`](SendHalf::flush), or when the other half next waits.
#[derive(Debug)]
pub struct SendHalf<S = TcpStream> {
    shared: Arc<Shared<S>>,
}

impl<S> RecvHalf<S>
where
    for<'s> &'s S: Stream,
{
    /// As [`WebSocket::recv`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        Ok(self.incoming.message(&mut self.link, None, |message, _| message.into_message())?.item())
    }

    /// As [`WebSocket::recv_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Received, Error> {
        let until = clock::now() + timeout;
        Ok(self.incoming.message(&mut self.link, Some(until), |message, _| message.into_message())?.into())
    }

    /// As [`WebSocket::recv_with`], without the sender, which is in the other half. `f` runs with no lock held.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recv_with<R>(&mut self, f: impl FnOnce(MessageRef<'_>) -> R) -> Result<Option<R>, Error> {
        Ok(self.incoming.message(&mut self.link, None, |message, _| f(message.as_ref()))?.item())
    }

    /// As [`WebSocket::recv_part`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recv_part(&mut self) -> Result<Option<Part>, Error> {
        Ok(self.incoming.part(&mut self.link)?.item())
    }
}

impl<S> RecvHalf<S> {
    pub(crate) fn split(
        incoming: Incoming,
        mut own: Own<S>,
        subprotocol: Option<Box<str>>,
        close_timeout: Duration,
    ) -> (RecvHalf<S>, SendHalf<S>) {
        let patience = (close_timeout / LOOKS).max(TURN);
        let read_timeout = std::mem::take(&mut own.wire.read_timeout);
        let shared = Arc::new(Shared::new(own, patience));
        let link = Reading { shared: shared.clone(), read_timeout };
        (RecvHalf { incoming, link, subprotocol, close_timeout }, SendHalf { shared })
    }

    /// How the connection ended or is ending; `None` while it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<CloseInfo> {
        self.link.shared.with(|sender| sender.close_info().cloned())
    }

    /// The subprotocol that was agreed on, if any (RFC 6455 1.9).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The stream.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.link.shared.stream
    }

    /// Whether the two are halves of one connection.
    #[must_use]
    pub fn is_pair_of(&self, other: &SendHalf<S>) -> bool {
        Arc::ptr_eq(&self.link.shared, &other.shared)
    }

    /// Puts the halves together again.
    ///
    /// # Errors
    ///
    /// They are not of one connection; they are given back.
    #[expect(clippy::result_large_err, reason = "the error gives back what was passed in")]
    pub fn join(self, other: SendHalf<S>) -> Result<WebSocket<S>, (Self, SendHalf<S>)> {
        if !self.is_pair_of(&other) {
            return Err((self, other));
        }
        let RecvHalf { incoming, link: Reading { shared, read_timeout }, subprotocol, close_timeout } = self;
        drop(shared);
        match Arc::try_unwrap(other.shared) {
            Ok(shared) => {
                let own = shared.into_own(read_timeout);
                Ok(WebSocket::join(incoming, own, subprotocol, close_timeout))
            }
            // Nobody else holds it; should it be so, nothing is lost.
            Err(shared) => {
                let link = Reading { shared: shared.clone(), read_timeout };
                Err((RecvHalf { incoming, link, subprotocol, close_timeout }, SendHalf { shared }))
            }
        }
    }
}

impl<S> SendHalf<S>
where
    for<'s> &'s S: Stream,
{
    /// As [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.feed(payload)?;
        self.flush()
    }

    /// As [`WebSocket::feed`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn feed<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        let payload = payload.into();
        self.queue(|sender| sender.send(payload))
    }

    /// As [`WebSocket::feed_prepared`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue(|sender| sender.send_prepared(prepared))
    }

    /// As [`WebSocket::send_frame`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_frame(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        self.queue(|sender| sender.send_frame(frame))?;
        self.flush()
    }

    /// As [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|sender| sender.ping(payload))?;
        self.flush()
    }

    /// As [`WebSocket::flush`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.shared.flush().map_err(Error::Io)
    }

    /// Sends a Close and returns when it has been written; the other half receives what still comes, then the end.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::begin_close`].
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.shared.with(|sender| {
            sender.close(&CloseFrame::new(code, reason))?;
            look(sender);
            Ok::<_, SendError>(())
        })?;
        self.flush()
    }

    /// Waits for room, then queues.
    fn queue(&mut self, queue: impl FnOnce(&mut Sender) -> Result<(), SendError>) -> Result<(), Error> {
        let mut queue = Some(queue);
        loop {
            // Under one lock: the other half may take the room with an answer.
            let queued = self.shared.with(|sender| {
                let queue = queue.take_if(|_| sender.is_writable())?;
                let queued = queue(sender);
                look(sender);
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
    /// How far the connection is.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.with(|sender| sender.state())
    }

    /// The time from the latest answered ping to its pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared.with(|sender| sender.round_trip())
    }

    /// Bytes that are queued and not written yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.with(|sender| sender.queued())
    }

    /// The stream. Shutting it down from here ends a receive that waits in the other half.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.shared.stream
    }
}

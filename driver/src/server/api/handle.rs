//! A handle to a running server.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sockeye_core::{CloseCode, CloseFrame, Frame, Opcode, OutgoingFrame, Payload, Prepared};

use crate::server::registry::broadcast::{Broadcast, Outgoing};
use crate::server::registry::drain::Drain;
use crate::server::registry::entry::Entry;
use crate::server::registry::error::PushError;
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::{ConnectionId, Info};
use crate::server::registry::push_target::Command;
use crate::server::registry::pushed::Pushed;

/// A handle to a running server, to push to its connections by their ids.
///
/// It is cheap to clone, and may be used from any handler, task or thread.
///
/// ```
/// use std::time::Duration;
///
/// use sockeye_driver::server::{ConnectionId, PushError, Pushed, ServerHandle};
///
/// fn push_news(server: &ServerHandle, id: ConnectionId, news: &str) {
///     match server.push(id, news) {
///         Ok(Pushed::Queued) => {}
///         // The peer reads too slowly, and the port drops messages for such peers.
///         Ok(dropped) => println!("{id}: {dropped:?}"),
///         Err(PushError::Backpressure { queued }) => println!("{id}: {queued} bytes wait"),
///         // The connection has ended, or is about to.
///         Err(error) => println!("{id}: {error}"),
///     }
/// }
///
/// fn push_last_news(server: &ServerHandle, news: &str) {
///     let report = server.broadcast(|_| true, news);
///     println!("queued for {}, dropped for {}, refused by {}", report.queued, report.dropped, report.slow);
///     server.shutdown(Duration::from_secs(10));
/// }
/// ```
///
/// No method waits except [`stopped`](ServerHandle::stopped). For a push that waits, see
/// [`Client::send`](crate::server::Client::send), on the handle that
/// [`client`](ServerHandle::client) returns.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    hub: Arc<Hub>,
}

impl ServerHandle {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        ServerHandle { hub }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Queues a message for a connection, like [`Client::push`](crate::server::Client::push).
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the message cannot be sent, or if the connection does not exist.
    pub fn push<'p>(&self, id: ConnectionId, payload: impl Into<Payload<'p>>) -> Result<Pushed, PushError> {
        self.entry(id)?.dispatch(Command::Message(payload.into()))
    }

    /// Queues a message that was [encoded before](Prepared), like
    /// [`Client::push_prepared`](crate::server::Client::push_prepared).
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the message cannot be sent, or if the connection does not exist.
    pub fn push_prepared(&self, id: ConnectionId, prepared: &Prepared) -> Result<Pushed, PushError> {
        self.entry(id)?.dispatch(Command::Prepared(prepared))
    }

    /// Queues a single frame, like [`Client::push_frame`](crate::server::Client::push_frame).
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the frame is invalid, cannot follow the frames before it or
    /// cannot be sent, or if the connection does not exist.
    pub fn push_frame<'f>(
        &self,
        id: ConnectionId,
        frame: impl Into<OutgoingFrame<'f>>,
    ) -> Result<Pushed, PushError> {
        self.entry(id)?.dispatch(Command::Frame(frame.into()))
    }

    /// Queues a ping, like [`Client::ping`](crate::server::Client::ping).
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the payload has more than 125 bytes, if the ping cannot be sent,
    /// or if the connection does not exist.
    pub fn ping(&self, id: ConnectionId, payload: &[u8]) -> Result<Pushed, PushError> {
        self.push_frame(id, &Frame::new(Opcode::Ping, payload))
    }

    /// Begins the closing handshake, like [`Client::close`](crate::server::Client::close).
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the code or the reason is invalid, or if the connection does not
    /// exist, is not a WebSocket, or is already closing.
    pub fn disconnect(
        &self,
        id: ConnectionId,
        code: impl Into<CloseCode>,
        reason: &str,
    ) -> Result<Pushed, PushError> {
        self.entry(id)?.dispatch(Command::Close(&CloseFrame::new(code, reason)))
    }

    /// Ends a connection at once, like [`Client::abort`](crate::server::Client::abort).
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the connection does not exist.
    pub fn abort(&self, id: ConnectionId) -> Result<(), PushError> {
        self.entry(id)?.set_flag(Flag::Aborted, true)
    }

    /// Exempts a connection from the idle timeout, like
    /// [`Client::protect`](crate::server::Client::protect).
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the connection does not exist.
    pub fn protect(&self, id: ConnectionId, protect: bool) -> Result<(), PushError> {
        self.entry(id)?.set_flag(Flag::Protected, protect)
    }

    /// Stops reading from a connection's peer, like
    /// [`Client::pause`](crate::server::Client::pause).
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the connection does not exist.
    pub fn pause(&self, id: ConnectionId) -> Result<(), PushError> {
        self.entry(id)?.set_flag(Flag::Paused, true)
    }

    /// Reads from a connection's peer again, like
    /// [`Client::resume`](crate::server::Client::resume).
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the connection does not exist.
    pub fn resume(&self, id: ConnectionId) -> Result<(), PushError> {
        self.entry(id)?.set_flag(Flag::Paused, false)
    }

    /// Returns whether a connection with this id exists, whether or not it is a WebSocket.
    #[must_use]
    pub fn exists(&self, id: ConnectionId) -> bool {
        self.hub.get(id).is_some()
    }

    /// Returns whether the connection with this id is an open WebSocket.
    #[must_use]
    pub fn is_established(&self, id: ConnectionId) -> bool {
        self.hub.get(id).is_some_and(|entry| entry.is_established())
    }

    /// Returns a snapshot of the server's information about a connection, or `None` if it does not
    /// exist.
    #[must_use]
    pub fn info(&self, id: ConnectionId) -> Option<Info> {
        self.hub.get(id).map(|entry| entry.info(self.hub.now()))
    }

    /// Returns the ids of all present connections, WebSockets and others, in no particular order.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.hub.ids()
    }

    /// Returns how many bytes wait to be written, on all connections together. Those of a large
    /// broadcast count once, because all queues share them.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.hub.queued()
    }

    /// Returns how many bytes all connections together hold of what they have received, as
    /// [`Limits::max_received`](crate::server::Limits#structfield.max_received) counts them.
    /// Without that limit it returns 0.
    #[must_use]
    pub fn received(&self) -> usize {
        self.hub.received()
    }

    /// Queues a message for every open WebSocket whose id `filter` accepts.
    ///
    /// The message is encoded once, and compressed once for each port. A large one is queued by
    /// reference.
    pub fn broadcast<'p>(
        &self,
        mut filter: impl FnMut(ConnectionId) -> bool,
        payload: impl Into<Payload<'p>>,
    ) -> Broadcast {
        let entries = self.hub.snapshot().into_iter().filter(|entry| filter(entry.id()));
        Outgoing::Payload(payload.into()).push_to_open(&self.hub, entries)
    }

    /// Queues a message for the connections with these ids, like
    /// [`broadcast`](ServerHandle::broadcast) but without iterating over all others.
    ///
    /// It skips ids that do not belong to an open WebSocket.
    pub fn broadcast_to<'p>(
        &self,
        ids: impl IntoIterator<Item = ConnectionId>,
        payload: impl Into<Payload<'p>>,
    ) -> Broadcast {
        let entries = ids.into_iter().filter_map(|id| self.hub.get(id));
        Outgoing::Payload(payload.into()).push_to_open(&self.hub, entries)
    }

    /// Queues a message that was [encoded before](Prepared), like
    /// [`broadcast`](ServerHandle::broadcast).
    pub fn broadcast_prepared(
        &self,
        mut filter: impl FnMut(ConnectionId) -> bool,
        prepared: &Prepared,
    ) -> Broadcast {
        let entries = self.hub.snapshot().into_iter().filter(|entry| filter(entry.id()));
        Outgoing::Prepared(prepared).push_to_open(&self.hub, entries)
    }

    /// Begins to shut the server down, and returns at once.
    ///
    /// The server accepts no more connections, and finishes the HTTP requests in progress. It
    /// closes WebSockets with 1001: each as soon as its handler has returned and the messages that
    /// were received before are handled, so their answers are still sent. It aborts whatever is
    /// left after `grace`, and then [`Server::run`](crate::server::Server::run) returns.
    ///
    /// A handler that runs for long can ask
    /// [`is_shutting_down`](ServerHandle::is_shutting_down). The last second of the grace, or its
    /// last quarter if that is shorter, is for the closing handshakes: then WebSockets are closed
    /// even if their handlers still run.
    ///
    /// Even during a longer grace, a peer has only
    /// [`Config::close_timeout`](sockeye_core::Config::close_timeout) to read what is queued for it
    /// and to answer the Close. For slow peers, set both. The server does not wait for peers that
    /// have answered the Close and keep their sockets open.
    ///
    /// For another code than 1001, or to spread the Closes over a time, use
    /// [`drain`](ServerHandle::drain). Another call can only shorten the times.
    pub fn shutdown(&self, grace: Duration) {
        self.hub.shutdown(Drain::new(grace));
    }

    /// Begins to shut the server down like [`shutdown`](ServerHandle::shutdown), with another code
    /// and reason, or with the Closes spread over a time, so that not all clients connect elsewhere
    /// at once. Returns at once. [`Drain`] has an example.
    ///
    /// WebSockets whose turn has not come yet work as before. One that opens after this call is
    /// closed after its `open` event.
    ///
    /// Another call can only shorten the times; the code and reason are those of the first.
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the code or the reason is invalid. The server continues to run.
    pub fn drain(&self, drain: Drain) -> Result<(), PushError> {
        drain.check()?;
        self.hub.shutdown(drain);
        Ok(())
    }

    /// Returns true once a shutdown has begun.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.hub.is_stopping()
    }

    /// Waits until the server has stopped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the server.
    pub async fn stopped(&self) {
        let mut waiter = StoppedWaiter { hub: &self.hub, waker: None };
        poll_fn(|cx| waiter.poll(cx)).await;
    }

    fn entry(&self, id: ConnectionId) -> Result<Arc<Entry>, PushError> {
        self.hub.get(id).ok_or(PushError::UnknownConnection)
    }
}

/// A registered waiter for `stopped()`; deregistered on drop.
struct StoppedWaiter<'a> {
    hub: &'a Hub,
    waker: Option<Waker>,
}

impl StoppedWaiter<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.hub.register_waiter(cx.waker());
        self.waker = Some(cx.waker().clone());
        if self.hub.has_stopped() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for StoppedWaiter<'_> {
    fn drop(&mut self) {
        if let Some(waker) = &self.waker {
            self.hub.deregister_waiter(waker);
        }
    }
}

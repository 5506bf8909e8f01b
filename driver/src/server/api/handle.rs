//! The server in anybody's hands.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sockeye_core::{CloseCode, CloseFrame, Frame, Opcode, Payload, Prepared};

use crate::server::registry::broadcast::{self, Broadcast};
use crate::server::registry::entry::{Entry, Flag};
use crate::server::registry::error::PushError;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::{ConnectionId, Info};
use crate::server::registry::push_target::Command;

/// A running server, to push from anywhere: from handlers, tasks and threads, of connections that are named by their id. Cheap
/// to clone.
///
/// ```
/// use std::time::Duration;
///
/// use sockeye_driver::server::{ConnectionId, PushError, ServerHandle};
///
/// fn tell(server: &ServerHandle, id: ConnectionId, news: &str) {
///     match server.push(id, news) {
///         Ok(()) => {}
///         Err(PushError::Backpressure { queued }) => println!("{id} does not read: {queued} bytes wait"),
///         // It has gone, or is about to.
///         Err(error) => println!("{id}: {error}"),
///     }
/// }
///
/// fn tell_all(server: &ServerHandle, news: &str) {
///     let told = server.broadcast(|_| true, news);
///     println!("{} will hear it, {} read too slowly", told.queued, told.slow);
///     server.shutdown(Duration::from_secs(10));
/// }
/// ```
///
/// Nothing here waits, but [`stopped`](ServerHandle::stopped); for a [push that waits](crate::server::Client::send) there is [`client`](ServerHandle::client).
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

    /// As [`Client::push`](crate::server::Client::push).
    ///
    /// # Errors
    ///
    /// As there, or there is no such connection.
    pub fn push<'p>(&self, id: ConnectionId, payload: impl Into<Payload<'p>>) -> Result<(), PushError> {
        self.entry(id)?.dispatch(Command::Message(payload.into()))
    }

    /// As [`Client::push_prepared`](crate::server::Client::push_prepared).
    ///
    /// # Errors
    ///
    /// As there, or there is no such connection.
    pub fn push_prepared(&self, id: ConnectionId, prepared: &Prepared) -> Result<(), PushError> {
        self.entry(id)?.dispatch(Command::Prepared(prepared))
    }

    /// As [`Client::push_frame`](crate::server::Client::push_frame).
    ///
    /// # Errors
    ///
    /// As there, or there is no such connection.
    pub fn push_frame(&self, id: ConnectionId, frame: &Frame<'_>) -> Result<(), PushError> {
        self.entry(id)?.dispatch(Command::Frame(frame))
    }

    /// As [`Client::ping`](crate::server::Client::ping).
    ///
    /// # Errors
    ///
    /// As there, or there is no such connection.
    pub fn ping(&self, id: ConnectionId, payload: &[u8]) -> Result<(), PushError> {
        self.push_frame(id, &Frame::new(Opcode::Ping, payload))
    }

    /// As [`Client::close`](crate::server::Client::close).
    ///
    /// # Errors
    ///
    /// As there, or there is no such connection.
    pub fn disconnect(&self, id: ConnectionId, code: CloseCode, reason: &str) -> Result<(), PushError> {
        self.entry(id)?.dispatch(Command::Close(&CloseFrame::new(code, reason)))
    }

    /// As [`Client::abort`](crate::server::Client::abort).
    ///
    /// # Errors
    ///
    /// There is no such connection.
    pub fn abort(&self, id: ConnectionId) -> Result<(), PushError> {
        self.entry(id)?.set_flag(Flag::Aborted, true)
    }

    /// As [`Client::protect`](crate::server::Client::protect).
    ///
    /// # Errors
    ///
    /// There is no such connection.
    pub fn protect(&self, id: ConnectionId, protect: bool) -> Result<(), PushError> {
        self.entry(id)?.set_flag(Flag::Protected, protect)
    }

    /// As [`Client::pause`](crate::server::Client::pause).
    ///
    /// # Errors
    ///
    /// There is no such connection.
    pub fn pause(&self, id: ConnectionId) -> Result<(), PushError> {
        self.entry(id)?.set_flag(Flag::Paused, true)
    }

    /// As [`Client::resume`](crate::server::Client::resume).
    ///
    /// # Errors
    ///
    /// There is no such connection.
    pub fn resume(&self, id: ConnectionId) -> Result<(), PushError> {
        self.entry(id)?.set_flag(Flag::Paused, false)
    }

    /// Whether there is a connection of this id, be it a WebSocket or not (yet).
    #[must_use]
    pub fn exists(&self, id: ConnectionId) -> bool {
        self.hub.get(id).is_some()
    }

    /// Whether it is an open WebSocket.
    #[must_use]
    pub fn is_established(&self, id: ConnectionId) -> bool {
        self.hub.get(id).is_some_and(|entry| entry.is_established())
    }

    /// What is known of a connection; `None` if there is none of this id.
    #[must_use]
    pub fn info(&self, id: ConnectionId) -> Option<Info> {
        self.hub.get(id).map(|entry| entry.info())
    }

    /// The ids of all connections as they are now, WebSockets and others, in no order.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.hub.ids()
    }

    /// How many bytes wait to be written, on all connections together.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.hub.queued()
    }

    /// Queues a message for all open WebSockets whose id `filter` lets through. It is encoded once, and compressed once for all
    /// that compress alike; large ones are queued by reference.
    pub fn broadcast<'p>(
        &self,
        mut filter: impl FnMut(ConnectionId) -> bool,
        payload: impl Into<Payload<'p>>,
    ) -> Broadcast {
        let entries = self.hub.snapshot().into_iter().filter(|entry| filter(entry.id()));
        broadcast::encode_and_push(entries, &payload.into())
    }

    /// The same for the connections of these ids: no others are looked at. Ids of connections that are no open WebSockets are passed
    /// over.
    pub fn broadcast_to<'p>(
        &self,
        ids: impl IntoIterator<Item = ConnectionId>,
        payload: impl Into<Payload<'p>>,
    ) -> Broadcast {
        let entries = ids.into_iter().filter_map(|id| self.hub.get(id));
        broadcast::encode_and_push(entries, &payload.into())
    }

    /// As [`broadcast`](ServerHandle::broadcast), with a message that was encoded before.
    pub fn broadcast_prepared(
        &self,
        mut filter: impl FnMut(ConnectionId) -> bool,
        prepared: &Prepared,
    ) -> Broadcast {
        let entries = self.hub.snapshot().into_iter().filter(|entry| filter(entry.id()));
        broadcast::push_prepared(entries, prepared)
    }

    /// Begins the end: no connection is accepted any more, open ones are closed with 1001, and HTTP requests in progress are
    /// answered. What is left when `grace` is over is aborted. [`Server::run`](crate::server::Server::run) returns when all is done.
    ///
    /// A peer has [`Config::close_timeout`](sockeye_core::Config) to take what waits for it and to answer the Close, also where the
    /// grace is longer: for slow peers set both.
    ///
    /// Called again, it can only shorten the grace.
    pub fn shutdown(&self, grace: Duration) {
        self.hub.shutdown(grace);
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.hub.is_stopping()
    }

    /// Waits until the server has ended.
    ///
    /// # Cancel safety
    ///
    /// It only looks.
    pub async fn stopped(&self) {
        let mut waiting = StoppedWaiter { hub: &self.hub, waker: None };
        poll_fn(|cx| waiting.poll(cx)).await;
    }

    fn entry(&self, id: ConnectionId) -> Result<Arc<Entry>, PushError> {
        self.hub.get(id).ok_or(PushError::UnknownConnection)
    }
}

/// Who waits for the end, and is forgotten when he does not any more.
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

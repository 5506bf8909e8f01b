//! A connection in the hands of a handler.

use std::sync::Arc;

use sockeye_core::{CloseCode, CloseFrame, Frame, Opcode, Payload, Prepared};

use crate::runtime::address::Address;
use crate::server::api::block_on::block_on;
use crate::server::api::handle::ServerHandle;
use crate::server::registry::entry::{Entry, Flag};
use crate::server::registry::error::PushError;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::{ConnectionId, Info};
use crate::server::registry::push_target::{Command, Flusher};
use crate::server::registry::send_future::SendFuture;

/// One connection, as the events have it. Cheap to clone; it may be kept, and used from any task or thread. When the connection
/// has ended, its methods say so.
///
/// What is pushed is queued, and written by the connection's own task (on servers with a thread for each connection, by who pushes, too);
/// nothing here waits but [`send`](Client::send).
#[derive(Debug, Clone)]
pub struct Client {
    entry: Arc<Entry>,
    hub: Arc<Hub>,
}

impl Client {
    pub(crate) fn new(entry: Arc<Entry>, hub: Arc<Hub>) -> Self {
        Client { entry, hub }
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Its name, for [`ServerHandle`] and for maps of the application.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.entry.id()
    }

    /// Who connected.
    #[must_use]
    pub fn peer(&self) -> &Address {
        self.entry.peer()
    }

    /// The server that it is a connection of.
    #[must_use]
    pub fn server(&self) -> ServerHandle {
        ServerHandle::new(self.hub.clone())
    }

    /// Queues a message: a string, bytes, a [`Message`](sockeye_core::Message), an [`Inbound`](crate::server::Inbound), or a [`Payload`] that says
    /// whether it is to be compressed.
    ///
    /// # Errors
    ///
    /// It cannot be sent, and nothing was; see [`PushError`].
    pub fn push<'p>(&self, payload: impl Into<Payload<'p>>) -> Result<(), PushError> {
        self.entry.dispatch(Command::Message(payload.into()))
    }

    /// Queues a message that was [encoded before](Prepared).
    ///
    /// # Errors
    ///
    /// As [`push`](Client::push).
    pub fn push_prepared(&self, prepared: &Prepared) -> Result<(), PushError> {
        self.entry.dispatch(Command::Prepared(prepared))
    }

    /// As [`push`](Client::push), but waits as long as the peer reads too slowly, whatever the port's
    /// [`SlowReader`](crate::server::SlowReader): for what is longer than a queue.
    ///
    /// ```
    /// use sockeye_driver::server::{Client, HandlerResult};
    ///
    /// async fn send_file(client: &Client, file: &[u8]) -> HandlerResult {
    ///     for part in file.chunks(16 << 10) {
    ///         client.send(part).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As there, except [`Backpressure`](PushError::Backpressure).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has queued nothing.
    pub async fn send<'p>(&self, payload: impl Into<Payload<'p>>) -> Result<(), PushError> {
        SendFuture::new(&self.entry, Command::Message(payload.into()), Flusher::Task).await
    }

    /// As [`push_prepared`](Client::push_prepared), but waits as [`send`](Client::send) does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn send_prepared(&self, prepared: &Prepared) -> Result<(), PushError> {
        SendFuture::new(&self.entry, Command::Prepared(prepared), Flusher::Task).await
    }

    /// As [`send`](Client::send), but blocks the thread: for handlers of plain functions, and for threads. It writes what the transport
    /// takes at once, also where the connection's own thread is in a handler.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_blocking<'p>(&self, payload: impl Into<Payload<'p>>) -> Result<(), PushError> {
        block_on(SendFuture::new(&self.entry, Command::Message(payload.into()), Flusher::Waiter))
    }

    /// Queues one frame as it is: `finish = false` begins a message in fragments, which continuations go on with; a Close begins
    /// the closing handshake.
    ///
    /// # Errors
    ///
    /// As [`push`](Client::push); or the frame does not fit those before it, or cannot be sent at all.
    pub fn push_frame(&self, frame: &Frame<'_>) -> Result<(), PushError> {
        self.entry.dispatch(Command::Frame(frame))
    }

    /// Sends a ping; [`Info::round_trip`] has the time that its pong took.
    ///
    /// # Errors
    ///
    /// As [`push`](Client::push); or it has more than 125 bytes.
    pub fn ping(&self, payload: &[u8]) -> Result<(), PushError> {
        self.push_frame(&Frame::new(Opcode::Ping, payload))
    }

    /// Closes it: sends a Close, waits for the peer's for at most [`Config::close_timeout`](sockeye_core::Config::close_timeout), then closes
    /// the transport. What the peer sends before its Close is still delivered.
    ///
    /// # Errors
    ///
    /// The code or the reason cannot be sent, it is no WebSocket, or it is closing already.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), PushError> {
        self.entry.dispatch(Command::Close(&CloseFrame::new(code, reason)))
    }

    /// Ends it at once: no Close, and what waits is not written.
    ///
    /// # Errors
    ///
    /// It has ended already.
    pub fn abort(&self) -> Result<(), PushError> {
        self.entry.set_flag(Flag::Aborted, true)
    }

    /// Exempts it from [`Config::idle_timeout`](sockeye_core::Config::idle_timeout), or no longer.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn protect(&self, protect: bool) -> Result<(), PushError> {
        self.entry.set_flag(Flag::Protected, protect)
    }

    /// Stops reading from the peer: no message will be delivered until [`resume`](Client::resume). Writing goes on; deadlines
    /// that depend on the peer rest too. A Close ends the pause.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn pause(&self) -> Result<(), PushError> {
        self.entry.set_flag(Flag::Paused, true)
    }

    /// Goes on reading.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn resume(&self) -> Result<(), PushError> {
        self.entry.set_flag(Flag::Paused, false)
    }

    /// Whether it is an open WebSocket.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.entry.is_established()
    }

    /// What is known of it now.
    #[must_use]
    pub fn info(&self) -> Info {
        self.entry.info()
    }

    /// Calls `f` when the 101 has gone out: for a [custom handshake](crate::server::Handler::handshake), whose connections have no
    /// [`open`](crate::server::Handler::open). Anywhere else `f` is called at once. If the handshake fails it never is.
    pub fn defer(&self, f: impl FnOnce(&Client) + Send + 'static) {
        let client = self.clone();
        if let Some(deferred) = self.entry.defer(Box::new(move || f(&client))) {
            deferred();
        }
    }
}

impl ServerHandle {
    /// A connection, as handlers have it.
    #[must_use]
    pub fn client(&self, id: ConnectionId) -> Option<Client> {
        self.hub().get(id).map(|entry| Client::new(entry, self.hub().clone()))
    }
}

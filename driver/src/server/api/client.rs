//! A handle to one connection.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::{CloseCode, CloseFrame, Frame, Opcode, OutgoingFrame, Payload, Prepared};

use crate::runtime::address::Address;
use crate::runtime::block_on::{block_on, block_on_for};
use crate::server::api::handle::ServerHandle;
use crate::server::registry::closed_waiters::ClosedFuture;
use crate::server::registry::early_pushes::Deferred;
use crate::server::registry::entry::Entry;
use crate::server::registry::error::PushError;
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::{ConnectionId, Info};
use crate::server::registry::push_target::{Command, Flusher};
use crate::server::registry::pushed::Pushed;
use crate::server::registry::send_future::SendFuture;

/// A handle to one connection. Each event of a [`Handler`](crate::server::Handler) receives one.
///
/// It is cheap to clone, and may be kept and used from any task or thread. Once the connection has
/// ended, its methods return an error.
///
/// A push is queued, and the connection's own task writes it. A push that finds the queue full
/// writes what the socket takes, and so may a push from another thread, on a server with a thread
/// for each connection. No method waits, except
/// [`send`](Client::send), [`send_prepared`](Client::send_prepared),
/// [`send_blocking`](Client::send_blocking), [`closed`](Client::closed) and
/// [`closed_blocking`](Client::closed_blocking).
#[derive(Debug, Clone)]
pub struct Client {
    entry: Arc<Entry>,
    hub: Arc<Hub>,
}

impl Client {
    pub(crate) fn new(entry: Arc<Entry>, hub: Arc<Hub>) -> Self {
        Client { entry, hub }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Returns the connection's id, for [`ServerHandle`] and for maps of the application.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.entry.id()
    }

    /// Returns the client's address.
    ///
    /// If the client is behind a [trusted proxy](crate::server::Port::trusted_proxies), it is the
    /// address that the proxy names, with port 0 if the proxy names none.
    #[must_use]
    pub fn peer(&self) -> Address {
        self.entry.peer()
    }

    /// Returns the address of the other end of the transport: that of the client, or of the nearest
    /// proxy.
    #[must_use]
    pub fn transport_peer(&self) -> &Address {
        self.entry.transport_peer()
    }

    /// Returns what the TLS handshake has agreed on, with the certificates of the client, or `None`
    /// without TLS. The handshake comes after
    /// [`Handler::connect`](crate::server::Handler::connect), so that method gets `None`.
    #[cfg(feature = "_tls")]
    #[must_use]
    pub fn tls(&self) -> Option<Arc<crate::tls::TlsInfo>> {
        self.entry.tls()
    }

    /// Returns a handle to the server.
    #[must_use]
    pub fn server(&self) -> ServerHandle {
        ServerHandle::new(self.hub.clone())
    }

    /// Queues a message: a string, bytes, a [`Message`](sockeye_core::Message), an
    /// [`Inbound`](crate::server::Inbound), or a [`Payload`] that says whether to compress it.
    ///
    /// A message that finds the queue full is queued after all if the socket takes enough of the
    /// queue at once. Otherwise the port's [`SlowReader`](crate::server::SlowReader) policy
    /// decides.
    ///
    /// Before the 101, messages wait for it, up to the same mark and under the same policy.
    ///
    /// # Errors
    ///
    /// Returns a [`PushError`] if the message cannot be sent. Nothing of it was queued.
    pub fn push<'p>(&self, payload: impl Into<Payload<'p>>) -> Result<Pushed, PushError> {
        self.entry.dispatch(Command::Message(payload.into()))
    }

    /// Queues a message that was [encoded before](Prepared).
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`push`](Client::push).
    pub fn push_prepared(&self, prepared: &Prepared) -> Result<Pushed, PushError> {
        self.entry.dispatch(Command::Prepared(prepared))
    }

    /// Queues a message like [`push`](Client::push), but first waits while the peer reads too
    /// slowly, regardless of the port's [`SlowReader`](crate::server::SlowReader) policy. Use it to
    /// send more than fits the queue:
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
    /// Before the 101, it waits only if the messages that wait for the 101 have reached the mark.
    ///
    /// # Errors
    ///
    /// Returns an error like [`push`](Client::push), but no
    /// [`Backpressure`](PushError::Backpressure), with one exception: while the handshake is being
    /// decided, the method that decides cannot wait for the 101, which follows its decision.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready queues nothing.
    pub async fn send<'p>(&self, payload: impl Into<Payload<'p>>) -> Result<Pushed, PushError> {
        SendFuture::new(&self.entry, Command::Message(payload.into()), Flusher::Task).await
    }

    /// Queues a message that was [encoded before](Prepared), and waits like [`send`](Client::send).
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`send`](Client::send).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready queues nothing.
    pub async fn send_prepared(&self, prepared: &Prepared) -> Result<Pushed, PushError> {
        SendFuture::new(&self.entry, Command::Prepared(prepared), Flusher::Task).await
    }

    /// Queues a message like [`send`](Client::send), but blocks the thread while it waits: for
    /// handlers that are plain functions, and for threads.
    ///
    /// It also writes what the transport takes at once, so it makes progress even on the
    /// connection's own thread, inside a handler.
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`send`](Client::send).
    pub fn send_blocking<'p>(&self, payload: impl Into<Payload<'p>>) -> Result<Pushed, PushError> {
        block_on(SendFuture::new(&self.entry, Command::Message(payload.into()), Flusher::Waiter))
    }

    /// Queues a single frame.
    ///
    /// A data frame with `finish = false` begins a fragmented message, which continuation frames
    /// continue. A Close frame begins the closing handshake. For compression, and for messages that
    /// are compressed already, see
    /// [`Connection::send_frame`](sockeye_core::Connection::send_frame).
    ///
    /// # Errors
    ///
    /// Returns an error like [`push`](Client::push), or if the frame is invalid or cannot follow
    /// the frames before it.
    pub fn push_frame<'f>(&self, frame: impl Into<OutgoingFrame<'f>>) -> Result<Pushed, PushError> {
        self.entry.dispatch(Command::Frame(frame.into()))
    }

    /// Queues a ping. [`Info::round_trip`] is the time until its pong arrived.
    ///
    /// # Errors
    ///
    /// Returns an error like [`push`](Client::push), or if the payload has more than 125 bytes.
    pub fn ping(&self, payload: &[u8]) -> Result<Pushed, PushError> {
        self.push_frame(&Frame::new(Opcode::Ping, payload))
    }

    /// Begins the closing handshake, and returns at once. In [`Handler::control`], with the peer's
    /// Close, it chooses the answer.
    ///
    /// The connection sends a Close, waits at most
    /// [`Config::close_timeout`](sockeye_core::Config::close_timeout) for the peer's, then closes
    /// the transport. Messages that the peer sends before its Close are still delivered.
    ///
    /// [`Handler::control`]: crate::server::Handler::control
    ///
    /// # Errors
    ///
    /// Returns an error if the code or the reason is invalid, or if the connection is not a
    /// WebSocket or has already sent a Close. Nothing was sent: a Close of the peer still receives
    /// the default answer.
    pub fn close(&self, code: impl Into<CloseCode>, reason: &str) -> Result<Pushed, PushError> {
        self.entry.dispatch(Command::Close(&CloseFrame::new(code, reason)))
    }

    /// Ends the connection at once: sends no Close, and drops what is queued.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has already ended.
    pub fn abort(&self) -> Result<(), PushError> {
        self.entry.set_flag(Flag::Aborted, true)
    }

    /// Exempts the connection from [`Config::idle_timeout`](sockeye_core::Config::idle_timeout), or
    /// ends the exemption.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended.
    pub fn protect(&self, protect: bool) -> Result<(), PushError> {
        self.entry.set_flag(Flag::Protected, protect)
    }

    /// Stops reading from the peer: no message is delivered until [`resume`](Client::resume).
    ///
    /// Pushes are still written. Deadlines that depend on the peer are suspended. A Close that this
    /// end sends also ends the pause.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended.
    pub fn pause(&self) -> Result<(), PushError> {
        self.entry.set_flag(Flag::Paused, true)
    }

    /// Reads from the peer again after [`pause`](Client::pause).
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended.
    pub fn resume(&self) -> Result<(), PushError> {
        self.entry.set_flag(Flag::Paused, false)
    }

    /// Returns whether the connection is an open WebSocket.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.entry.is_established()
    }

    /// Returns whether nothing more can be sent on the connection: the peer or this end has sent a
    /// Close, the peer has disappeared, or the connection has ended.
    ///
    /// Before the 101, and for plain HTTP, it returns true once the client has closed its side of
    /// the transport or the connection has ended. While a method blocks its thread, the server does
    /// not notice the former.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.entry.is_closed()
    }

    /// Waits until the connection [is closed](Client::is_closed). Returns at once if it is.
    ///
    /// The connection reads on while a handler runs, so the handler can abandon work that the peer
    /// no longer waits for:
    ///
    /// ```
    /// use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound};
    /// # async fn first<T>(_: impl Future<Output = T>, _: impl Future<Output = ()>) -> Option<T> { None }
    /// # async fn compute(_: &[u8]) -> String { String::new() }
    ///
    /// struct Worker;
    ///
    /// impl Handler for Worker {
    ///     async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
    ///         // `first` stands for the runtime's way to wait for either, such as `tokio::select!`.
    ///         if let Some(answer) = first(compute(message.as_bytes()), client.closed()).await {
    ///             client.push(answer)?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the connection.
    pub async fn closed(&self) {
        ClosedFuture::new(&self.entry, &self.hub).await;
    }

    /// Waits like [`closed`](Client::closed), but blocks the thread, and for `timeout` at most.
    /// Returns whether the connection is closed.
    ///
    /// In a handler that is a plain function, it replaces a sleep:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sockeye_driver::server::{Client, HandlerResult};
    ///
    /// fn count_down(client: &Client) -> HandlerResult {
    ///     for seconds in (0..10).rev() {
    ///         client.send_blocking(seconds.to_string())?;
    ///         if client.closed_blocking(Duration::from_secs(1)) {
    ///             break;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn closed_blocking(&self, timeout: Duration) -> bool {
        block_on_for(ClosedFuture::new(&self.entry, &self.hub), timeout).is_some()
    }

    /// Returns a snapshot of the server's information about the connection.
    #[must_use]
    pub fn info(&self) -> Info {
        self.entry.info(self.hub.now())
    }

    /// Calls `f` once the 101 has been sent.
    ///
    /// Use it in a [custom handshake](crate::server::Handler::handshake), whose connections have no
    /// [`open`](crate::server::Handler::open) event. If the handshake fails, `f` is never called.
    /// Outside of a handshake, `f` is called at once.
    pub fn defer(&self, f: impl FnOnce(&Client) + Send + 'static) {
        let client = self.clone();
        if let Some(deferred) = self.entry.defer(Deferred::new(Box::new(move || f(&client))))
            && let Some(deferred) = deferred.into_inner()
        {
            deferred();
        }
    }
}

impl ServerHandle {
    /// Returns a handle to the connection with this id, or `None` if it does not exist.
    #[must_use]
    pub fn client(&self, id: ConnectionId) -> Option<Client> {
        self.hub().get(id).map(|entry| Client::new(entry, self.hub().clone()))
    }
}

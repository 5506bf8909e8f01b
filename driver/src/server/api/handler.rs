//! What an application does when something happens.

use std::error::Error;
use std::fmt;
use std::future::{Future, ready};

use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseInfo, Frame, Message, MessageKind, MessageRef, Payload};

use crate::server::api::client::Client;
use crate::server::api::http_request::HttpRequest;
use crate::server::log;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What a handler's methods return. An error closes the connection with 1011, and nothing else.
pub type HandlerResult = Result<(), BoxError>;

/// The events of a server. Only [`message`](Handler::message) has to be written:
///
/// ```
/// use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
///         client.push(message)?;
///         Ok(())
///     }
/// }
/// ```
///
/// A server without it cannot be built:
///
/// ```compile_fail,E0046
/// use sockeye_driver::server::Handler;
///
/// struct Nothing;
///
/// impl Handler for Nothing {}
/// ```
///
/// The events of one connection come in order and one at a time: while one is handled, nothing more is read from that peer, which
/// is what slows a peer down that sends faster than the application works. Pushes are written meanwhile. Different connections
/// run at the same time, so state that they share is in `self`, behind a lock of the application's choice.
///
/// A method that returns an error or panics closes its own connection with 1011 (before the upgrade it answers 500, or, where
/// nothing has been asked yet, just closes) and harms no other; [`failed`](Handler::failed) is told. That a connection which is
/// closing could not be answered any more ([`PushError::Closing`](crate::server::PushError::Closing)) is no failure.
///
/// # Cancel safety
///
/// When a connection is [aborted](Client::abort), and when the grace of a shutdown is over, the method that runs for it is dropped
/// where it waits. Otherwise every method runs to its end, whatever the peer does.
pub trait Handler: Send + Sync + 'static {
    /// Somebody has connected; nothing has been read yet.
    ///
    /// # Errors
    ///
    /// The connection is closed, with a response or without one, and there will be no other event for it.
    fn connect(&self, client: &Client) -> impl Future<Output = Result<(), Refused>> + Send {
        let _ = client;
        ready(Ok(()))
    }

    /// A valid request to open a WebSocket, to be decided on by the application alone: see [`Decision`]. By default that is left to the
    /// port's [`Policy`](sockeye_core::handshake::server::Policy).
    ///
    /// What is pushed from here waits until the 101 has gone out. [`open`](Handler::open) is not called for a connection that is
    /// accepted here; [`Client::defer`] is the place for what it would do.
    ///
    /// # Errors
    ///
    /// The client is answered with 500.
    fn handshake(
        &self,
        client: &Client,
        upgrade: &Upgrade,
    ) -> impl Future<Output = Result<Decision, BoxError>> + Send {
        let _ = (client, upgrade);
        ready(Ok(Decision::Policy))
    }

    /// The policy has accepted, and this is what it wants in the 101: add headers and cookies, choose another
    /// subprotocol.
    ///
    /// # Errors
    ///
    /// The client is refused after all, with this response.
    fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> impl Future<Output = Result<Accept, Response>> + Send {
        let _ = (client, upgrade);
        ready(Ok(accept))
    }

    /// A WebSocket is open, with this request.
    ///
    /// # Errors
    ///
    /// The connection is closed with 1011.
    fn open(&self, client: &Client, request: &Request) -> impl Future<Output = HandlerResult> + Send {
        let _ = (client, request);
        ready(Ok(()))
    }

    /// A whole message has come.
    ///
    /// # Errors
    ///
    /// The connection is closed with 1011.
    fn message(&self, client: &Client, message: Inbound<'_>) -> impl Future<Output = HandlerResult> + Send;

    /// A control frame has come of which the port [forwards](crate::server::Port::forward_ping) the kind.
    ///
    /// # Errors
    ///
    /// The connection is closed with 1011.
    fn control(&self, client: &Client, frame: &Frame<'_>) -> impl Future<Output = HandlerResult> + Send {
        let _ = (client, frame);
        ready(Ok(()))
    }

    /// A queue that had reached its high-water mark is down to the low one: there is room again.
    ///
    /// # Errors
    ///
    /// The connection is closed with 1011.
    fn drained(&self, client: &Client) -> impl Future<Output = HandlerResult> + Send {
        let _ = client;
        ready(Ok(()))
    }

    /// A WebSocket has ended: exactly once for each that was open. The server does not know its id any more.
    ///
    /// # Errors
    ///
    /// [`failed`](Handler::failed) is told.
    fn close(&self, client: &Client, info: &CloseInfo) -> impl Future<Output = HandlerResult> + Send {
        let _ = (client, info);
        ready(Ok(()))
    }

    /// A connection has ended that never became a WebSocket: exactly once for each that was not refused in
    /// [`connect`](Handler::connect).
    ///
    /// # Errors
    ///
    /// [`failed`](Handler::failed) is told.
    fn disconnect(&self, client: &Client) -> impl Future<Output = HandlerResult> + Send {
        let _ = client;
        ready(Ok(()))
    }

    /// A plain HTTP request. `None` means that there is no HTTP here: a 400 page that says so, and the end of the connection.
    ///
    /// # Errors
    ///
    /// The client is answered with 500, or with what was wrong with its body.
    fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_>,
    ) -> impl Future<Output = Result<Option<Response>, BoxError>> + Send {
        let _ = (client, request);
        ready(Ok(None))
    }

    /// Another method has failed. By default that is logged, if the feature `tracing` is on.
    fn failed(&self, client: &Client, failure: &Failure) {
        log::failed(client.id(), client.peer(), failure);
    }
}

/// What a [custom handshake](Handler::handshake) has decided.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Decision {
    /// As if there were none: the port's policy decides, then [`Handler::before_handshake_response`].
    #[default]
    Policy,
    /// A 101 with this in it. The port's policy is not asked, so pages of any origin get in, unless
    /// [`Policy::decide`](sockeye_core::handshake::server::Policy::decide) is.
    Accept(Accept),
    /// Any other response, and the end of the connection.
    Respond(Response),
}

/// Somebody who has connected is not wanted.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    pub(crate) response: Option<Response>,
}

impl Refused {
    /// Without a word.
    #[must_use]
    pub fn silently() -> Self {
        Self::default()
    }

    /// With a response, such as 403 or 429.
    #[must_use]
    pub fn with(response: Response) -> Self {
        Refused { response: Some(response) }
    }
}

/// How a method of a [`Handler`] failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// With this error.
    Error(BoxError),
    /// With a panic of this message, if it had one.
    Panic(Option<String>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Error(error) => error.fmt(f),
            Failure::Panic(Some(message)) => write!(f, "the handler panicked: {message}"),
            Failure::Panic(None) => f.write_str("the handler panicked"),
        }
    }
}

/// A message as it lies in the connection's memory. What is wanted of it later has to be copied: [`to_message`](Inbound::to_message).
#[derive(Debug, Clone, Copy)]
pub struct Inbound<'a> {
    pub(crate) message: MessageRef<'a>,
    pub(crate) compressed: bool,
}

impl<'a> Inbound<'a> {
    /// The text, if it is text.
    #[must_use]
    pub fn as_text(self) -> Option<&'a str> {
        self.message.as_text()
    }

    /// The payload: the bytes, or the UTF-8 of the text.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.message.as_bytes()
    }

    /// Whether it is text or bytes: the opcode of its first frame.
    #[must_use]
    pub fn kind(self) -> MessageKind {
        self.message.kind()
    }

    /// Whether it came compressed (RFC 7692).
    #[must_use]
    pub fn is_compressed(self) -> bool {
        self.compressed
    }

    /// The message.
    #[must_use]
    pub fn as_ref(self) -> MessageRef<'a> {
        self.message
    }

    /// A copy that owns its data.
    #[must_use]
    pub fn to_message(self) -> Message {
        self.message.to_message()
    }
}

impl<'a> From<Inbound<'a>> for Payload<'a> {
    fn from(message: Inbound<'a>) -> Self {
        message.message.into()
    }
}

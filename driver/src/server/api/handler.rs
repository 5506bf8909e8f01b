//! The events of a server, which the application implements.

use std::error::Error;
use std::fmt;
use std::future::{Future, ready};

use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::{InvalidHeader, Request, Response};
use sockeye_core::{CloseInfo, Frame};

use crate::server::api::client::Client;
use crate::server::api::http_request::HttpRequest;
use crate::server::api::inbound::Inbound;
use crate::server::log;
use crate::server::registry::refusal::RefusalInfo;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The result of a handler's method. An error closes that one connection with 1011.
pub type HandlerResult = Result<(), BoxError>;

/// The events of a server. Only [`message`](Handler::message) is required:
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
/// A handler without `message` does not compile:
///
/// ```compile_fail,E0046
/// use sockeye_driver::server::Handler;
///
/// struct Nothing;
///
/// impl Handler for Nothing {}
/// ```
///
/// The events of one connection arrive in order and one at a time. Events of different connections
/// run concurrently: put state that they share in `self`, behind a lock of your choice.
///
/// A connection keeps working while a method waits. Pushes are written. Pings and the peer's Close
/// are answered, unless the port forwards them. Keepalive pings are sent. Every deadline is kept: a
/// peer that sends nothing while it waits for a slow answer can reach the
/// [idle timeout](sockeye_core::Config::idle_timeout). Messages that arrive wait in an
/// [inbox](crate::server::Port::inbox). When that is full, nothing more is read, so a peer cannot
/// send faster than the application works. If the peer closes or disappears, pushes fail with
/// [`PushError::Closing`](crate::server::PushError::Closing), and [`Client::closed`] returns.
///
/// This works while a method waits. A method that computes for a long time, or blocks, stops its
/// connection, except on a server with a thread for each connection.
///
/// A method that fails, by an error or a panic, ends only its own connection. An open WebSocket is
/// closed with 1011, and a request is answered with 500; without a request the connection is just
/// closed. [`failed`](Handler::failed) receives the failure. The error
/// [`PushError::Closing`](crate::server::PushError::Closing) is not a failure once the connection
/// is closing: the handler could not know. If a value that the method owns panics when it is
/// dropped, that is a panic of the method. The last event is called nevertheless. Only a second
/// panic while the first one unwinds ends the process, as in every Rust program.
///
/// # Cancel safety
///
/// A method that waits is dropped when its connection is [aborted](Client::abort), and when the
/// grace of a shutdown ends. Otherwise every method runs to its end, even if the peer disappears:
/// wait for [`Client::closed`] to end it earlier.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of this server",
    note = "implement `Handler` for it, with `async fn message`, or use `Callbacks::on_message(…)`",
    note = "`Port::shared` takes a handler in an `Arc`; handlers of plain functions are for servers of sockeye-std"
)]
pub trait Handler: Send + Sync + 'static {
    /// Called when a client has connected, before anything is read.
    ///
    /// # Errors
    ///
    /// Return [`Refused`] to close the connection, with or without a response. No other event
    /// follows for it but [`refused`](Handler::refused).
    fn connect(&self, client: &Client) -> impl Future<Output = Result<(), Refused>> + Send {
        let _ = client;
        ready(Ok(()))
    }

    /// Called for a valid request to open a WebSocket, which this method may decide on alone: see
    /// [`Decision`]. By default, the port's
    /// [`Policy`](sockeye_core::handshake::server::Policy) decides.
    ///
    /// Pushes made from here wait until the 101 has been sent. [`open`](Handler::open) is not
    /// called for a connection that this method accepts; use [`Client::defer`] instead.
    ///
    /// # Errors
    ///
    /// An error is answered with 500.
    fn handshake(
        &self,
        client: &Client,
        upgrade: &Upgrade,
    ) -> impl Future<Output = Result<Decision, BoxError>> + Send {
        let _ = (client, upgrade);
        ready(Ok(Decision::Policy))
    }

    /// Called when the policy has accepted a request, with the contents of the 101: add headers and
    /// cookies, or choose another subprotocol.
    ///
    /// # Errors
    ///
    /// Return a response to refuse the client after all.
    fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> impl Future<Output = Result<Accept, Response>> + Send {
        let _ = (client, upgrade);
        ready(Ok(accept))
    }

    /// Called when a WebSocket is open, with the request that opened it.
    ///
    /// # Errors
    ///
    /// An error closes the connection with 1011.
    fn open(&self, client: &Client, request: &Request) -> impl Future<Output = HandlerResult> + Send {
        let _ = (client, request);
        ready(Ok(()))
    }

    /// Called with each message, once it is complete.
    ///
    /// # Errors
    ///
    /// An error closes the connection with 1011.
    fn message(&self, client: &Client, message: Inbound<'_>) -> impl Future<Output = HandlerResult> + Send;

    /// Called with each control frame of a kind that the port forwards:
    /// [Closes](crate::server::Port::forward_close), [pings](crate::server::Port::forward_ping),
    /// [pongs](crate::server::Port::forward_pong).
    ///
    /// The peer's Close is answered after this method returns, with the peer's code and reason. To
    /// choose others, call [`Client::close`] here. While this method waits, the peer waits, too:
    /// the answer goes out after half of
    /// [`Config::close_timeout`](sockeye_core::Config#structfield.close_timeout) at the latest.
    ///
    /// ```
    /// use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound, Port};
    /// use sockeye_core::{CloseCode, Frame, Opcode};
    ///
    /// struct Farewell;
    ///
    /// impl Handler for Farewell {
    ///     async fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
    ///         Ok(())
    ///     }
    ///
    ///     async fn control(&self, client: &Client, frame: &Frame<'_>) -> HandlerResult {
    ///         if frame.opcode == Opcode::Close {
    ///             client.close(CloseCode::from(4000), "come back soon")?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let port = Port::new(Farewell).forward_close(true);
    /// ```
    ///
    /// # Errors
    ///
    /// An error closes the connection with 1011.
    fn control(&self, client: &Client, frame: &Frame<'_>) -> impl Future<Output = HandlerResult> + Send {
        let _ = (client, frame);
        ready(Ok(()))
    }

    /// Called when a queue that had reached its high-water mark has fallen to the low-water mark:
    /// there is room for pushes again.
    ///
    /// # Errors
    ///
    /// An error closes the connection with 1011.
    fn drained(&self, client: &Client) -> impl Future<Output = HandlerResult> + Send {
        let _ = client;
        ready(Ok(()))
    }

    /// Called once for each WebSocket that was open, when it has ended: the closing handshake is
    /// complete, the connection has failed, or the transport has ended. The server no longer knows
    /// its id.
    ///
    /// After a Close, the server still waits for the client to close its side of the transport, for
    /// at most [`Config::close_timeout`](sockeye_core::Config::close_timeout). This method does not
    /// wait for that, but the connection counts against the [`Limits`](crate::server::Limits) until
    /// its socket is closed.
    ///
    /// # Errors
    ///
    /// An error is passed to [`failed`](Handler::failed).
    fn close(&self, client: &Client, info: &CloseInfo) -> impl Future<Output = HandlerResult> + Send {
        let _ = (client, info);
        ready(Ok(()))
    }

    /// Called once for each connection that [`connect`](Handler::connect) accepted and that ended
    /// without becoming a WebSocket.
    ///
    /// # Errors
    ///
    /// An error is passed to [`failed`](Handler::failed).
    fn disconnect(&self, client: &Client) -> impl Future<Output = HandlerResult> + Send {
        let _ = client;
        ready(Ok(()))
    }

    /// Called with each plain HTTP request. `None` means that this port does not serve HTTP: the
    /// client receives a 400 page that says so, and the connection ends.
    ///
    /// # Errors
    ///
    /// An error is answered with 500. If reading the body failed, the status says why.
    fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_>,
    ) -> impl Future<Output = Result<Option<Response>, BoxError>> + Send {
        let _ = (client, request);
        ready(Ok(None))
    }

    /// Called once for each connection or request that the server refuses, before the response is
    /// written: a limit is reached, [`connect`](Handler::connect) refused it, the request is
    /// malformed or late, it is no valid handshake, or the policy or this handler refused the
    /// handshake. This method must not block. With the feature `tracing`, the refusal is also
    /// logged.
    ///
    /// The server does not know the id of a connection that a limit refused.
    fn refused(&self, client: &Client, refusal: &RefusalInfo<'_>) {
        let _ = (client, refusal);
    }

    /// Called when another method has failed. By default the failure is logged with `tracing` (the
    /// feature of that name), or written to the standard error if the program has no subscriber.
    fn failed(&self, client: &Client, failure: &Failure) {
        failure.report(client);
    }
}

/// The decision of a [custom handshake](Handler::handshake).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Decision {
    /// Leave it to the port's policy, and then to [`Handler::before_handshake_response`].
    #[default]
    Policy,
    /// Accept, with these contents of the 101.
    ///
    /// The port's policy does not apply, except for its
    /// [hosts](sockeye_core::handshake::server::Policy::allowed_hosts), so pages of any origin are
    /// accepted. To check, call
    /// [`Policy::decide`](sockeye_core::handshake::server::Policy::decide).
    Accept(Accept),
    /// Refuse with this response, and end the connection.
    Respond(Response),
}

/// The refusal of a client that has just [connected](Handler::connect).
#[derive(Debug, Clone, Default)]
pub struct Refused {
    pub(crate) response: Option<Response>,
}

impl Refused {
    /// Closes the connection without a response.
    #[must_use]
    pub fn silently() -> Self {
        Self::default()
    }

    /// Sends a response, such as 403 or 429, and closes the connection.
    #[must_use]
    pub fn with(response: Response) -> Self {
        Refused { response: Some(response) }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.response {
            Some(response) => write!(f, "the connection was refused with {}", response.status()),
            None => f.write_str("the connection was refused"),
        }
    }
}

impl std::error::Error for Refused {}

impl From<Response> for Refused {
    fn from(response: Response) -> Self {
        Refused::with(response)
    }
}

/// The client receives a 500, and [`Handler::failed`] the error.
impl From<InvalidHeader> for Refused {
    fn from(error: InvalidHeader) -> Self {
        Refused::with(error.into())
    }
}

/// The failure of a [`Handler`]'s method.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The method returned this error.
    Error(BoxError),
    /// The method panicked, with this message if it had one.
    Panic(Option<String>),
}

impl Failure {
    /// Reports the failure as [`Handler::failed`] does by default.
    pub(crate) fn report(&self, client: &Client) {
        log::failed(client.id(), &client.peer(), self, matches!(self, Failure::Panic(_)));
    }
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

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // This variant displays the error that it wraps, so the next source is the source of
            // that error.
            Failure::Error(error) => error.source(),
            Failure::Panic(_) => None,
        }
    }
}

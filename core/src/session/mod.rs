//! One connection from its first byte to its last, for either role and without I/O.
//!
//! A [`Session`] covers the opening handshake, the open WebSocket, a refusal, and the end of the
//! transport. All phases share one set of calls, so a program needs one loop and no dispatch of
//! its own:
//!
//! ```text
//!                 poll_event ▲          │ accept, reject, respond, send, ping, close
//!                            │          ▼
//!    server:  reading ─▶ deciding ─▶ open ─────────────────▶ ended
//!                │  ▲       │                                  ▲
//!                ▼  │       ▼                                  │
//!              exchange    lingering (after a last response) ──┤
//!    client:  connecting ───────────▶ open ────────────────────┘
//!                            ▲          │
//!                    RecvBuf │          ▼ poll_transmit, transmitted
//!         poll_timeout, handle_timeout, handle_eof, wants_shutdown
//! ```
//!
//! The [crate's documentation](crate) has the contract of these calls, and a whole program.

mod buffered;
mod build;
mod commands;
mod event;
mod exchange;
mod linger;
mod opening;
mod polling;

pub use buffered::InputBuffer;
pub use event::{BodyFailure, OpenError, Opened, SessionEvent};
pub use exchange::HttpSettings;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::assembler::Assembler;
use crate::deflate::CodecPool;
use crate::handshake::{client, server};
use crate::outbox::Transmit;
use crate::time::Deadline;
use crate::{Config, Connection, Instant, State};

use exchange::Exchange;
use linger::Linger;
use opening::Unsent;

/// A WebSocket connection without a transport, from its first byte to its last.
///
/// The [crate's documentation](crate#the-contract) has the contract and a whole program. A command
/// that the current phase does not allow returns an error or does nothing; no method panics.
///
/// Two sessions in memory, without a network:
///
/// ```
/// use std::sync::Arc;
///
/// use sockeye_core::handshake::{client, server};
/// use sockeye_core::session::{Session, SessionEvent};
/// use sockeye_core::{Config, RecvBuf};
///
/// /// Takes all output of `from`, as bytes that `to` can receive.
/// fn output(from: &mut Session) -> Vec<u8> {
///     let mut bytes = Vec::new();
///     while let Some(transmit) = from.poll_transmit() {
///         bytes.extend_from_slice(transmit.first());
///         let written = transmit.first().len();
///         from.transmitted(written);
///     }
///     bytes
/// }
///
/// let config = Arc::new(Config::new());
/// let request = client::ClientRequest::new(&"ws://example.com/chat".parse()?);
/// // The nonce and the masking keys must come from a secure random generator.
/// let (nonce, masks) = ([7; 16], Box::new(|| [1, 2, 3, 4]));
/// let mut client = Session::client(request, nonce, masks, config.clone());
/// let mut server = Session::server(config);
///
/// let mut bytes = output(&mut client);
/// let mut input = RecvBuf::new(&mut bytes);
/// while let Some(event) = server.poll_event(&mut input) {
///     if let SessionEvent::Upgrade(upgrade) = event {
///         assert_eq!(upgrade.path(), "/chat");
///         server.decide(upgrade, &server::Policy::new());
///     }
/// }
/// server.send("hello")?;
///
/// let (mut bytes, mut messages) = (output(&mut server), Vec::new());
/// let mut input = RecvBuf::new(&mut bytes);
/// while let Some(event) = client.poll_event(&mut input) {
///     if let SessionEvent::Message(message) = event {
///         messages.push(message.into_message());
///     }
/// }
/// assert_eq!(messages.len(), 1);
/// assert_eq!(messages[0].as_bytes(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session {
    config: Arc<Config>,
    phase: Phase,
    /// The unwritten output of the opening handshake. It precedes all output of the connection.
    unsent: Option<Box<Unsent>>,
    /// A failure that `poll_event` has not reported yet.
    failure: Option<Box<Failure>>,
    /// Returns the date of responses.
    date: Option<fn() -> String>,
    pool: Option<Arc<dyn CodecPool>>,
    /// The settings of plain HTTP. Without them, plain HTTP is refused.
    http: Option<Box<HttpSettings>>,
    delivery: Delivery,
    /// Whether the transport has ended. The phase handles this after the remaining input.
    eof: bool,
}

/// The phase of a session. State used only during the opening handshake is boxed and freed
/// afterwards.
#[expect(clippy::large_enum_variant, reason = "nearly every session is open, and needs no box then")]
enum Phase {
    /// A server reads the head of a request.
    Reading(Box<server::ServerHandshake>),
    /// The application decides on a valid upgrade.
    Deciding,
    /// The application answers a plain HTTP request.
    Exchange(Box<Exchange>),
    /// A server waits for the next plain HTTP request on a kept-alive connection.
    Idle(Deadline),
    /// A client waits for the response.
    Connecting(Box<client::ClientHandshake>),
    /// The WebSocket is open, closing, or closed.
    Open(Open),
    /// The last response is written, and further input is discarded.
    Lingering(Linger),
    /// The session is over.
    Ended { reported: bool },
}

/// How the session delivers messages.
#[derive(Clone, Copy, Default)]
struct Delivery {
    /// Whether to deliver parts instead of whole messages.
    in_parts: bool,
    /// Whether to take messages while the queue has no room for an answer.
    while_full: bool,
}

/// A failure to report: of the opening handshake, or of the body of a request.
enum Failure {
    Opening(OpenError),
    Body(BodyFailure),
}

/// The open WebSocket.
struct Open {
    connection: Connection,
    assembler: Assembler,
    /// The content of [`SessionEvent::Open`], until it is reported.
    opened: Option<Box<Opened>>,
    /// The length of the input that waited for room at the last poll.
    waiting: usize,
    /// Whether [`SessionEvent::Failed`] has been reported.
    failure_reported: bool,
    /// Whether [`SessionEvent::Ended`] has been reported.
    end_reported: bool,
}

impl Session {
    /// Returns the next bytes to write, if any. Write some of them, then report how many to
    /// [`transmitted`](Session::transmitted).
    #[must_use]
    pub fn poll_transmit(&self) -> Option<Transmit<'_>> {
        if let Some(unsent) = &self.unsent {
            return Some(Transmit::of_slice(unsent.rest()));
        }
        match &self.phase {
            Phase::Connecting(handshake) => handshake.poll_transmit().map(Transmit::of_slice),
            Phase::Open(open) => open.connection.poll_transmit(),
            _ => None,
        }
    }

    /// Reports that the first `n` bytes of [`poll_transmit`](Session::poll_transmit) have been
    /// written.
    pub fn transmitted(&mut self, n: usize) {
        if let Some(unsent) = &mut self.unsent {
            if unsent.advance(n) {
                self.unsent = None;
                self.restart_deadline();
            } else if let Some(http) = &self.http
                && unsent.has_gained(self.config.demanded_bytes(http.response_timeout))
            {
                self.restart_deadline();
            }
            return;
        }
        match &mut self.phase {
            Phase::Connecting(handshake) => handshake.transmitted(n),
            Phase::Open(open) => open.connection.transmitted(n),
            _ => {}
        }
    }

    /// Notifies the session that the transport takes no more bytes for now. The queue then takes
    /// little memory, and pings are answered one at a time, see [`Connection::handle_blocked`].
    pub fn handle_blocked(&mut self) {
        if let Phase::Open(open) = &mut self.phase {
            open.connection.handle_blocked();
        }
    }

    /// Starts the deadline anew: that of the response, or the one that follows it, for the next
    /// request or for the client's close.
    fn restart_deadline(&mut self) {
        match &mut self.phase {
            Phase::Idle(deadline) => *deadline = Deadline::start(),
            Phase::Lingering(linger) => linger.restart(),
            _ => {}
        }
    }

    /// Returns when to call [`handle_timeout`](Session::handle_timeout) next, or `None` while
    /// nothing depends on time. An instant in the past means "now".
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Reading(handshake) => handshake.poll_timeout(),
            Phase::Connecting(handshake) => handshake.poll_timeout(),
            Phase::Exchange(exchange) => exchange.poll_timeout(),
            Phase::Idle(deadline) => deadline.poll(),
            Phase::Open(open) => open.connection.poll_timeout(),
            Phase::Lingering(linger) => linger.poll_timeout(),
            Phase::Deciding | Phase::Ended { .. } => None,
        }
    }

    /// Returns true when this side of the transport must be closed: everything has been written and
    /// no more will follow. Keep reading until the transport ends, so that the peer receives all
    /// output (RFC 6455 section 7.1.1, RFC 9112 section 9.6).
    ///
    /// It stays true. To close the side of a socket again has no effect.
    #[must_use]
    pub fn wants_shutdown(&self) -> bool {
        match &self.phase {
            Phase::Open(open) => self.unsent.is_none() && open.connection.wants_shutdown(),
            Phase::Lingering(_) => self.unsent.is_none(),
            Phase::Ended { .. } => true,
            _ => false,
        }
    }

    /// Returns true once the session is over for the application: no event but
    /// [`SessionEvent::Ended`] follows, and everything has been written.
    ///
    /// Only the end of the transport is left, and the peer may delay that, see
    /// [`Connection::is_finished`]. Report the end to the application now, and keep the session
    /// until [`SessionEvent::Ended`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.phase {
            Phase::Open(open) => self.unsent.is_none() && open.connection.is_finished(),
            Phase::Lingering(_) => self.unsent.is_none() && self.failure.is_none(),
            Phase::Ended { .. } => true,
            _ => false,
        }
    }

    /// Returns true once the session takes no further request or message: it sends its last
    /// response, waits for the peer to read that, or has ended.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        match &self.phase {
            Phase::Lingering(_) | Phase::Ended { .. } => true,
            Phase::Open(open) => open.connection.state() == State::Closed,
            _ => false,
        }
    }

    /// Returns the open connection, or `None` before the opening handshake is complete.
    #[must_use]
    pub fn connection(&self) -> Option<&Connection> {
        if let Phase::Open(open) = &self.phase { Some(&open.connection) } else { None }
    }

    /// Returns the open connection by value, to drive it without a session.
    ///
    /// # Errors
    ///
    /// Returns the session if the WebSocket is not open, or if bytes of the opening handshake still
    /// have to be written. [`SessionEvent::Open`] and later events that were not taken are lost.
    #[expect(clippy::result_large_err, reason = "the error returns what was passed in")]
    pub fn into_connection(self) -> Result<Connection, Self> {
        match self.phase {
            Phase::Open(open) if self.unsent.is_none() => Ok(open.connection),
            _ => Err(self),
        }
    }

    /// Returns the open connection mutably, or `None` before the opening handshake is complete.
    ///
    /// Pass input to [`poll_event`](Session::poll_event) only. If the connection consumed some of
    /// it, the session would lose parts of messages.
    #[must_use]
    pub fn connection_mut(&mut self) -> Option<&mut Connection> {
        if let Phase::Open(open) = &mut self.phase { Some(&mut open.connection) } else { None }
    }
}

impl Open {
    fn new(connection: Connection, opened: Option<Box<Opened>>) -> Self {
        Open {
            connection,
            assembler: Assembler::new(),
            opened,
            waiting: 0,
            failure_reported: false,
            end_reported: false,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match &self.phase {
            Phase::Reading(_) => "Reading",
            Phase::Deciding => "Deciding",
            Phase::Exchange(_) => "Exchange",
            Phase::Idle(_) => "Idle",
            Phase::Connecting(_) => "Connecting",
            Phase::Open(_) => "Open",
            Phase::Lingering(_) => "Lingering",
            Phase::Ended { .. } => "Ended",
        };
        f.debug_struct("Session").field("phase", &phase).finish_non_exhaustive()
    }
}

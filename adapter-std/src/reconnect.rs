//! A blocking client that stays connected.
//!
//! ```no_run
//! use sockeye_std::reconnect::{ReconnectPolicy, Reconnecting, Update};
//!
//! # fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let connect = |_attempt| sockeye_std::connect("ws://127.0.0.1:9501/");
//! let mut client = Reconnecting::new(ReconnectPolicy::new(), connect)
//!     .on_connect(|ws| ws.send("subscribe: prices"));
//! while let Some(update) = client.recv()? {
//!     match update {
//!         Update::Message(message) => println!("{message:?}"),
//!         Update::Connected { .. } => println!("connected; fetch what was missed"),
//!         Update::Lost { cause, retry_in, .. } => println!("{cause}; again in {retry_in:?}"),
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! The policy and the guarantees are those of
//! [`sockeye_driver::reconnect`], which describes what may be lost.

use std::fmt;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, SystemTime};

use sockeye_core::{CloseCode, CloseInfo, Instant, Payload, SendError};
use sockeye_driver::{Error, nonce};

use crate::clock::now;
use crate::received::Received;
use crate::stream::Stream;
use crate::websocket::WebSocket;

pub use sockeye_driver::reconnect::{
    Attempt, Backoff, Cause, GaveUp, Outgoing, ReconnectPolicy, Unsent, UnsentReason, Update, WhileDown,
};

type Connect<S> = Box<dyn FnMut(Attempt) -> Result<WebSocket<S>, Cause> + Send>;
type SetUp<S> = Box<dyn FnMut(&mut WebSocket<S>) -> Result<(), Cause> + Send>;

/// A blocking client that stays connected. The [module](crate::reconnect) has an example.
///
/// [`recv`](Reconnecting::recv) does everything: it connects, receives, waits and connects again.
/// Call it in a loop, also to send only. To send from the same thread, use
/// [`recv_timeout`](Reconnecting::recv_timeout).
///
/// A connection whose peer has vanished without a word ends only by a deadline: set
/// [`Config::keepalive`](sockeye_core::Config::keepalive) on the connections.
pub struct Reconnecting<S = TcpStream> {
    connect: Connect<S>,
    set_up: Option<SetUp<S>>,
    backoff: Backoff,
    random: Box<dyn FnMut() -> u64 + Send>,
    outgoing: Outgoing,
    state: State<S>,
}

enum State<S> {
    /// An attempt is due at this time.
    Waiting(Instant),
    Up {
        ws: Box<WebSocket<S>>,
        /// Writing has failed. The receive reports it after the remaining input.
        is_write_broken: bool,
    },
    Over,
}

/// The result of [`Reconnecting::recv_timeout`].
#[derive(Debug)]
pub enum ReceivedUpdate {
    /// A message or a change.
    Update(Update),
    /// Nothing happened in time.
    TimedOut,
    /// The client was closed, or has given up.
    Over,
}

impl<S: Stream> Reconnecting<S> {
    /// Creates a client that opens its connections with `connect`. The first
    /// [`recv`](Reconnecting::recv) begins.
    ///
    /// `connect` may return any error that converts to [`Cause`]: a
    /// [`ConnectError`](crate::ConnectError), an [`Error`], an [`io::Error`](std::io::Error), or a
    /// `Box<dyn Error + Send + Sync>`. Fetch a fresh token in it, if the server needs one.
    pub fn new<E: Into<Cause>>(
        policy: ReconnectPolicy,
        connect: impl FnMut(Attempt) -> Result<WebSocket<S>, E> + Send + 'static,
    ) -> Self {
        let random = || nonce().iter().fold(0, |number, &byte| (number << 8) | u64::from(byte));
        Reconnecting::with(policy, random, connect)
    }

    /// Creates a client like [`new`](Reconnecting::new), with the randomness for the jitter of its
    /// waits.
    pub fn with<E: Into<Cause>>(
        policy: ReconnectPolicy,
        random: impl FnMut() -> u64 + Send + 'static,
        mut connect: impl FnMut(Attempt) -> Result<WebSocket<S>, E> + Send + 'static,
    ) -> Self {
        Reconnecting {
            connect: Box::new(move |attempt| connect(attempt).map_err(Into::into)),
            set_up: None,
            outgoing: Outgoing::new(policy.while_down),
            backoff: Backoff::new(policy),
            random: Box::new(random),
            state: State::Waiting(Instant::EPOCH),
        }
    }

    /// Calls `set_up` for each new connection, before anything else is received or sent: subscribe
    /// here. If it fails, the attempt has failed.
    #[must_use]
    pub fn on_connect<E: Into<Cause>>(
        mut self,
        mut set_up: impl FnMut(&mut WebSocket<S>) -> Result<(), E> + Send + 'static,
    ) -> Self {
        self.set_up = Some(Box::new(move |ws| set_up(ws).map_err(Into::into)));
        self
    }

    /// Waits for the next message or change. Returns `None` once the client was
    /// [closed](Reconnecting::close), or after it has given up.
    ///
    /// # Errors
    ///
    /// Returns [`GaveUp`] once, when the client has given up.
    /// [`take_unsent`](Reconnecting::take_unsent) and
    /// [`take_in_doubt`](Reconnecting::take_in_doubt) then return the messages that were not sent.
    pub fn recv(&mut self) -> Result<Option<Update>, GaveUp> {
        loop {
            match self.receive(None)? {
                ReceivedUpdate::Update(update) => return Ok(Some(update)),
                ReceivedUpdate::TimedOut => {}
                ReceivedUpdate::Over => return Ok(None),
            }
        }
    }

    /// Waits for the next message or change, like [`recv`](Reconnecting::recv), but for `timeout`
    /// at most. An attempt to connect that is due takes as long as the closures take.
    ///
    /// # Errors
    ///
    /// Returns [`GaveUp`] once, like [`recv`](Reconnecting::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<ReceivedUpdate, GaveUp> {
        self.receive(Some(now() + timeout))
    }

    fn receive(&mut self, until: Option<Instant>) -> Result<ReceivedUpdate, GaveUp> {
        loop {
            if let Some(unsent) = self.outgoing.take_invalid() {
                return Ok(ReceivedUpdate::Update(Update::Unsendable(unsent)));
            }
            match &mut self.state {
                State::Waiting(due) => {
                    let wake = until.map_or(*due, |until| until.min(*due));
                    let due = *due;
                    thread::sleep(wake.since(now()));
                    if due > now() {
                        return Ok(ReceivedUpdate::TimedOut);
                    }
                    return self.dial().map(ReceivedUpdate::Update);
                }
                State::Up { .. } => {
                    if self.outgoing.next().is_some() && self.write_waiting().is_ok() {
                        continue;
                    }
                    let State::Up { ws, .. } = &mut self.state else { continue };
                    let received = match until {
                        Some(until) => ws.recv_timeout(until.since(now())),
                        None => ws.recv().map(|message| message.map_or(Received::Closed, Received::Message)),
                    };
                    let cause = match received {
                        Ok(Received::Message(message)) => {
                            return Ok(ReceivedUpdate::Update(Update::Message(message)));
                        }
                        Ok(Received::TimedOut) => return Ok(ReceivedUpdate::TimedOut),
                        Ok(Received::Closed) => {
                            Cause::Closed(ws.close_info().cloned().unwrap_or_else(CloseInfo::unknown))
                        }
                        Err(error) => Cause::Broken(error),
                    };
                    let (cause, retry_in) = self.retry(cause)?;
                    let in_doubt = self.outgoing.take_in_doubt();
                    return Ok(ReceivedUpdate::Update(Update::Lost { cause, retry_in, in_doubt }));
                }
                State::Over => return Ok(ReceivedUpdate::Over),
            }
        }
    }

    fn dial(&mut self) -> Result<Update, GaveUp> {
        let attempt = self.backoff.attempt();
        let connected = (self.connect)(attempt).and_then(|mut ws| {
            let set_up = self.set_up.as_mut().map_or(Ok(()), |set_up| set_up(&mut ws));
            set_up.map(|()| ws)
        });
        match connected {
            Ok(ws) => {
                self.backoff.connected(now());
                self.state = State::Up { ws: Box::new(ws), is_write_broken: false };
                Ok(Update::Connected { reconnects: attempt.connections })
            }
            Err(cause) => {
                let (cause, retry_in) = self.retry(cause)?;
                Ok(Update::Failed { cause, retry_in })
            }
        }
    }

    /// Waits for the next attempt, or gives up.
    fn retry(&mut self, cause: Cause) -> Result<(Cause, Duration), GaveUp> {
        let (now, random) = (now(), (self.random)());
        match self.backoff.failed(&cause, now, SystemTime::now(), random) {
            Some(wait) => {
                self.state = State::Waiting(now + wait);
                Ok((cause, wait))
            }
            None => {
                self.state = State::Over;
                Err(GaveUp::new(cause))
            }
        }
    }

    /// Sends a message: writes it to the open connection, after those that wait. While there is no
    /// connection, the policy decides ([`ReconnectPolicy::while_down`]).
    ///
    /// It waits until the peer has read enough, and does not receive meanwhile, like
    /// [`WebSocket::send`]. It does not connect; [`recv`](Reconnecting::recv) does.
    ///
    /// # Errors
    ///
    /// Returns the message with the reason if it was not sent, or if that is in doubt. The client
    /// continues.
    pub fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Unsent> {
        let payload = payload.into().into_owned();
        if self.write_waiting().is_err() {
            return match self.state {
                State::Over => Err(Unsent::new(payload, UnsentReason::Over)),
                _ => self.outgoing.push(payload),
            };
        }
        match self.hand_over(&payload) {
            Ok(()) => self.outgoing.begin(payload),
            Err(Error::Send(error)) if error != SendError::Closed => {
                return Err(Unsent::new(payload, UnsentReason::Invalid(error)));
            }
            Err(_) => {
                self.break_write();
                return self.outgoing.push(payload);
            }
        }
        match self.flush() {
            Ok(()) => Ok(()),
            Err(_) => match self.outgoing.take_in_doubt() {
                Some(payload) => Err(Unsent::new(payload, UnsentReason::InDoubt)),
                None => Ok(()),
            },
        }
    }

    /// Writes the messages that wait. Returns an error if there is no connection, or if it is
    /// broken or closing.
    fn write_waiting(&mut self) -> Result<(), Error> {
        // Each message begins with an empty queue, so that at most one is in doubt.
        self.flush()?;
        while let Some(next) = self.outgoing.next().cloned() {
            match self.hand_over(&next) {
                Ok(()) => self.outgoing.begin_next(),
                Err(Error::Send(error)) if error != SendError::Closed => {
                    self.outgoing.refuse_next(error);
                    continue;
                }
                Err(error) => {
                    self.break_write();
                    return Err(error);
                }
            }
            self.flush()?;
        }
        Ok(())
    }

    /// Queues a message on the open connection, whose queue is empty.
    fn hand_over(&mut self, payload: &Payload<'static>) -> Result<(), Error> {
        match &mut self.state {
            State::Up { ws, .. } => ws.feed(payload.clone()),
            _ => Err(SendError::Closed.into()),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let State::Up { ws, is_write_broken: false } = &mut self.state else {
            return Err(SendError::Closed.into());
        };
        let flushed = ws.flush();
        match flushed {
            Ok(()) => self.outgoing.written(),
            Err(_) => self.break_write(),
        }
        flushed
    }

    fn break_write(&mut self) {
        if let State::Up { is_write_broken, .. } = &mut self.state {
            *is_write_broken = true;
        }
    }

    /// Closes the connection, if there is one, and ends the client. Returns how the connection
    /// ended, or `None` if there was none.
    ///
    /// Messages that still wait for a connection are not sent;
    /// [`take_unsent`](Reconnecting::take_unsent) returns them. This waits at most for
    /// [`Config::close_timeout`](sockeye_core::Config::close_timeout), like [`WebSocket::close`],
    /// and discards messages of the server.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent. The client continues.
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<Option<CloseInfo>, Error> {
        let info = match &mut self.state {
            State::Up { ws, .. } => Some(ws.close(code, reason)?),
            _ => None,
        };
        self.state = State::Over;
        Ok(info)
    }

    /// Returns the open connection, for its state. Returns `None` while there is none.
    #[must_use]
    pub fn websocket(&self) -> Option<&WebSocket<S>> {
        match &self.state {
            State::Up { ws, .. } => Some(ws),
            _ => None,
        }
    }

    /// Takes the messages that wait for a connection.
    pub fn take_unsent(&mut self) -> Vec<Payload<'static>> {
        self.outgoing.take_waiting()
    }

    /// Takes the message that was being written when the client ended. The server may have received
    /// it. While the client continues, [`Update::Lost`] has it.
    pub fn take_in_doubt(&mut self) -> Option<Payload<'static>> {
        match self.state {
            State::Over => self.outgoing.take_in_doubt(),
            _ => None,
        }
    }

    /// Returns the bytes of the messages that wait for a connection. Each message counts as its
    /// payload and 64 bytes.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.outgoing.bytes()
    }
}

impl<S> fmt::Debug for Reconnecting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting(_) => "waiting",
            State::Up { .. } => "up",
            State::Over => "over",
        };
        f.debug_struct("Reconnecting")
            .field("state", &state)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

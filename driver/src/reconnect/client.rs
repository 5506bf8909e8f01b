//! The client: its states, and what it reports.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use sockeye_core::{CloseCode, CloseFrame, CloseInfo, Instant, Message, Payload};

use crate::error::Error;
use crate::reconnect::attempt::{dial, dial_then};
use crate::reconnect::{Attempt, Backoff, BoxDial, Cause, Dial, Outgoing, ReconnectPolicy, Unsent};
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};
use crate::websocket::WebSocket;

/// A client that stays connected. The [module](crate::reconnect) describes what it guarantees.
///
/// [`recv`](Reconnecting::recv) does everything: it connects, receives, waits and connects again.
/// Call it in a loop, also to send only. To send from the same task, use the `select!` of the
/// runtime, because a `recv` can be cancelled at any time.
///
/// The type of a client names its closures, which have no names. To write the type down, for
/// instance in a struct, call [`boxed`](Reconnecting::boxed).
///
/// A connection whose peer has vanished without a word ends only by a deadline: set
/// [`Config::keepalive`](sockeye_core::Config::keepalive) on the connections.
pub struct Reconnecting<I, C, D = BoxDial<I, C>> {
    pub(super) dial: D,
    pub(super) clock: C,
    pub(super) backoff: Backoff,
    random: Box<dyn FnMut() -> u64 + Send>,
    pub(super) state: State<I, C>,
    pub(super) outgoing: Outgoing,
    /// `close` was called, so the end of the connection is the end of the client.
    is_closing: bool,
}

/// The state of the client. The connection is boxed, because waiting takes little memory.
pub(super) enum State<I, C> {
    /// An attempt is due at this time.
    Waiting(Instant),
    /// An attempt runs, until this deadline.
    Dialing(Instant),
    Up {
        ws: Box<WebSocket<I, C>>,
        /// Writing has failed. The receive reports it after the remaining input.
        is_write_broken: bool,
    },
    Over,
}

/// A report of a client.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update {
    /// A message of the server.
    Message(Message),
    /// A connection is open, and the closures have run.
    Connected {
        /// How many connections were open before. 0 means that this is the first one.
        reconnects: u64,
    },
    /// The connection is lost. Messages of the server may be missing from here on, until the server
    /// sends on the next connection.
    Lost {
        /// How the connection ended.
        cause: Cause,
        /// How long the client waits before the next attempt.
        retry_in: Duration,
        /// The message that was being written when the connection broke, unless
        /// [`send`](Reconnecting::send) has returned it. The server may have received it, so it is
        /// not sent again.
        in_doubt: Option<Payload<'static>>,
    },
    /// An attempt has failed.
    Failed {
        /// Why it failed.
        cause: Cause,
        /// How long the client waits before the next attempt.
        retry_in: Duration,
    },
    /// A message that waited for this connection cannot be sent on it, for instance because it is
    /// too large.
    Unsendable(Unsent),
}

/// The client has given up, because another attempt would fail in the same way, or after
/// [`max_retries`](ReconnectPolicy::max_retries). If it was connected, the connection is lost.
#[derive(Debug)]
pub struct GaveUp(Cause);

impl<I: Io, C: Clock> Reconnecting<I, C> {
    /// Creates a client that opens its connections with `connect`, an async closure. The first
    /// [`recv`](Reconnecting::recv) begins.
    ///
    /// `connect` may return any error that converts to [`Cause`]: a
    /// [`ConnectError`](crate::ConnectError), an [`Error`], an [`io::Error`](std::io::Error), or a
    /// `Box<dyn Error + Send + Sync>`. Fetch a fresh token in it, if the server needs one.
    pub fn new<F, E>(policy: ReconnectPolicy, connect: F) -> Reconnecting<I, C, impl Dial<I, C>>
    where
        C: Default,
        F: AsyncFnMut(Attempt) -> Result<WebSocket<I, C>, E>,
        E: Into<Cause>,
    {
        Reconnecting::with(policy, C::default(), rand::random::<u64>, connect)
    }

    /// Creates a client like [`new`](Reconnecting::new), with the clock for its waits and the
    /// randomness for their jitter.
    pub fn with<F, E>(
        policy: ReconnectPolicy,
        clock: C,
        random: impl FnMut() -> u64 + Send + 'static,
        connect: F,
    ) -> Reconnecting<I, C, impl Dial<I, C>>
    where
        F: AsyncFnMut(Attempt) -> Result<WebSocket<I, C>, E>,
        E: Into<Cause>,
    {
        Reconnecting {
            dial: dial(connect),
            clock,
            outgoing: Outgoing::new(policy.while_down),
            backoff: Backoff::new(policy),
            random: Box::new(random),
            state: State::Waiting(Instant::EPOCH),
            is_closing: false,
        }
    }
}

impl<I: Io, C: Clock, D: Dial<I, C>> Reconnecting<I, C, D> {
    /// Calls `set_up` for each new connection, before anything else is received or sent: subscribe
    /// here. If it fails, the attempt has failed. Call this before the first
    /// [`recv`](Reconnecting::recv).
    pub fn on_connect<F, E>(self, set_up: F) -> Reconnecting<I, C, impl Dial<I, C>>
    where
        F: AsyncFnMut(&mut WebSocket<I, C>) -> Result<(), E>,
        E: Into<Cause>,
    {
        self.map_dial(|dial| dial_then(dial, set_up))
    }

    /// Boxes the closures, so that the type of the client can be written down as
    /// `Reconnecting<I, C>`. They must be `Send` and own what they use.
    pub fn boxed(self) -> Reconnecting<I, C>
    where
        D: Send + 'static,
    {
        self.map_dial(|dial| Box::new(dial) as BoxDial<I, C>)
    }

    fn map_dial<E>(self, map: impl FnOnce(D) -> E) -> Reconnecting<I, C, E> {
        let Reconnecting { dial, clock, backoff, random, state, outgoing, is_closing } = self;
        Reconnecting { dial: map(dial), clock, backoff, random, state, outgoing, is_closing }
    }

    /// Waits for the next message or change. Returns `None` once the client was
    /// [closed](Reconnecting::close), or after it has given up.
    ///
    /// While it waits, it also writes messages that wait, answers pings, enforces the deadlines of
    /// the connection, and connects again when that is due.
    ///
    /// # Errors
    ///
    /// Returns [`GaveUp`] once, when the client has given up.
    /// [`take_unsent`](Reconnecting::take_unsent) and
    /// [`take_in_doubt`](Reconnecting::take_in_doubt) then return the messages that were not sent.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an attempt that has begun continues with the next call, and no message is lost.
    /// Nothing happens between two calls.
    pub async fn recv(&mut self) -> Result<Option<Update>, GaveUp> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls [`recv`](Reconnecting::recv), for futures written by hand.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Update>, GaveUp>> {
        loop {
            if let Some(unsent) = self.outgoing.take_invalid() {
                return Poll::Ready(Ok(Some(Update::Unsendable(unsent))));
            }
            match &mut self.state {
                State::Waiting(until) => {
                    let now = ready!(poll_deadline(&mut self.clock, cx, *until));
                    self.dial.start(self.backoff.attempt());
                    self.state = State::Dialing(now + self.backoff.policy().attempt_timeout);
                }
                State::Dialing(deadline) => match self.dial.poll(cx) {
                    Poll::Ready(Ok(ws)) => return Poll::Ready(Ok(Some(self.connected(ws)))),
                    Poll::Ready(Err(cause)) => return Poll::Ready(self.failed(cause).map(Some)),
                    Poll::Pending => {
                        ready!(poll_deadline(&mut self.clock, cx, *deadline));
                        self.dial.cancel();
                        return Poll::Ready(self.failed(Cause::TimedOut).map(Some));
                    }
                },
                State::Up { .. } => {
                    if self.outgoing.is_writing() || self.outgoing.next().is_some() {
                        // An error is met again by the receive, after the remaining input.
                        let _ = self.poll_write(cx);
                        if self.outgoing.has_invalid() {
                            continue;
                        }
                    }
                    let State::Up { ws, .. } = &mut self.state else { continue };
                    let cause = match ready!(ws.poll_recv(cx)) {
                        Ok(Some(message)) => return Poll::Ready(Ok(Some(Update::Message(message)))),
                        Ok(None) => {
                            Cause::Closed(ws.close_info().cloned().unwrap_or_else(CloseInfo::unknown))
                        }
                        Err(error) => Cause::Broken(error),
                    };
                    if self.is_closing {
                        self.end();
                        continue;
                    }
                    return Poll::Ready(self.lost(cause).map(Some));
                }
                State::Over => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Closes the connection, if there is one, and ends the client. Returns how the connection
    /// ended, or `None` if there was none. A later [`recv`](Reconnecting::recv) returns `None`.
    ///
    /// Messages that still wait for a connection are not sent;
    /// [`take_unsent`](Reconnecting::take_unsent) returns them. This waits at most for
    /// [`Config::close_timeout`](sockeye_core::Config::close_timeout), like [`WebSocket::close`],
    /// and discards messages of the server.
    ///
    /// # Errors
    ///
    /// Returns an error if the code or reason cannot be sent. The client continues.
    ///
    /// # Cancel safety
    ///
    /// The first poll queues the Close. Call it again, or receive, to continue waiting.
    pub async fn close(
        &mut self,
        code: impl Into<CloseCode>,
        reason: &str,
    ) -> Result<Option<CloseInfo>, Error> {
        let frame = CloseFrame::new(code, reason);
        poll_fn(|cx| self.poll_close(cx, &frame)).await
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        frame: &CloseFrame<'_>,
    ) -> Poll<Result<Option<CloseInfo>, Error>> {
        let closed = match &mut self.state {
            State::Up { ws, .. } => match ws.poll_close(cx, frame) {
                Poll::Pending => {
                    self.is_closing = true;
                    return Poll::Pending;
                }
                Poll::Ready(closed) => Some(closed?),
            },
            _ => None,
        };
        self.end();
        Poll::Ready(Ok(closed))
    }

    /// Returns the open connection, for its state. Returns `None` while there is none.
    #[must_use]
    pub fn websocket(&self) -> Option<&WebSocket<I, C>> {
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

    fn connected(&mut self, ws: WebSocket<I, C>) -> Update {
        self.clock.cancel();
        let reconnects = self.backoff.attempt().connections;
        self.backoff.connected(self.clock.now());
        self.state = State::Up { ws: Box::new(ws), is_write_broken: false };
        Update::Connected { reconnects }
    }

    fn failed(&mut self, cause: Cause) -> Result<Update, GaveUp> {
        let (cause, retry_in) = self.retry(cause)?;
        Ok(Update::Failed { cause, retry_in })
    }

    fn lost(&mut self, cause: Cause) -> Result<Update, GaveUp> {
        let (cause, retry_in) = self.retry(cause)?;
        Ok(Update::Lost { cause, retry_in, in_doubt: self.outgoing.take_in_doubt() })
    }

    /// Waits for the next attempt, or gives up.
    fn retry(&mut self, cause: Cause) -> Result<(Cause, Duration), GaveUp> {
        self.clock.cancel();
        let now = self.clock.now();
        let random = (self.random)();
        match self.backoff.failed(&cause, now, SystemTime::now(), random) {
            Some(wait) => {
                self.state = State::Waiting(now + wait);
                Ok((cause, wait))
            }
            None => {
                self.end();
                Err(GaveUp(cause))
            }
        }
    }

    fn end(&mut self) {
        self.clock.cancel();
        self.dial.cancel();
        self.state = State::Over;
    }
}

impl GaveUp {
    /// Wraps the failure that ended a client.
    #[must_use]
    pub fn new(cause: Cause) -> Self {
        GaveUp(cause)
    }

    /// Returns the failure that ended the client.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.0
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client does not connect again: {}", self.0)
    }
}

impl std::error::Error for GaveUp {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl<I, C, D> fmt::Debug for Reconnecting<I, C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting(_) => "waiting",
            State::Dialing(_) => "dialing",
            State::Up { .. } => "up",
            State::Over => "over",
        };
        f.debug_struct("Reconnecting")
            .field("state", &state)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

//! The state of the end of a connection: the closing handshake (RFC 6455 7) and the transport.
//!
//! Both are small state machines over the same events. A dash means that the event changes nothing.
//! An event that a table does not list never changes its state.
//!
//! The closing handshake; `Failed` is the state of a connection that failed (RFC 6455 7.1.7):
//!
//! ```text
//!                CloseSent   CloseReceived   Fail
//!   None         Sent        Received        Failed
//!   Sent         -           Both            Failed
//!   Received     Both        -               Failed
//!   Both         -           -               Failed
//!   Failed       -           -               -
//! ```
//!
//! The transport:
//!
//! ```text
//!                WriteError    Eof    End
//!   Up           WriteBroken   Eof    Ended
//!   WriteBroken  -             Eof    Ended
//!   Eof          Ended         -      Ended
//!   Ended        -             -      -
//! ```
//!
//! Nothing changes after the transport has ended. It also ends when nothing else can change:
//!
//! - After `Eof`, when the queue is empty.
//! - After a write error, when the peer has sent its Close or the connection has failed: whatever
//!   else arrives is discarded.
//!
//! `Received` with `Up` lasts until this endpoint has answered the peer's Close: at once, or when
//! the application has chosen the answer. `Received` stays if the transport no longer takes it.

use core::time::Duration;

use crate::discard::LINGER;
use crate::role::{Role, State};

/// The time that a client waits for the server to close TCP, after the closing handshake.
///
/// "The server MUST close the underlying TCP connection immediately; the client SHOULD wait for the
/// server to close the connection but MAY close the connection at any time" (RFC 6455 5.5.1). The
/// server learns of the handshake's completion half a round trip after the client, and its FIN
/// takes another half. This is enough for that on nearly every path, and short enough that a
/// server that keeps its socket open does not hold up the application.
const SERVER_CLOSE_WAIT: Duration = Duration::from_millis(250);

/// The closing handshake and the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Closing {
    handshake: Handshake,
    transport: Transport,
}

/// The progress of the closing handshake (RFC 6455 7.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Handshake {
    /// Neither endpoint has sent a Close.
    #[default]
    None,
    /// This endpoint has sent a Close.
    Sent,
    /// The peer has sent a Close.
    Received,
    /// Both endpoints have sent a Close.
    Both,
    /// The connection has failed: the peer's Close no longer counts.
    Failed,
}

/// The state of the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Transport {
    /// It works in both directions.
    #[default]
    Up,
    /// It takes no more bytes.
    WriteBroken,
    /// It has no more input; the queue is still being written.
    Eof,
    /// The connection no longer uses it.
    Ended,
}

/// Something that brings a connection closer to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClosingEvent {
    /// This endpoint has queued a Close.
    CloseSent,
    /// The peer's Close has arrived.
    CloseReceived,
    /// The connection has failed.
    Fail,
    /// A write has failed.
    WriteError,
    /// The input has ended.
    Eof,
    /// The connection was aborted, its time is up, or nothing else can change.
    End,
}

impl Closing {
    pub(super) fn handle(&mut self, event: ClosingEvent) {
        if self.transport != Transport::Ended {
            self.handshake = self.handshake.after(event);
            self.transport = self.transport.after(event);
        }
    }

    #[inline]
    pub(super) fn state(self) -> State {
        match (self.handshake, self.transport) {
            (_, Transport::Ended) => State::Closed,
            (Handshake::None, Transport::Up) => State::Open,
            _ => State::Closing,
        }
    }

    /// Returns whether frames other than a Close can be queued.
    #[inline]
    pub(super) fn can_send(self) -> bool {
        // "The application MUST NOT send any more data frames after sending a Close frame."
        // (RFC 6455 5.5.1) The peer's Close ends sending, too: the peer processes no more data.
        self.handshake == Handshake::None && self.transport == Transport::Up
    }

    /// Returns whether a Close can be queued: the first one, or the answer to the peer's.
    pub(super) fn can_close(self) -> bool {
        self.can_send() || self.owes_answer()
    }

    /// Returns whether the peer's Close still needs an answer, and one can be sent.
    pub(super) fn owes_answer(self) -> bool {
        self.handshake == Handshake::Received && self.transport == Transport::Up
    }

    /// Returns whether input must be discarded.
    #[inline]
    pub(super) fn ignores_input(self) -> bool {
        self.handshake == Handshake::Failed || self.has_ended()
    }

    /// Returns whether input is discarded, here or by the receiver: the peer has sent a Close, or
    /// the connection has failed.
    #[inline]
    pub(super) fn discards_input(self) -> bool {
        matches!(self.handshake, Handshake::Received | Handshake::Both) || self.ignores_input()
    }

    /// Returns whether this endpoint must close its side of the transport when the queue is empty.
    pub(super) fn wants_shutdown(self, role: Role) -> bool {
        match (self.handshake, self.transport) {
            // An endpoint that fails the connection does not wait for the peer (RFC 6455 7.1.7).
            (Handshake::Failed, _) => true,
            // "The server MUST close the underlying TCP connection immediately; the client SHOULD
            // wait for the server to close the connection" (RFC 6455 5.5.1)
            (Handshake::Both, Transport::Up) => role == Role::Server,
            (_, transport) => transport != Transport::Up,
        }
    }

    /// Returns whether no input can change how the connection ends: the closing handshake is
    /// complete, or the connection has failed or ended.
    #[inline]
    pub(super) fn is_decided(self) -> bool {
        matches!(self.handshake, Handshake::Both | Handshake::Failed) || self.has_ended()
    }

    /// Returns whether nothing is left to do or to wait for, given that the queue is empty.
    pub(super) fn is_exhausted(self) -> bool {
        match self.transport {
            Transport::Up | Transport::Ended => false,
            Transport::Eof => true,
            Transport::WriteBroken => self.discards_input(),
        }
    }

    /// Returns the time for which an endpoint that has written everything waits for the end of the
    /// input; `None` if only the close timeout limits that.
    pub(super) fn max_linger(self, role: Role) -> Option<Duration> {
        match (self.handshake, self.transport) {
            (Handshake::Both, Transport::Up) if role == Role::Client => Some(SERVER_CLOSE_WAIT),
            (Handshake::Failed, Transport::Up) => Some(LINGER),
            _ => None,
        }
    }

    /// Returns whether the closing handshake is complete; `None` if that can no longer change.
    pub(super) fn is_clean(self) -> Option<bool> {
        match self.transport {
            Transport::Up | Transport::Eof => Some(self.handshake == Handshake::Both),
            Transport::WriteBroken | Transport::Ended => None,
        }
    }

    #[inline]
    pub(super) fn has_ended(self) -> bool {
        self.transport == Transport::Ended
    }
}

impl Handshake {
    fn after(self, event: ClosingEvent) -> Self {
        match (self, event) {
            (Handshake::None, ClosingEvent::CloseSent) => Handshake::Sent,
            (Handshake::None, ClosingEvent::CloseReceived) => Handshake::Received,
            (Handshake::Sent, ClosingEvent::CloseReceived) => Handshake::Both,
            (Handshake::Received, ClosingEvent::CloseSent) => Handshake::Both,
            (_, ClosingEvent::Fail) => Handshake::Failed,
            (unchanged, _) => unchanged,
        }
    }
}

impl Transport {
    fn after(self, event: ClosingEvent) -> Self {
        match (self, event) {
            (Transport::Up, ClosingEvent::WriteError) => Transport::WriteBroken,
            (Transport::Eof, ClosingEvent::WriteError) => Transport::Ended,
            (Transport::Up | Transport::WriteBroken, ClosingEvent::Eof) => Transport::Eof,
            (_, ClosingEvent::End) => Transport::Ended,
            (unchanged, _) => unchanged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ClosingEvent as On;
    use Handshake::{Both, Failed, Received, Sent};
    use Transport::{Ended, Eof, Up, WriteBroken};

    /// The rows of the first table: a state, and the state after `CloseSent`, `CloseReceived` and
    /// `Fail`.
    const HANDSHAKE: [(Handshake, [Handshake; 3]); 5] = [
        (Handshake::None, [Sent, Received, Failed]),
        (Sent, [Sent, Both, Failed]),
        (Received, [Both, Received, Failed]),
        (Both, [Both, Both, Failed]),
        (Failed, [Failed, Failed, Failed]),
    ];

    /// The rows of the second table: a state, and the state after `WriteError`, `Eof` and `End`.
    const TRANSPORT: [(Transport, [Transport; 3]); 4] = [
        (Up, [WriteBroken, Eof, Ended]),
        (WriteBroken, [WriteBroken, Eof, Ended]),
        (Eof, [Ended, Eof, Ended]),
        (Ended, [Ended, Ended, Ended]),
    ];

    const HANDSHAKE_EVENTS: [On; 3] = [On::CloseSent, On::CloseReceived, On::Fail];
    const TRANSPORT_EVENTS: [On; 3] = [On::WriteError, On::Eof, On::End];

    fn after(mut closing: Closing, event: On) -> (Handshake, Transport) {
        closing.handle(event);
        (closing.handshake, closing.transport)
    }

    #[test]
    fn every_pair_of_states_follows_the_tables_on_every_event() {
        for (handshake, handshakes_after) in HANDSHAKE {
            for (transport, transports_after) in TRANSPORT {
                let closing = Closing { handshake, transport };
                for (event, expected) in HANDSHAKE_EVENTS.into_iter().zip(handshakes_after) {
                    let expected = if transport == Ended { handshake } else { expected };
                    assert_eq!(after(closing, event), (expected, transport), "{closing:?} on {event:?}");
                }
                for (event, expected) in TRANSPORT_EVENTS.into_iter().zip(transports_after) {
                    assert_eq!(after(closing, event), (handshake, expected), "{closing:?} on {event:?}");
                }
            }
        }
    }

    #[test]
    fn every_pair_of_states_permits_the_listed_calls() {
        for (handshake, _) in HANDSHAKE {
            for (transport, _) in TRANSPORT {
                let closing = Closing { handshake, transport };
                let (is_up, has_ended) = (transport == Up, transport == Ended);
                let has_failed = handshake == Failed;
                let state = match (handshake, transport) {
                    (Handshake::None, Up) => State::Open,
                    (_, Up | WriteBroken | Eof) => State::Closing,
                    (_, Ended) => State::Closed,
                };
                assert_eq!(closing.state(), state, "{closing:?}");
                assert_eq!(closing.can_send(), is_up && handshake == Handshake::None, "{closing:?}");
                let has_sent = matches!(handshake, Sent | Both | Failed);
                assert_eq!(closing.can_close(), is_up && !has_sent, "{closing:?}");
                assert_eq!(closing.owes_answer(), is_up && handshake == Received, "{closing:?}");
                assert_eq!(closing.ignores_input(), has_failed || has_ended, "{closing:?}");
                let discards = has_failed || has_ended || matches!(handshake, Received | Both);
                assert_eq!(closing.discards_input(), discards, "{closing:?}");
                let must_shut_down = has_failed || !is_up;
                assert_eq!(closing.wants_shutdown(Role::Client), must_shut_down, "{closing:?}");
                let must_shut_down = must_shut_down || handshake == Both;
                assert_eq!(closing.wants_shutdown(Role::Server), must_shut_down, "{closing:?}");
                let is_decided = has_failed || has_ended || handshake == Both;
                assert_eq!(closing.is_decided(), is_decided, "{closing:?}");
                let is_exhausted = transport == Eof || transport == WriteBroken && discards;
                assert_eq!(closing.is_exhausted(), is_exhausted, "{closing:?}");
                let linger = (has_failed && is_up).then_some(LINGER);
                assert_eq!(closing.max_linger(Role::Server), linger, "{closing:?}");
                let linger = if handshake == Both && is_up { Some(SERVER_CLOSE_WAIT) } else { linger };
                assert_eq!(closing.max_linger(Role::Client), linger, "{closing:?}");
                let can_change = matches!(transport, Up | Eof);
                assert_eq!(closing.is_clean(), can_change.then_some(handshake == Both), "{closing:?}");
            }
        }
    }
}

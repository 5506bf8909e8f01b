//! The flags of a connection.

/// A flag of a connection. Its task checks the flags between two steps.
#[derive(Debug, Clone, Copy)]
#[repr(u16)]
pub(crate) enum Flag {
    /// End at once.
    Aborted = 1,
    /// Do not read.
    Paused = 2,
    /// Exempt from the idle timeout.
    Protected = 4,
    /// It waits for an HTTP request: a shutdown may end it without losing anything.
    Idle = 8,
    /// The queue has reached its high-water mark: wait for room before the next message.
    Full = 16,
    /// The server shuts down: send its Close once no handler runs and the received messages are
    /// handled.
    Draining = 32,
    /// A handler runs on the connection's own thread, and may block it.
    Busy = 64,
    /// The peer ended its side of the transport during the HTTP phase.
    Gone = 128,
    /// The last event is over: keep no data of the application any more.
    Forgotten = 256,
    /// The connection counts against the limit of its peer's address.
    Counted = 512,
    /// `Handler::connect` has accepted the connection, so it has a last event.
    Accepted = 1024,
    /// Do not read until the budget of received bytes has room.
    Starved = 2048,
    /// End, because the budget of received bytes is used up and this connection holds much of it.
    Shed = 4096,
    /// Fail, because the client sends more than the port's rate limit allows.
    TooFast = 8192,
}

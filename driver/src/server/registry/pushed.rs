//! The result of a command to a connection that did not fail.

/// The outcome of a push that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pushed {
    /// It is in the connection's queue.
    Queued,
    /// The peer reads too slowly, and the port drops messages for such peers
    /// ([`SlowReader::Drop`](crate::server::SlowReader::Drop)).
    Dropped,
}

//! Connections that must not read for the time being.

/// Whether a connection may read, when memory is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starvation {
    /// It may.
    None,
    /// It may not while its peer does not read the answers.
    WhileBlocked,
    /// It may not.
    Full,
}

//! The log events of a server, emitted with the feature `tracing`.
#![cfg_attr(
    not(feature = "tracing"),
    expect(unused_variables, reason = "without the feature, nothing is logged")
)]

use std::error::Error;

use crate::runtime::address::Address;
use crate::server::registry::info::ConnectionId;

pub(crate) fn failed(id: ConnectionId, peer: &Address, failure: &dyn Error) {
    #[cfg(feature = "tracing")]
    tracing::error!(connection = %id, %peer, failure = %Chain(failure), "a handler has failed");
}

pub(crate) fn full(peer: &Address) {
    #[cfg(feature = "tracing")]
    tracing::debug!(%peer, "a connection was refused: the server is full");
}

/// An error with its causes.
#[cfg(feature = "tracing")]
struct Chain<'e>(&'e dyn Error);

#[cfg(feature = "tracing")]
impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

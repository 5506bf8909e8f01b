//! The log events of a server, emitted with the feature `tracing`.
#![cfg_attr(
    not(feature = "tracing"),
    expect(unused_variables, reason = "without the feature, nothing is logged")
)]

use std::fmt::Display;
use std::io;
use std::time::Duration;

use crate::runtime::address::Address;
use crate::server::registry::info::ConnectionId;

pub(crate) fn failed(id: ConnectionId, peer: &Address, failure: &impl Display) {
    #[cfg(feature = "tracing")]
    tracing::error!(connection = %id, %peer, %failure, "a handler has failed");
}

pub(crate) fn cannot_accept(error: &io::Error, pause: Duration) {
    #[cfg(feature = "tracing")]
    tracing::warn!(%error, ?pause, "cannot accept connections; trying again after a pause");
}

pub(crate) fn full(peer: &Address) {
    #[cfg(feature = "tracing")]
    tracing::debug!(%peer, "a connection was refused: the server is full");
}

//! What a server tells its operator, if the feature `tracing` is on.
#![cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nobody is told"))]

use std::io;
use std::time::Duration;

use super::client::Client;
use super::handler::Failure;
use super::runtime::Address;

pub(super) fn failed(client: &Client, failure: &Failure) {
    #[cfg(feature = "tracing")]
    tracing::error!(connection = %client.id(), peer = %client.peer(), %failure, "a handler has failed");
}

pub(super) fn cannot_accept(error: &io::Error, pause: Duration) {
    #[cfg(feature = "tracing")]
    tracing::warn!(%error, ?pause, "cannot accept connections; trying again after a pause");
}

pub(super) fn full(peer: &Address) {
    #[cfg(feature = "tracing")]
    tracing::debug!(%peer, "a connection was refused: the server is full");
}

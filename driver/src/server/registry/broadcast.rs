//! Broadcasts: one message for many connections.

use std::sync::Arc;

use sockeye_core::{Payload, Prepared};

use crate::server::registry::entry::Entry;
use crate::server::registry::error::PushError;
use crate::server::registry::hub::Hub;
use crate::server::registry::push_target::Command;
use crate::server::registry::pushed::Pushed;
use crate::server::registry::settings::Settings;
use sockeye_core::deflate::codec_pool;

/// The result of a [broadcast](crate::server::ServerHandle::broadcast), as numbers of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// The number of connections for which the message was queued.
    pub queued: usize,
    /// The number of connections that had no room for it and lost it, as their port's
    /// [`SlowReader::Drop`](crate::server::SlowReader::Drop) says.
    pub dropped: usize,
    /// The number of connections that had no room for it and refused it: their peer reads too
    /// slowly, or [`Limits::max_queued`](crate::server::Limits#structfield.max_queued) was reached.
    /// [`SlowReader::Close`](crate::server::SlowReader::Close) closes them.
    pub slow: usize,
    /// The number of connections that could not send it for any other reason, most likely because
    /// they were closing.
    pub failed: usize,
}

/// Encodes a message once for each port, because ports compress differently, and pushes it.
pub(crate) fn encode_and_push(
    hub: &Hub,
    entries: impl Iterator<Item = Arc<Entry>>,
    payload: &Payload<'_>,
) -> Broadcast {
    let mut prepared: Vec<(Arc<Settings>, Prepared)> = Vec::new();
    let mut report = Broadcast::default();
    for entry in entries.filter(|entry| entry.is_established()) {
        let known = prepared.iter().position(|(port, _)| Arc::ptr_eq(port, &entry.port));
        let at = known.unwrap_or_else(|| {
            prepared.push((entry.port.clone(), hub.share(&prepare(&entry.port, payload.clone()))));
            prepared.len() - 1
        });
        report.add(entry.dispatch(Command::Prepared(&prepared[at].1)));
    }
    report
}

/// Pushes a message that is already encoded.
pub(crate) fn push_prepared(
    hub: &Hub,
    entries: impl Iterator<Item = Arc<Entry>>,
    prepared: &Prepared,
) -> Broadcast {
    let mut report = Broadcast::default();
    let shared = hub.share(prepared);
    for entry in entries.filter(|entry| entry.is_established()) {
        report.add(entry.dispatch(Command::Prepared(&shared)));
    }
    report
}

fn prepare(port: &Settings, payload: Payload<'_>) -> Prepared {
    match &port.config.deflate {
        Some(settings) => Prepared::deflated(payload, settings, Some(&*codec_pool())),
        None => Prepared::new(payload),
    }
}

impl Broadcast {
    fn add(&mut self, pushed: Result<Pushed, PushError>) {
        match pushed {
            Ok(Pushed::Queued) => self.queued += 1,
            Ok(Pushed::Dropped) => self.dropped += 1,
            Err(PushError::Backpressure { .. } | PushError::ServerBackpressure { .. }) => self.slow += 1,
            Err(_) => self.failed += 1,
        }
    }
}

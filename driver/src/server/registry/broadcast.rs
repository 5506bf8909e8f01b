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

/// The result of a [broadcast](crate::server::ServerHandle::broadcast) or of a
/// [publish](crate::server::ServerHandle::publish), as numbers of connections.
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

/// A message for many connections.
#[derive(Debug)]
pub(crate) enum Outgoing<'p> {
    Payload(Payload<'p>),
    /// It was encoded before.
    Prepared(&'p Prepared),
}

impl Outgoing<'_> {
    /// Pushes the message to those of the connections that are open WebSockets.
    pub(crate) fn push_to_open(&self, hub: &Hub, entries: impl Iterator<Item = Arc<Entry>>) -> Broadcast {
        self.push_to(hub, entries.filter(|entry| entry.is_established()))
    }

    /// Pushes the message to the connections. It is encoded once for each port, because ports
    /// compress differently.
    pub(crate) fn push_to<E: AsRef<Entry>>(&self, hub: &Hub, entries: impl Iterator<Item = E>) -> Broadcast {
        let mut report = Broadcast::default();
        match self {
            Outgoing::Payload(payload) => {
                let mut encoded: Vec<(Arc<Settings>, Prepared)> = Vec::new();
                for entry in entries {
                    let entry = entry.as_ref();
                    let known = encoded.iter().position(|(port, _)| Arc::ptr_eq(port, &entry.port));
                    let at = known.unwrap_or_else(|| {
                        let prepared = hub.share(&prepare(&entry.port, payload.clone()));
                        encoded.push((entry.port.clone(), prepared));
                        encoded.len() - 1
                    });
                    report.add(entry.dispatch(Command::Prepared(&encoded[at].1)));
                }
            }
            Outgoing::Prepared(prepared) => {
                let shared = hub.share(prepared);
                entries.for_each(|entry| {
                    report.add(entry.as_ref().dispatch(Command::Prepared(&shared)));
                });
            }
        }
        report
    }
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

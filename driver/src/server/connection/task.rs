//! The task of one connection, from accept to end.

use std::future::{Future, poll_fn};
use std::sync::Arc;

use sockeye_core::CloseInfo;

use crate::engine::buffer::READ;
use crate::runtime::io::Clock;
use crate::runtime::server::{Accepted, Runtime};
use crate::server::api::client::Client;
use crate::server::api::handler::Handler;
use crate::server::connection::guard::{guarded, report_failure};
use crate::server::connection::http_phase::{HttpOutcome, HttpPhase};
use crate::server::connection::message_phase::{MessagePhase, Next};
use crate::server::connection::upgrade::Upgraded;
use crate::server::registry::admission::Admission;
use crate::server::registry::hub::Hub;
use crate::server::registry::settings::Settings;

/// The whole life of a connection that was accepted.
///
/// What is only of its beginning, of a batch of messages or of its end is in boxes that come and go, so that the task of
/// an idle connection is small.
pub(crate) fn serve_connection<R: Runtime, H: Handler>(
    runtime: R,
    accepted: Accepted<R::Io>,
    admission: Admission,
    port: Arc<Settings>,
    handler: Arc<H>,
    hub: Arc<Hub>,
) -> impl Future<Output = ()> + Send + 'static {
    let Accepted { io, peer, local } = accepted;
    let Admission { connection, handshake, address } = admission;
    let entry = hub.insert(peer, local, runtime.clock().now(), port);
    let client = Client::new(entry, hub.clone());
    // Whatever becomes of the task, it is registered no longer and not counted any more.
    let registered =
        RegistryGuard { client: client.clone(), hub: hub.clone(), _counts: (connection, address) };
    let greeting = HttpPhase { runtime, handler: handler.clone(), client, hub, io, handshake }.run();
    async move {
        let upgraded = match greeting.await {
            HttpOutcome::Upgraded(upgraded) => upgraded,
            HttpOutcome::Ended => return Box::pin(call_disconnect(registered, handler)).await,
            HttpOutcome::Refused => return,
        };
        let Upgraded { reader, link, request, deferred } = *upgraded;
        let forward = registered.client.entry().port.forward;
        let mut phase = MessagePhase::<R, H> {
            reader,
            link,
            client: registered.client.clone(),
            handler,
            forward,
            hold: READ,
            has_undecoded_input: true,
            handler_failed: false,
        };
        if request.is_some() || !deferred.is_empty() {
            Box::pin(phase.call_open(request, deferred)).await;
        }
        loop {
            match poll_fn(|cx| phase.poll_next(cx)).await {
                Next::DeliverBatch => Box::pin(phase.deliver_batch()).await,
                Next::CallDrained => Box::pin(phase.call_drained()).await,
                Next::End => break,
            }
        }
        let MessagePhase { reader, link, client, handler, .. } = phase;
        let info = link.close_info().unwrap_or_else(CloseInfo::unknown);
        // The transport goes now, however long the application takes over the end.
        client.entry().end();
        drop((reader, link));
        Box::pin(call_close(registered, handler, info)).await;
    }
}

/// That the registry knows the connection and the limits count it.
struct RegistryGuard<T> {
    client: Client,
    hub: Arc<Hub>,
    _counts: T,
}

impl<T> Drop for RegistryGuard<T> {
    fn drop(&mut self) {
        self.client.entry().end();
        self.hub.remove(self.client.id());
    }
}

async fn call_disconnect<T, H: Handler>(registered: RegistryGuard<T>, handler: Arc<H>) {
    let client = registered.client.clone();
    registered.client.entry().end();
    registered.hub.remove(client.id());
    if let Err(failure) = guarded(|| handler.disconnect(&client)).await {
        report_failure(&*handler, &client, &failure);
    }
}

async fn call_close<T, H: Handler>(registered: RegistryGuard<T>, handler: Arc<H>, info: CloseInfo) {
    let client = registered.client.clone();
    registered.hub.remove(client.id());
    if let Err(failure) = guarded(|| handler.close(&client, &info)).await {
        report_failure(&*handler, &client, &failure);
    }
}

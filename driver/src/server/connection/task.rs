//! The task of one connection, from accept to end.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::runtime::io::Clock;
use crate::runtime::server::{Accepted, Runtime};
use crate::server::api::client::Client;
use crate::server::api::handler::Handler;
use crate::server::connection::guard::{drop_isolated, guarded, guarded_while, report_failure};
use crate::server::connection::http_phase::{HttpOutcome, HttpPhase};
use crate::server::connection::message_phase::{Ended, MessagePhase, Next};
use crate::server::connection::upgrade::Upgraded;
use crate::server::registry::admission::{Admission, Slot};
use crate::server::registry::hub::Hub;
use crate::server::registry::settings::Settings;

/// Returns the future that serves one accepted connection from its first byte to its end.
///
/// State used only during the handshake, a batch or the close is boxed and freed afterwards, so
/// that the task of an idle connection is small.
pub(crate) fn serve_connection<R: Runtime, H: Handler>(
    runtime: R,
    accepted: Accepted<R::Io>,
    admission: Admission,
    port: Arc<Settings>,
    handler: Arc<H>,
    hub: Arc<Hub>,
) -> impl Future<Output = ()> + Send + 'static {
    let Accepted { io, peer, local } = accepted;
    let Admission { connection, handshake, is_counted } = admission;
    let entry = hub.insert(peer, local, runtime.clock().now(), port);
    entry.set_peer(entry.transport_peer(), is_counted);
    let client = Client::new(entry, hub.clone());
    // Create the guard outside of the future, which may be dropped before it first runs.
    let registered = RegistryGuard { client: client.clone(), hub: hub.clone(), _slot: connection };
    let http = HttpPhase::new(runtime, handler.clone(), client, hub, io, handshake).run();
    async move {
        let upgraded = match http.await {
            HttpOutcome::Upgraded(upgraded) => upgraded,
            HttpOutcome::Ended => return Box::pin(call_disconnect(registered, handler)).await,
            HttpOutcome::Refused => return,
        };
        let Upgraded { reader, link, request, deferred } = *upgraded;
        let mut phase = MessagePhase::<R, H>::new(reader, link, registered.client.clone(), handler);
        if request.is_some() || !deferred.is_empty() {
            Box::pin(phase.call_open(request, deferred)).await;
        }
        loop {
            match poll_fn(|cx| phase.poll_next(cx)).await {
                Next::DeliverInbox | Next::DeliverInput if phase.has_own_thread => {
                    Box::pin(phase.deliver_on_thread()).await;
                }
                Next::DeliverInput => Box::pin(phase.deliver_input()).await,
                Next::DeliverInbox => Box::pin(phase.deliver_inbox()).await,
                Next::CallDrained => Box::pin(phase.call_drained()).await,
                Next::End => break,
            }
        }
        Box::pin(call_close(registered, phase.end())).await;
    }
}

/// A guard: while it lives, the connection counts against the limits. Until it is deregistered, it
/// also has an id.
struct RegistryGuard {
    client: Client,
    hub: Arc<Hub>,
    _slot: Slot,
}

impl RegistryGuard {
    fn deregister(&self) {
        self.client.entry().end();
        self.hub.remove(self.client.id());
    }
}

impl Drop for RegistryGuard {
    fn drop(&mut self) {
        self.deregister();
        self.hub.uncount_address(self.client.entry());
        drop_isolated(self.client.entry().forget_data());
    }
}

async fn call_disconnect<H: Handler>(registered: RegistryGuard, handler: Arc<H>) {
    registered.deregister();
    let client = &registered.client;
    if let Err(failure) = guarded(|| handler.disconnect(client)).await {
        report_failure(&*handler, client, &failure);
    }
}

/// Calls [`Handler::close`], and meanwhile and afterwards waits until the peer has closed its side
/// of the transport.
///
/// The connection has no id any more, but counts against the limits until its socket is closed.
async fn call_close<R: Runtime, H: Handler>(registered: RegistryGuard, ended: Ended<R, H>) {
    registered.deregister();
    let Ended { info, handler, mut link } = ended;
    let client = &registered.client;
    let linger = |cx: &mut Context<'_>| {
        if link.as_mut().is_some_and(|link| link.poll_linger(cx).is_ready()) {
            link = None;
        }
        Poll::Pending
    };
    if let Some(Err(failure)) = guarded_while(|| handler.close(client, &info), linger).await {
        report_failure(&*handler, client, &failure);
    }
    drop(handler);
    if let Some(mut link) = link {
        // A shutdown does not wait for this.
        let _lingering = registered.hub.linger(client.id(), link.push_target());
        poll_fn(|cx| link.poll_linger(cx)).await;
    }
}

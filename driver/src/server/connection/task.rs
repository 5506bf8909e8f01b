//! The task of one connection, from accept to end.

use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_core::CloseInfo;

use crate::runtime::io::{Clock, Io};
use crate::runtime::server::{Accepted, Runtime};
use crate::server::api::client::Client;
use crate::server::api::handler::Handler;
use crate::server::connection::guard::{guarded, guarded_while, report_failure};
use crate::server::connection::http_phase::{HttpOutcome, HttpPhase};
use crate::server::connection::message_phase::{Ended, MessagePhase, Next};
use crate::server::connection::upgrade::{FirstEvent, Upgraded};
use crate::server::log;
use crate::server::panics::{catch, drop_isolated};
use crate::server::registry::admission::{Admission, Slot};
use crate::server::registry::flag::Flag;
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
    // Create the guard outside of the future, which may be dropped before it first runs.
    let (http, registered) = register(runtime, accepted, admission, port, handler.clone(), hub);
    run_task(Box::pin(run_events(http.run())), registered, handler)
}

/// Gives an accepted connection its id.
pub(crate) fn register<R: Runtime, H: Handler>(
    runtime: R,
    accepted: Accepted<R::Io>,
    admission: Admission,
    port: Arc<Settings>,
    handler: Arc<H>,
    hub: Arc<Hub>,
) -> (HttpPhase<R, H>, RegistryGuard) {
    let Accepted { io, peer, local } = accepted;
    let Admission { connection, handshake, is_counted } = admission;
    let entry = hub.insert(peer, local, runtime.clock().now(), port);
    entry.set_peer(entry.transport_peer(), is_counted);
    entry.count_present();
    let client = Client::new(entry, hub.clone());
    let registered = RegistryGuard::new(client.clone(), connection);
    (HttpPhase::new(runtime, handler, client, hub, io, handshake), registered)
}

/// Serves a connection that is an open WebSocket from the beginning.
pub(crate) fn serve_open<I, C, H>(
    upgraded: Upgraded<I, C>,
    registered: RegistryGuard,
    handler: Arc<H>,
) -> impl Future<Output = ()> + Send + 'static
where
    I: Io + Send + 'static,
    C: Clock + Send + 'static,
    H: Handler,
{
    serve_opening(Box::pin(ready(upgraded)), registered, handler)
}

/// Serves a connection that is an open WebSocket once `opening` is ready.
pub(crate) fn serve_opening<I, C, H>(
    opening: Pin<Box<impl Future<Output = Upgraded<I, C>> + Send + 'static>>,
    registered: RegistryGuard,
    handler: Arc<H>,
) -> impl Future<Output = ()> + Send + 'static
where
    I: Io + Send + 'static,
    C: Clock + Send + 'static,
    H: Handler,
{
    let (client, event_handler) = (registered.client.clone(), handler.clone());
    let open = async { HttpOutcome::Upgraded(Box::new(opening.await), client, event_handler) };
    run_task(Box::pin(run_events(Box::pin(open))), registered, handler)
}

/// Returns the task of a connection: its events, and then the last one.
fn run_task<I, C, H>(
    events: Pin<Box<impl Future<Output = End<I, C>> + Send + 'static>>,
    registered: RegistryGuard,
    handler: Arc<H>,
) -> impl Future<Output = ()> + Send + 'static
where
    I: Io + Send + 'static,
    C: Clock + Send + 'static,
    H: Handler,
{
    let span = log::ConnectionSpan::new(registered.client.id(), registered.client.transport_peer());
    let mut stage = Stage::Events { events, registered, handler };
    poll_fn(move |cx| {
        let _entered = span.enter();
        if let Stage::Events { events, registered, .. } = &mut stage {
            let end = match catch(|| events.as_mut().poll(cx)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(end)) => end,
                Err(_) => end_after_panic(registered),
            };
            let Stage::Events { events, registered, handler } = std::mem::replace(&mut stage, Stage::Over)
            else {
                return Poll::Ready(());
            };
            drop_isolated(events);
            stage = Stage::LastEvent(Box::pin(call_last_event(registered, handler, end)));
        }
        let Stage::LastEvent(last) = &mut stage else { return Poll::Ready(()) };
        catch(|| last.as_mut().poll(cx)).unwrap_or(Poll::Ready(()))
    })
}

/// The stages of a connection's task. Panics are caught in each, so that the last event is called
/// even if something of the application's panics when it is dropped.
enum Stage<E, H> {
    /// The connection is alive. The guard and the handler outlive a panic.
    Events {
        events: Pin<Box<E>>,
        registered: RegistryGuard,
        handler: Arc<H>,
    },
    /// [`Handler::close`] or [`Handler::disconnect`] runs.
    LastEvent(Pin<Box<dyn Future<Output = ()> + Send>>),
    Over,
}

/// The end of a connection, which decides on its last event.
enum End<I, C> {
    /// It was an open WebSocket.
    WebSocket(Ended<I, C>),
    /// It was accepted, and never became a WebSocket.
    Http,
    /// It was not accepted, and has no last event.
    NotAccepted,
}

/// Serves a connection, except for its last event.
///
/// It borrows no local that it moves later: such a local would stay in the future of an idle
/// connection.
async fn run_events<I, C, H>(http: impl Future<Output = HttpOutcome<I, C, H>>) -> End<I, C>
where
    I: Io + Send + 'static,
    C: Clock + Send + 'static,
    H: Handler,
{
    let (mut phase, first) = match http.await {
        HttpOutcome::Upgraded(upgraded, client, handler) => begin(*upgraded, client, handler),
        HttpOutcome::Ended => return End::Http,
        HttpOutcome::Refused => return End::NotAccepted,
    };
    if let Some(first) = first {
        Box::pin(phase.call_open(first)).await;
    }
    loop {
        match poll_fn(|cx| phase.poll_next(cx)).await {
            Next::DeliverInbox | Next::DeliverInput if phase.intake.is_some() => {
                Box::pin(phase.deliver_on_thread()).await;
            }
            Next::DeliverInput => Box::pin(phase.deliver_input()).await,
            Next::DeliverInbox => Box::pin(phase.deliver_inbox()).await,
            Next::CallDrained => Box::pin(phase.call_drained()).await,
            Next::End => return End::WebSocket(phase.end()),
        }
    }
}

/// Begins the message phase. Returns it with its first event, if there is one.
fn begin<I: Io, C: Clock, H: Handler>(
    upgraded: Upgraded<I, C>,
    client: Client,
    handler: Arc<H>,
) -> (MessagePhase<I, C, H>, Option<Box<FirstEvent>>) {
    let Upgraded { reader, link, first } = upgraded;
    let has_event = first.request.is_some() || !first.deferred.is_empty();
    (MessagePhase::new(reader, link, client, handler), has_event.then_some(first))
}

/// Ends a connection that has panicked outside of a method of the handler: something of the
/// application's panicked when it was dropped, for instance the memory of a message that was sent.
#[cold]
fn end_after_panic<I, C>(registered: &RegistryGuard) -> End<I, C> {
    registered.deregister();
    let entry = registered.client.entry();
    if entry.was_open() {
        End::WebSocket(Ended { info: CloseInfo::unknown(), link: None })
    } else if entry.has_flag(Flag::Accepted) {
        End::Http
    } else {
        End::NotAccepted
    }
}

/// A guard: while it lives, the connection counts against the limits. Until it is deregistered, it
/// also has an id.
pub(crate) struct RegistryGuard {
    client: Client,
    _slot: Slot,
}

impl RegistryGuard {
    pub(crate) fn new(client: Client, slot: Slot) -> Self {
        RegistryGuard { client, _slot: slot }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn deregister(&self) {
        self.client.entry().end();
        self.client.hub().topics.leave_all(self.client.entry());
        self.client.hub().remove(self.client.id());
        self.client.hub().count_received(self.client.entry(), 0);
        self.client.hub().balance_received();
    }
}

impl Drop for RegistryGuard {
    fn drop(&mut self) {
        self.deregister();
        self.client.hub().uncount_address(self.client.entry());
        self.client.entry().uncount_present();
        drop_isolated(self.client.entry().forget_data());
    }
}

async fn call_last_event<I, C, H>(registered: RegistryGuard, handler: Arc<H>, end: End<I, C>)
where
    I: Io + Send + 'static,
    C: Clock + Send + 'static,
    H: Handler,
{
    match end {
        End::WebSocket(ended) => call_close(registered, handler, ended).await,
        End::Http => call_disconnect(registered, handler).await,
        End::NotAccepted => drop_isolated((registered, handler)),
    }
}

pub(crate) async fn call_disconnect<H: Handler>(registered: RegistryGuard, handler: Arc<H>) {
    registered.deregister();
    let client = &registered.client;
    if let Err(failure) = guarded(|| handler.disconnect(client)).await {
        report_failure(&*handler, client, failure);
    }
    drop_isolated(handler);
}

/// Calls [`Handler::close`], and meanwhile and afterwards waits until the peer has closed its side
/// of the transport.
///
/// The connection has no id any more, but counts against the limits until its socket is closed.
async fn call_close<I, C, H>(registered: RegistryGuard, handler: Arc<H>, ended: Ended<I, C>)
where
    I: Io + Send + 'static,
    C: Clock + Send + 'static,
    H: Handler,
{
    registered.deregister();
    let Ended { info, mut link } = ended;
    let client = &registered.client;
    client.entry().port.counters.count_closed(info.code);
    #[cfg(feature = "metrics")]
    crate::server::api::metrics::record_duration(client.entry().age(client.hub().now()));
    let linger = |cx: &mut Context<'_>| {
        if link.as_mut().is_some_and(|link| link.poll_linger(cx).is_ready()) {
            link = None;
        }
        Poll::Pending
    };
    if let Some(Err(failure)) = guarded_while(|| handler.close(client, &info), linger).await {
        report_failure(&*handler, client, failure);
    }
    drop_isolated(handler);
    if let Some(mut link) = link {
        // A shutdown does not wait for this.
        let _lingering = client.hub().linger(client.id(), link.push_target());
        poll_fn(|cx| link.poll_linger(cx)).await;
    }
}

//! The opening handshake: a request becomes an open WebSocket.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye_core::handshake::server::{Accept, Rejection, Upgrade};
use sockeye_core::http::{Request, Response};
use sockeye_core::session::Opened;

use crate::engine::link::Link;
use crate::engine::reader::Reader;
use crate::handshake::opening::{Opening, OpeningEvent};
use crate::runtime::io::{Clock, Io};
use crate::runtime::server::Runtime;
use crate::server::api::client::Client;
use crate::server::api::handler::{Decision, Failure, Handler};
use crate::server::connection::exchange::watch_peer;
use crate::server::connection::guard::{guarded_while, report_cause, report_failure, report_refusal};
use crate::server::connection::response::server_error;
use crate::server::connection::shared_link::SharedLink;
use crate::server::connection::shared_link::task_side::TaskLink;
use crate::server::connection::tls::ServerIo;
use crate::server::connection::transport::Transport;
use crate::server::log;
use crate::server::registry::admission::Slot;
use crate::server::registry::early_pushes::{Deferred, run_decision};
use crate::server::registry::entry::Entry;
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::Status;
use crate::server::registry::refusal::RefusalReason;

/// The state that the HTTP phase passes to the message phase.
pub(crate) struct Upgraded<I, C> {
    pub(crate) reader: Reader,
    pub(crate) link: TaskLink<I, C>,
    pub(crate) first: Box<FirstEvent>,
}

/// The first event of an open connection.
pub(crate) struct FirstEvent {
    /// The argument of [`Handler::open`]; `None` after a custom handshake, which skips that call.
    pub(crate) request: Option<Request>,
    pub(crate) deferred: Vec<Deferred>,
}

/// The decision to refuse a handshake.
struct Refused {
    reason: RefusalReason,
    response: Response,
    request: Request,
}

/// The decision to accept a handshake.
pub(crate) struct Acceptance {
    pub(crate) accept: Accept,
    /// Whether to call [`Handler::open`].
    pub(crate) calls_open: bool,
}

/// Lets the application decide on a request for a WebSocket, and sends the response.
///
/// Returns `None` if the connection has ended without a WebSocket.
pub(crate) async fn upgrade<R: Runtime, H: Handler>(
    runtime: &R,
    handler: &H,
    client: &Client,
    hub: &Arc<Hub>,
    mut opening: Opening<ServerIo<R>, R::Clock>,
    upgrade: Upgrade,
    handshake: Option<Slot>,
) -> Option<Box<Upgraded<ServerIo<R>, R::Clock>>> {
    let entry = client.entry();
    entry.set_status(Status::Handshake);
    entry.begin_handshake(hub);
    // The application may take a long time to decide.
    opening.release();
    let accepted = accept(handler, client, &mut opening, upgrade);
    let calls_open = match run_decision(entry.id(), accepted).await {
        Ok(calls_open) => calls_open,
        Err(Refused { reason, mut response, request }) => {
            report_cause(handler, client, &mut response);
            entry.fail_handshake();
            report_refusal(handler, client, reason, Some(&request));
            drop(request);
            opening.session.reject(response);
            // Ignore an error here: the connection ends whether or not the client reads the
            // response.
            let _ = opening.finish().await;
            return None;
        }
    };
    // From here on the client no longer counts against `max_handshakes`.
    drop(handshake);
    let Some((request, subprotocol)) = send_response(&mut opening, entry.port.config.handshake_timeout).await
    else {
        entry.fail_handshake();
        return None;
    };
    let (connection, io, clock, input) = opening.into_open().ok()?;
    let (sender, receiver) = connection.split();
    let link = Link::new(sender, Transport::new(io), clock);
    let shared = SharedLink::new(link, hub.clone(), entry.clone(), runtime.own_thread());
    let mut link = TaskLink::new(shared);
    log::opened(&client.peer(), &request, subprotocol.as_deref());
    if let Some(subprotocol) = subprotocol {
        entry.set_subprotocol(subprotocol);
    }
    let deferred = open_link(entry, hub, &mut link).await;
    entry.port.counters.count_read(entry.id(), input.len());
    Some(Box::new(Upgraded {
        reader: Reader::new(receiver, input),
        link,
        first: Box::new(FirstEvent { request: calls_open.then_some(request), deferred }),
    }))
}

/// Passes the pushes that waited for the handshake to the link, and then lets others through.
/// Returns the deferred functions.
pub(crate) async fn open_link<I, C>(entry: &Entry, hub: &Hub, link: &mut TaskLink<I, C>) -> Vec<Deferred>
where
    I: Io + Send + 'static,
    C: Clock + Send + 'static,
{
    let target = link.push_target();
    let deferred = poll_fn(|cx| {
        // An abort wakes the task.
        entry.register_task(cx.waker());
        loop {
            if let Some(deferred) = entry.open(&target) {
                return Poll::Ready(deferred);
            }
            link.poll_write_only(cx, 0);
            if !link.clear_full_flag() {
                return Poll::Pending;
            }
        }
    })
    .await;
    if hub.is_stopping() {
        // The shutdown may have looked for open WebSockets just before this one opened.
        entry.store_flag(Flag::Draining, true);
    }
    deferred
}

/// Sends the response that opens the WebSocket. Returns its request and subprotocol, or `None` if
/// the client does not take the response in time.
async fn send_response<I: Io, C: Clock>(
    opening: &mut Opening<I, C>,
    timeout: Duration,
) -> Option<(Request, Option<String>)> {
    let deadline = opening.now() + timeout;
    let OpeningEvent::Open(Opened::Server { request, subprotocol, .. }) = opening.next_event().await.ok()?
    else {
        return None;
    };
    opening.flush(deadline).await.ok()?;
    Some((request, subprotocol))
}

/// Accepts the request if the application does. Returns whether to call [`Handler::open`].
async fn accept<I: Io, C: Clock, H: Handler>(
    handler: &H,
    client: &Client,
    opening: &mut Opening<I, C>,
    upgrade: Upgrade,
) -> Result<bool, Refused> {
    let meanwhile = |cx: &mut Context<'_>| {
        watch_peer(client, opening, cx);
        Poll::Pending
    };
    let Acceptance { accept, calls_open } = match decide(handler, client, &upgrade, meanwhile).await {
        Ok(acceptance) => acceptance,
        Err((reason, response)) => {
            return Err(Refused { reason, response, request: upgrade.into_request() });
        }
    };
    match opening.session.accept(upgrade, &accept) {
        Ok(()) => Ok(calls_open),
        Err(error) => {
            let reason = RefusalReason::Subprotocol { name: error.name().to_owned() };
            let response = error.response();
            report_failure(handler, client, Failure::Error(error.clone().into()));
            Err(Refused { reason, response, request: error.into_upgrade().into_request() })
        }
    }
}

/// Asks the application, or the port's policy, whether to accept a request. If not, returns the
/// reason and the response that refuses it as the error.
///
/// Polls `meanwhile` whenever the application waits. It never returns `Ready`.
pub(crate) async fn decide<H: Handler>(
    handler: &H,
    client: &Client,
    upgrade: &Upgrade,
    mut meanwhile: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Result<Acceptance, (RefusalReason, Response)> {
    let rejected = |rejection: Rejection| {
        let response = rejection.response();
        (RefusalReason::Handshake(rejection), response)
    };
    let policy = &client.entry().port.policy;
    // Before any method of the handler: no page of a foreign host may reach it (DNS rebinding).
    policy.check_host(upgrade).map_err(rejected)?;
    let failed = |failure| {
        report_failure(handler, client, failure);
        (RefusalReason::Failed, server_error())
    };
    let refused = |response: Response| {
        // The session replaces an interim status by a 500.
        let status = if response.status() < 200 { 500 } else { response.status() };
        let has_cause = response.cause().is_some();
        (if has_cause { RefusalReason::Failed } else { RefusalReason::Application { status } }, response)
    };
    let decision = guarded_while(|| handler.handshake(client, upgrade), &mut meanwhile).await;
    // It is never `None`: the watch does not interrupt the method.
    match decision.unwrap_or(Err(Failure::Panic(None))).map_err(failed)? {
        Decision::Accept(accept) => Ok(Acceptance { accept, calls_open: false }),
        Decision::Respond(response) => Err(refused(response)),
        Decision::Policy => {
            let accept = policy.decide(upgrade).map_err(rejected)?;
            let accept = || async { Ok(handler.before_handshake_response(client, upgrade, accept).await) };
            let accept = guarded_while(accept, meanwhile).await.unwrap_or(Err(Failure::Panic(None)));
            Ok(Acceptance { accept: accept.map_err(failed)?.map_err(refused)?, calls_open: true })
        }
    }
}

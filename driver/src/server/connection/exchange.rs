//! Plain HTTP on a WebSocket port: one request and its response at a time.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye_core::handshake::server::{Refusal, Rejection, Upgrade};
use sockeye_core::http::{Request, Response};

use crate::handshake::opening::{Meter, Opening};
use crate::lock::lock;
use crate::runtime::io::{Clock, Io};
use crate::server::api::client::Client;
use crate::server::api::handler::Handler;
use crate::server::api::http_request::HttpRequest;
use crate::server::connection::body::{Body, Failure, Shared};
use crate::server::connection::guard::{guarded_while, report_cause, report_failure, report_refusal};
use crate::server::connection::response::server_error;
use crate::server::panics::drop_isolated;
use crate::server::registry::admission::Slot;
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::Hub;
use crate::server::registry::refusal::RefusalReason;
use crate::sync::Mutex;
use crate::sync::atomic::Ordering;

/// Lets the handler answer a request, and sends the response. Returns false if the connection ends
/// with it.
pub(crate) async fn answer_request<I: Io + Send, C: Clock + Send, H: Handler>(
    opening: &mut Opening<I, C>,
    handler: &H,
    client: &Client,
    request: Request,
    handshake: &mut Option<Slot>,
) -> bool {
    client.entry().port.counters.requests.fetch_add(1, Ordering::Relaxed);
    let port = &client.entry().port;
    let (timeout, demanded) = (port.body_timeout, port.config.demanded_bytes(port.body_timeout));
    opening.body.clear();
    let shared = Mutex::new(Shared::new(opening));
    let mut body = Body::new(&shared);
    let mut http_request = HttpRequest::new(&request, &mut body);
    let meanwhile = |cx: &mut Context<'_>| {
        if let Some(opening) = lock(&shared).unused() {
            watch_peer(client, opening, cx);
        }
        Poll::Pending
    };
    // It is never `None`: the watch does not interrupt the method.
    let answer = guarded_while(|| handler.request(client, &mut http_request), meanwhile).await;
    let answer = answer.unwrap_or(Ok(None));
    let failed = body.failure.take();
    let (response, is_last) = match (answer, failed) {
        (answer, Some(Failure::Transport)) => {
            drop_isolated(answer);
            opening.session.abort();
            return false;
        }
        (Err(error), Some(Failure::Body(failure))) => {
            drop_isolated(error);
            (failure.response(), true)
        }
        (Ok(Some(mut response)), _) => {
            report_cause(handler, client, &mut response);
            (response, client.server().is_shutting_down())
        }
        (Ok(None), _) => {
            // A plain request is no handshake, so this is always an error.
            let rejection = Upgrade::new(request).map_or_else(|rejection| rejection, not_websocket);
            let response = rejection.response();
            report_refusal(handler, client, RefusalReason::Handshake(rejection), None);
            (response, true)
        }
        (Err(failure), None) => {
            report_failure(handler, client, failure);
            (server_error(), true)
        }
    };
    // From here on the client no longer counts against `max_handshakes`.
    *handshake = None;
    // A body that has arrived, but that the handler did not ask for, need not end the connection.
    opening.take_arrived_body();
    respond(opening, response, is_last, timeout, demanded).await
}

/// Notices, while a method of the handler waits, that the peer has closed its side. Interrupts the
/// method if the port is set so.
pub(crate) fn watch_peer<I: Io, C: Clock>(
    client: &Client,
    opening: &mut Opening<I, C>,
    cx: &mut Context<'_>,
) {
    if opening.poll_peer_end(cx).is_ready() && !client.entry().has_flag(Flag::Gone) {
        client.entry().store_flag(Flag::Gone, true);
        if client.entry().port.cancel_handlers {
            client.entry().store_flag(Flag::Aborted, true);
        }
        client.hub().closed_waiters.wake(client.id());
    }
}

/// Rejects a request because this port does not serve plain HTTP.
fn not_websocket(upgrade: Upgrade) -> Rejection {
    upgrade.reject(Refusal::NotWebSocket)
}

/// Writes a response. Returns false if the connection ends with it.
async fn respond<I: Io, C: Clock>(
    opening: &mut Opening<I, C>,
    response: Response,
    is_last: bool,
    timeout: Duration,
    demanded: u64,
) -> bool {
    if is_last {
        opening.session.respond_last(response);
    } else {
        opening.session.respond(response);
    }
    if opening.flush_paced(timeout, demanded).await.is_err() {
        opening.session.abort();
    }
    !opening.session.is_ending()
}

/// Returns the meter of a connection, if the server limits what it holds.
pub(crate) fn meter(client: &Client, hub: &Arc<Hub>) -> Option<Meter> {
    if hub.limits.max_received == usize::MAX {
        return None;
    }
    let (hub, entry) = (hub.clone(), client.entry().clone());
    Some(Meter(Box::new(move |held| {
        hub.count_received(&entry, held);
        hub.balance_received();
        !entry.has_flag(Flag::Shed)
    })))
}

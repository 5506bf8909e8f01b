//! The opening handshake: a request becomes an open WebSocket.

use std::future::poll_fn;
use std::sync::Arc;

use sockeye_core::handshake::server::{Accept, Accepted, Upgrade};
use sockeye_core::http::{Request, Response};

use crate::engine::link::Link;
use crate::engine::reader::Reader;
use crate::handshake::opening::Opening;
use crate::runtime::io::Clock;
use crate::runtime::server::Runtime;
use crate::server::api::client::Client;
use crate::server::api::handler::{Decision, Failure, Handler};
use crate::server::connection::guard::{guarded, report_failure};
use crate::server::connection::response::{send_last, server_error};
use crate::server::connection::shared_link::SharedLink;
use crate::server::connection::shared_link::task_side::TaskLink;
use crate::server::registry::admission::Slot;
use crate::server::registry::early_pushes::Deferred;
use crate::server::registry::hub::{Hub, shutdown_frame};
use crate::server::registry::info::Status;

/// What the HTTP phase hands to the message phase.
pub(crate) struct Upgraded<R: Runtime> {
    pub(crate) reader: Reader,
    pub(crate) link: TaskLink<R::Io, R::Clock>,
    /// The argument of [`Handler::open`]; `None` after a custom handshake, which skips that call.
    pub(crate) request: Option<Request>,
    pub(crate) deferred: Vec<Deferred>,
}

/// The decision to accept a handshake.
struct Acceptance {
    accept: Accept,
    /// Whether to call [`Handler::open`].
    calls_open: bool,
}

/// Lets the application decide on a request for a WebSocket, and sends the response.
///
/// Returns `None` if the connection has ended without a WebSocket.
pub(crate) async fn upgrade<R: Runtime, H: Handler>(
    runtime: &R,
    handler: &H,
    client: &Client,
    hub: &Arc<Hub>,
    mut opening: Opening<R::Io, R::Clock>,
    request: Request,
    handshake: Option<Slot>,
) -> Option<Box<Upgraded<R>>> {
    let entry = client.entry();
    let port = &entry.port;
    let decided = match Upgrade::new(request) {
        Ok(upgrade) => {
            entry.set_status(Status::Handshake);
            entry.begin_handshake();
            // The application may take long to decide.
            opening.input.release();
            decide(handler, client, &upgrade).await.map(|acceptance| (upgrade, acceptance))
        }
        Err(rejection) => Err(rejection.response()),
    };
    let accepted = decided.and_then(|(upgrade, Acceptance { accept, calls_open })| {
        let accepted = upgrade.accept(&accept, port.config.clone()).map_err(|error| {
            let response = error.response();
            report_failure(handler, client, &Failure::Error(error.into()));
            response
        })?;
        Ok((accepted, calls_open))
    });
    let (accepted, calls_open) = match accepted {
        Ok(accepted) => accepted,
        Err(response) => {
            entry.fail_handshake();
            send_last(opening, response, port.body_timeout).await;
            return None;
        }
    };
    // From here on the client no longer counts against `max_handshakes`.
    drop(handshake);
    let Accepted { mut connection, request, subprotocol, .. } = accepted;
    connection.set_codec_pool(&runtime.codec_pool());
    let (receiver, sender) = connection.split();
    let Opening { io, clock, input } = opening;
    let deadline = clock.now() + port.config.handshake_timeout;
    let mut link = Link::new(sender, io, clock);
    if poll_fn(|cx| link.poll_write_until(cx, deadline)).await.is_err() {
        entry.fail_handshake();
        return None;
    }
    let shared = SharedLink::new(link, hub.clone(), entry.clone(), runtime.own_thread());
    let link = TaskLink::new(shared);
    let deferred = entry.open(link.push_target(), subprotocol);
    if hub.is_stopping() {
        // The shutdown may have looked for open WebSockets just before this one opened.
        link.close(&shutdown_frame());
    }
    Some(Box::new(Upgraded {
        reader: Reader::new(receiver, input),
        link,
        request: calls_open.then_some(request),
        deferred,
    }))
}

/// Asks the application, or the port's policy, whether to accept a request. Returns the response to
/// a refused one as the error.
async fn decide<H: Handler>(handler: &H, client: &Client, upgrade: &Upgrade) -> Result<Acceptance, Response> {
    let failed = |failure| {
        report_failure(handler, client, &failure);
        server_error()
    };
    match guarded(|| handler.handshake(client, upgrade)).await.map_err(failed)? {
        Decision::Accept(accept) => Ok(Acceptance { accept, calls_open: false }),
        Decision::Respond(response) => Err(response),
        Decision::Policy => {
            let accept = client.entry().port.policy.decide(upgrade)?;
            let accept = || async { Ok(handler.before_handshake_response(client, upgrade, accept).await) };
            Ok(Acceptance { accept: guarded(accept).await.map_err(failed)??, calls_open: true })
        }
    }
}

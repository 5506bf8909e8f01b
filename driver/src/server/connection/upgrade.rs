//! The opening handshake: from a request to an open WebSocket.

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

/// What the beginning hands over.
pub(crate) struct Upgraded<R: Runtime> {
    pub(crate) reader: Reader,
    pub(crate) link: TaskLink<R::Io, R::Clock>,
    /// For [`Handler::open`], if it is to be told.
    pub(crate) request: Option<Request>,
    pub(crate) deferred: Vec<Deferred>,
}

/// From a request for a WebSocket to an open one.
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
            // Who decides may take long.
            opening.input.release();
            decide(handler, client, &upgrade).await.map(|(accept, told)| (upgrade, accept, told))
        }
        Err(rejection) => Err(rejection.response()),
    };
    let accepted = decided.and_then(|(upgrade, accept, told)| {
        upgrade.accept(&accept, port.config.clone()).map(|accepted| (accepted, told)).map_err(|error| {
            let response = error.response();
            report_failure(handler, client, &Failure::Error(error.into()));
            response
        })
    });
    let (accepted, told) = match accepted {
        Ok(accepted) => accepted,
        Err(response) => {
            entry.fail_handshake();
            send_last(opening, response, port.body_timeout).await;
            return None;
        }
    };
    // Who reads the 101 does not count any more.
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
    let link = TaskLink::new(SharedLink::new(link, hub.clone(), entry.clone(), runtime.own_thread()));
    let deferred = entry.open(link.push_target(), subprotocol);
    if hub.is_stopping() {
        link.close(&shutdown_frame());
    }
    Some(Box::new(Upgraded {
        reader: Reader::new(receiver, input),
        link,
        request: told.then_some(request),
        deferred,
    }))
}

/// What goes into the 101, and whether [`Handler::open`] is told; or what goes out instead of it.
async fn decide<H: Handler>(
    handler: &H,
    client: &Client,
    upgrade: &Upgrade,
) -> Result<(Accept, bool), Response> {
    let failed = |failure| {
        report_failure(handler, client, &failure);
        server_error()
    };
    match guarded(|| handler.handshake(client, upgrade)).await.map_err(failed)? {
        Decision::Accept(accept) => Ok((accept, false)),
        Decision::Respond(response) => Err(response),
        Decision::Policy => {
            let accept = client.entry().port.policy.decide(upgrade)?;
            let accept = || async { Ok(handler.before_handshake_response(client, upgrade, accept).await) };
            Ok((guarded(accept).await.map_err(failed)??, true))
        }
    }
}

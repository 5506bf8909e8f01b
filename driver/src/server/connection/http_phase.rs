//! A connection before it is a WebSocket: HTTP, and the opening handshake.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_core::handshake::server::{Accepted, Upgrade};
use sockeye_core::http::{Request, Response};

use crate::engine::link::Link;
use crate::engine::reader::Reader;
use crate::handshake::accept::read_request;
use crate::handshake::opening::{Opening, WaitOutcome};
use crate::runtime::io::Clock;
use crate::server::api::client::Client;
use crate::server::api::handler::{Decision, Failure, Handler};
use crate::server::connection::exchange::{end_with, exchange, server_error};
use crate::server::connection::guard::{guarded_alone, report};
use crate::server::connection::line::Line;
use crate::server::connection::served::Served;
use crate::server::connection::task::Opened;
use crate::server::registry::admission::Count;
use crate::server::registry::entry::Flag;
use crate::server::registry::hub::{Hub, going_away};
use crate::server::registry::info::Status;
use crate::server::registry::push_target::Command;
use crate::server::runtime::Runtime;

/// Requests that were there already, answered before others have their turn.
const REQUESTS_IN_A_ROW: u32 = 16;

/// All that is only of the beginning.
pub(crate) struct HttpPhase<R: Runtime, H> {
    pub(crate) runtime: R,
    pub(crate) handler: Arc<H>,
    pub(crate) client: Client,
    pub(crate) hub: Arc<Hub>,
    pub(crate) io: R::Io,
    /// Counted until the first request is answered.
    pub(crate) handshake: Count,
}

impl<R: Runtime, H: Handler> HttpPhase<R, H> {
    /// Answers requests until one of them opens a WebSocket; `None` when the connection has ended without. In a box, for a
    /// task's future is as large as its largest moment, for good.
    pub(crate) fn run(self) -> Pin<Box<dyn Future<Output = HttpOutcome<R>> + Send>> {
        Box::pin(async move {
            let (client, hub) = (self.client.clone(), self.hub.clone());
            let connect = guarded_alone(|| async { Ok(self.handler.connect(&self.client).await) });
            let timeout = self.client.entry().port.body_timeout;
            match interruptible(&client, &hub, connect).await {
                None => return HttpOutcome::Refused,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(refused))) => {
                    if let Some(response) = refused.response {
                        let opening = Opening::new(self.io, self.runtime.clock());
                        end_with(opening, response, timeout).await;
                    }
                    return HttpOutcome::Refused;
                }
                Some(Err(failure)) => {
                    report(&*self.handler, &self.client, &failure);
                    return HttpOutcome::Refused;
                }
            }
            match interruptible(&client, &hub, self.serve()).await {
                Some(Some(opened)) => HttpOutcome::Opened(opened),
                _ => HttpOutcome::Ended,
            }
        })
    }

    async fn serve(self) -> Option<Box<Opened<R>>> {
        let HttpPhase { runtime, handler, client, hub, io, handshake } = self;
        let (entry, mut handshake) = (client.entry(), Some(handshake));
        let settings = &entry.port;
        let mut opening = Opening::new(io, runtime.clock());
        let mut in_a_row = 0;
        loop {
            entry.set(Flag::Idle, true);
            in_a_row = if opening.input.is_empty() { 0 } else { in_a_row + 1 };
            if in_a_row == REQUESTS_IN_A_ROW {
                in_a_row = 0;
                let_others_run().await;
            }
            if handshake.is_none() && !wait_for_next(&mut opening, settings.keep_alive_timeout).await {
                return None;
            }
            let request = match read_request(&mut opening, &entry.port.config).await {
                Ok(request) => request,
                Err(error) => {
                    if let Some(response) = error.response() {
                        end_with(opening, response, settings.body_timeout).await;
                    }
                    return None;
                }
            };
            entry.set(Flag::Idle, false);
            opening.clock.cancel();
            if request.headers().contains_token("upgrade", "websocket") {
                entry.set_status(Status::Connection);
                return upgrade(&runtime, &*handler, &client, &hub, opening, request, handshake).await;
            }
            opening = exchange(opening, &*handler, &client, request, &mut handshake).await?;
        }
    }
}

/// What became of the beginning.
pub(crate) enum HttpOutcome<R: Runtime> {
    Opened(Box<Opened<R>>),
    /// It ended as it was.
    Ended,
    /// It was not wanted: nobody is told of its end.
    Refused,
}

/// Runs the beginning unless it is aborted, or the server ends while it waits for a request.
async fn interruptible<T>(client: &Client, hub: &Hub, beginning: impl Future<Output = T>) -> Option<T> {
    let mut beginning = pin!(beginning);
    let entry = client.entry();
    let is_interrupted = || entry.is(Flag::Aborted) || (hub.is_stopping() && entry.is(Flag::Idle));
    let mut poll = |cx: &mut Context<'_>| {
        entry.register(cx.waker());
        if is_interrupted() {
            return Poll::Ready(None);
        }
        match beginning.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if is_interrupted() => Poll::Ready(None),
            Poll::Pending => {
                // Another phase may have begun, with another place for the waker.
                entry.register(cx.waker());
                Poll::Pending
            }
        }
    };
    poll_fn(move |cx| poll(cx)).await
}

/// Gives the thread away once.
async fn let_others_run() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for a byte of the next request, which may be there already.
async fn wait_for_next<R: crate::runtime::io::Io, C: Clock>(
    opening: &mut Opening<R, C>,
    timeout: std::time::Duration,
) -> bool {
    let deadline = opening.clock.now() + timeout;
    let waited = poll_fn(|cx| {
        if !opening.input.is_empty() {
            return Poll::Ready(Ok(WaitOutcome::Bytes));
        }
        opening.poll_wait(cx, Some(deadline))
    });
    let came = matches!(waited.await, Ok(WaitOutcome::Bytes));
    opening.clock.cancel();
    came
}

/// From a request for a WebSocket to an open one.
async fn upgrade<R: Runtime, H: Handler>(
    runtime: &R,
    handler: &H,
    client: &Client,
    hub: &Arc<Hub>,
    mut opening: Opening<R::Io, R::Clock>,
    request: Request,
    handshake: Option<Count>,
) -> Option<Box<Opened<R>>> {
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
            report(handler, client, &Failure::Error(error.into()));
            Response::text(500, "the server chose a subprotocol that was not offered\n")
        })
    });
    let (accepted, told) = match accepted {
        Ok(accepted) => accepted,
        Err(response) => {
            entry.fail_handshake();
            end_with(opening, response, port.body_timeout).await;
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
    let line = Line::new(Served::new(link, hub.clone(), entry.clone(), runtime.own_thread()));
    let deferred = entry.open(line.served.clone(), subprotocol);
    if hub.is_stopping() {
        let _ = line.push(Command::Close(&going_away()));
    }
    Some(Box::new(Opened {
        reader: Reader::new(receiver, input),
        line,
        request: told.then_some(request),
        deferred,
    }))
}

/// What goes into the 101, and whether [`Handler::open`] is told; or what goes out instead of it.
async fn decide<H: Handler>(
    handler: &H,
    client: &Client,
    upgrade: &Upgrade,
) -> Result<(sockeye_core::handshake::server::Accept, bool), Response> {
    let failed = |failure| {
        report(handler, client, &failure);
        server_error()
    };
    match guarded_alone(|| handler.handshake(client, upgrade)).await.map_err(failed)? {
        Decision::Accept(accept) => Ok((accept, false)),
        Decision::Respond(response) => Err(response),
        Decision::Policy => {
            let accept = client.entry().port.policy.decide(upgrade).map_err(|refusal| refusal.response())?;
            let accept = || async { Ok(handler.before_handshake_response(client, upgrade, accept).await) };
            Ok((guarded_alone(accept).await.map_err(failed)??, true))
        }
    }
}

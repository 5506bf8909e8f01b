//! The accept loop of one port.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_core::Instant;

use crate::accepting::AcceptBackoff;
use crate::engine::buffer::ReadBuffer;
use crate::engine::turn::Turn;
use crate::handshake::opening::Opening;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::Clock;
use crate::runtime::server::{Accepted, Listener, Runtime};
use crate::server::api::client::Client;
use crate::server::api::handler::Handler;
use crate::server::connection::guard::report_refusal;
use crate::server::connection::response::{dated_session, server_full};
use crate::server::connection::task::serve_connection;
use crate::server::connection::tls::start_tls;
use crate::server::panics::drop_isolated;
use crate::server::registry::hub::Hub;
use crate::server::registry::refusal::RefusalReason;
use crate::server::registry::settings::Settings;
use crate::server::service::AnyService;
use crate::server::service::task::serve_with;
use crate::tuning::TURN_WORK;

/// The cost of accepting a connection and starting its task: other tasks run after sixteen of them.
const ACCEPTED: u32 = TURN_WORK / 16;

/// An open port, with the state that its connections need.
pub(crate) struct AcceptLoop<R: Runtime, H> {
    pub(crate) listener: R::Listener,
    pub(crate) settings: Arc<Settings>,
    pub(crate) handler: Arc<H>,
    /// The HTTP implementation of the port, if it is another one than that of this crate.
    pub(crate) service: Option<Arc<dyn AnyService<R::Io, H>>>,
}

impl<R: Runtime, H: Handler> AcceptLoop<R, H> {
    /// Accepts connections until the server shuts down.
    pub(crate) async fn run(mut self, runtime: R, hub: Arc<Hub>) {
        let mut clock = runtime.clock();
        let mut backoff = AcceptBackoff::new();
        let mut turn = Turn::default();
        while let Some(accepted) = poll_fn(|cx| self.poll_turn(cx, &hub, &mut clock, &mut turn)).await {
            let failed = match accepted {
                Ok(accepted) => self.admit(&runtime, &hub, accepted).err(),
                Err(error) => Some(error),
            };
            let Some(error) = failed else {
                backoff.reset();
                continue;
            };
            let pause = backoff.pause_after(&error);
            if !pause.is_zero() {
                let deadline = clock.now() + pause;
                poll_fn(|cx| poll_pause(cx, &mut clock, &hub, deadline)).await;
                clock.cancel();
            }
        }
    }

    /// Waits for the next connection, like [`poll_accept`](AcceptLoop::poll_accept). If many have
    /// waited to be accepted, lets other tasks run after some of them.
    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        hub: &Hub,
        clock: &mut R::Clock,
        turn: &mut Turn,
    ) -> Poll<Option<io::Result<Accepted<R::Io>>>> {
        if turn.is_over() {
            turn.restart();
            clock.yield_now(cx);
            return Poll::Pending;
        }
        let accepted = self.poll_accept(cx, hub);
        if accepted.is_ready() {
            turn.add(ACCEPTED, || clock.now());
        } else {
            turn.restart();
        }
        accepted
    }

    /// Waits for the next connection. Returns `None` once a shutdown has begun.
    fn poll_accept(&mut self, cx: &mut Context<'_>, hub: &Hub) -> Poll<Option<io::Result<Accepted<R::Io>>>> {
        hub.register_waiter(cx.waker());
        if hub.is_stopping() {
            return Poll::Ready(None);
        }
        self.listener.poll_accept(cx).map(Some)
    }

    /// Starts the task of a connection, or one that refuses it if a limit is reached.
    fn admit(&self, runtime: &R, hub: &Arc<Hub>, accepted: Accepted<R::Io>) -> io::Result<()> {
        let limit = match hub.admit(&accepted.peer, &self.settings) {
            Ok(admission) => {
                let (settings, handler) = (self.settings.clone(), self.handler.clone());
                let (task_runtime, hub) = (runtime.clone(), hub.clone());
                if let Some(service) = self.service.clone() {
                    let task = serve_with(task_runtime, accepted, admission, settings, handler, hub, service);
                    return runtime.spawn(task);
                }
                let task = serve_connection(task_runtime, accepted, admission, settings, handler, hub);
                return runtime.spawn(task);
            }
            Err(limit) => limit,
        };
        let Accepted { io, peer, local } = accepted;
        let entry = hub.new_entry(peer, local, runtime.clock().now(), self.settings.clone());
        entry.end();
        let client = Client::new(entry, hub.clone());
        report_refusal(&*self.handler, &client, RefusalReason::Limit(limit), None);
        drop_isolated(client.entry().forget_data());
        let Some(slot) = hub.reserve_refusal() else { return Ok(()) };
        let (mut clock, entry, config) =
            (runtime.clock(), client.entry().clone(), self.settings.config.clone());
        let deadline = clock.now() + config.handshake_timeout;
        runtime.spawn(async move {
            let tls = start_tls::<R>(io, &mut ReadBuffer::default(), &mut clock, &entry, deadline).await;
            let io = match tls.map_err(|refused| refused.1) {
                Ok(io) => io,
                Err(Some(answer)) => answer.0,
                Err(None) => return,
            };
            let mut opening = Opening::new(dated_session(config), io, clock);
            opening.session.reject(server_full());
            // Ignore errors: the peer may already be gone.
            let _ = opening.finish().await;
            drop(slot);
        })
    }
}

/// Waits until `deadline`, or until a shutdown begins.
fn poll_pause(cx: &mut Context<'_>, clock: &mut impl Clock, hub: &Hub, deadline: Instant) -> Poll<()> {
    hub.register_waiter(cx.waker());
    if hub.is_stopping() { Poll::Ready(()) } else { poll_deadline(clock, cx, deadline).map(drop) }
}

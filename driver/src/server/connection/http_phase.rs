//! A connection before it is a WebSocket: HTTP, and the opening handshake.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::handshake::accept::read_request;
use crate::handshake::opening::{Opening, WaitOutcome};
use crate::runtime::io::Clock;
use crate::runtime::server::Runtime;
use crate::server::api::client::Client;
use crate::server::api::handler::Handler;
use crate::server::connection::exchange::answer_request;
use crate::server::connection::guard::{guarded, report_failure};
use crate::server::connection::response::send_last;
use crate::server::connection::upgrade::{Upgraded, upgrade};
use crate::server::registry::admission::Slot;
use crate::server::registry::entry::Flag;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::Status;

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
    pub(crate) handshake: Slot,
}

impl<R: Runtime, H: Handler> HttpPhase<R, H> {
    /// Answers requests until one of them opens a WebSocket; `None` when the connection has ended without. In a box, for a
    /// task's future is as large as its largest moment, for good.
    pub(crate) fn run(self) -> Pin<Box<dyn Future<Output = HttpOutcome<R>> + Send>> {
        Box::pin(async move {
            let (client, hub) = (self.client.clone(), self.hub.clone());
            let connect = guarded(|| async { Ok(self.handler.connect(&self.client).await) });
            let timeout = self.client.entry().port.body_timeout;
            match run_unless_interrupted(&client, &hub, connect).await {
                None => return HttpOutcome::Refused,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(refused))) => {
                    if let Some(response) = refused.response {
                        let opening = Opening::new(self.io, self.runtime.clock());
                        send_last(opening, response, timeout).await;
                    }
                    return HttpOutcome::Refused;
                }
                Some(Err(failure)) => {
                    report_failure(&*self.handler, &self.client, &failure);
                    return HttpOutcome::Refused;
                }
            }
            match run_unless_interrupted(&client, &hub, self.answer_requests()).await {
                Some(Some(opened)) => HttpOutcome::Upgraded(opened),
                _ => HttpOutcome::Ended,
            }
        })
    }

    async fn answer_requests(self) -> Option<Box<Upgraded<R>>> {
        let HttpPhase { runtime, handler, client, hub, io, handshake } = self;
        let (entry, mut handshake) = (client.entry(), Some(handshake));
        let settings = &entry.port;
        let mut opening = Opening::new(io, runtime.clock());
        let mut in_a_row = 0;
        loop {
            entry.store_flag(Flag::Idle, true);
            in_a_row = if opening.input.is_empty() { 0 } else { in_a_row + 1 };
            if in_a_row == REQUESTS_IN_A_ROW {
                in_a_row = 0;
                yield_now().await;
            }
            if handshake.is_none() && !wait_for_request(&mut opening, settings.keep_alive_timeout).await {
                return None;
            }
            let request = match read_request(&mut opening, &entry.port.config).await {
                Ok(request) => request,
                Err(error) => {
                    if let Some(response) = error.response() {
                        send_last(opening, response, settings.body_timeout).await;
                    }
                    return None;
                }
            };
            entry.store_flag(Flag::Idle, false);
            opening.clock.cancel();
            if request.headers().contains_token("upgrade", "websocket") {
                entry.set_status(Status::Connection);
                return upgrade(&runtime, &*handler, &client, &hub, opening, request, handshake).await;
            }
            opening = answer_request(opening, &*handler, &client, request, &mut handshake).await?;
        }
    }
}

/// What became of the beginning.
pub(crate) enum HttpOutcome<R: Runtime> {
    Upgraded(Box<Upgraded<R>>),
    /// It ended as it was.
    Ended,
    /// It was not wanted: nobody is told of its end.
    Refused,
}

/// Runs the beginning unless it is aborted, or the server ends while it waits for a request.
async fn run_unless_interrupted<T>(
    client: &Client,
    hub: &Hub,
    beginning: impl Future<Output = T>,
) -> Option<T> {
    let mut beginning = pin!(beginning);
    let entry = client.entry();
    let is_interrupted =
        || entry.has_flag(Flag::Aborted) || (hub.is_stopping() && entry.has_flag(Flag::Idle));
    let mut poll = |cx: &mut Context<'_>| {
        entry.register_task(cx.waker());
        if is_interrupted() {
            return Poll::Ready(None);
        }
        match beginning.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if is_interrupted() => Poll::Ready(None),
            Poll::Pending => {
                // Another phase may have begun, with another place for the waker.
                entry.register_task(cx.waker());
                Poll::Pending
            }
        }
    };
    poll_fn(move |cx| poll(cx)).await
}

/// Gives the thread away once.
async fn yield_now() {
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
async fn wait_for_request<R: crate::runtime::io::Io, C: Clock>(
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

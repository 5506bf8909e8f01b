//! A connection before it is a WebSocket: HTTP requests, of which one may upgrade it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_core::handshake::server::ServerHandshakeError;
use sockeye_core::http::Response;
use sockeye_core::session::OpenError;

use crate::engine::buffer::ReadBuffer;
use crate::engine::turn::Turn;
use crate::handshake::opening::{Opening, OpeningEvent};
use crate::runtime::address::Address;
use crate::runtime::io::{Clock, Io};
use crate::runtime::server::Runtime;
use crate::server::api::client::Client;
use crate::server::api::handler::{Handler, Refused};
use crate::server::connection::exchange::{answer_request, meter};
use crate::server::connection::first_bytes::read_first_bytes;
use crate::server::connection::guard::{guarded, report_cause, report_failure, report_refusal};
use crate::server::connection::proxied::{find_client, read_proxy_header, set_peer};
use crate::server::connection::response::{http_session, server_full, session_since};
use crate::server::connection::speaker::{Greeted, Speaker};
use crate::server::connection::tls::{Answer, NotSecured, ServerIo, plain, start_tls};
use crate::server::connection::upgrade::{Upgraded, upgrade};
use crate::server::registry::admission::Slot;
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::Status;
use crate::server::registry::refusal::RefusalReason;
use crate::tuning::TURN_WORK;

/// The cost of a pipelined request: other tasks get a turn after sixteen of them.
const REQUEST: u32 = TURN_WORK / 16;

/// The state of a connection that speaks HTTP. It is freed when the WebSocket opens.
pub(crate) struct HttpPhase<R: Runtime, H> {
    runtime: R,
    handler: Arc<H>,
    client: Client,
    hub: Arc<Hub>,
    io: R::Io,
    /// Held until the first request is answered.
    handshake: Slot,
    /// The nearest known sender of the requests: the client, or the nearest proxy.
    nearest: Address,
    /// The bytes that were read after a PROXY protocol header.
    input: ReadBuffer,
    /// Another HTTP implementation, in place of this one.
    speaker: Option<Box<dyn Speaker<ServerIo<R>>>>,
}

/// The outcome of the HTTP phase of a connection.
pub(crate) enum HttpOutcome<I, C, H> {
    /// A request opened a WebSocket.
    Upgraded(Box<Upgraded<I, C>>, Client, Arc<H>),
    /// The connection ended after [`Handler::connect`] accepted it.
    Ended,
    /// [`Handler::connect`] did not accept it, so no other method is called for it.
    Refused,
}

/// The boxed future of an [`HttpPhase`].
type HttpFuture<R, H> =
    Pin<Box<dyn Future<Output = HttpOutcome<ServerIo<R>, <R as Runtime>::Clock, H>> + Send>>;

impl<R: Runtime, H: Handler> HttpPhase<R, H> {
    pub(crate) fn new(
        runtime: R,
        handler: Arc<H>,
        client: Client,
        hub: Arc<Hub>,
        io: R::Io,
        handshake: Slot,
    ) -> Self {
        let nearest = client.transport_peer().clone();
        let input = ReadBuffer::default();
        HttpPhase { runtime, handler, client, hub, io, handshake, nearest, input, speaker: None }
    }

    /// Lets another HTTP implementation speak.
    pub(crate) fn with_speaker(mut self, speaker: Box<dyn Speaker<ServerIo<R>>>) -> Self {
        self.speaker = Some(speaker);
        self
    }

    /// Answers requests until one of them opens a WebSocket or the connection ends.
    ///
    /// The future is boxed: the future of a task is always as large as its largest state, and the
    /// state of this phase is not needed once the WebSocket is open. The steps in which the
    /// application works are boxed once more, because a client that sends nothing must not cost the
    /// memory of any of them.
    pub(crate) fn run(mut self) -> HttpFuture<R, H> {
        Box::pin(async move {
            let (client, hub) = (self.client.clone(), self.hub.clone());
            let port = &client.entry().port;
            if port.proxy_protocol && port.trusted_proxies.trusts(self.nearest.ip()) {
                match run_unless_interrupted(&client, &hub, Box::pin(self.read_proxy_header())).await {
                    Some(Ok(())) => {}
                    Some(Err(Some((reason, response)))) => {
                        report_refusal(&*self.handler, &client, reason, None);
                        Box::pin(self.refuse(response, false)).await;
                        return HttpOutcome::Refused;
                    }
                    Some(Err(None)) | None => return HttpOutcome::Refused,
                }
            }
            let connect = Box::pin(guarded(|| async { Ok(self.handler.connect(&self.client).await) }));
            match run_unless_interrupted(&client, &hub, connect).await {
                None => return HttpOutcome::Refused,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(refused))) => {
                    if let Some(response) = self.report_refused(refused) {
                        Box::pin(self.refuse(response, true)).await;
                    }
                    return HttpOutcome::Refused;
                }
                Some(Err(failure)) => {
                    report_failure(&*self.handler, &client, failure);
                    report_refusal(&*self.handler, &client, RefusalReason::Failed, None);
                    return HttpOutcome::Refused;
                }
            }
            client.entry().store_flag(Flag::Accepted, true);
            client.entry().store_flag(Flag::Idle, true);
            let mut clock = self.runtime.clock();
            let since = clock.now();
            let deadline = since + client.entry().port.config.handshake_timeout;
            let tls =
                Box::pin(start_tls::<R>(self.io, &mut self.input, &mut clock, client.entry(), deadline));
            let mut io = match run_unless_interrupted(&client, &hub, tls).await {
                Some(Ok(io)) => io,
                Some(Err(refused)) => {
                    if let Some(answer) = report_not_secured::<R, H>(&*self.handler, &client, *refused) {
                        Box::pin(refuse(&self.runtime, &client, answer, self.input)).await;
                    }
                    return HttpOutcome::Ended;
                }
                None => return HttpOutcome::Ended,
            };
            let first_bytes = read_first_bytes(&mut io, &mut clock, &mut self.input, deadline);
            let first_bytes = run_unless_interrupted(&client, &hub, Box::pin(first_bytes)).await;
            let Some(Ok(is_eof)) = first_bytes else {
                return HttpOutcome::Ended;
            };
            if let Some(speaker) = self.speaker {
                if self.input.is_empty() {
                    // The client has gone, or its time is up.
                    return HttpOutcome::Ended;
                }
                client.entry().store_flag(Flag::Idle, false);
                let greeted =
                    Greeted { io, input: self.input, nearest: self.nearest, handshake: self.handshake };
                run_unless_interrupted(&client, &hub, speaker.speak(greeted)).await;
                return HttpOutcome::Ended;
            }
            let session = session_since(since, is_eof, &self.runtime, &client.entry().port);
            let opening = Opening::with_input(session, io, clock, self.input, is_eof);
            let requests = Requests {
                runtime: &self.runtime,
                handler: &self.handler,
                client: &client,
                hub: &hub,
                nearest: &self.nearest,
            };
            let answer = Box::pin(requests.answer(opening, self.handshake));
            match run_unless_interrupted(&client, &hub, answer).await {
                Some(Some(upgraded)) => HttpOutcome::Upgraded(upgraded, client, self.handler),
                _ => HttpOutcome::Ended,
            }
        })
    }

    /// Reports that [`Handler::connect`] refused the connection. Returns the response, if there is
    /// one.
    fn report_refused(&self, refused: Refused) -> Option<Response> {
        let status = refused.response.as_ref().map(Response::status);
        report_refusal(&*self.handler, &self.client, RefusalReason::Connect { status }, None);
        let mut response = refused.response?;
        report_cause(&*self.handler, &self.client, &mut response);
        Some(response)
    }

    /// Reads the PROXY protocol header, which names the client. Returns the reason and the
    /// response for one that is refused, or `None` if the connection ends without a response.
    async fn read_proxy_header(&mut self) -> Result<(), Option<(RefusalReason, Response)>> {
        let entry = self.client.entry();
        let (timeout, mut clock) = (entry.port.config.handshake_timeout, self.runtime.clock());
        entry.store_flag(Flag::Idle, true);
        let read = read_proxy_header(&mut self.io, &mut clock, timeout).await;
        entry.store_flag(Flag::Idle, false);
        let (header, input) = read.map_err(|_| None)?;
        self.input = input;
        let refused = |error| {
            let response = Response::text(400, format!("bad request: {error}\n"));
            (RefusalReason::ProxyHeader(error), response)
        };
        let header = header.map_err(refused)?;
        if let Some(source) = header.source {
            self.nearest = source.into();
            let set = set_peer(&self.client, &self.hub, self.nearest.clone());
            set.map_err(|limit| (RefusalReason::Limit(limit), server_full()))?;
        }
        Ok(())
    }

    /// Sends a response before any request has been read, and ends the connection.
    async fn refuse(mut self, response: Response, with_tls: bool) {
        let io = if with_tls {
            let (entry, mut clock) = (self.client.entry(), self.runtime.clock());
            let deadline = clock.now() + entry.port.config.handshake_timeout;
            match start_tls::<R>(self.io, &mut self.input, &mut clock, entry, deadline).await {
                Ok(io) => io,
                // A client that speaks plain HTTP can read the response.
                Err(refused) => match refused.1 {
                    Some(answer) => answer.0,
                    None => return,
                },
            }
        } else {
            plain::<R>(self.io)
        };
        refuse(&self.runtime, &self.client, Box::new((io, response)), self.input).await;
    }
}

/// Reports that TLS has failed. Returns the answer, if there is one.
fn report_not_secured<R: Runtime, H: Handler>(
    handler: &H,
    client: &Client,
    (reason, answer): NotSecured<R>,
) -> Option<Box<Answer<R>>> {
    if let Some(reason) = reason {
        report_refusal(handler, client, reason, None);
    }
    answer
}

/// Sends a response before any request has been read, and ends the connection.
async fn refuse<R: Runtime>(runtime: &R, client: &Client, answer: Box<Answer<R>>, input: ReadBuffer) {
    let (io, response) = *answer;
    let session = http_session(runtime, &client.entry().port);
    let mut opening = Opening::with_input(session, io, runtime.clock(), input, false);
    opening.session.reject(response);
    // Ignore an error here: the connection ends in any case.
    let _ = opening.finish().await;
}

/// The requests of one connection, and what it takes to answer them.
struct Requests<'p, R: Runtime, H> {
    runtime: &'p R,
    handler: &'p Arc<H>,
    client: &'p Client,
    hub: &'p Arc<Hub>,
    nearest: &'p Address,
}

impl<R: Runtime, H: Handler> Requests<'_, R, H> {
    async fn answer(
        self,
        mut opening: Opening<ServerIo<R>, R::Clock>,
        handshake: Slot,
    ) -> Option<Box<Upgraded<ServerIo<R>, R::Clock>>> {
        let Requests { runtime, handler, client, hub, nearest } = self;
        opening.set_meter(meter(client, hub));
        let (entry, mut handshake) = (client.entry(), Some(handshake));
        let mut turn = Turn::default();
        loop {
            entry.store_flag(Flag::Idle, true);
            turn.begin(|| opening.now());
            if !opening.has_input() {
                turn.restart();
            } else if turn.is_over() {
                turn.restart();
                yield_once(&mut opening).await;
            }
            let event = opening.next_event().await.ok()?;
            entry.store_flag(Flag::Idle, false);
            match event {
                OpeningEvent::Request(request) => {
                    let host = match find_client(client, hub, nearest, request.headers()) {
                        Ok(host) => host.map(str::to_owned),
                        Err(limit) => {
                            let reason = RefusalReason::Limit(limit);
                            report_refusal(&**handler, client, reason, Some(&request));
                            opening.session.reject(server_full());
                            break;
                        }
                    };
                    let request = match entry.port.policy.check_request(request, host.as_deref()) {
                        Ok(request) => request,
                        Err(rejection) => {
                            opening.session.reject(rejection.response());
                            let reason = RefusalReason::Handshake(rejection);
                            report_refusal(&**handler, client, reason, None);
                            break;
                        }
                    };
                    let answer = answer_request(&mut opening, &**handler, client, request, &mut handshake);
                    if !Box::pin(answer).await {
                        break;
                    }
                    turn.add(REQUEST, || opening.now());
                }
                OpeningEvent::Upgrade(mut request) => {
                    entry.set_status(Status::Connection);
                    match find_client(client, hub, nearest, request.request().headers()) {
                        Ok(host) => {
                            let host = host.map(str::to_owned);
                            request.set_forwarded_host(host);
                        }
                        Err(limit) => {
                            let reason = RefusalReason::Limit(limit);
                            report_refusal(&**handler, client, reason, Some(request.request()));
                            opening.session.reject(server_full());
                            entry.fail_handshake();
                            break;
                        }
                    }
                    let upgrade = upgrade(runtime, &**handler, client, hub, opening, request, handshake);
                    return Box::pin(upgrade).await;
                }
                OpeningEvent::NotOpened(error) => {
                    match error {
                        OpenError::Refused(rejection) => {
                            if rejection.request().headers().contains_token("upgrade", "websocket") {
                                entry.fail_handshake();
                            }
                            let reason = RefusalReason::Handshake(rejection);
                            report_refusal(&**handler, client, reason, None);
                        }
                        // The client asked for nothing: a probe, or a browser's spare connection.
                        OpenError::Request(ServerHandshakeError::Eof { received: 0 }) => {}
                        OpenError::Request(error) => {
                            report_refusal(&**handler, client, RefusalReason::Request(error), None);
                        }
                        _ => {}
                    }
                    break;
                }
                OpeningEvent::Ended => return None,
                OpeningEvent::BodyEnd | OpeningEvent::BodyFailed(_) | OpeningEvent::Open(_) => {}
            }
        }
        // Ignore an error here: the connection ends whether or not the client reads the response.
        let _ = opening.finish().await;
        None
    }
}

/// Runs a future. Drops it and returns `None` if the connection is aborted, or if the server shuts
/// down while the connection is idle.
///
/// The caller boxes the future, because a future that is moved into another one takes up its size
/// twice.
async fn run_unless_interrupted<T, F>(client: &Client, hub: &Hub, mut future: F) -> Option<T>
where
    F: Future<Output = T> + Unpin,
{
    let entry = client.entry();
    let is_interrupted =
        || entry.has_flag(Flag::Aborted) || (hub.is_stopping() && entry.has_flag(Flag::Idle));
    let mut poll = |cx: &mut Context<'_>| {
        entry.register_task(cx.waker());
        if is_interrupted() {
            return Poll::Ready(None);
        }
        match Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if is_interrupted() => Poll::Ready(None),
            Poll::Pending => {
                // The future may have begun another phase of the entry, with a new waker slot.
                entry.register_task(cx.waker());
                Poll::Pending
            }
        }
    };
    poll_fn(move |cx| poll(cx)).await
}

/// Lets other tasks run once.
async fn yield_once<I: Io, C: Clock>(opening: &mut Opening<I, C>) {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        opening.yield_now(cx);
        Poll::Pending
    })
    .await;
}

//! A request for a WebSocket that an HTTP service has read.

use std::fmt;
use std::sync::Arc;
use std::task::Poll;

use sockeye_core::handshake::server::{Accepted, Upgrade};
use sockeye_core::http::{Request, Response};

use crate::engine::decoder::SenderAccess;
use crate::runtime::io::{Clock, Io};
use crate::server::adopt::Adopted;
use crate::server::api::client::Client;
use crate::server::api::handler::{Failure, Handler};
use crate::server::connection::guard::{report_cause, report_failure, report_refusal};
use crate::server::connection::response::server_full;
use crate::server::connection::shared_link::SharedLink;
use crate::server::connection::shared_link::task_side::TaskLink;
use crate::server::connection::task::{RegistryGuard, serve_opening};
use crate::server::connection::transport::Transport;
use crate::server::connection::upgrade::{Acceptance, FirstEvent, Upgraded, decide, open_link};
use crate::server::registry::early_pushes::run_decision;
use crate::server::registry::info::Status;
use crate::server::registry::refusal::RefusalReason;
use crate::server::service::HttpContext;
use crate::server::service::ownership::Ownership;
use crate::websocket::WebSocket;

/// A request for a WebSocket that the application has accepted.
///
/// Send the [response](HttpUpgrade::response), then [`open`](HttpUpgrade::open) the WebSocket. If
/// the response cannot be sent, drop this.
pub struct HttpUpgrade<H: Handler> {
    context: HttpContext<H>,
    held: Held,
    accepted: Box<Accepted>,
    calls_open: bool,
}

/// The id of a WebSocket whose handshake is in progress. Dropping it ends the handshake.
struct Held {
    client: Client,
    /// `None` once the WebSocket is open.
    registered: Option<RegistryGuard>,
    /// The owner of the transport's id, if that becomes the WebSocket.
    ownership: Option<Arc<Ownership>>,
}

impl<H: Handler> HttpUpgrade<H> {
    pub(super) async fn decide(context: &HttpContext<H>, mut upgrade: Upgrade) -> Result<Self, Response> {
        let held = hold(context, upgrade.request())?;
        let (client, handler) = (held.client.clone(), context.endpoint().handler().clone());
        let entry = client.entry();
        entry.set_status(Status::Connection);
        let host = match context.find_client(&client, upgrade.request()) {
            Ok(host) => host,
            Err(response) => {
                entry.fail_handshake();
                return Err(response);
            }
        };
        upgrade.set_forwarded_host(host);
        entry.set_status(Status::Handshake);
        entry.begin_handshake(client.hub());
        let decided = Box::pin(decide(&*handler, &client, &upgrade, |_| Poll::Pending));
        let refuse = |reason, mut response: Response, request: Request| {
            report_cause(&*handler, &client, &mut response);
            entry.fail_handshake();
            report_refusal(&*handler, &client, reason, Some(&request));
            context.request_answered();
            response.in_answer_to(&request)
        };
        let Acceptance { accept, calls_open } = match run_decision(entry.id(), decided).await {
            Ok(acceptance) => acceptance,
            Err((reason, response)) => return Err(refuse(reason, response, upgrade.into_request())),
        };
        match upgrade.accept_parts(&accept, entry.port.config.clone()) {
            Ok(accepted) => {
                Ok(HttpUpgrade { context: context.clone(), held, accepted: Box::new(accepted), calls_open })
            }
            Err(error) => {
                let reason = RefusalReason::Subprotocol { name: error.name().to_owned() };
                let response = error.response();
                report_failure(&*handler, &client, Failure::Error(error.clone().into()));
                Err(refuse(reason, response, error.into_upgrade().into_request()))
            }
        }
    }

    /// Returns a handle to the connection that becomes a WebSocket.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.held.client
    }

    /// Returns the response to send: a 101, or a 200 over HTTP/2.
    #[must_use]
    pub fn response(&self) -> &Response {
        &self.accepted.response
    }

    /// Opens the WebSocket, once the response has been sent. `unread` has been read from `io`.
    /// Returns the future that serves it until its end: see
    /// [`ServerHandle::adopt`](crate::server::ServerHandle::adopt).
    pub fn open<I, C>(self, io: I, unread: &[u8], clock: C) -> Adopted
    where
        I: Io + Send + 'static,
        C: Clock + Send + 'static,
    {
        let HttpUpgrade { context, mut held, accepted, calls_open } = self;
        context.request_answered();
        let Accepted { connection, request, subprotocol, .. } = *accepted;
        let (reader, link, _) = WebSocket::new(connection, unread, io, clock).into_parts();
        let client = held.client.clone();
        if let Some(subprotocol) = subprotocol {
            client.entry().set_subprotocol(subprotocol);
        }
        client.entry().port.counters.count_read(client.id(), unread.len());
        let link = link.map_io(Transport::new);
        let mut shared = SharedLink::new(link, client.hub().clone(), client.entry().clone(), None);
        shared.with_sender(|_| ());
        let mut link = TaskLink::new(shared);
        let opening = Box::pin({
            let client = client.clone();
            async move {
                let deferred = open_link(client.entry(), client.hub(), &mut link).await;
                let first = Box::new(FirstEvent { request: calls_open.then_some(request), deferred });
                Upgraded { reader, link, first }
            }
        });
        let registered = held.registered.take();
        drop(held);
        let handler = context.endpoint().handler().clone();
        let task = registered.map(|registered| serve_opening(opening, registered, handler));
        Adopted::new(client, task)
    }
}

/// Takes the id of the WebSocket: that of its transport, or a new one over HTTP/2.
fn hold<H: Handler>(context: &HttpContext<H>, request: &Request) -> Result<Held, Response> {
    let transport = context.client();
    if !request.is_extended_connect() {
        let ownership = context.0.ownership.clone();
        let registered = ownership.begin_handshake();
        if registered.is_none() {
            return Err(Response::text(400, "the connection is a WebSocket already\n"));
        }
        return Ok(Held { client: transport.clone(), registered, ownership: Some(ownership) });
    }
    let (hub, of_transport) = (transport.hub(), transport.entry());
    let (peer, local) = (of_transport.peer(), of_transport.local().clone());
    let (slot, is_counted) = hub.admit_open(&peer, &of_transport.port).map_err(|limit| {
        let handler = &**context.endpoint().handler();
        report_refusal(handler, transport, RefusalReason::Limit(limit), Some(request));
        server_full()
    })?;
    let nearest = of_transport.transport_peer().clone();
    let entry = hub.insert(nearest, local, hub.now(), of_transport.port.clone());
    entry.set_peer(&peer, is_counted);
    entry.count_present();
    #[cfg(feature = "_tls")]
    entry.copy_tls(of_transport);
    let client = Client::new(entry, hub.clone());
    let registered = RegistryGuard::new(client.clone(), slot);
    Ok(Held { client, registered: Some(registered), ownership: None })
}

impl Drop for Held {
    fn drop(&mut self) {
        let registered = self.registered.take();
        if registered.is_some() {
            self.client.entry().fail_handshake();
        }
        match &self.ownership {
            Some(ownership) => ownership.end_handshake(registered),
            None => drop(registered),
        }
    }
}

impl<H: Handler> fmt::Debug for HttpUpgrade<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpUpgrade").field("client", &self.held.client.id()).finish_non_exhaustive()
    }
}

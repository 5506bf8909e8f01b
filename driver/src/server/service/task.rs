//! The task of a connection on which an HTTP service speaks.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::runtime::server::{Accepted, Runtime};
use crate::server::api::client::Client;
use crate::server::api::endpoint::Endpoint;
use crate::server::api::handler::Handler;
use crate::server::connection::speaker::{Greeted, Speaker};
use crate::server::connection::task::{call_disconnect, register};
use crate::server::connection::tls::PortIo;
use crate::server::panics::{catch, drop_isolated};
use crate::server::registry::admission::Admission;
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::Hub;
use crate::server::registry::settings::Settings;
use crate::server::service::ownership::Ownership;
use crate::server::service::{AnyService, HttpConnection, HttpContext, HttpIo};

/// A service with the state of one connection.
struct ServiceSpeaker<I, H> {
    service: Arc<dyn AnyService<I, H>>,
    client: Client,
    endpoint: Endpoint<H>,
    ownership: Arc<Ownership>,
}

/// The stages of the task. Panics are caught in each.
enum Stage<F> {
    Serving(F),
    LastEvent(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// Returns the future that serves one accepted connection, on which `service` speaks.
pub(crate) fn serve_with<R: Runtime, H: Handler>(
    runtime: R,
    accepted: Accepted<R::Io>,
    admission: Admission,
    port: Arc<Settings>,
    handler: Arc<H>,
    hub: Arc<Hub>,
    service: Arc<dyn AnyService<R::Io, H>>,
) -> impl Future<Output = ()> + Send + 'static {
    let endpoint = Endpoint::with_settings(handler.clone(), port.clone());
    let (http, registered) = register(runtime, accepted, admission, port, handler.clone(), hub);
    let client = registered.client().clone();
    let ownership = Arc::new(Ownership::new(registered));
    let speaker = ServiceSpeaker { service, client, endpoint, ownership: ownership.clone() };
    let mut stage = Stage::Serving(http.with_speaker(Box::new(speaker)).run());
    poll_fn(move |cx| {
        if let Stage::Serving(serving) = &mut stage {
            if let Ok(Poll::Pending) = catch(|| serving.as_mut().poll(cx).map(drop)) {
                return Poll::Pending;
            }
            let last = Box::pin(call_last_event(ownership.clone(), handler.clone()));
            drop_isolated(std::mem::replace(&mut stage, Stage::LastEvent(last)));
        }
        let Stage::LastEvent(last) = &mut stage else { return Poll::Ready(()) };
        catch(|| last.as_mut().poll(cx)).unwrap_or(Poll::Ready(()))
    })
}

/// Calls [`Handler::disconnect`] if the connection has been accepted, and has not become a
/// WebSocket.
async fn call_last_event<H: Handler>(ownership: Arc<Ownership>, handler: Arc<H>) {
    let Some(registered) = poll_fn(|cx| ownership.poll_take(cx)).await else { return };
    if registered.client().entry().has_flag(Flag::Accepted) {
        call_disconnect(registered, handler).await;
    } else {
        drop_isolated((registered, handler));
    }
}

impl<I, H> Speaker<PortIo<I>> for ServiceSpeaker<I, H>
where
    I: Send + 'static,
    H: Handler,
{
    fn speak(self: Box<Self>, greeted: Greeted<PortIo<I>>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let ServiceSpeaker { service, client, endpoint, ownership } = *self;
        let Greeted { io, input, nearest, handshake } = greeted;
        let context = HttpContext::new(client, endpoint, nearest, handshake, ownership);
        service.serve_boxed(HttpConnection { io: HttpIo::new(io, input), context })
    }
}

//! WebSockets that something else opened, as connections of a server (M17).

use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use sockeye_core::CloseInfo;
use sockeye_core::http::Request;
use sockeye_driver::accept_with;
use sockeye_driver::server::{
    Accepted, Client, Endpoint, Handler, HandlerResult, Inbound, Limits, Listener as _, Port, Runtime as _,
    ServerHandle,
};
use sockeye_testkit::{EventLog, PATIENCE, RawClient, eventually};

use super::await_open;
use crate::{Runtime, serve};

/// Echoes messages and logs the events.
struct Recorder(EventLog);

impl Handler for Recorder {
    async fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        self.0.add(format!("open {} from {}", request.path(), client.peer().ip().unwrap()));
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.0.add(format!("close {} {}", info.code.as_u16(), info.clean));
        Ok(())
    }
}

/// A server without ports, and a program that accepts WebSockets and lets the server adopt them.
struct Adopting {
    handle: ServerHandle,
    address: SocketAddr,
    thread: std::thread::JoinHandle<()>,
}

impl Adopting {
    fn start(limits: Limits, log: &EventLog) -> Self {
        let endpoint = Endpoint::new(Port::new(Recorder(log.clone())));
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (started, has_started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            serve(
                |builder| builder.limits(limits).build(),
                move |server| {
                    let handle = server.handle();
                    Runtime::default().spawn(accept_all(socket, handle.clone(), endpoint)).unwrap();
                    started.send(handle).unwrap();
                },
            );
        });
        Adopting { handle: has_started.recv_timeout(PATIENCE).unwrap(), address, thread }
    }

    fn open(&self, path: &str) -> RawClient {
        let mut raw = RawClient::connect(self.address);
        raw.upgrade(path);
        raw
    }

    fn stop(self) {
        self.handle.shutdown(Duration::ZERO);
        eventually("the server to stop", || self.thread.is_finished());
        self.thread.join().unwrap();
    }
}

/// Accepts connections until the server shuts down.
async fn accept_all(socket: TcpListener, server: ServerHandle, endpoint: Endpoint<Recorder>) {
    let runtime = Runtime::default();
    socket.set_nonblocking(true).unwrap();
    let mut listener = runtime.listen(socket).unwrap();
    while let Ok(Accepted { io, peer, .. }) = poll_fn(|cx| listener.poll_accept(cx)).await {
        let (clock, server, endpoint) = (runtime.clock(), server.clone(), endpoint.clone());
        let connection = async move {
            let mut request = None;
            let accepted = accept_with(io, clock, endpoint.config().clone(), async |upgrade| {
                request = Some(upgrade.request().clone());
                Ok(endpoint.policy().decide(upgrade)?)
            });
            let websocket = accepted.await.unwrap();
            let _ = server.adopt(websocket, &endpoint).peer(peer).request(request.unwrap()).await;
        };
        runtime.spawn(connection).unwrap();
    }
}

#[test]
fn m17_a_websocket_that_the_application_accepted_is_a_connection_of_a_server() {
    let log = EventLog::default();
    let server = Adopting::start(Limits::new(), &log);
    let mut raw = server.open("/chat");
    await_open(&server.handle, 1);
    let id = server.handle.connections()[0];
    assert_eq!(server.handle.info(id).unwrap().peer.as_inet(), raw.local());
    raw.text("hello");
    raw.expect_text("hello");
    server.handle.push(id, "pushed").unwrap();
    raw.expect_text("pushed");
    assert_eq!(server.handle.broadcast(|_| true, "to all").queued, 1);
    raw.expect_text("to all");
    raw.close(1000, "");
    raw.expect_close(1000);
    log.expect(&["open /chat from 127.0.0.1", "close 1000 true"]);
    eventually("the connection to be forgotten", || !server.handle.exists(id));
    server.stop();
}

#[test]
fn m17_o8_an_adopted_connection_above_the_limit_of_its_address_is_closed_with_1013() {
    let log = EventLog::default();
    let server = Adopting::start(Limits::new().max_per_address(1), &log);
    let first = server.open("/first");
    await_open(&server.handle, 1);
    let mut second = server.open("/second");
    second.expect_close(1013);
    drop(first);
    eventually("the first one to end", || server.handle.connections().is_empty());
    let mut third = server.open("/third");
    third.text("hello");
    third.expect_text("hello");
    drop(third);
    server.stop();
}

#[test]
fn m17_m12_a_shutdown_waits_for_adopted_connections() {
    let log = EventLog::default();
    let server = Adopting::start(Limits::new(), &log);
    let mut raw = server.open("/");
    await_open(&server.handle, 1);
    server.handle.shutdown(PATIENCE);
    raw.expect_close(1001);
    eventually("the server to stop", || server.thread.is_finished());
    log.expect(&["open / from 127.0.0.1", "close 1001 true"]);
    server.stop();
}

//! A server that runs on the adapter under test.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use sockeye_core::http::Request;
use sockeye_driver::server::{
    Address, Client, Handler, HandlerResult, Inbound, Limits, Port, ServerBuilder, ServerHandle,
};
use sockeye_testkit::{PATIENCE, RawClient, eventually};

#[cfg(feature = "rustls")]
use super::tls::{connect as connect_tls, with_tls};
use crate::{Runtime, TLS, serve};

/// A handler that echoes messages and passes each opened client to the test.
pub(crate) struct Echo(pub(crate) mpsc::Sender<Client>);

impl Handler for Echo {
    async fn open(&self, client: &Client, _: &Request) -> HandlerResult {
        self.0.send(client.clone())?;
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }
}

/// A server on its own thread. Dropping it shuts it down.
pub(crate) struct TestServer {
    pub(crate) handle: ServerHandle,
    pub(crate) addresses: Vec<Address>,
    /// The first port speaks TLS.
    tls: bool,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Starts the server that `build` sets up, whose first port speaks no TLS.
    pub(crate) fn start(
        build: impl FnOnce(ServerBuilder<Runtime>) -> ServerBuilder<Runtime> + Send + 'static,
    ) -> Self {
        let (started, has_started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            serve(
                |builder| build(builder).build(),
                move |server| started.send((server.handle(), server.addresses().to_vec())).unwrap(),
            );
        });
        let (handle, addresses) = has_started.recv_timeout(PATIENCE).expect("the server starts");
        TestServer { handle, addresses, tls: false, thread: Some(thread) }
    }

    /// Starts a server with one port, which speaks TLS if the scenarios run with TLS.
    pub(crate) fn port<H: Handler>(port: Port<H>) -> Self {
        Self::limited(Limits::new(), port)
    }

    /// Starts a server with these limits and one port.
    pub(crate) fn limited<H: Handler>(limits: Limits, port: Port<H>) -> Self {
        let port = if TLS { with_tls(port) } else { port };
        let mut server =
            Self::start(move |builder| builder.limits(limits).listen("127.0.0.1:0", port).unwrap());
        server.tls = TLS;
        server
    }

    /// Starts a server with one port and default settings.
    pub(crate) fn handler(handler: impl Handler) -> Self {
        Self::port(Port::new(handler))
    }

    /// Returns the address of the first port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0].as_inet().unwrap()
    }

    /// Connects a client that sends nothing yet.
    pub(crate) fn connect(&self) -> RawClient {
        if self.tls { connect_tls(self.address()) } else { RawClient::connect(self.address()) }
    }

    /// Connects a client and opens a WebSocket.
    pub(crate) fn open(&self) -> RawClient {
        let mut raw = self.connect();
        raw.upgrade("/");
        raw
    }

    /// Waits until the server has stopped after a call to `shutdown`.
    pub(crate) fn join(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            eventually("the server to stop", || thread.is_finished());
            thread.join().unwrap();
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.shutdown(Duration::ZERO);
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// Waits until `count` connections are open.
pub(crate) fn await_open(handle: &ServerHandle, count: usize) {
    eventually("all connections to open", || {
        handle.connections().iter().filter(|id| handle.is_established(**id)).count() == count
    });
}

#[cfg(not(feature = "rustls"))]
fn with_tls<H: Handler>(_: Port<H>) -> Port<H> {
    unreachable!("the scenarios with TLS need the feature rustls")
}

#[cfg(not(feature = "rustls"))]
fn connect_tls(_: SocketAddr) -> RawClient {
    unreachable!("the scenarios with TLS need the feature rustls")
}

//! Connections whose peer goes while a method of the handler waits (T46 of docs/requirements.md):
//! the transport, and the option to drop the method.

use std::sync::{Arc, Mutex};

use sockeye_core::handshake::server::Upgrade;
use sockeye_core::http::Response;
use sockeye_core::{CloseInfo, Config, Opcode};
use sockeye_driver::server::{
    BoxError, Client, Decision, Handler, HandlerResult, HttpRequest, Inbound, Limits, Port, ServerHandle,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_testkit::sim::*;

/// A handler that logs what it sees, and waits forever in some events.
#[derive(Debug, Clone, Default)]
struct Waits {
    log: Arc<Mutex<Vec<String>>>,
    waits_in_handshake: bool,
}

/// Logs that a method was dropped.
struct Dropped<'h>(&'h Waits);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.add("dropped");
    }
}

impl Waits {
    fn add(&self, line: impl Into<String>) {
        self.log.lock().unwrap().push(line.into());
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    async fn wait(&self) {
        let _dropped = Dropped(self);
        std::future::pending().await
    }
}

impl Handler for Waits {
    async fn handshake(&self, _: &Client, _: &Upgrade) -> Result<Decision, BoxError> {
        if self.waits_in_handshake {
            self.wait().await;
        }
        Ok(Decision::Policy)
    }

    async fn message(&self, _: &Client, message: Inbound<'_>) -> HandlerResult {
        self.add(message.as_text().unwrap_or_default());
        self.wait().await;
        Ok(())
    }

    async fn request(&self, _: &Client, _: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        self.wait().await;
        Ok(None)
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.add(format!("close {:?} {} {}", info.by, info.code.as_u16(), info.clean));
        Ok(())
    }

    async fn disconnect(&self, _: &Client) -> HandlerResult {
        self.add("disconnect");
        Ok(())
    }
}

struct Server {
    executor: Executor,
    handle: ServerHandle,
    pipe: Pipe,
}

/// Starts a server and sends it these bytes.
fn serve(handler: &Waits, cancels: bool, bytes: &[u8]) -> Server {
    let mut executor = Executor::new();
    let port = Port::new(handler.clone()).config(Config::new()).cancel_handlers(cancels);
    let (handle, connector, _) = SimRuntime::serve(&mut executor, port, Limits::new());
    executor.run_until_idle();
    let pipe = connector.connect(1 << 20, Faults::default());
    pipe.push(bytes);
    executor.run_until_idle();
    Server { executor, handle, pipe }
}

fn opened() -> Vec<u8> {
    let texts = ["wait", "arrived before"].map(|text| client_frame(Opcode::Text, text.as_bytes()));
    [UPGRADE_REQUEST, &texts.concat()].concat()
}

const ENDS: [fn(&Pipe); 2] = [Pipe::reset, Pipe::shut];

#[test]
fn t46_the_transport_is_dropped_when_the_peer_has_gone_while_the_handler_waits() {
    for end in ENDS {
        let handler = Waits::default();
        let mut server = serve(&handler, false, &opened());
        let client = server.handle.client(server.handle.connections()[0]).unwrap();
        assert!(!server.pipe.is_shut());
        end(&server.pipe);
        server.executor.run_until_idle();
        assert!(server.pipe.is_shut(), "the server has dropped its end");
        assert_eq!(handler.log(), ["wait"]);
        assert!(client.is_closed() && client.push("too late").is_err());
        assert_eq!(server.handle.connections(), [client.id()], "the handler still runs");
        server.executor.run_until_idle();
        client.abort().unwrap();
        server.executor.run_until_idle();
        assert_eq!(handler.log(), ["wait", "dropped", "close Peer 1006 false"]);
    }
}

#[test]
fn t46_a_port_can_drop_a_method_whose_peer_has_gone() {
    for end in ENDS {
        let handler = Waits::default();
        let mut server = serve(&handler, true, &opened());
        assert_eq!(handler.log(), ["wait"]);
        end(&server.pipe);
        server.executor.run_until_idle();
        assert_eq!(handler.log(), ["wait", "dropped", "close Peer 1006 false"]);
        assert!(server.pipe.is_shut() && server.handle.connections().is_empty());
    }
}

#[test]
fn t46_a_port_can_drop_a_method_whose_connection_was_closed() {
    let handler = Waits::default();
    let mut server = serve(&handler, true, &opened());
    server.pipe.take_all();
    server.pipe.push(&frame(true, 0x88, close_payload(4000, "bye")));
    server.executor.run_until_idle();
    assert_eq!(handler.log(), ["wait", "dropped", "close Peer 4000 true"]);
    assert_eq!(parse_frames(&server.pipe.take_all())[0].opcode, Opcode::Close);
    server.pipe.shut();
    server.executor.run_until_idle();
    assert!(server.handle.connections().is_empty());
}

#[test]
fn t46_a_port_can_drop_the_methods_of_http_and_of_the_handshake() {
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (waits_in_handshake, bytes) in [(false, &get[..]), (true, UPGRADE_REQUEST)] {
        for end in ENDS {
            for cancels in [true, false] {
                let handler = Waits { waits_in_handshake, ..Waits::default() };
                let mut server = serve(&handler, cancels, bytes);
                assert!(handler.log().is_empty());
                end(&server.pipe);
                server.executor.run_until_idle();
                let expected: &[&str] = if cancels { &["dropped", "disconnect"] } else { &[] };
                assert_eq!(handler.log(), expected);
                assert_eq!(server.handle.connections().is_empty(), cancels);
            }
        }
    }
}

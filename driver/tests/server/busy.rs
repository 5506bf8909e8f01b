//! Connections whose handler waits (E12).

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use sockeye_core::{CloseInfo, Config, Frame, Opcode};
use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound, Port};
use sockeye_testkit::{EventLog, PATIENCE, RawClient, eventually};

use super::TestServer;

/// A handler that waits in each message until its connection is closed, and logs what it sees.
struct WaitsForTheEnd {
    log: EventLog,
    clients: mpsc::Sender<Client>,
}

impl Handler for WaitsForTheEnd {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        self.log.add(message.as_text().unwrap_or_default());
        self.clients.send(client.clone())?;
        client.closed().await;
        self.log.add(format!("{} {:?}", client.is_established(), client.push("too late")));
        Ok(())
    }

    async fn control(&self, _: &Client, frame: &Frame<'_>) -> HandlerResult {
        self.log.add(format!("{:?}", frame.opcode));
        Ok(())
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.log.add(format!("close {:?} {} {}", info.by, info.code.as_u16(), info.clean));
        Ok(())
    }
}

/// Starts a server, opens a connection, and waits until its handler waits.
fn busy(config: Config) -> (TestServer, RawClient, Receiver<Client>, EventLog) {
    let (sender, clients) = mpsc::channel();
    let log = EventLog::default();
    let handler = WaitsForTheEnd { log: log.clone(), clients: sender };
    let server = TestServer::port(Port::new(handler).config(config).forward_pong(true));
    let mut raw = server.open();
    raw.text("wait");
    log.wait_for("wait");
    (server, raw, clients, log)
}

#[test]
fn e12_a_busy_connection_answers_pings_and_the_close_in_order() {
    let (_server, mut raw, clients, log) = busy(Config::new());
    let client = clients.recv_timeout(PATIENCE).unwrap();
    raw.send(&Frame::new(Opcode::Ping, &b"one"[..]));
    assert_eq!(raw.frame(), Some(Frame::new(Opcode::Pong, &b"one"[..])));
    raw.text("later");
    raw.send(&Frame::new(Opcode::Pong, &b""[..]));
    raw.send(&Frame::new(Opcode::Ping, &b"two"[..]));
    assert_eq!(raw.frame(), Some(Frame::new(Opcode::Pong, &b"two"[..])));
    assert_eq!(log.lines(), ["wait"]);
    assert!(client.is_established());
    raw.close(4001, "bye");
    raw.expect_close(4001);
    drop(raw);
    log.expect(&[
        "wait",
        "false Err(Closing)",
        "later",
        "false Err(Closing)",
        "Pong",
        "close Peer 4001 true",
    ]);
}

#[test]
fn e12_a_busy_connection_sends_keepalive_pings_and_notices_that_none_is_answered() {
    let config = Config::new().keepalive(Duration::from_millis(100), Duration::from_secs(1));
    let (_server, mut raw, clients, log) = busy(config);
    let client = clients.recv_timeout(PATIENCE).unwrap();
    raw.show_keepalive();
    for _ in 0..3 {
        let ping = raw.frame().unwrap();
        assert_eq!(ping.opcode, Opcode::Ping);
        raw.send(&Frame::new(Opcode::Pong, &*ping.data));
    }
    // From here on the peer answers nothing.
    eventually("the end", || client.is_closed());
    log.wait_for("close Local 1008 false");
}

#[test]
fn e12_a_busy_connection_notices_that_its_peer_has_gone() {
    for resets in [true, false] {
        let (_server, raw, clients, log) = busy(Config::new());
        if resets {
            // A socket that is closed with unread bytes resets its connection.
            let client = clients.recv_timeout(PATIENCE).unwrap();
            client.push("unread").unwrap();
            eventually("the push to arrive", || client.info().queued == 0);
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(raw);
        log.expect(&["wait", "false Err(Closing)", "close Peer 1006 false"]);
    }
}

/// A handler that never returns from a message.
struct WaitsForever;

impl Handler for WaitsForever {
    async fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
        std::future::pending().await
    }
}

#[test]
fn t46_descriptors_are_given_back_while_the_handlers_of_peers_that_have_gone_wait() {
    let server = TestServer::handler(WaitsForever);
    let mut clients: Vec<RawClient> = (0..20).map(|_| server.open()).collect();
    for raw in &mut clients {
        raw.text("wait");
        raw.finish();
    }
    for mut raw in clients {
        // The end of the server's side arrives when the server closes its descriptor.
        assert_eq!(raw.frame(), None);
    }
    assert_eq!(server.handle.connections().len(), 20, "the handlers still run");
}

#[test]
fn t46_a_port_can_drop_a_method_whose_peer_has_gone() {
    let server = TestServer::port(Port::new(WaitsForever).cancel_handlers(true));
    let mut raw = server.open();
    raw.text("wait");
    drop(raw);
    eventually("the connection to end", || server.handle.connections().is_empty());
}

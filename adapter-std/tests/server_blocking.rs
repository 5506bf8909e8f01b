//! Servers whose handlers are plain functions. `server.rs` tests the behaviour of all servers.
#![cfg(feature = "server")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use sockeye_std::protocol::handshake::server::Policy;
use sockeye_std::protocol::http::{Request, Response};
use sockeye_std::protocol::{Frame, Opcode};
use sockeye_std::server::{
    BoxError, Callbacks, Client, Decision, Failure, Handler, HandlerResult, HttpRequest, Inbound, Port,
    RefusalInfo, Refused, Server, ServerHandle,
};
use sockeye_std::{CloseCode, CloseInfo, Config, Message};
use sockeye_testkit::frames::client_frame;
use sockeye_testkit::{EventLog, PATIENCE, RawClient};

fn run(server: Server) -> (ServerHandle, SocketAddr, JoinHandle<()>) {
    let (handle, address) = (server.handle(), server.addresses()[0].as_inet().unwrap());
    (handle, address, std::thread::spawn(move || server.run().unwrap()))
}

/// A handler that reports each event as a line. One of its messages makes it wait until the test
/// releases it.
struct Reporter(Mutex<Sender<String>>, Mutex<mpsc::Receiver<()>>);

impl Reporter {
    fn report(&self, event: String) {
        self.0.lock().unwrap().send(event).unwrap();
    }
}

impl Handler for Reporter {
    fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        client.push(format!("welcome to {}", request.path()))?;
        Ok(())
    }

    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        match message.as_text() {
            Some("error") => return Err("failed on request".into()),
            Some("much") => {
                for _ in 0..1000 {
                    client.send_blocking(vec![0; 50_000])?;
                }
                // The queue may still be full, and then a push would be refused.
                client.send_blocking(message)?;
                return Ok(());
            }
            Some("progress") => {
                client.send_blocking("half")?;
                // Blocks until the test has received it.
                self.1.lock().unwrap().recv()?;
            }
            Some("block") => std::thread::sleep(Duration::from_millis(100)),
            _ => {}
        }
        client.push(message)?;
        Ok(())
    }

    fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.report(info.to_string());
        Ok(())
    }

    fn request(&self, _: &Client, request: &mut HttpRequest<'_, '_>) -> Result<Option<Response>, BoxError> {
        let body = request.body()?;
        Ok(Some(Response::text(200, format!("{} {}", request.path(), String::from_utf8_lossy(&body)))))
    }

    fn failed(&self, _: &Client, failure: &Failure) {
        self.report(failure.to_string());
    }
}

#[test]
fn plain_functions_receive_every_event_and_may_block() {
    let (sender, reports) = mpsc::channel();
    let server =
        Server::bind("127.0.0.1:0", Reporter(Mutex::new(sender), Mutex::new(mpsc::channel().1))).unwrap();
    let (handle, address, running) = run(server);
    let url = format!("ws://{address}/room");
    let (mut one, mut two) = (sockeye_std::connect(&url).unwrap(), sockeye_std::connect(&url).unwrap());
    for ws in [&mut one, &mut two] {
        assert_eq!(ws.recv().unwrap(), Some(Message::Text("welcome to /room".into())));
    }
    one.send("block").unwrap();
    two.send("meanwhile").unwrap();
    assert_eq!(two.recv().unwrap(), Some(Message::Text("meanwhile".into())));
    assert_eq!(one.recv().unwrap(), Some(Message::Text("block".into())));
    one.send("error").unwrap();
    assert_eq!(one.recv().unwrap(), None);
    assert_eq!(one.close_info().unwrap().code, CloseCode::INTERNAL_ERROR);
    drop(one);
    assert_eq!(reports.recv().unwrap(), "failed on request");
    assert_eq!(reports.recv().unwrap(), "closed by this end, 1011 (internal error)");
    handle.shutdown(Duration::from_secs(20));
    assert_eq!(two.recv().unwrap(), None);
    assert_eq!(two.close_info().unwrap().code, CloseCode::GOING_AWAY);
    drop(two);
    running.join().unwrap();
}

#[test]
fn m4_a_blocked_handler_sends_more_than_a_queue_while_other_pushes_go_out() {
    let ((sender, _reports), (go, wait)) = (mpsc::channel(), mpsc::channel());
    let (handle, address, running) =
        run(Server::bind("127.0.0.1:0", Reporter(Mutex::new(sender), Mutex::new(wait))).unwrap());
    let mut ws = sockeye_std::connect(&format!("ws://{address}/")).unwrap();
    ws.recv().unwrap();
    ws.send("progress").unwrap();
    assert_eq!(ws.recv().unwrap(), Some(Message::Text("half".into())));
    // Pushes from other threads go out meanwhile, too.
    assert_eq!(handle.broadcast(|_| true, "news").queued, 1);
    assert_eq!(ws.recv().unwrap(), Some(Message::Text("news".into())));
    go.send(()).unwrap();
    assert_eq!(ws.recv().unwrap(), Some(Message::Text("progress".into())));
    ws.send("much").unwrap();
    for _ in 0..1000 {
        assert_eq!(ws.recv().unwrap(), Some(Message::Binary(vec![0; 50_000].into())));
    }
    assert_eq!(ws.recv().unwrap(), Some(Message::Text("much".into())));
    drop(ws);
    handle.shutdown(Duration::from_secs(20));
    running.join().unwrap();
}

#[test]
fn h5_reading_a_body_blocks_and_sends_100_continue() {
    let (sender, _reports) = mpsc::channel();
    let (handle, address, running) = run(Server::bind(
        "127.0.0.1:0",
        Reporter(Mutex::new(sender), Mutex::new(mpsc::channel().1)),
    )
    .unwrap());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = "POST /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n/b hello"), "{answer}");
    drop(stream);
    handle.shutdown(Duration::from_secs(20));
    running.join().unwrap();
}

/// A handler without a handshake event, which leaves the choice to its port.
struct Echo;

impl Handler for Echo {
    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }
}

#[test]
fn h8_the_ports_policy_applies_when_the_handler_makes_no_choice() {
    let closures = Callbacks::on_message(|client, message| client.push(message));
    let policy = Policy::new().subprotocol("chat").unwrap();
    let server = Server::builder()
        .listen("127.0.0.1:0", Port::blocking(Echo).policy(policy.clone()))
        .and_then(|builder| builder.listen("127.0.0.1:0", Port::new(closures).policy(policy)))
        .unwrap()
        .build();
    let addresses = server.addresses().to_vec();
    let (handle, _, running) = run(server);
    for address in addresses {
        let mut raw = RawClient::connect(address.as_inet().unwrap());
        let answer = raw.upgrade_with("/", "Sec-WebSocket-Protocol: chat\r\n");
        assert_eq!(answer.header("Sec-WebSocket-Protocol"), Some("chat"));
    }
    handle.shutdown(Duration::ZERO);
    running.join().unwrap();
}

#[test]
fn closures_handle_every_event_of_a_server() {
    let handler = Callbacks::on_message(|client, message| client.push(message))
        .on_open(|client, request| client.push(request.query().unwrap_or_default()))
        .on_handshake(|_, upgrade| {
            let path = upgrade.request().path();
            Ok(if path == "/no" { Decision::Respond(Response::text(403, "no")) } else { Decision::Policy })
        })
        .on_request(|_, request| Response::text(200, request.param("q").as_deref().unwrap_or("none")));
    let (handle, address, running) = run(Server::bind("127.0.0.1:0", handler).unwrap());
    let mut ws = sockeye_std::connect(&format!("ws://{address}/?a=b")).unwrap();
    assert_eq!(ws.recv().unwrap(), Some(Message::Text("a=b".into())));
    ws.send("hi").unwrap();
    assert_eq!(ws.recv().unwrap(), Some(Message::Text("hi".into())));
    ws.close(CloseCode::NORMAL, "").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /?q=a%20b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\na b"), "{answer}");
    let refused = sockeye_std::connect(&format!("ws://{address}/no")).unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
    drop((ws, stream));
    handle.shutdown(Duration::from_secs(20));
    running.join().unwrap();
}

#[test]
fn e8_e10_closures_refuse_connections_and_receive_failures() {
    let ((sender, reports), full) = (mpsc::channel(), Arc::new(AtomicBool::new(false)));
    let (sender, is_full) = (Mutex::new(sender), full.clone());
    let handler = Callbacks::on_message(|_, _| -> HandlerResult { Err("failed on request".into()) })
        .on_connect(move |_| {
            if is_full.load(Ordering::SeqCst) {
                Err(Refused::with(Response::text(503, "full")))
            } else {
                Ok(())
            }
        })
        .on_failed(move |_, failure| sender.lock().unwrap().send(failure.to_string()).unwrap());
    let (handle, address, running) = run(Server::bind("127.0.0.1:0", handler).unwrap());
    let url = format!("ws://{address}/");
    let mut ws = sockeye_std::connect(&url).unwrap();
    full.store(true, Ordering::SeqCst);
    assert!(sockeye_std::connect(&url).unwrap_err().to_string().contains("503"));
    ws.send("fail").unwrap();
    assert_eq!(ws.recv().unwrap(), None);
    assert_eq!(reports.recv().unwrap(), "failed on request");
    drop(ws);
    handle.shutdown(Duration::from_secs(20));
    running.join().unwrap();
}

/// Sends each refusal to the test, with the number that `connect` stored.
struct Watcher(Mutex<Sender<String>>);

impl Handler for Watcher {
    fn connect(&self, client: &Client) -> Result<(), Refused> {
        client.set_data(7);
        Ok(())
    }

    fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
        Ok(())
    }

    fn refused(&self, client: &Client, refusal: &RefusalInfo<'_>) {
        self.0.lock().unwrap().send(format!("{:?}: {refusal}", client.data::<i32>())).unwrap();
    }
}

/// A handler that blocks its thread in each message that begins with "block", until the test
/// releases it.
struct Blocks {
    log: EventLog,
    clients: Mutex<Sender<Client>>,
    release: Mutex<mpsc::Receiver<()>>,
}

impl Handler for Blocks {
    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        self.log.add(message.as_text().unwrap());
        if message.as_text().unwrap().starts_with("block") {
            // The test takes the first one only.
            let _ = self.clients.lock().unwrap().send(client.clone());
            self.release.lock().unwrap().recv()?;
            self.log.add("released");
        }
        client.push(message)?;
        Ok(())
    }

    fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.log.add(format!("close {:?} {} {}", info.by, info.code.as_u16(), info.clean));
        Ok(())
    }
}

/// A server, and a connection whose handler blocks its thread.
struct Blocked {
    raw: RawClient,
    client: Client,
    log: EventLog,
    release: Sender<()>,
    handle: ServerHandle,
    running: JoinHandle<()>,
}

impl Blocked {
    /// Sends all of `bytes` after the message that blocks, in one write.
    fn start(config: Config, bytes: &[u8]) -> Self {
        let ((sender, clients), (release, released), log) =
            (mpsc::channel(), mpsc::channel(), EventLog::default());
        let handler = Blocks { log: log.clone(), clients: Mutex::new(sender), release: Mutex::new(released) };
        let server =
            Server::builder().listen("127.0.0.1:0", Port::blocking(handler).config(config)).unwrap().build();
        let (handle, address, running) = run(server);
        let mut raw = RawClient::connect(address);
        raw.upgrade("/");
        raw.write([&client_frame(Opcode::Text, b"block"), bytes].concat());
        let client = clients.recv_timeout(PATIENCE).unwrap();
        Blocked { raw, client, log, release, handle, running }
    }

    fn end(self) {
        self.handle.shutdown(Duration::ZERO);
        self.running.join().unwrap();
    }
}

#[test]
fn h15_m14_blocking_handlers_and_closures_see_refusals_and_data() {
    let (sender, refusals) = mpsc::channel();
    let senders = (Mutex::new(sender.clone()), Mutex::new(sender));
    let closures = Callbacks::on_message(|_, _| {})
        .on_connect(|client| {
            client.set_data(7);
            Ok(())
        })
        .on_refused(move |client, refusal| {
            senders.0.lock().unwrap().send(format!("{:?}: {refusal}", client.data::<i32>())).unwrap();
        });
    let server = Server::builder()
        .listen("127.0.0.1:0", Port::blocking(Watcher(senders.1)))
        .and_then(|builder| builder.listen("127.0.0.1:0", Port::blocking(closures)))
        .unwrap()
        .build();
    let addresses = server.addresses().to_vec();
    let (handle, _, running) = run(server);
    for address in addresses {
        let mut raw = RawClient::connect(address.as_inet().unwrap());
        raw.write("nonsense\r\n\r\n");
        assert_eq!(raw.answer().status(), 400);
        raw.expect_end();
        let expected = "Some(7): bad request: the request must begin with a method and one space";
        assert_eq!(refusals.recv_timeout(Duration::from_secs(20)).unwrap(), expected);
    }
    handle.shutdown(Duration::ZERO);
    running.join().unwrap();
    assert!(refusals.try_recv().is_err(), "each refusal is one event");
}

#[test]
fn e12_a_connection_whose_handler_blocks_answers_pings_and_the_close_in_order() {
    let ping = client_frame(Opcode::Ping, b"one");
    let mut blocked = Blocked::start(Config::new(), &[client_frame(Opcode::Text, b"next"), ping].concat());
    assert_eq!(blocked.raw.frame(), Some(Frame::new(Opcode::Pong, &b"one"[..])));
    blocked.raw.text("later");
    blocked.raw.send(&Frame::new(Opcode::Ping, &b"two"[..]));
    assert_eq!(blocked.raw.frame(), Some(Frame::new(Opcode::Pong, &b"two"[..])));
    assert!(blocked.client.is_established() && !blocked.client.is_closed());
    assert_eq!(blocked.log.lines(), ["block"]);
    blocked.release.send(()).unwrap();
    for text in ["block", "next", "later"] {
        blocked.raw.expect_text(text);
    }
    blocked.raw.text("block again");
    // Another thread's push goes out as well.
    blocked.client.push("meanwhile").unwrap();
    blocked.raw.expect_text("meanwhile");
    blocked.raw.close(4001, "bye");
    blocked.raw.expect_close(4001);
    assert!(!blocked.client.is_established() && blocked.client.closed_blocking(PATIENCE));
    blocked.release.send(()).unwrap();
    let log = ["block", "released", "next", "later", "block again", "released", "close Peer 4001 true"];
    blocked.log.expect(&log);
    blocked.end();
}

#[test]
fn e12_a_connection_whose_handler_blocks_sends_keepalive_pings() {
    let config = Config::new().keepalive(Duration::from_millis(200), Duration::from_secs(2));
    let mut blocked = Blocked::start(config, b"");
    blocked.raw.show_keepalive();
    for _ in 0..3 {
        let ping = blocked.raw.frame().unwrap();
        assert_eq!(ping.opcode, Opcode::Ping);
        blocked.raw.send(&Frame::new(Opcode::Pong, &*ping.data));
    }
    // From here on the peer answers nothing.
    assert!(blocked.client.closed_blocking(PATIENCE));
    blocked.release.send(()).unwrap();
    blocked.log.wait_for("close Local 1008 false");
    blocked.end();
}

#[test]
fn e12_a_connection_whose_handler_blocks_notices_that_its_peer_has_gone() {
    for resets in [true, false] {
        let blocked = Blocked::start(Config::new(), b"");
        if resets {
            // A socket that is closed with unread bytes resets its connection.
            blocked.client.push("unread").unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
        let Blocked { raw, client, log, release, handle, running } = blocked;
        drop(raw);
        assert!(client.closed_blocking(PATIENCE) && !client.is_established());
        release.send(()).unwrap();
        log.expect(&["block", "released", "close Peer 1006 false"]);
        handle.shutdown(Duration::ZERO);
        running.join().unwrap();
    }
}

#[test]
fn e12_a_blocking_wait_for_the_end_ends_with_the_peer() {
    let (sender, ended) = mpsc::channel();
    let sender = Mutex::new(sender);
    let handler = Callbacks::on_message(move |client, _| {
        sender.lock().unwrap().send(client.closed_blocking(PATIENCE)).unwrap();
    });
    let (handle, address, running) = run(Server::bind("127.0.0.1:0", handler).unwrap());
    let mut raw = RawClient::connect(address);
    raw.upgrade("/");
    raw.text("wait");
    raw.close(1000, "");
    raw.expect_close(1000);
    assert!(ended.recv_timeout(PATIENCE).unwrap());
    handle.shutdown(Duration::ZERO);
    running.join().unwrap();
}

#[test]
fn e12_many_messages_reach_a_handler_that_blocks_now_and_then() {
    let mut blocked = Blocked::start(Config::new().high_water_mark(1 << 22), b"");
    let mut writer = blocked.raw.try_clone();
    let writing = std::thread::spawn(move || (0..20_000).for_each(|n| writer.text(&n.to_string())));
    // The inbox fills and the peer waits.
    std::thread::sleep(Duration::from_millis(300));
    blocked.release.send(()).unwrap();
    blocked.raw.expect_text("block");
    (0..20_000).for_each(|n| blocked.raw.expect_text(&n.to_string()));
    writing.join().unwrap();
    blocked.end();
}

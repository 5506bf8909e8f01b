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
use sockeye_std::server::{
    BoxError, Callbacks, Client, Decision, Failure, Handler, HandlerResult, HttpRequest, Inbound, Port,
    Refused, Server, ServerHandle,
};
use sockeye_std::{CloseCode, CloseInfo, Message};
use sockeye_testkit::RawClient;

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
        .and_then(|builder| builder.listen("127.0.0.1:0", Port::blocking(closures).policy(policy)))
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

//! The events of a handler and their order (E5 to E10). The docs of `Handler` test E1.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseCode, CloseInfo, Config, Frame, Opcode};
use sockeye_driver::server::{
    BoxError, Callbacks, Client, Failure, Handler, HandlerResult, HttpRequest, Inbound, Port, Refused,
};
use sockeye_testkit::{EventLog, eventually, yield_now};

use super::TestServer;

/// Logs every event.
pub(super) struct EventLogger(pub(super) EventLog);

impl Handler for EventLogger {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        assert!(client.peer().ip().unwrap().is_loopback());
        self.0.add("connect");
        Ok(())
    }

    async fn open(&self, _: &Client, request: &Request) -> HandlerResult {
        self.0.add(format!("open {}", request.target()));
        Ok(())
    }

    async fn message(&self, _: &Client, message: Inbound<'_>) -> HandlerResult {
        self.0.add(format!("message {:?} {}", message.kind(), String::from_utf8_lossy(message.as_bytes())));
        match message.as_text() {
            Some("panic") => panic!("as asked"),
            Some("error") => Err("as asked".into()),
            _ => Ok(()),
        }
    }

    async fn control(&self, _: &Client, frame: &Frame<'_>) -> HandlerResult {
        self.0.add(format!("{:?} {:?}", frame.opcode, frame.data));
        Ok(())
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        assert!(!client.server().exists(client.id()));
        self.0.add(format!("close {:?} {} {:?} {}", info.by, info.code.as_u16(), info.reason, info.clean));
        Ok(())
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        assert!(!client.server().exists(client.id()));
        self.0.add("disconnect");
        Ok(())
    }

    async fn request(&self, _: &Client, request: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        self.0.add(format!("request {}", request.path()));
        match request.path() {
            "/panic" => panic!("as asked"),
            "/error" => Err("as asked".into()),
            _ => Ok(Some(Response::text(200, "fine"))),
        }
    }

    fn failed(&self, _: &Client, failure: &Failure) {
        self.0.add(format!("failed: {failure}"));
    }
}

#[test]
fn e13_close_is_called_with_the_closing_handshake_though_the_client_keeps_its_socket_open() {
    let log = EventLog::default();
    let config = Config::new().close_timeout(Duration::from_secs(600));
    let server = TestServer::port(Port::new(EventLogger(log.clone())).config(config));
    let mut first = server.open();
    first.close(4001, "done");
    assert_eq!(first.frame().unwrap().opcode, Opcode::Close);
    log.expect(&["connect", "open /", "close Peer 4001 \"done\" true"]);
    let mut second = server.open();
    let [id] = server.handle.connections()[..] else { panic!("the first connection has no id") };
    server.handle.disconnect(id, CloseCode::from(4002), "now").unwrap();
    assert_eq!(second.frame().unwrap().opcode, Opcode::Close);
    second.close(4002, "");
    log.wait_for("close Local 4002 \"now\" true");
    assert_eq!(server.handle.connections(), []);
    // Nor does the end of the server wait for the two.
    server.handle.shutdown(Duration::from_secs(600));
    server.join();
    drop((first, second));
}

#[test]
fn e5_close_is_called_once_with_the_side_the_code_and_the_reason() {
    let log = EventLog::default();
    let server = TestServer::handler(EventLogger(log.clone()));
    let mut raw = server.open();
    raw.close(4001, "done");
    raw.expect_close(4001);
    log.expect(&["connect", "open /", "close Peer 4001 \"done\" true"]);
    let raw = server.open();
    drop(raw);
    log.wait_for("close Peer 1006 \"\" false");
    let mut raw = server.open();
    raw.write([0x83, 0x80, 0, 0, 0, 0]);
    raw.expect_close(1002);
    log.wait_for("close Local 1002 \"the peer used the reserved opcode 3\" false");
    assert_eq!(log.lines().iter().filter(|line| line.starts_with("close")).count(), 3);
    assert!(!log.lines().contains(&"disconnect".to_owned()));
}

#[test]
fn e6_disconnect_is_called_for_a_connection_that_never_was_a_websocket() {
    let log = EventLog::default();
    let server = TestServer::handler(EventLogger(log.clone()));
    drop(server.connect());
    log.expect(&["connect", "disconnect"]);
    let mut raw = server.connect();
    assert_eq!(raw.get("/a").text(), "fine");
    drop(raw);
    log.expect(&["connect", "disconnect", "connect", "request /a", "disconnect"]);
    let mut raw = server.connect();
    raw.write("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(raw.answer().status(), 400);
    raw.expect_end();
    drop(raw);
    log.expect(&["connect", "disconnect", "connect", "request /a", "disconnect", "connect", "disconnect"]);
}

#[test]
fn e8_connect_can_refuse_with_a_response_or_silently() {
    let log = EventLog::default();
    let count = AtomicUsize::new(0);
    let disconnected = log.clone();
    let handler = Callbacks::on_message(|_, _| async {})
        .on_connect(move |_| {
            let refused = match count.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Refused::silently()),
                1 => Err(Refused::with(Response::text(403, "not you"))),
                _ => Ok(()),
            };
            async { refused }
        })
        .on_disconnect(move |_| {
            disconnected.add("disconnect");
            async {}
        });
    let server = TestServer::handler(handler);
    server.connect().expect_end();
    let mut raw = server.connect();
    let answer = raw.answer();
    assert_eq!((answer.status(), answer.text()), (403, "not you"));
    raw.expect_end();
    drop(raw);
    server.open().close(1000, "");
    eventually("every connection to end", || server.handle.connections().is_empty());
    log.expect(&[]);
}

/// Lets handlers continue once two of them have arrived.
#[derive(Default)]
struct Meeting(Mutex<Vec<Waker>>);

impl Meeting {
    async fn attend(&self) {
        let mut arrived = false;
        poll_fn(|cx| {
            let mut waiting = self.0.lock().unwrap();
            if !std::mem::replace(&mut arrived, true) {
                waiting.push(cx.waker().clone());
            }
            if waiting.len() < 2 {
                return Poll::Pending;
            }
            waiting.iter().for_each(Waker::wake_by_ref);
            Poll::Ready(())
        })
        .await;
    }
}

#[test]
fn e9_events_of_one_connection_never_overlap_and_connections_run_concurrently() {
    let (busy, log) = (Arc::new(AtomicUsize::new(0)), EventLog::default());
    let seen = log.clone();
    let server = TestServer::handler(Callbacks::on_message(move |client, message| {
        let (busy, seen) = (busy.clone(), seen.clone());
        async move {
            assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0, "two events overlap");
            // Lets other tasks run in the middle of the event.
            for _ in 0..3 {
                yield_now().await;
            }
            seen.add(message.as_text().unwrap());
            client.push(message)?;
            busy.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    }));
    let mut raw = server.open();
    let all: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    all.iter().for_each(|text| raw.text(text));
    all.iter().for_each(|text| raw.expect_text(text));
    assert_eq!(log.lines(), all);

    let meeting = Arc::new(Meeting::default());
    let server = TestServer::handler(Callbacks::on_message(move |client, message| {
        let meeting = meeting.clone();
        async move {
            meeting.attend().await;
            client.push(message)
        }
    }));
    let (mut one, mut two) = (server.open(), server.open());
    one.text("a");
    two.text("b");
    one.expect_text("a");
    two.expect_text("b");
}

#[test]
fn e10_an_error_or_a_panic_in_a_handler_ends_only_its_own_connection() {
    let log = EventLog::default();
    let server = TestServer::handler(EventLogger(log.clone()));
    let mut other = server.open();
    log.expect(&["connect", "open /"]);
    for how in ["error", "panic"] {
        let mut raw = server.open();
        raw.text(how);
        raw.text("after the failure");
        raw.expect_close(1011);
    }
    log.wait_for("failed: as asked");
    log.wait_for("failed: the handler panicked: as asked");
    log.wait_for("close Local 1011 \"\" true");
    assert!(!log.lines().contains(&"message Text after the failure".to_owned()));
    for how in ["/error", "/panic"] {
        let mut raw = server.connect();
        assert_eq!(raw.get(how).status(), 500);
        raw.expect_end();
    }
    other.text("still here");
    log.wait_for("message Text still here");
}

/// Does its work before it returns a future, and panics again when its failure is reported.
struct Eager(EventLog);

impl Handler for Eager {
    fn open(&self, _: &Client, request: &Request) -> impl Future<Output = HandlerResult> + Send {
        assert_ne!(request.path(), "/panic", "as asked");
        std::future::ready(Ok(()))
    }

    fn message(&self, client: &Client, message: Inbound<'_>) -> impl Future<Output = HandlerResult> + Send {
        assert_ne!(message.as_text(), Some("panic"), "as asked");
        std::future::ready(client.push(message).map(drop).map_err(Into::into))
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.0.add(info.code.to_string());
        Ok(())
    }

    fn failed(&self, _: &Client, failure: &Failure) {
        panic!("another panic: {failure}");
    }
}

#[test]
fn e10_a_panic_before_a_handler_returns_its_future_ends_only_its_own_connection() {
    let log = EventLog::default();
    let server = TestServer::handler(Eager(log.clone()));
    let mut other = server.open();
    let mut raw = server.connect();
    raw.upgrade("/panic");
    raw.expect_close(1011);
    let mut raw = server.open();
    raw.text("panic");
    raw.expect_close(1011);
    eventually("two closes", || log.lines().len() == 2);
    assert!(log.lines().iter().all(|line| line.contains("1011")), "{:?}", log.lines());
    other.text("still here");
    other.expect_text("still here");
}

#[test]
fn e10_on_failed_reports_failures_of_closures() {
    let log = EventLog::default();
    let failed = log.clone();
    let handler = Callbacks::on_message(|_, _| async { Err::<(), BoxError>("as asked".into()) })
        .on_failed(move |client, failure| failed.add(format!("{} {failure}", client.is_established())));
    let server = TestServer::handler(handler);
    let mut raw = server.open();
    raw.text("x");
    raw.expect_close(1011);
    log.expect(&["false as asked"]);
}

#[test]
fn e7_a_push_is_written_while_the_connections_handler_waits() {
    let gate = Arc::new(Mutex::new(Vec::<Waker>::new()));
    let opened = Arc::new(AtomicBool::new(false));
    let (wakers, is_open) = (gate.clone(), opened.clone());
    let handler = Callbacks::on_message(move |client: Client, _| {
        let (wakers, is_open) = (wakers.clone(), is_open.clone());
        async move {
            poll_fn(|cx| {
                wakers.lock().unwrap().push(cx.waker().clone());
                if is_open.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            client.push("at last")
        }
    });
    let server = TestServer::port(Port::new(handler).config(Config::new()));
    let mut raw = server.open();
    raw.text("wait");
    eventually("the handler to wait", || !gate.lock().unwrap().is_empty());
    let id = server.handle.connections()[0];
    server.handle.push(id, "meanwhile").unwrap();
    raw.expect_text("meanwhile");
    opened.store(true, Ordering::SeqCst);
    gate.lock().unwrap().drain(..).for_each(Waker::wake);
    raw.expect_text("at last");
}

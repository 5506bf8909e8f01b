//! The fail loop for servers: runs the whole life of a connection again and again while the
//! transport fails at operation 0, 1, 2, … until it completes without a failure. Each connection
//! ends once, its handler gets one event for the end, and nothing of it remains.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sockeye_core::handshake::server::Upgrade;
use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseCode, CloseInfo, Config, Opcode};
use sockeye_driver::server::{
    BoxError, Client, Decision, Failure, Handler, HandlerResult, HttpRequest, Inbound, Limits, Port,
    PushError, Refused,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_testkit::sim::*;

/// A handler that uses every feature and records its events.
#[derive(Clone, Default)]
struct Busy(Arc<Mutex<Vec<&'static str>>>);

impl Busy {
    fn record(&self, event: &'static str) {
        self.0.lock().unwrap().push(event);
    }

    async fn record_and_yield(&self, event: &'static str) {
        self.record(event);
        yield_now().await;
    }
}

impl Handler for Busy {
    async fn connect(&self, _: &Client) -> Result<(), Refused> {
        self.record_and_yield("connect").await;
        Ok(())
    }

    async fn handshake(&self, client: &Client, _: &Upgrade) -> Result<Decision, BoxError> {
        self.record_and_yield("handshake").await;
        client.push("before the 101")?;
        Ok(Decision::Policy)
    }

    async fn open(&self, client: &Client, _: &Request) -> HandlerResult {
        self.record_and_yield("open").await;
        client.push(payload(1, 300))?;
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        self.record_and_yield("message").await;
        match message.as_text() {
            Some("much") => {
                for i in 0..5 {
                    client.send(payload(i, 400)).await?;
                }
            }
            Some("close") => {
                client.close(CloseCode::NORMAL, "")?;
            }
            Some("error") => return Err("as asked".into()),
            Some("abort") => client.abort()?,
            Some("shutdown") => client.server().shutdown(Duration::from_secs(5)),
            _ => {
                client.push(message)?;
            }
        }
        Ok(())
    }

    async fn drained(&self, _: &Client) -> HandlerResult {
        self.record_and_yield("drained").await;
        Ok(())
    }

    async fn close(&self, client: &Client, _: &CloseInfo) -> HandlerResult {
        self.record_and_yield("close").await;
        assert!(!client.server().exists(client.id()) && client.push("more").is_err());
        Ok(())
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        self.record_and_yield("disconnect").await;
        assert!(!client.server().exists(client.id()) && client.push("more").is_err());
        Ok(())
    }

    async fn request(&self, _: &Client, request: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        self.record_and_yield("request").await;
        let body = request.body().await?;
        Ok(Some(Response::text(200, body)))
    }

    fn failed(&self, _: &Client, _: &Failure) {
        self.record("failed");
    }
}

/// Runs a client that sends `said` at once, against a server whose transport fails.
fn fail_loop(said: &[&[u8]]) {
    fail_loop_with(&said.concat(), false);
    fail_loop_with(&said.concat(), true);
}

/// Like [`fail_loop`]; if `shuts`, the client closes its side after sending.
fn fail_loop_with(said: &[u8], shuts: bool) {
    let shapes =
        [(1 << 20, usize::MAX, Pending::Never), (60, 20, Pending::First), (1 << 20, 50, Pending::UntilIdle)];
    let fails = [Fail::Eof, Fail::Error(ErrorKind::ConnectionReset), Fail::Error(ErrorKind::WriteZero)];
    for (capacity, chunk, pending) in shapes {
        for fail in fails {
            let mut at = 0;
            loop {
                assert!(at < 3000, "the scenario never completes");
                println!("capacity {capacity}, {pending:?}, {fail:?} at {at}");
                let faults = Faults { chunk, pending, fail: Some((at, fail)), ..Faults::default() };
                if !life(said, shuts, capacity, faults) {
                    break;
                }
                at += 1 + at / 50;
            }
        }
    }
}

/// Runs one connection, and returns whether the transport failed.
fn life(said: &[u8], shuts: bool, capacity: usize, faults: Faults) -> bool {
    let (mut executor, busy) = (Executor::new().limit(20_000), Busy::default());
    let config = Config::new().high_water_mark(500).fragment_size(64);
    let port = Port::new(busy.clone()).config(config).low_water_mark(100);
    let (server, connector, ended) = SimRuntime::serve(&mut executor, port, Limits::new());
    let (io, mut peer) = pipe_with(capacity, faults);
    let probe = io.probe();
    connector.offer(Ok(io));
    peer.push(said);
    if shuts {
        peer.shut();
    }
    let handle = server.clone();
    executor.spawn("the client", async move {
        let _ = peer.read_to_end().await;
        drop(peer);
        handle.shutdown(Duration::from_secs(5));
    });
    executor.run_with_time();
    assert!(executor.time.elapsed() < Duration::from_secs(45), "it ends in time");
    assert!(ended.is_finished());
    assert_eq!((server.connections(), server.queued(), executor.tasks()), (Vec::new(), 0, 0));

    let events = busy.0.lock().unwrap().clone();
    let of = |name| events.iter().filter(|event| **event == name).count();
    assert_eq!(of("connect"), 1);
    assert_eq!(of("close") + of("disconnect"), 1, "{events:?}");
    // A 101 that could not be written opens no connection.
    assert_eq!(of("open"), of("close"), "{events:?}");
    let end = events.iter().position(|event| matches!(*event, "close" | "disconnect"));
    assert_eq!(end, Some(events.len() - 1), "the end is the last event: {events:?}");
    probe.get().failed
}

fn text(text: &str) -> Vec<u8> {
    client_frame(Opcode::Text, text.as_bytes())
}

fn close() -> Vec<u8> {
    client_frame(Opcode::Close, &1000u16.to_be_bytes())
}

#[test]
fn t31_requests_then_a_websocket_that_the_client_closes() {
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
    let ping = client_frame(Opcode::Ping, b"p");
    fail_loop(&[get, post, UPGRADE_REQUEST, &text("one"), &ping, &text("two"), &close()]);
}

#[test]
fn t31_more_messages_than_the_queue_holds_then_a_close_by_the_server() {
    fail_loop(&[UPGRADE_REQUEST, &text("much"), &text("close"), &text("still delivered"), &close()]);
}

#[test]
fn t31_a_handler_that_fails() {
    fail_loop(&[UPGRADE_REQUEST, &text("error"), &text("not delivered"), &close()]);
}

#[test]
fn t31_an_abort() {
    fail_loop(&[UPGRADE_REQUEST, &text("one"), &text("abort"), &text("not delivered")]);
}

#[test]
fn t31_a_shutdown_in_the_middle() {
    fail_loop(&[UPGRADE_REQUEST, &text("one"), &text("shutdown"), &text("still delivered"), &close()]);
}

#[test]
fn t31_requests_that_are_refused() {
    fail_loop(&[b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"]);
    fail_loop(&[b"GET /\n\n"]);
    fail_loop(&[b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc\r\n"]);
}

#[test]
fn t31_a_protocol_violation() {
    fail_loop(&[UPGRADE_REQUEST, &text("one"), &[0x83, 0x80, 0, 0, 0, 0], &text("not delivered")]);
    fail_loop_with(&[UPGRADE_REQUEST, &[0x81, 0x82, 0, 0, 0, 0, b'a']].concat(), true);
}

#[test]
fn t38_pipelined_requests_let_other_tasks_run() {
    let mut world = World::new(Config::new());
    let pipe = world.connector.connect(1 << 20, Faults::default());
    world.executor.run_until_idle();
    let before = world.executor.polls();
    pipe.push(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000));
    world.executor.run_until_idle();
    let answers = pipe.take_all();
    assert_eq!(answers.windows(13).filter(|part| part == b"HTTP/1.1 200 ").count(), 1000);
    assert!(world.executor.polls() - before >= 1000 / 16);
}

#[test]
fn m12_a_dropped_wait_for_the_end_leaves_no_waker() {
    let world = World::new(Config::new());
    let counted = Arc::new(Stays);
    for _ in 0..10 {
        let mut stopped = pin!(world.server.stopped());
        let waker = Waker::from(counted.clone());
        assert!(stopped.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&counted), 1);
}

struct Stays;

impl Wake for Stays {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn m4_a_waiting_send_fails_when_the_runtime_is_dropped() {
    let (mut executor, mut connections) = (Executor::new(), Executor::new());
    let port = Port::new(Busy::default()).config(Config::new().high_water_mark(500));
    let (server, connector, _) = SimRuntime::new(&connections).serve_on(&mut executor, port, Limits::new());
    executor.run_until_idle();
    let pipe = connector.connect(100, Faults::default());
    pipe.push(UPGRADE_REQUEST);
    connections.run_until_idle();
    let client = server.client(server.connections()[0]).unwrap();
    while !client.is_established() {
        pipe.take_all();
        connections.run_until_idle();
    }
    while client.push(payload(0, 200)).is_ok() {}
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut sending = pin!(client.send("late"));
    assert!(sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(connections);
    assert!(woken.0.load(Ordering::SeqCst));
    assert_eq!(sending.poll(&mut Context::from_waker(&waker)), Poll::Ready(Err(PushError::Closing)));
    assert_eq!((server.connections(), server.queued()), (Vec::new(), 0));
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

//! Connections whose handler waits: in memory, with a clock that only the test moves.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use sockeye_core::deflate::Deflate;
use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::Response;
use sockeye_core::{CloseInfo, Config, Frame, Opcode};
use sockeye_driver::server::{
    BoxError, Client, Decision, Handler, HandlerResult, HttpRequest, Inbound, Limits, Port, PushError,
    ServerHandle,
};
use sockeye_testkit::EventLog;
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::{UPGRADE_REQUEST, upgrade_request};
use sockeye_testkit::sim::*;

/// A handler that logs its events. It waits at the gate in every message that begins with "wait",
/// and answers the others with themselves.
#[derive(Clone, Default)]
struct Gated {
    log: EventLog,
    gate: Arc<Mutex<Gate>>,
}

#[derive(Default)]
struct Gate {
    /// The number of handlers that may pass.
    open_for: usize,
    waiting: Option<Waker>,
}

impl Gated {
    /// Opens the gate for one handler.
    fn open(&self) {
        let waker = {
            let mut gate = self.gate.lock().unwrap();
            gate.open_for += 1;
            gate.waiting.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    async fn pass_gate(&self) {
        poll_fn(|cx| {
            let mut gate = self.gate.lock().unwrap();
            if gate.open_for == 0 {
                gate.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
            gate.open_for -= 1;
            Poll::Ready(())
        })
        .await;
    }
}

impl Handler for Gated {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        let text =
            message.as_text().map_or_else(|| format!("{} bytes", message.as_bytes().len()), str::to_owned);
        let flag = if message.is_compressed() { " (compressed)" } else { "" };
        self.log.add(format!("{text}{flag}"));
        if text.starts_with("wait") {
            self.pass_gate().await;
            self.log.add("passed");
        }
        match text.as_str() {
            "wait and fail" => return Err("as asked".into()),
            "wait and push" => self.log.add(format!("{:?}", client.push("too late?"))),
            _ => {}
        }
        assert_eq!(message.into_message().as_bytes(), message.as_bytes());
        client.push(message)?;
        Ok(())
    }

    async fn control(&self, _: &Client, frame: &Frame<'_>) -> HandlerResult {
        self.log.add(format!("{:?} {}", frame.opcode, String::from_utf8_lossy(&frame.data)));
        Ok(())
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        assert!(client.is_closed());
        self.log.add(format!("close {:?} {} {}", info.by, info.code.as_u16(), info.clean));
        Ok(())
    }
}

/// A server with the handler, and one open connection.
struct Busy {
    executor: Executor,
    server: ServerHandle,
    handler: Gated,
    connector: Connector,
    pipe: Pipe,
}

impl Busy {
    fn new(config: Config) -> Self {
        Self::with(config, 1 << 22, |port| port)
    }

    fn with(config: Config, capacity: usize, set: impl FnOnce(Port<Gated>) -> Port<Gated>) -> Self {
        Self::upgraded(UPGRADE_REQUEST, config, capacity, set)
    }

    fn upgraded(
        request: &[u8],
        config: Config,
        capacity: usize,
        set: impl FnOnce(Port<Gated>) -> Port<Gated>,
    ) -> Self {
        let mut executor = Executor::new();
        let handler = Gated::default();
        let port = set(Port::new(handler.clone()).config(config));
        let (server, connector, _) = SimRuntime::serve(&mut executor, port, Limits::new());
        let pipe = connector.connect(capacity, Faults::default());
        pipe.push(request);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            executor.run_until_idle();
            head.extend(pipe.take_all());
        }
        Busy { executor, server, handler, connector, pipe }
    }

    fn client(&self) -> Client {
        self.server.client(self.server.connections()[0]).unwrap()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.pipe.push(bytes);
        self.executor.run_until_idle();
    }

    fn text(&mut self, text: &str) {
        self.send(&client_frame(Opcode::Text, text.as_bytes()));
    }

    /// Returns the frames that the server has sent.
    fn sent(&mut self) -> Vec<Frame<'static>> {
        self.executor.run_until_idle();
        parse_frames(&self.pipe.take_all())
    }

    /// Lets one handler continue.
    fn pass(&mut self) {
        self.handler.open();
        self.executor.run_until_idle();
    }

    fn wait(&mut self, millis: u64) {
        self.executor.time.advance(Duration::from_millis(millis));
        self.executor.run_until_idle();
    }

    fn log(&self) -> Vec<String> {
        self.handler.log.lines()
    }
}

fn text(text: &str) -> Vec<u8> {
    client_frame(Opcode::Text, text.as_bytes())
}

fn texts(frames: &[Frame<'_>]) -> Vec<String> {
    frames.iter().map(|frame| String::from_utf8_lossy(&frame.data).into_owned()).collect()
}

#[test]
fn e12_a_ping_is_answered_while_the_handler_waits() {
    let ping = client_frame(Opcode::Ping, b"there?");
    for in_one_read in [true, false] {
        let mut busy = Busy::new(Config::new());
        if in_one_read {
            busy.send(&[text("wait"), ping.clone(), text("next")].concat());
        } else {
            busy.text("wait");
            busy.send(&ping);
            busy.text("next");
        }
        let pong = busy.sent();
        assert_eq!((pong.len(), pong[0].opcode, &*pong[0].data), (1, Opcode::Pong, &b"there?"[..]));
        assert_eq!(busy.log(), ["wait"], "one method at a time");
        busy.pass();
        assert_eq!(texts(&busy.sent()), ["wait", "next"]);
        assert_eq!(busy.log(), ["wait", "passed", "next"]);
    }
}

#[test]
fn e12_the_pings_of_a_peer_that_does_not_read_take_no_memory_while_the_handler_waits() {
    let mut busy = Busy::with(Config::new(), 200, |port| port);
    busy.text("wait");
    for number in 0..20_000 {
        busy.send(&client_frame(Opcode::Ping, format!("{number:0100}").as_bytes()));
    }
    assert_eq!(busy.pipe.unread_by_peer(), 0);
    assert!(busy.server.queued() <= (64 << 10) + 135, "{} bytes", busy.server.queued());
    let mut received = Vec::new();
    while busy.server.queued() > 0 {
        received.extend(busy.pipe.take_all());
        busy.executor.run_until_idle();
    }
    received.extend(busy.pipe.take_all());
    let last = format!("{:0100}", 19_999);
    assert_eq!(*parse_frames(&received).last().unwrap().data, *last.as_bytes());
}

#[test]
fn e12_a_close_is_answered_while_the_handler_waits_and_its_push_fails() {
    let mut busy = Busy::new(Config::new());
    let client = busy.client();
    let waiting = client.clone();
    let closed = busy.executor.spawn("closed", async move { waiting.closed().await });
    busy.text("wait and push");
    assert!(client.is_established() && !client.is_closed() && !closed.is_finished());
    busy.send(&client_frame(Opcode::Close, &close_payload(4001, "bye")));
    let sent = busy.sent();
    assert_eq!(
        (sent.len(), sent[0].opcode, &sent[0].data[..2]),
        (1, Opcode::Close, &4001u16.to_be_bytes()[..])
    );
    assert!(!client.is_established() && client.is_closed() && closed.is_finished());
    assert_eq!(client.push("x"), Err(PushError::Closing));
    busy.pipe.shut();
    busy.pass();
    let log = ["wait and push", "passed", "Err(Closing)", "close Peer 4001 true"];
    assert_eq!(busy.log(), log);
}

#[test]
fn e12_keepalive_pings_are_sent_while_the_handler_waits_and_a_silent_peer_is_noticed() {
    let config = Config::new().keepalive(Duration::from_secs(20), Duration::from_secs(5));
    let mut busy = Busy::new(config);
    busy.text("wait");
    for _ in 0..3 {
        busy.wait(20_000);
        let ping = busy.sent().remove(0);
        assert_eq!(ping.opcode, Opcode::Ping);
        busy.wait(1_000);
        busy.send(&client_frame(Opcode::Pong, &ping.data));
        assert_eq!(busy.client().info().round_trip, Some(Duration::from_secs(1)));
        busy.wait(4_000);
        assert!(busy.client().is_established());
        busy.wait(15_000);
        let ping = busy.sent().remove(0);
        busy.send(&client_frame(Opcode::Pong, &ping.data));
    }
    busy.wait(20_000);
    assert_eq!(busy.sent()[0].opcode, Opcode::Ping);
    busy.wait(5_000);
    assert_eq!(busy.sent()[0].opcode, Opcode::Close);
    assert!(busy.client().is_closed());
    assert_eq!(busy.log(), ["wait"]);
    busy.pass();
    assert_eq!(busy.log(), ["wait", "passed", "close Local 1008 false"]);
}

#[test]
fn e12_the_idle_timeout_and_the_close_timeout_run_while_the_handler_waits() {
    let config = Config::new().idle_timeout(Duration::from_secs(60)).close_timeout(Duration::from_secs(5));
    let mut busy = Busy::new(config);
    busy.text("wait");
    busy.wait(15_000);
    assert_eq!(busy.sent(), []);
    for _ in 0..4 {
        busy.wait(15_000);
    }
    let sent = busy.sent();
    assert_eq!((sent.len(), sent[0].opcode), (1, Opcode::Close));
    assert!(busy.client().is_closed());
    busy.wait(5_000);
    busy.pass();
    assert_eq!(busy.log(), ["wait", "passed", "close Local 1001 false"]);
}

#[test]
fn e12_a_peer_that_disappears_is_noticed_while_the_handler_waits() {
    let ends: [fn(&Busy); 2] = [|busy| busy.pipe.reset(), |busy| busy.pipe.shut()];
    for end in ends {
        let mut busy = Busy::new(Config::new());
        let client = busy.client();
        let waiting = client.clone();
        let closed = busy.executor.spawn("closed", async move { waiting.closed().await });
        busy.send(&[text("wait"), text("arrived before")].concat());
        end(&busy);
        busy.executor.run_until_idle();
        assert!(!client.is_established() && closed.is_finished() && client.closed_blocking(Duration::ZERO));
        let polls = busy.executor.polls();
        busy.executor.run_until_idle();
        assert_eq!(busy.executor.polls(), polls, "it does not poll in a loop");
        assert_eq!(busy.log(), ["wait"]);
        busy.pass();
        assert_eq!(busy.log(), ["wait", "passed", "arrived before", "close Peer 1006 false"]);
    }
}

#[test]
fn e12_an_abort_drops_a_waiting_handler_even_after_its_peer_has_gone() {
    let mut busy = Busy::new(Config::new());
    let client = busy.client();
    busy.send(&[text("wait"), text("never delivered")].concat());
    busy.pipe.shut();
    busy.executor.run_until_idle();
    client.abort().unwrap();
    busy.executor.run_until_idle();
    assert_eq!(busy.log(), ["wait", "close Peer 1006 false"]);
    assert!(busy.server.connections().is_empty());
}

#[test]
fn e12_messages_and_forwarded_control_frames_keep_their_order_in_the_inbox() {
    let forwarding = |port: Port<Gated>| port.forward_ping(true).forward_pong(true).forward_close(true);
    let bytes = [
        text("wait"),
        text("one"),
        client_frame(Opcode::Ping, b"two"),
        client_frame(Opcode::Binary, &[3; 3]),
        text("wait again"),
        client_frame(Opcode::Pong, b"four"),
        text("five"),
        client_frame(Opcode::Close, &close_payload(1000, "six")),
    ]
    .concat();
    let expected = [
        "wait",
        "passed",
        "one",
        "Ping two",
        "3 bytes",
        "wait again",
        "passed",
        "Pong four",
        "five",
        "Close \u{3}\u{fffd}six",
        "close Peer 1000 true",
    ];
    for chunk in [1, 3, 7, 20, bytes.len()] {
        let mut busy = Busy::with(Config::new(), 1 << 22, forwarding);
        bytes.chunks(chunk).for_each(|chunk| busy.send(chunk));
        assert_eq!(busy.log(), ["wait"]);
        busy.pass();
        assert_eq!(busy.log(), expected[..6], "chunks of {chunk}");
        busy.pass();
        busy.pipe.shut();
        busy.executor.run_until_idle();
        assert_eq!(busy.log(), expected, "chunks of {chunk}");
    }
}

#[test]
fn e12_a_full_inbox_stops_reading() {
    let message = client_frame(Opcode::Binary, &[7; 1000]);
    let count = 1000;
    let mut busy = Busy::new(Config::new().high_water_mark(1 << 22));
    busy.text("wait");
    busy.send(&message.repeat(count));
    let unread = busy.pipe.unread_by_peer();
    let read = count * message.len() - unread;
    assert!((60_000..=132_000).contains(&read), "{read} bytes were read");
    // The connection itself keeps working.
    busy.server.push(busy.server.connections()[0], "meanwhile").unwrap();
    assert_eq!(texts(&busy.sent()), ["meanwhile"]);
    busy.pass();
    assert_eq!(busy.sent().len(), 1 + count);
    assert_eq!(busy.log().len(), 2 + count);
}

#[test]
fn e12_tiny_messages_fill_an_inbox_by_their_number_and_by_their_cost() {
    let tiny = text("x");
    for (bytes, messages) in [(usize::MAX, 10), (10 * 65, usize::MAX)] {
        let mut busy = Busy::with(Config::new(), 1 << 22, |port| port.inbox(bytes, messages));
        busy.text("wait");
        tiny.repeat(10).chunks(tiny.len()).for_each(|one| busy.send(one));
        assert_eq!(busy.pipe.unread_by_peer(), 0);
        busy.send(&tiny);
        assert_eq!(busy.pipe.unread_by_peer(), tiny.len(), "limits of {bytes} and {messages}");
        busy.pass();
        assert_eq!(busy.sent().len(), 12);
    }
}

#[test]
fn e12_a_large_message_waits_in_the_transport() {
    let mut busy = Busy::new(Config::new().high_water_mark(1 << 22));
    busy.text("wait");
    let large = client_frame(Opcode::Binary, &[7; 1 << 20]);
    busy.send(&large);
    let read = large.len() - busy.pipe.unread_by_peer();
    assert!(read <= 200_000, "{read} bytes were read");
    busy.pass();
    assert_eq!(busy.log(), ["wait", "passed", "1048576 bytes"]);
}

#[test]
fn e12_an_inbox_of_zero_reads_nothing_while_the_handler_waits() {
    let mut busy = Busy::with(Config::new(), 1 << 22, |port| port.inbox(0, 0));
    busy.text("wait");
    let ping = client_frame(Opcode::Ping, b"");
    busy.send(&ping);
    assert_eq!(busy.pipe.unread_by_peer(), ping.len());
    busy.server.push(busy.server.connections()[0], "meanwhile").unwrap();
    assert_eq!(texts(&busy.sent()), ["meanwhile"]);
    busy.pass();
    assert_eq!(
        busy.sent().iter().map(|frame| frame.opcode).collect::<Vec<_>>(),
        [Opcode::Text, Opcode::Pong]
    );
}

#[test]
fn e12_m11_a_pause_stops_reading_on_and_keeps_the_inbox() {
    let mut busy = Busy::new(Config::new());
    let client = busy.client();
    busy.send(&[text("wait"), text("one")].concat());
    client.pause().unwrap();
    busy.executor.run_until_idle();
    let (ping, two) = (client_frame(Opcode::Ping, b""), text("two"));
    busy.send(&[ping.clone(), two.clone()].concat());
    assert_eq!(busy.pipe.unread_by_peer(), ping.len() + two.len());
    busy.pass();
    assert_eq!(texts(&busy.sent()), ["wait"]);
    assert_eq!(busy.log(), ["wait", "passed"]);
    let polls = busy.executor.polls();
    client.push("while paused").unwrap();
    assert_eq!(texts(&busy.sent()), ["while paused"]);
    assert!(busy.executor.polls() - polls < 10, "it does not poll in a loop");
    client.resume().unwrap();
    assert_eq!(busy.sent().len(), 3);
    assert_eq!(busy.log(), ["wait", "passed", "one", "two"]);
}

#[test]
fn e12_a_paused_connection_with_an_inbox_ends_when_it_is_aborted() {
    let mut busy = Busy::new(Config::new());
    let client = busy.client();
    busy.send(&[text("wait"), text("one")].concat());
    client.pause().unwrap();
    busy.pass();
    client.abort().unwrap();
    busy.executor.run_until_idle();
    assert_eq!(busy.log(), ["wait", "passed", "close Local 1006 false"]);
}

#[test]
fn e12_a_fragmented_message_may_span_the_call_of_a_handler() {
    let fragment = |first: u8, data: &str| frame(true, first, data);
    let parts = [
        fragment(0x01, "begun "),
        fragment(0x89, "ping"),
        text("never"),
        fragment(0x00, "before "),
        fragment(0x00, "and "),
        fragment(0x80, "completed during the call"),
        text("next"),
    ];
    // The first fragment arrives with the message before it.
    let mut busy = Busy::new(Config::new());
    busy.send(&[text("wait"), parts[0].clone(), parts[1].clone()].concat());
    assert_eq!(busy.sent()[0].opcode, Opcode::Pong);
    for part in &parts[3..] {
        busy.send(part);
    }
    busy.pass();
    let merged = "begun before and completed during the call";
    assert_eq!(busy.log(), ["wait", "passed", merged, "next"]);
    assert_eq!(texts(&busy.sent()), ["wait", merged, "next"]);
    // And the message that waits may be a merged one.
    busy.send(
        &[fragment(0x01, "wait for"), fragment(0x80, " me"), fragment(0x01, "the "), parts[1].clone()]
            .concat(),
    );
    assert_eq!(busy.sent()[0].opcode, Opcode::Pong);
    busy.pass();
    assert_eq!(texts(&busy.sent()), ["wait for me"]);
    busy.send(&fragment(0x80, "end"));
    assert_eq!(texts(&busy.sent()), ["the end"]);
}

#[test]
fn e12_a_compressed_message_may_span_the_call_of_a_handler() {
    let request = upgrade_request("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let config = Config::new().deflate(Deflate::new());
    let mut busy = Busy::upgraded(request.as_bytes(), config, 1 << 22, |port| port);
    // The fragments of RFC 7692 7.2.3.1, and then "Hello" again, which refers back to them.
    let first = frame(true, 0x41, [0xf2, 0x48, 0xcd]);
    let second = frame(true, 0x80, [0xc9, 0xc9, 0x07, 0x00]);
    let again = frame(true, 0xc1, [0xf2, 0x00, 0x11, 0x00, 0x00]);
    busy.send(&[text("wait"), first.clone()].concat());
    busy.send(&second);
    busy.send(&again[..4]);
    busy.pass();
    assert_eq!(busy.log(), ["wait", "passed", "Hello (compressed)"]);
    busy.send(&again[4..]);
    assert_eq!(busy.log()[3..], ["Hello (compressed)"]);
}

#[test]
fn e12_a_protocol_error_ends_the_connection_while_the_handler_waits() {
    let mut busy = Busy::new(Config::new());
    busy.send(&[text("wait"), text("valid"), vec![0x83, 0x80, 0, 0, 0, 0]].concat());
    assert_eq!(busy.sent()[0].opcode, Opcode::Close);
    assert!(busy.client().is_closed());
    busy.send(&text("ignored").repeat(1000));
    busy.pipe.shut();
    busy.pass();
    assert_eq!(busy.log(), ["wait", "passed", "valid", "close Local 1002 false"]);
}

#[test]
fn e12_e10_only_close_is_called_after_a_handler_failed_with_messages_in_the_inbox() {
    let mut busy = Busy::with(Config::new(), 1 << 22, |port| port.forward_ping(true));
    let ping = client_frame(Opcode::Ping, b"");
    busy.send(&[text("wait and fail"), text("one"), ping].concat());
    busy.text("two");
    busy.pass();
    assert_eq!(busy.sent()[0].opcode, Opcode::Close);
    busy.text("three");
    busy.send(&client_frame(Opcode::Close, &close_payload(1011, "")));
    busy.pipe.shut();
    busy.executor.run_until_idle();
    assert_eq!(busy.log(), ["wait and fail", "passed", "close Local 1011 true"]);
}

#[test]
fn e12_m12_a_shutdown_closes_a_busy_connection_after_its_messages_are_handled() {
    let mut busy = Busy::new(Config::new());
    busy.send(&[text("wait"), text("one")].concat());
    busy.server.shutdown(Duration::from_secs(10));
    busy.text("two");
    assert_eq!(busy.sent(), []);
    busy.pass();
    let sent = busy.sent();
    assert_eq!(texts(&sent[..3]), ["wait", "one", "two"]);
    busy.send(&client_frame(Opcode::Close, &sent[3].data));
    busy.pipe.shut();
    busy.executor.run_until_idle();
    assert_eq!(busy.log(), ["wait", "passed", "one", "two", "close Local 1001 true"]);
}

#[test]
fn e12_m4_a_close_is_seen_while_the_peer_reads_no_answers() {
    let mut busy = Busy::with(Config::new().high_water_mark(500), 200, |port| port);
    let large = "x".repeat(1000);
    busy.send(&[text(&large), text("is not delivered yet")].concat());
    assert_eq!(busy.log(), [large.as_str()]);
    assert!(busy.client().is_established());
    busy.text("nor this");
    busy.send(&client_frame(Opcode::Close, &close_payload(1000, "")));
    assert!(busy.client().is_closed());
    busy.pipe.shut();
    while busy.server.queued() > 0 {
        busy.pipe.take_all();
        busy.executor.run_until_idle();
    }
    assert_eq!(busy.log()[1..], ["is not delivered yet", "nor this", "close Peer 1000 true"]);
}

#[test]
fn e12_a_send_in_a_handler_makes_progress_while_its_peer_waits_for_the_server_to_read() {
    struct Sends;
    impl Handler for Sends {
        async fn message(&self, client: &Client, _: Inbound<'_>) -> HandlerResult {
            for _ in 0..20 {
                client.send(vec![0; 400]).await?;
            }
            Ok(())
        }
    }
    let mut executor = Executor::new();
    let port = Port::new(Sends).config(Config::new().high_water_mark(500));
    let (server, connector, _) = SimRuntime::serve(&mut executor, port, Limits::new());
    let pipe = connector.connect(100, Faults::default());
    pipe.push(UPGRADE_REQUEST);
    executor.run_until_idle();
    while !pipe.take_all().is_empty() {
        executor.run_until_idle();
    }
    // The peer writes all its messages before it reads an answer.
    let requests = text("more").repeat(50);
    pipe.push(&requests);
    executor.run_until_idle();
    assert_eq!(pipe.unread_by_peer(), 0, "the server has read them");
    let mut received = 0;
    loop {
        let read = pipe.take_all().len();
        received += read;
        executor.run_until_idle();
        if read == 0 {
            break;
        }
    }
    assert_eq!(received, 50 * 20 * 404);
    drop(server);
}

#[test]
fn e12_t46_a_dropped_wait_for_the_end_leaves_nothing() {
    let mut busy = Busy::new(Config::new());
    let client = busy.client();
    assert_eq!(poll_once(client.closed()), None);
    assert!(!client.closed_blocking(Duration::from_millis(1)));
    let other = busy.connector.connect(1 << 20, Faults::default());
    other.push(UPGRADE_REQUEST);
    busy.executor.run_until_idle();
    drop(other);
    busy.executor.run_until_idle();
    assert!(client.is_established());
    busy.pipe.shut();
    busy.executor.run_until_idle();
    assert!(poll_once(client.closed()).is_some());
    assert_eq!(busy.log(), ["close Peer 1006 false"; 2]);
}

/// A handler that waits for the end in each method of the HTTP phase.
#[derive(Clone, Default)]
struct WaitsForTheEnd(EventLog);

impl WaitsForTheEnd {
    async fn wait(&self, client: &Client, what: &str) {
        self.0.add(what);
        assert!(!client.is_closed());
        client.closed().await;
        self.0.add(format!("{what} is over: {}", client.is_closed()));
    }
}

impl Handler for WaitsForTheEnd {
    async fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
        unreachable!("no connection opens")
    }

    async fn handshake(&self, client: &Client, upgrade: &Upgrade) -> Result<Decision, BoxError> {
        if upgrade.request().path() == "/policy" {
            return Ok(Decision::Policy);
        }
        self.wait(client, "handshake").await;
        Ok(Decision::Policy)
    }

    async fn before_handshake_response(
        &self,
        client: &Client,
        _: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        self.wait(client, "before_handshake_response").await;
        Ok(accept)
    }

    async fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_>,
    ) -> Result<Option<Response>, BoxError> {
        let body = request.body().await?;
        self.wait(client, &format!("request {}", body.len())).await;
        Ok(Some(Response::text(200, "too late")))
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        assert!(client.is_closed());
        self.0.add("disconnect");
        Ok(())
    }
}

#[test]
fn e12_a_client_that_disappears_is_noticed_during_http_and_the_handshake() {
    let policy = UPGRADE_REQUEST.strip_prefix(b"GET /").unwrap();
    let policy = [b"GET /policy", policy].concat();
    let cases: [(&[u8], &str); 4] = [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\n", "request 0"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345", "request 5"),
        (UPGRADE_REQUEST, "handshake"),
        (&policy, "before_handshake_response"),
    ];
    for (bytes, what) in cases {
        for resets in [true, false] {
            let mut executor = Executor::new();
            let handler = WaitsForTheEnd::default();
            let (server, connector, _) =
                SimRuntime::serve(&mut executor, Port::new(handler.clone()), Limits::new());
            let pipe = connector.connect(1 << 20, Faults::default());
            for byte in bytes {
                pipe.push(&[*byte]);
                executor.run_until_idle();
            }
            assert_eq!(handler.0.lines(), [what]);
            // More than is read ahead would hide the end.
            pipe.push(&[b'x'; 1000]);
            executor.run_until_idle();
            assert_eq!(pipe.unread_by_peer(), 0);
            if resets {
                pipe.reset()
            } else {
                pipe.shut()
            }
            executor.run_until_idle();
            assert_eq!(handler.0.lines()[..2], [what.to_owned(), format!("{what} is over: true")]);
            drop(pipe);
            for _ in 0..100 {
                executor.time.advance(Duration::from_secs(1));
                executor.run_until_idle();
            }
            assert_eq!(server.connections(), [], "{what}, reset: {resets}");
        }
    }
}

#[test]
fn e12_what_a_client_sends_during_its_handshake_arrives_after_it() {
    struct Slow(Gated);
    impl Handler for Slow {
        async fn handshake(&self, _: &Client, _: &Upgrade) -> Result<Decision, BoxError> {
            self.0.pass_gate().await;
            Ok(Decision::Policy)
        }

        async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
            client.push(message)?;
            Ok(())
        }
    }
    let mut executor = Executor::new();
    let gated = Gated::default();
    let (_server, connector, _) =
        SimRuntime::serve(&mut executor, Port::new(Slow(gated.clone())), Limits::new());
    let pipe = connector.connect(1 << 22, Faults::default());
    pipe.push(UPGRADE_REQUEST);
    executor.run_until_idle();
    let early = text(&"early".repeat(100));
    pipe.push(&early.repeat(200));
    executor.run_until_idle();
    let unread = pipe.unread_by_peer();
    assert!((1..early.len() * 200).contains(&unread), "{unread} bytes are unread");
    gated.open();
    executor.run_until_idle();
    let answer = pipe.take_all();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(parse_frames(&answer[head..]).len(), 200);
}

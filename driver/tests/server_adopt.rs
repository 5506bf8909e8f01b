//! WebSockets that something else opened, as connections of a server, in memory.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::time::Duration;

use sockeye_core::http::{Request, Version};
use sockeye_core::{CloseCode, CloseInfo, Config, Connection, Frame, Opcode};
use sockeye_driver::server::{
    Address, AdoptError, Adopted, Client, ConnectionId, Endpoint, FullLimit, Handler, HandlerResult, Inbound,
    Limits, Port, RefusalInfo, Server, ServerHandle, TrustedProxies,
};
use sockeye_driver::{WebSocket, WebSocketEvent};
use sockeye_testkit::EventLog;
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

/// Echoes messages and logs all events.
#[derive(Clone, Default)]
struct Recorder {
    log: EventLog,
    /// Waits in `close` forever.
    waits_in_close: bool,
}

impl Handler for Recorder {
    async fn open(&self, _: &Client, request: &Request) -> HandlerResult {
        self.log.add(format!("open {}", request.path()));
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        let text = message.as_text().unwrap_or("binary");
        self.log.add(format!("message {}", &text[..text.len().min(20)]));
        client.push(message)?;
        Ok(())
    }

    async fn control(&self, _: &Client, frame: &Frame<'_>) -> HandlerResult {
        self.log.add(format!("control {:?}", frame.opcode));
        Ok(())
    }

    async fn drained(&self, _: &Client) -> HandlerResult {
        self.log.add("drained");
        Ok(())
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.log.add(format!("close {} {}", info.code.as_u16(), info.clean));
        if self.waits_in_close {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn refused(&self, _: &Client, refusal: &RefusalInfo<'_>) {
        self.log.add(format!("refused: {refusal}"));
    }
}

/// A server without ports, and the endpoint of its connections.
struct World {
    executor: Executor,
    server: ServerHandle,
    ended: Handle<std::io::Result<()>>,
    endpoint: Endpoint<Recorder>,
    log: EventLog,
}

impl World {
    fn new() -> Self {
        World::with(|port| port, Limits::new())
    }

    fn with(set: impl FnOnce(Port<Recorder>) -> Port<Recorder>, limits: Limits) -> Self {
        World::with_handler(Recorder::default(), set, limits)
    }

    fn with_handler(
        recorder: Recorder,
        set: impl FnOnce(Port<Recorder>) -> Port<Recorder>,
        limits: Limits,
    ) -> Self {
        let mut executor = Executor::new();
        let log = recorder.log.clone();
        let endpoint = Endpoint::new(set(Port::new(recorder)));
        let server = Server::builder_on(SimRuntime::new(&executor)).limits(limits).build();
        let handle = server.handle();
        let ended = executor.spawn("the server", server.run());
        executor.run_until_idle();
        World { executor, server: handle, ended, endpoint, log }
    }

    /// Returns an open WebSocket that has received `unread`, and its client's end.
    fn websocket(&self, unread: &[u8]) -> (Ws, Pipe) {
        let (near, far) = pipe(1 << 20);
        let connection = Connection::server(self.endpoint.config().clone());
        (WebSocket::new(connection, unread, near, self.executor.time.clock()), far)
    }

    fn spawn(&mut self, adopted: Adopted) -> Handle<Result<(), AdoptError>> {
        let handle = self.executor.spawn("adopted", adopted);
        self.executor.run_until_idle();
        handle
    }

    /// Opens a WebSocket and adopts it.
    fn adopt(&mut self) -> (Pipe, ConnectionId, Handle<Result<(), AdoptError>>) {
        let (ws, far) = self.websocket(&[]);
        let adopted = self.server.adopt(ws, &self.endpoint).request(request("/")).into_future();
        let id = adopted.client().unwrap().id();
        (far, id, self.spawn(adopted))
    }

    fn send(&mut self, pipe: &Pipe, bytes: &[u8]) {
        pipe.push(bytes);
        self.executor.run_until_idle();
    }

    fn wait(&mut self, millis: u64) {
        self.executor.time.advance(Duration::from_millis(millis));
        self.executor.run_until_idle();
    }
}

fn request(path: &str) -> Request {
    Request::from_parts("GET", path, Version::Http11, [("Host", "a")]).unwrap()
}

fn text(text: &str) -> Vec<u8> {
    client_frame(Opcode::Text, text.as_bytes())
}

fn close(code: u16) -> Vec<u8> {
    client_frame(Opcode::Close, &close_payload(code, ""))
}

fn data(pipe: &Pipe) -> Vec<String> {
    let frames = parse_frames(&pipe.take_all());
    frames.iter().map(|frame| String::from_utf8_lossy(&frame.data).into_owned()).collect()
}

#[test]
fn m17_a_server_without_ports_has_the_connections_that_it_adopts() {
    let mut world = World::new();
    let (pipe, id, task) = world.adopt();
    world.send(&pipe, &text("hello"));
    world.server.push(id, "pushed").unwrap();
    assert_eq!(world.server.broadcast(|_| true, "to all").queued, 1);
    world.executor.run_until_idle();
    assert_eq!(data(&pipe), ["hello", "pushed", "to all"]);
    assert!(world.server.is_established(id) && world.server.connections() == [id]);
    let info = world.server.info(id).unwrap();
    assert_eq!((info.queued, info.peer, info.last_received.is_some()), (0, Address::Unix(None), true));
    world.send(&pipe, &close(1000));
    assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Close);
    world.log.expect(&["open /", "message hello", "close 1000 true"]);
    assert!(!world.server.exists(id) && !task.is_finished(), "it waits until the client closes its side");
    pipe.shut();
    world.executor.run_until_idle();
    assert_eq!(task.take(), Ok(()));
}

#[test]
fn m16_m17_adopted_connections_are_counted() {
    let mut world = World::with(|port| port, Limits::new().max_connections(1));
    let (pipe, ..) = world.adopt();
    world.send(&pipe, &text("hello"));
    let (ws, _refused) = world.websocket(&[]);
    let refused = world.server.adopt(ws, &world.endpoint).into_future();
    let _refused = world.spawn(refused);
    let stats = world.server.stats();
    assert_eq!(stats.ports.len(), 1);
    let total = stats.total;
    assert_eq!((total.connections, total.open, total.accepted, total.opened), (1, 1, 1, 1));
    assert_eq!((total.received.messages, total.sent.messages, total.received.wire_bytes), (1, 1, 11));
    pipe.reset();
    world.executor.run_until_idle();
    let total = world.server.stats().total;
    assert_eq!((total.connections, total.closed.get(&1006)), (0, Some(&1)));
}

#[test]
fn m17_m12_a_shutdown_closes_adopted_connections_and_waits_for_them() {
    let mut world = World::new();
    let (pipe, _, task) = world.adopt();
    world.server.shutdown(Duration::from_secs(10));
    world.executor.run_until_idle();
    assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Close);
    assert!(!world.ended.is_finished());
    world.send(&pipe, &close(1001));
    assert!(world.ended.is_finished());
    pipe.shut();
    world.executor.run_until_idle();
    assert_eq!(task.take(), Ok(()));
    world.log.expect(&["open /", "close 1001 true"]);

    // The grace limits the wait, and the connection is aborted after it.
    let mut world = World::new();
    let (pipe, _, task) = world.adopt();
    world.server.shutdown(Duration::from_secs(2));
    world.wait(0);
    world.wait(1999);
    assert!(!world.ended.is_finished() && !task.is_finished());
    world.wait(1);
    assert_eq!((world.ended.is_finished(), task.is_finished(), pipe.is_shut()), (true, true, true));
    world.log.expect(&["open /", "close 1001 false"]);
}

#[test]
fn m17_without_a_request_there_is_no_open_event() {
    let mut world = World::new();
    let (ws, pipe) = world.websocket(&[]);
    let adopted = world.server.adopt(ws, &world.endpoint).into_future();
    let _task = world.spawn(adopted);
    world.send(&pipe, &text("hello"));
    assert_eq!(
        (data(&pipe), world.log.lines()),
        (vec!["hello".to_owned()], vec!["message hello".to_owned()])
    );
}

/// Three messages, one of them in two fragments around a ping.
fn conversation() -> Vec<u8> {
    let to = FrameWriter::to(true);
    let mut wire = text("first");
    wire.extend(to.frame(Opcode::Text, false, b"sec"));
    wire.extend(to.ping(b"?"));
    wire.extend(to.frame(Opcode::Continuation, true, b"ond"));
    wire.extend(text(&"third ".repeat(30)));
    wire
}

#[test]
fn m17_input_that_was_read_and_not_decoded_arrives_as_events_at_every_split() {
    let wire = conversation();
    for at in 0..=wire.len() {
        let mut world = World::new();
        let (ws, pipe) = world.websocket(&wire[..at]);
        let adopted = world.server.adopt(ws, &world.endpoint).into_future();
        let _task = world.spawn(adopted);
        world.send(&pipe, &wire[at..]);
        world.log.expect(&["message first", "message second", "message third third third th"]);
        let third = "third ".repeat(30);
        assert_eq!(data(&pipe), ["first", "?", "second", third.as_str()], "split at {at}");
    }
}

#[test]
fn m17_a_message_that_was_partly_received_becomes_whole_at_every_split() {
    let wire = conversation();
    for at in 0..=wire.len() {
        let mut world = World::new();
        let (mut ws, pipe) = world.websocket(&[]);
        pipe.push(&wire[..at]);
        while let Some(received) = poll_once(ws.recv()) {
            let message = received.unwrap().unwrap();
            let text = message.as_text().unwrap();
            world.log.add(format!("message {}", &text[..text.len().min(20)]));
        }
        let adopted = world.server.adopt(ws, &world.endpoint).into_future();
        let _task = world.spawn(adopted);
        world.send(&pipe, &wire[at..]);
        world.log.expect(&["message first", "message second", "message third third third th"]);
    }
}

#[test]
fn m17_the_rest_of_a_message_whose_parts_were_received_is_skipped() {
    let mut world = World::new();
    let to = FrameWriter::to(true);
    let (mut ws, pipe) = world.websocket(&to.frame(Opcode::Text, false, b"be"));
    let part = poll_once(ws.recv_part()).unwrap().unwrap().unwrap();
    assert_eq!(&*part.data, b"be");
    let adopted = world.server.adopt(ws, &world.endpoint).into_future();
    let _task = world.spawn(adopted);
    world.send(&pipe, &to.frame(Opcode::Continuation, true, b"gun"));
    world.send(&pipe, &text("whole"));
    world.log.expect(&["message whole"]);
}

#[test]
fn m17_what_was_queued_before_is_counted_and_sent_first() {
    let config = Config::new().high_water_mark(1000);
    let mut world = World::with(|port| port.config(config), Limits::new());
    let (near, pipe) = pipe(100);
    let connection = Connection::server(world.endpoint.config().clone());
    let mut ws = WebSocket::new(connection, &[], near, world.executor.time.clock());
    poll_once(ws.feed("x".repeat(1200))).unwrap().unwrap();
    let adopted = world.server.adopt(ws, &world.endpoint).into_future();
    let id = adopted.client().unwrap().id();
    assert_eq!(world.server.queued(), 1204);
    let _task = world.spawn(adopted);
    let refused = world.server.push(id, "no room");
    assert!(refused.is_err(), "{refused:?}");
    let mut received = Vec::new();
    while received.len() < 1204 {
        received.extend(pipe.take_all());
        world.executor.run_until_idle();
    }
    world.server.push(id, "room").unwrap();
    world.executor.run_until_idle();
    received.extend(pipe.take_all());
    let frames = parse_frames(&received);
    assert_eq!((frames[0].data.len(), &*frames[1].data), (1200, &b"room"[..]));
    assert_eq!((world.server.queued(), world.log.lines()), (0, vec!["drained".to_owned()]));
}

/// Adopts a WebSocket that has received a Close as an event, and returns the answer to it.
fn adopt_after_close(
    set: impl FnOnce(Port<Recorder>) -> Port<Recorder>,
    opened_with: Option<Config>,
) -> Frame<'static> {
    let mut world = World::with(set, Limits::new());
    let config = opened_with.map_or_else(|| world.endpoint.config().clone(), Into::into);
    let (near, pipe) = pipe(1000);
    let connection = Connection::server(config);
    let mut ws = WebSocket::new(connection, &close(4000), near, world.executor.time.clock());
    assert!(matches!(poll_once(ws.recv_event()), Some(Ok(Some(WebSocketEvent::Close(_))))));
    let adopted = world.server.adopt(ws, &world.endpoint).into_future();
    let task = world.spawn(adopted);
    let frames = parse_frames(&pipe.take_all());
    pipe.shut();
    world.executor.run_until_idle();
    assert_eq!(task.take(), Ok(()));
    world.log.expect(&["close 4000 true"]);
    assert_eq!(frames.len(), 1);
    frames.into_iter().next().unwrap()
}

#[test]
fn m17_a_close_that_was_received_and_not_answered_is_answered() {
    for forward in [false, true] {
        for opened_with in [None, Some(Config::new()), Some(Config::new().auto_close(false))] {
            let answer = adopt_after_close(|port| port.forward_close(forward), opened_with);
            assert_eq!((answer.opcode, &*answer.data), (Opcode::Close, &close_payload(4000, "")[..]));
        }
    }
}

#[test]
fn m17_a_close_is_answered_though_the_websocket_was_opened_without_automatic_answers() {
    let mut world = World::new();
    let (near, pipe) = pipe(1000);
    let ws = server(near, &world.executor.time, Config::new().auto_close(false));
    let adopted = world.server.adopt(ws, &world.endpoint).into_future();
    let _task = world.spawn(adopted);
    world.send(&pipe, &close(1000));
    assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Close);
    world.log.expect(&["close 1000 true"]);
}

#[test]
fn m17_a_websocket_that_is_over_gets_its_events_at_once() {
    let mut world = World::new();
    let (mut ws, pipe) = world.websocket(&close(1000));
    assert!(matches!(poll_once(ws.recv()), Some(Ok(None))));
    pipe.shut();
    let adopted = world.server.adopt(ws, &world.endpoint).request(request("/over")).into_future();
    let task = world.spawn(adopted);
    assert_eq!(task.take(), Ok(()));
    world.log.expect(&["open /over", "close 1000 true"]);
    assert_eq!(world.server.connections(), []);
}

#[test]
fn m17_o8_a_websocket_above_a_limit_is_closed_with_1013() {
    let mut world = World::with(|port| port, Limits::new().max_connections(2));
    let (first, _, first_task) = world.adopt();
    let (_second, ..) = world.adopt();
    let (ws, third) = world.websocket(&[]);
    let adopted = world.server.adopt(ws, &world.endpoint).into_future();
    assert!(adopted.client().is_none());
    let refused = world.spawn(adopted);
    assert_eq!(read_frames(&third.take_all())[0].close_code(), 1013);
    assert_eq!(world.server.connections().len(), 2);
    world.send(&third, &close(1013));
    third.shut();
    world.executor.run_until_idle();
    assert_eq!(refused.take(), Err(AdoptError::Limit(FullLimit::Connections(2))));
    let refusal = "refused: the server has reached its limit of 2 connections";
    assert_eq!(world.log.lines().last().map(String::as_str), Some(refusal));
    // The slot of a connection that has ended is free.
    first.reset();
    world.executor.run_until_idle();
    assert!(first_task.is_finished());
    let (_fourth, id, _) = world.adopt();
    assert!(world.server.is_established(id));
}

#[test]
fn m17_o8_h16_adopted_connections_count_for_their_address_or_for_the_client_of_a_proxy() {
    let proxies = TrustedProxies::networks(["10.0.0.1"]).unwrap();
    let mut world = World::with(|port| port.trusted_proxies(proxies), Limits::new().max_per_address(1));
    let mut adopt = |peer: &str, forwarded: Option<&str>| {
        let (ws, pipe) = world.websocket(&[]);
        let peer: SocketAddr = peer.parse().unwrap();
        let fields = [("Host", "a")].into_iter().chain(forwarded.map(|client| ("X-Forwarded-For", client)));
        let request = Request::from_parts("GET", "/", Version::Http11, fields).unwrap();
        let adopted = world.server.adopt(ws, &world.endpoint).peer(peer).request(request).into_future();
        let peer = adopted.client().map(|client| client.peer().to_string());
        (peer, pipe, world.spawn(adopted))
    };
    let known = [adopt("1.2.3.4:5", None), adopt("10.0.0.1:1", Some("5.6.7.8"))];
    assert_eq!(known.each_ref().map(|(peer, ..)| peer.as_deref()), [Some("1.2.3.4:5"), Some("5.6.7.8:0")]);
    let refused = [
        adopt("1.2.3.4:6", None),
        adopt("10.0.0.1:2", Some("5.6.7.8")),
        adopt("10.0.0.1:3", Some("1.2.3.4")),
    ];
    assert!(
        refused.iter().all(|(peer, pipe, _)| {
            peer.is_none() && read_frames(&pipe.take_all())[0].close_code() == 1013
        })
    );
}

#[test]
fn m17_m12_a_websocket_that_comes_after_a_shutdown_is_closed_with_1001() {
    let mut world = World::new();
    world.server.shutdown(Duration::from_secs(1));
    world.executor.run_until_idle();
    assert!(world.ended.is_finished());
    let (ws, pipe) = world.websocket(&[]);
    let adopted = world.server.adopt(ws, &world.endpoint).into_future();
    let refused = world.spawn(adopted);
    assert_eq!(read_frames(&pipe.take_all())[0].close_code(), 1001);
    // The peer never answers.
    world.wait(60_000);
    assert_eq!(refused.take(), Err(AdoptError::ShuttingDown));
    assert!(pipe.is_shut() && world.log.lines().is_empty());
}

#[test]
fn m17_a_connection_whose_future_is_dropped_ends_at_once_with_its_last_event() {
    for waits_in_close in [false, true] {
        let recorder = Recorder { waits_in_close, ..Recorder::default() };
        let world = World::with_handler(recorder, |port| port, Limits::new());
        let (ws, pipe) = world.websocket(&text("never decoded"));
        let adopted = world.server.adopt(ws, &world.endpoint).request(request("/")).into_future();
        let client = adopted.client().unwrap().clone();
        drop(adopted);
        assert!(pipe.is_shut() && client.is_closed());
        assert_eq!((world.server.connections(), world.server.queued()), (Vec::new(), 0));
        assert_eq!(world.log.lines().last().map(String::as_str), Some("close 1006 false"));
    }
}

#[test]
fn m17_o7_an_adopted_connection_is_kept_alive_and_a_silent_peer_is_noticed() {
    let mut world = World::new();
    let (pipe, id, _task) = world.adopt();
    world.wait(19_999);
    assert!(pipe.take_all().is_empty());
    world.wait(1);
    assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Ping);
    world.wait(19_999);
    assert!(world.server.exists(id));
    world.wait(1);
    assert!(!world.server.exists(id));
    world.log.expect(&["open /", "close 1008 false"]);
}

#[test]
fn m17_m11_commands_reach_an_adopted_connection_before_its_future_is_polled() {
    let mut world = World::new();
    let (ws, pipe) = world.websocket(&text("waits"));
    let adopted = world.server.adopt(ws, &world.endpoint).into_future();
    let client = adopted.client().unwrap().clone();
    client.push("first").unwrap();
    client.pause().unwrap();
    let _task = world.spawn(adopted);
    assert_eq!(data(&pipe), ["first"]);
    client.resume().unwrap();
    world.executor.run_until_idle();
    assert_eq!(data(&pipe), ["waits"]);
    client.close(CloseCode::NORMAL, "").unwrap();
    world.executor.run_until_idle();
    assert_eq!(read_frames(&pipe.take_all())[0].close_code(), 1000);
}

#[test]
fn m17_m9_a_broadcast_is_encoded_once_for_connections_opened_with_one_config() {
    let mut world = World::new();
    let config = std::sync::Arc::new(Config::new());
    let mut pipes = Vec::new();
    for _ in 0..3 {
        let (near, far) = pipe(1 << 20);
        let connection = Connection::server(config.clone());
        let ws = WebSocket::new(connection, &[], near, world.executor.time.clock());
        let adopted = world.server.adopt(ws, &world.endpoint).into_future();
        pipes.push((far, world.spawn(adopted)));
    }
    let news = "x".repeat(100_000);
    assert_eq!(world.server.broadcast(|_| true, &news).queued, 3);
    assert!(world.server.queued() < 200_000, "{} bytes", world.server.queued());
    world.executor.run_until_idle();
    assert!(pipes.iter().all(|(pipe, _)| data(pipe) == [news.as_str()]));
}

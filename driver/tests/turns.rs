//! The bounds on what a connection does before other tasks run (T38, T44 of docs/requirements.md):
//! messages, bytes, inflated bytes, and time. The clock moves only when a test moves it.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye_core::deflate::{CompressionPolicy, Deflate};
use sockeye_core::{Config, Connection, Message, MessageKind, Opcode};
use sockeye_driver::WebSocket;
use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound, Limits, Port};
use sockeye_driver::tuning::{TURN_MESSAGES, TURN_TIME, TURN_WORK};
use sockeye_testkit::deflate::agree;
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::{UPGRADE_REQUEST, upgrade_request};
use sockeye_testkit::sim::*;
use sockeye_testkit::{until_woken, yield_now};

/// The work of a task, as another task sees it.
#[derive(Debug, Clone, Default)]
struct Watch(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    done: usize,
    /// `done` when the other task last ran.
    seen: usize,
    most: usize,
    turns: usize,
    has_ended: bool,
}

impl Watch {
    fn add(&self, work: usize) {
        self.0.lock().unwrap().done += work;
    }

    fn end(&self) {
        self.0.lock().unwrap().has_ended = true;
    }

    /// Runs as another task, which is always ready to run.
    async fn watch(self) {
        loop {
            {
                let seen = &mut *self.0.lock().unwrap();
                let new = seen.done - seen.seen;
                seen.most = seen.most.max(new);
                seen.turns += usize::from(new > 0);
                seen.seen = seen.done;
                if seen.has_ended {
                    return;
                }
            }
            yield_now().await;
        }
    }

    /// Returns all work, and the most that was done before the other task ran again.
    fn totals(&self) -> (usize, usize) {
        let seen = self.0.lock().unwrap();
        (seen.done, seen.most)
    }

    fn turns(&self) -> usize {
        self.0.lock().unwrap().turns
    }
}

/// The ways to receive.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Recv,
    RecvWith,
    Event,
    Part,
    Half,
    HalfWith,
    HalfPart,
}

const WAYS: [Way; 7] =
    [Way::Recv, Way::RecvWith, Way::Event, Way::Part, Way::Half, Way::HalfWith, Way::HalfPart];

/// Receives to the end. Calls `done` with the length of each message or part.
async fn receive(way: Way, mut ws: Ws, mut done: impl FnMut(usize)) {
    let mut halves = None;
    if matches!(way, Way::Half | Way::HalfWith | Way::HalfPart) {
        let (send, recv) = ws.split();
        halves = Some((send, recv));
        ws = server(pipe(1).0, &Time::new(), Config::new());
    }
    loop {
        let len = match (way, &mut halves) {
            (Way::Recv, _) => ws.recv().await.ok().flatten().map(|message| message.len()),
            (Way::RecvWith, _) => ws.recv_with(|message, _| message.as_bytes().len()).await.ok().flatten(),
            (Way::Event, _) => ws.recv_event().await.ok().flatten().map(|_| 1),
            (Way::Part, _) => ws.recv_part().await.ok().flatten().map(|part| part.data.len()),
            (Way::Half, Some((_, half))) => half.recv().await.ok().flatten().map(|message| message.len()),
            (Way::HalfWith, Some((_, half))) => {
                half.recv_with(|message| message.as_bytes().len()).await.ok().flatten()
            }
            (_, Some((_, half))) => half.recv_part().await.ok().flatten().map(|part| part.data.len()),
            _ => None,
        };
        match len {
            Some(len) => done(len),
            None => return,
        }
    }
}

#[test]
fn t38_a_connection_yields_after_its_messages_however_they_are_received() {
    let count = 5 * TURN_MESSAGES as usize;
    for way in WAYS {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        peer.push(&client_frame(Opcode::Binary, b"x").repeat(count));
        peer.shut();
        let (ws, watch) = (server(io, &executor.time, Config::new()), Watch::default());
        executor.spawn("receiver", {
            let watch = watch.clone();
            async move {
                receive(way, ws, |_| watch.add(1)).await;
                watch.end();
            }
        });
        executor.spawn("another task", watch.clone().watch());
        executor.run();
        let (done, most) = watch.totals();
        assert_eq!(done, count, "{way:?}");
        // The bytes of the messages count too.
        assert!(most <= TURN_MESSAGES as usize && most > TURN_MESSAGES as usize * 9 / 10, "{way:?}: {most}");
        assert!(executor.time.yields() >= 4, "{way:?}: {}", executor.time.yields());
    }
}

#[test]
fn t38_a_connection_yields_after_its_bytes() {
    let (size, count) = (70_000, 60);
    for way in WAYS {
        let mut executor = Executor::new();
        let (io, peer) = pipe(8 << 20);
        peer.push(&client_frame(Opcode::Binary, &payload(0, size)).repeat(count));
        peer.shut();
        let (ws, watch) = (server(io, &executor.time, Config::new()), Watch::default());
        executor.spawn("receiver", {
            let watch = watch.clone();
            async move {
                receive(way, ws, |len| watch.add(if way == Way::Event { size } else { len })).await;
                watch.end();
            }
        });
        executor.spawn("another task", watch.clone().watch());
        executor.run();
        let (done, most) = watch.totals();
        assert_eq!(done, size * count, "{way:?}");
        // The last read, and a message that began in the turn before.
        assert!(most <= TURN_WORK as usize + (64 << 10) + size, "{way:?}: {most}");
    }
}

#[test]
fn t38_control_frames_and_fragments_count_too() {
    let pings = client_frame(Opcode::Ping, b"").repeat(5000);
    let fragments =
        [frame(true, 0x02, b"x"), frame(true, 0x00, b"x").repeat(20_000), frame(true, 0x80, b"x")].concat();
    for (bytes, turns) in [(pings, 5000 / TURN_MESSAGES), (fragments, 20_000 / (8 * TURN_MESSAGES))] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        peer.push(&bytes);
        peer.shut();
        let mut ws = server(io, &executor.time, Config::new().max_fragments(u32::MAX));
        executor.spawn("receiver", async move { while let Ok(Some(_)) = ws.recv().await {} });
        executor.run();
        assert!(executor.polls_of("receiver") >= turns as usize, "{}", executor.polls_of("receiver"));
    }
}

/// The slices of a message of 2 MB: a slice inflates to at most 320 KiB.
const SLICES: usize = 2_000_000 / (320 << 10);

fn deflate() -> Deflate {
    Deflate::new().policy(CompressionPolicy::Always)
}

fn deflating_server(io: Pipe, time: &Time) -> Ws {
    let config = Config::new().deflate(deflate());
    let mut connection = Connection::server(Arc::new(config));
    connection.enable_deflate(&agree(&deflate(), &deflate()).0);
    WebSocket::new(connection, &[], io, time.clock())
}

/// Returns the frames of a client that compresses these messages.
fn compressed(messages: &[Message]) -> Vec<u8> {
    let config = Config::new().deflate(deflate()).max_send_size(8 << 20).high_water_mark(8 << 20);
    let mut connection = Connection::client(Arc::new(config), mask_keys());
    connection.enable_deflate(&agree(&deflate(), &deflate()).1);
    let mut bytes = Vec::new();
    for message in messages {
        connection.send(message.as_ref()).unwrap();
        while let Some(transmit) = connection.poll_transmit() {
            let part = transmit.first().to_vec();
            connection.transmitted(part.len());
            bytes.extend(part);
        }
    }
    bytes
}

#[test]
fn t44_a_connection_yields_after_what_it_inflates() {
    let messages = [Message::from("a".repeat(2_000_000)), Message::from(vec![0; 2_000_000])];
    let bytes = compressed(&messages);
    assert!(bytes.len() < 10_000, "{}", bytes.len());
    for way in WAYS {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        peer.push(&bytes);
        peer.shut();
        let (ws, watch) = (deflating_server(io, &executor.time), Watch::default());
        executor.spawn("receiver", {
            let watch = watch.clone();
            async move { receive(way, ws, |len| watch.add(len)).await }
        });
        executor.run();
        let is_part = matches!(way, Way::Part | Way::HalfPart);
        let expected = if way == Way::Event { 2 } else { 4_000_000 };
        assert_eq!(watch.totals().0, expected, "{way:?}");
        // The compressed input of a part is so short that it inflates to at most a mebibyte.
        let yields = if is_part { 3 } else { 2 * SLICES };
        assert!(executor.time.yields() >= yields, "{way:?}: {}", executor.time.yields());
    }
}

#[test]
fn t44_a_message_that_is_inflated_halfway_can_be_received_in_parts_or_skipped() {
    let text = "a".repeat(2_000_000);
    let bytes = compressed(&[Message::from(&*text), Message::from("next"), Message::from("last")]);
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    peer.push(&bytes);
    let mut ws = deflating_server(io, &executor.time);
    executor.spawn("test", async move {
        assert!(poll_at_most(2, ws.recv()).await.is_none());
        let (mut received, mut parts) = (Vec::new(), 0);
        loop {
            let part = ws.recv_part().await.unwrap().unwrap();
            assert!(part.compressed && part.kind == MessageKind::Text && part.first == (parts == 0));
            received.extend_from_slice(&part.data);
            parts += 1;
            if part.last {
                break;
            }
        }
        assert!(received == text.as_bytes() && parts > 3, "{} bytes in {parts} parts", received.len());
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("next")));

        // After a part of it, the rest is skipped, in slices too.
        assert_eq!(ws.recv_part().await.unwrap().unwrap().data, "last");
        peer.push(&bytes);
        let part = ws.recv_part().await.unwrap().unwrap();
        assert!(part.first && !part.last);
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("next")));
    });
    executor.run();
}

#[test]
fn t44_a_connection_yields_after_some_time_if_the_application_is_slow() {
    let micros = TURN_TIME.as_micros() as usize;
    for (each, first, later) in
        [(20, micros / 20 + 40, micros / 20 + 1), (micros, 40, 1), (5 * micros, 40, 1)]
    {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        peer.push(&client_frame(Opcode::Binary, b"x").repeat(1000));
        peer.shut();
        let (ws, watch) = (server(io, &executor.time, Config::new()), Watch::default());
        executor.spawn("receiver", {
            let (watch, time) = (watch.clone(), executor.time.clone());
            async move {
                receive(Way::Recv, ws, |_| {
                    watch.add(1);
                    time.advance(Duration::from_micros(each as u64));
                })
                .await;
                watch.end();
            }
        });
        executor.spawn("another task", watch.clone().watch());
        executor.run();
        assert_eq!(watch.totals().0, 1000);
        assert!(watch.totals().1 <= first, "{each} us: {:?}", watch.totals());
        assert!(watch.turns() >= (1000 - first) / later, "{each} us: {}", watch.turns());
    }
}

/// A handler that counts, takes time, and waits if it is asked to.
#[derive(Debug, Clone)]
struct Count {
    watch: Watch,
    time: Time,
    each: Duration,
}

impl Count {
    fn new(executor: &Executor, each: Duration) -> Self {
        Count { watch: Watch::default(), time: executor.time.clone(), each }
    }
}

impl Handler for Count {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        match message.as_text() {
            Some("wait") => until_woken().await,
            Some("end") => self.watch.end(),
            _ => {
                self.watch.add(message.as_bytes().len());
                self.time.advance(self.each);
                // Large messages are echoed.
                client.push(if message.as_bytes().len() < 1000 { &[] } else { message.as_bytes() })?;
            }
        }
        Ok(())
    }
}

/// Opens a WebSocket to a server with this handler. Returns the client's end.
fn open_server(executor: &mut Executor, count: &Count, extension: &str) -> Pipe {
    let port = Port::new(count.clone()).inbox(usize::MAX, usize::MAX);
    let port = port.config(Config::new().deflate(deflate()));
    let (_, connector, _) = SimRuntime::serve(executor, port, Limits::new());
    executor.run_until_idle();
    let pipe = connector.connect(8 << 20, Faults::default());
    pipe.push(upgrade_request("/", extension).as_bytes());
    executor.run_until_idle();
    assert!(pipe.take_all().starts_with(b"HTTP/1.1 101 "));
    pipe
}

fn text(text: &str) -> Vec<u8> {
    client_frame(Opcode::Text, text.as_bytes())
}

#[test]
fn t38_a_server_yields_after_its_messages_also_from_the_inbox() {
    let count = 5 * TURN_MESSAGES as usize;
    for waits in [false, true] {
        let mut executor = Executor::new();
        let handler = Count::new(&executor, Duration::ZERO);
        let pipe = open_server(&mut executor, &handler, "");
        let flood = [client_frame(Opcode::Binary, b"x").repeat(count), text("end")].concat();
        if waits {
            pipe.push(&text("wait"));
        }
        pipe.push(&flood);
        executor.spawn("another task", handler.watch.clone().watch());
        executor.run_until_idle();
        let (done, most) = handler.watch.totals();
        assert_eq!(done, count);
        // A message that only waits or ends the test counts too.
        assert!(most <= TURN_MESSAGES as usize, "{most}");
        // The answers are written once for each read, not once for each turn.
        assert_eq!(pipe.take_all().len(), 2 * count);
    }
}

#[test]
fn t38_a_server_that_echoes_large_messages_yields_after_its_bytes() {
    // Each echo fills the queue, and the transport takes it at once.
    let (size, count) = (100_000, 70);
    let mut executor = Executor::new();
    let handler = Count::new(&executor, Duration::ZERO);
    let pipe = open_server(&mut executor, &handler, "");
    pipe.push(&client_frame(Opcode::Binary, &payload(0, size)).repeat(count));
    pipe.push(&text("end"));
    executor.spawn("another task", handler.watch.clone().watch());
    executor.run_until_idle();
    let (done, most) = handler.watch.totals();
    assert_eq!(done, size * count);
    assert!(most <= TURN_WORK as usize + 2 * size, "{most}");
    assert_eq!(parse_frames(&pipe.take_all()).len(), count);
}

#[test]
fn t44_a_server_yields_after_some_time_if_the_handler_is_slow() {
    for waits in [false, true] {
        let mut executor = Executor::new();
        let handler = Count::new(&executor, Duration::from_micros(20));
        let pipe = open_server(&mut executor, &handler, "");
        let flood = [client_frame(Opcode::Binary, b"x").repeat(1000), text("end")].concat();
        pipe.push(&[if waits { text("wait") } else { Vec::new() }, flood].concat());
        executor.spawn("another task", handler.watch.clone().watch());
        executor.run_until_idle();
        let (done, most) = handler.watch.totals();
        assert_eq!(done, 1000);
        assert!(most <= TURN_TIME.as_micros() as usize / 20 + 40, "{most}");
    }
}

#[test]
fn t44_a_server_yields_after_what_it_inflates_also_while_its_handler_waits() {
    for waits in [false, true] {
        let mut executor = Executor::new();
        let handler = Count::new(&executor, Duration::ZERO);
        let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        let pipe = open_server(&mut executor, &handler, extension);
        let mut messages = vec![Message::from(vec![0; 2_000_000]); 3];
        messages.push(Message::from("end"));
        if waits {
            pipe.push(&text("wait"));
        }
        pipe.push(&compressed(&messages));
        executor.run_until_idle();
        if waits {
            // The messages wait compressed. This wakes the handler.
            pipe.push(&text("end"));
            executor.run_until_idle();
        }
        assert_eq!(handler.watch.totals().0, 6_000_000);
        // A message that has waited is inflated at once.
        let least = if waits { 3 } else { 3 * SLICES };
        assert!(executor.time.yields() >= least, "{}", executor.time.yields());
    }
}

#[test]
fn t44_many_connections_are_accepted_in_turns() {
    let mut executor = Executor::new();
    let port = Port::new(Count::new(&executor, Duration::ZERO));
    let (_, connector, _) = SimRuntime::serve(&mut executor, port, Limits::new());
    executor.run_until_idle();
    let pipes: Vec<Pipe> = (0..200).map(|_| connector.connect(1 << 16, Faults::default())).collect();
    let most = executor.spawn("another task", async move {
        let (mut seen, mut most) = (0, 0);
        while seen < 200 {
            let accepted = connector.accepted_at().len();
            most = most.max(accepted - seen);
            seen = accepted;
            yield_now().await;
        }
        most
    });
    executor.run_until_idle();
    assert_eq!(most.take(), 16);
    drop(pipes);
}

#[test]
fn t43_a_peer_that_never_pauses_is_counted_whenever_its_task_yields() {
    let mut executor = Executor::new();
    let port = Port::new(Count::new(&executor, Duration::ZERO));
    let limits = Limits::new().max_received(64 << 20);
    let (handle, connector, _) = SimRuntime::serve(&mut executor, port, limits);
    executor.run_until_idle();
    let pipe = connector.connect(8 << 20, Faults::default());
    pipe.push(UPGRADE_REQUEST);
    executor.run_until_idle();
    // All of a message but its last byte.
    let message = client_frame(Opcode::Binary, &payload(0, 1 << 20));
    pipe.push(&message[..message.len() - 1]);
    let most = executor.spawn("another task", async move {
        let (mut seen, mut most) = (0, 0);
        while seen < (1 << 20) - 8192 {
            most = most.max(handle.received() - seen);
            seen = handle.received();
            yield_now().await;
        }
        most
    });
    executor.run_until_idle();
    let most = most.take();
    assert!(most <= TURN_WORK as usize + (64 << 10), "{most} bytes were not counted");
}

#[test]
fn a_turn_does_not_delay_a_peer_that_pauses() {
    let mut executor = Executor::new();
    let handler = Count::new(&executor, Duration::ZERO);
    let pipe = open_server(&mut executor, &handler, "");
    for _ in 0..100 {
        let polls = executor.polls();
        pipe.push(&client_frame(Opcode::Binary, b"x").repeat(16));
        executor.run_until_idle();
        assert_eq!((pipe.take_all().len(), executor.polls() - polls), (32, 1));
    }
    assert_eq!(executor.time.yields(), 0);
}

#[test]
fn a_connection_that_finds_room_at_once_does_not_wake_itself() {
    // The echo of the first message fills the queue. A task that wakes itself would run again
    // before the runtime looks at its sockets.
    let mut executor = Executor::new();
    let handler = Count::new(&executor, Duration::ZERO);
    let pipe = open_server(&mut executor, &handler, "");
    for _ in 0..3 {
        let polls = executor.polls();
        pipe.push(&client_frame(Opcode::Binary, &payload(0, 70_000)).repeat(2));
        executor.run_until_idle();
        assert_eq!(parse_frames(&pipe.take_all()).len(), 2);
        assert_eq!(executor.polls() - polls, 1);
    }
}

#[test]
fn a_shutdown_and_an_abort_end_a_flood() {
    for aborts in [false, true] {
        let mut executor = Executor::new();
        let handler = Count::new(&executor, Duration::ZERO);
        let port = Port::new(handler.clone());
        let (server, connector, _) = SimRuntime::serve(&mut executor, port, Limits::new());
        executor.run_until_idle();
        let pipe = connector.connect(8 << 20, Faults::default());
        pipe.push(UPGRADE_REQUEST);
        executor.run_until_idle();
        let client = server.client(server.connections()[0]).unwrap();
        pipe.push(&client_frame(Opcode::Binary, b"x").repeat(100_000));
        executor.spawn("another task", async move {
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                std::task::Poll::Ready(())
            })
            .await;
            yield_now().await;
            if aborts {
                client.abort().unwrap();
            } else {
                server.shutdown(Duration::ZERO);
            }
        });
        executor.run_until_idle();
        assert!(pipe.is_shut());
        let done = handler.watch.totals().0;
        assert!(if aborts { done <= 3 * TURN_MESSAGES as usize } else { done <= 100_000 }, "{done}");
    }
}

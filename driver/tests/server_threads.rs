//! Servers that run each connection on its own thread. A push from another thread is written at
//! once. In these tests no thread belongs to a connection, so every push comes from another thread.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use sockeye_core::{CloseCode, Config, Opcode};
use sockeye_driver::server::{Client, PushError, Pushed};
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_testkit::sim::*;

fn threads(config: Config) -> World {
    World::on_runtime(config, SimRuntime::threads)
}

#[test]
fn m1_a_push_is_written_at_once_while_the_connections_thread_is_busy() {
    let mut world = threads(Config::new());
    let pipe = world.open();
    let id = world.server.connections()[0];
    for busy in [false, true] {
        if busy {
            world.send(&pipe, &client_frame(Opcode::Text, b"wait forever"));
        }
        let polls = world.executor.polls();
        world.server.push(id, "now").unwrap();
        assert_eq!(*parse_frames(&pipe.take_all())[0].data, b"now"[..]);
        assert_eq!(world.server.broadcast(|_| true, "all").queued, 1);
        assert_eq!(*parse_frames(&pipe.take_all())[0].data, b"all"[..]);
        let client = world.server.client(id).unwrap();
        assert_eq!(poll_once(client.send("sent")), Some(Ok(Pushed::Queued)));
        assert_eq!(*parse_frames(&pipe.take_all())[0].data, b"sent"[..]);
        world.executor.run_until_idle();
        assert_eq!(world.executor.polls(), polls, "no task is woken, as there is nothing to do");
    }
    assert_eq!(world.server.queued(), 0);
    assert!(world.server.info(id).unwrap().last_sent.is_some());
}

#[test]
fn m1_the_connections_own_thread_writes_once_for_a_batch() {
    let mut world = World::on_runtime(Config::new(), |sim| sim.thread(std::thread::current().id()));
    let pipe = world.open();
    let id = world.server.connections()[0];
    for message in ["one", "two"] {
        world.server.push(id, message).unwrap();
    }
    assert_eq!(pipe.take_all(), b"");
    assert_eq!(world.server.queued(), 10);
    world.executor.run_until_idle();
    assert_eq!(parse_frames(&pipe.take_all()).len(), 2);
}

#[test]
fn m4_bytes_that_the_transport_does_not_accept_are_written_later_in_order() {
    let mut world = threads(Config::new());
    let pipe = world.open_with_capacity(100);
    let id = world.server.connections()[0];
    for i in 0..50u8 {
        world.server.push(id, vec![i; 60]).unwrap();
        if i % 3 == 0 {
            world.executor.run_until_idle();
        }
    }
    let mut received = Vec::new();
    while world.server.queued() > 0 {
        received.extend(pipe.take(70));
        // Push again after the peer has read and before the connection's thread wakes.
        world.server.ping(id, b"").unwrap();
        world.executor.run_until_idle();
    }
    received.extend(pipe.take_all());
    let data: Vec<u8> = parse_frames(&received)
        .iter()
        .filter(|frame| frame.opcode == Opcode::Binary)
        .map(|frame| frame.data[0])
        .collect();
    assert_eq!(data, (0..50).collect::<Vec<u8>>());
}

#[test]
fn m5_a_close_is_sent_at_once_and_its_deadline_is_kept() {
    let mut world = threads(Config::new().close_timeout(Duration::from_secs(3)));
    let (pipe, busy) = (world.open(), world.open());
    world.send(&busy, &client_frame(Opcode::Text, b"wait forever"));
    for id in world.server.connections() {
        world.server.disconnect(id, CloseCode::NORMAL, "enough").unwrap();
        assert_eq!(world.server.push(id, "more"), Err(PushError::Closing));
    }
    assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Close);
    assert_eq!(parse_frames(&busy.take_all())[0].opcode, Opcode::Close);
    world.executor.run_until_idle();
    world.wait(2_999);
    assert!(world.ends().is_empty());
    world.wait(1);
    let ends = world.ends();
    assert_eq!(ends.len(), 1, "the busy handler still runs");
    assert!(!ends[0].as_ref().unwrap().clean);
}

#[test]
fn m11_an_unanswered_ping_is_noticed_by_a_thread_that_was_not_woken() {
    let config = Config::new().keepalive(Duration::from_secs(20), Duration::from_secs(5));
    let mut world = threads(config);
    let pipe = world.open();
    let id = world.server.connections()[0];
    world.wait(1_000);
    world.server.ping(id, b"?").unwrap();
    assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Ping);
    world.wait(250);
    world.send(&pipe, &client_frame(Opcode::Pong, b"?"));
    assert_eq!(world.server.info(id).unwrap().round_trip, Some(Duration::from_millis(250)));
    world.wait(20_000);
    assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Ping);
    world.wait(5_000);
    assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Close);
    assert_eq!(world.ends().len(), 1);
}

#[test]
fn e11_a_queue_that_the_pusher_empties_has_drained() {
    let mut world = threads(Config::new().high_water_mark(500));
    let pipe = world.open_with_capacity(100);
    let id = world.server.connections()[0];
    world.send(&pipe, &client_frame(Opcode::Text, b"wait at the gate"));
    world.server.push(id, payload(0, 600)).unwrap();
    assert_eq!(world.server.queued(), 504);
    assert_eq!(world.server.push(id, "x"), Err(PushError::Backpressure { queued: 504 }));
    while world.server.queued() > 400 {
        pipe.take_all();
        assert_eq!(world.server.push(id, "x"), Ok(Pushed::Queued), "the peer has made room");
    }
    while world.server.queued() > 0 {
        pipe.take_all();
        world.server.ping(id, b"").unwrap();
    }
    world.executor.run_until_idle();
    assert_eq!(world.drained(), 0, "the connection's thread is busy");
    world.open_gate();
    assert_eq!(world.drained(), 1);
    world.server.push(id, payload(0, 600)).unwrap();
    while world.server.queued() > 0 {
        pipe.take_all();
        world.executor.run_until_idle();
    }
    assert_eq!(world.drained(), 2);
}

#[test]
fn e11_a_queue_that_was_full_for_a_moment_has_drained() {
    let mut world = threads(Config::new().high_water_mark(500));
    let _pipe = world.open();
    let id = world.server.connections()[0];
    world.server.push(id, payload(0, 600)).unwrap();
    assert_eq!(world.server.queued(), 0);
    world.executor.run_until_idle();
    assert_eq!(world.drained(), 1);
}

#[test]
fn e5_a_push_into_a_broken_connection_ends_it() {
    let mut world = threads(Config::new());
    let faults = Faults { fail: Some((5, Fail::Error(ErrorKind::ConnectionReset))), ..Faults::default() };
    let pipe = world.connector.connect(1 << 20, faults);
    world.send(&pipe, UPGRADE_REQUEST);
    let id = world.server.connections()[0];
    let mut pushed = 0;
    while world.server.push(id, "anybody there?").is_ok() {
        pushed += 1;
        assert!(pushed < 10);
    }
    world.executor.run_until_idle();
    assert_eq!(world.ends().len(), 1);
    world.assert_empty();
}

/// Reads until `done`, or gives up after a while and returns false.
fn read_until(pipe: &Pipe, done: impl Fn() -> bool) -> bool {
    for _ in 0..300 {
        if done() {
            return true;
        }
        pipe.take_all();
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn m4_a_push_does_not_replace_the_waker_of_a_waiting_send() {
    let mut world = threads(Config::new().high_water_mark(500));
    let pipe = world.open_with_capacity(100);
    let id = world.server.connections()[0];
    let client = world.server.client(id).unwrap();
    world.send(&pipe, &client_frame(Opcode::Text, b"wait forever"));
    world.server.push(id, payload(0, 600)).unwrap();
    let sender = std::thread::spawn(move || client.send_blocking(payload(1, 600)).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(world.server.push(id, "x"), Err(PushError::Backpressure { queued: 504 }));
    assert!(read_until(&pipe, || sender.is_finished()), "the waiting send was not woken");
}

#[test]
fn m4_a_second_waiting_send_is_woken_after_the_first() {
    let mut world = threads(Config::new().high_water_mark(500));
    let pipe = world.open_with_capacity(100);
    let id = world.server.connections()[0];
    world.send(&pipe, &client_frame(Opcode::Text, b"wait forever"));
    world.server.push(id, payload(0, 600)).unwrap();
    let senders: Vec<_> = (1..3)
        .map(|n| {
            let client = world.server.client(id).unwrap();
            let sender = std::thread::spawn(move || client.send_blocking(payload(n, 600)).unwrap());
            std::thread::sleep(Duration::from_millis(200));
            sender
        })
        .collect();
    assert!(read_until(&pipe, || senders.iter().any(|sender| sender.is_finished())));
    assert!(
        read_until(&pipe, || senders.iter().all(|sender| sender.is_finished())),
        "the second send was not woken"
    );
}

/// A waker that runs its task at once, which then uses the connection.
struct RunsAtOnce(Client);

impl Wake for RunsAtOnce {
    fn wake(self: Arc<Self>) {
        assert!(self.0.info().queued <= 604);
    }
}

#[test]
fn m1_a_task_woken_by_a_push_may_use_the_connection_at_once() {
    let (done, is_done) = mpsc::channel();
    // If the push still held the lock, the thread would hang.
    std::thread::spawn(move || {
        let mut world = threads(Config::new().high_water_mark(500));
        let pipe = world.open_with_capacity(100);
        let id = world.server.connections()[0];
        world.send(&pipe, &client_frame(Opcode::Text, b"wait forever"));
        world.server.push(id, payload(0, 600)).unwrap();
        let client = world.server.client(id).unwrap();
        let waker = Waker::from(Arc::new(RunsAtOnce(client.clone())));
        let mut sending = pin!(client.send("x"));
        assert!(sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        for _ in 0..10 {
            pipe.take_all();
            let _ = world.server.push(id, "y");
        }
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(5)).unwrap();
}

/// Sends the parts one after the other, and returns all frames that the server sends. The handler
/// waits at the gate until everything has been sent.
fn answers(runtime: fn(SimRuntime) -> SimRuntime, parts: &[&[u8]]) -> Vec<(Opcode, Vec<u8>)> {
    let config = Config::new().high_water_mark(500);
    let mut world = World::on_runtime(config, runtime);
    let pipe = world.open_with_capacity(300);
    let mut sent = Vec::new();
    for part in parts {
        // The transport holds less than a part.
        for part in part.chunks(250) {
            world.send(&pipe, part);
            sent.extend(pipe.take_all());
        }
    }
    world.open_gate();
    loop {
        let more = pipe.take_all();
        world.executor.run_until_idle();
        if more.is_empty() {
            break;
        }
        sent.extend(more);
    }
    parse_frames(&sent).into_iter().map(|frame| (frame.opcode, frame.data.into_owned())).collect()
}

#[test]
fn e12_a_thread_delivers_what_a_task_delivers() {
    let text = |text: &str| client_frame(Opcode::Text, text.as_bytes());
    let fragments =
        |kind: u8| [frame(true, kind, b"one "), client_frame(Opcode::Continuation, b"two")].concat();
    let kinds = [
        text("first"),
        client_frame(Opcode::Binary, b"\x01\x02"),
        text("gr\u{fc}n"),
        client_frame(Opcode::Ping, b"?"),
        fragments(1),
        text(""),
        fragments(2),
        client_frame(Opcode::Binary, &payload(3, 40)),
    ];
    let many: Vec<u8> =
        (0..300_u16).flat_map(|n| client_frame(Opcode::Text, n.to_string().as_bytes())).collect();
    let inputs = [
        kinds.concat(),
        [text("a"), text("wait at the gate"), text("b"), client_frame(Opcode::Ping, b"!"), text("c")]
            .concat(),
        [text("a"), text("fail"), text("b"), client_frame(Opcode::Close, b"\x03\xe8")].concat(),
        [text("a"), client_frame(Opcode::Binary, &payload(1, 600)), text("b"), text("c")].concat(),
        [text("a"), text("b"), client_frame(Opcode::Text, b"\xff"), text("c")].concat(),
        many,
    ];
    for input in inputs {
        let expected = answers(|runtime| runtime, &[&input]);
        assert!(expected.len() > 1);
        let step = 1 + input.len() / 200;
        for at in (0..input.len()).step_by(step) {
            let (one, two) = input.split_at(at);
            assert_eq!(answers(SimRuntime::threads, &[one, two]), expected, "cut at {at}");
        }
    }
}

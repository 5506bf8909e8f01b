//! Servers in memory: compressed messages that wait in the inbox while a handler runs.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use sockeye_core::deflate::{CompressionPolicy, Deflate};
use sockeye_core::{CloseInfo, Config, Connection, Message};
use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound, Limits, Port, ServerHandle};
use sockeye_testkit::deflate::agree;
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::sim::*;

/// A slice inflates to at most so many bytes.
const SLICE: usize = (256 + 64) << 10;

fn deflate() -> Deflate {
    Deflate::new().policy(CompressionPolicy::Always)
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

/// A handler that records and echoes messages. It waits at a gate after the message `wait`.
#[derive(Debug, Clone, Default)]
struct Gate(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    received: Vec<Vec<u8>>,
    ends: Vec<CloseInfo>,
    /// The most that the server held of what it has received, as the handlers saw it.
    most_held: usize,
    is_open: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap()
    }
}

impl Handler for Gate {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        {
            let mut record = self.record();
            record.received.push(message.as_bytes().to_vec());
            record.most_held = record.most_held.max(client.server().received());
        }
        if message.as_text() == Some("wait") {
            poll_fn(|cx| {
                let mut record = self.record();
                record.waiting.push(cx.waker().clone());
                if record.is_open { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        client.push(message)?;
        Ok(())
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.record().ends.push(info.clone());
        Ok(())
    }
}

struct World {
    executor: Executor,
    server: ServerHandle,
    connector: Connector,
    gate: Gate,
}

impl World {
    fn new(own_threads: bool, limits: Limits) -> Self {
        let (mut executor, gate) = (Executor::new(), Gate::default());
        // The answers are not compressed, so that a test can read them.
        let config = Config::new().deflate(Deflate::new().policy(CompressionPolicy::Never));
        let runtime = SimRuntime::new(&executor);
        let runtime = if own_threads { runtime.threads() } else { runtime };
        let port = Port::new(gate.clone()).config(config);
        let (server, connector, _) = runtime.serve_on(&mut executor, port, limits);
        World { executor, server, connector, gate }
    }

    /// Opens a connection that compresses.
    fn open(&mut self) -> Pipe {
        let pipe = self.connector.connect(1 << 20, Faults::default());
        let request = upgrade_request("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        self.send(&pipe, request.as_bytes());
        assert!(String::from_utf8(pipe.take_all()).unwrap().contains("permessage-deflate"));
        pipe
    }

    fn send(&mut self, pipe: &Pipe, bytes: &[u8]) {
        pipe.push(bytes);
        self.executor.run_until_idle();
    }

    fn open_gate(&mut self) {
        let mut record = self.gate.record();
        record.is_open = true;
        let waiting = std::mem::take(&mut record.waiting);
        drop(record);
        waiting.into_iter().for_each(Waker::wake);
        self.executor.run_until_idle();
    }
}

/// Runs `test` with the connections' tasks on one thread, and with a thread for each.
fn on_both(limits: &Limits, test: impl Fn(World)) {
    for own_threads in [false, true] {
        println!("own threads: {own_threads}");
        test(World::new(own_threads, limits.clone()));
    }
}

/// Returns the payloads that the server has sent, except Close frames.
fn sent(pipe: &Pipe) -> Vec<Vec<u8>> {
    let frames = parse_frames(&pipe.take_all());
    frames
        .into_iter()
        .filter(|frame| !frame.opcode.is_control())
        .map(|frame| frame.data.into_owned())
        .collect()
}

#[test]
fn e12_compressed_messages_that_wait_are_delivered_although_the_peer_breaks_the_protocol_after_them() {
    on_both(&Limits::new(), |mut world| {
        let pipe = world.open();
        let messages =
            [Message::from("wait"), Message::from("first ".repeat(20)), Message::from("second ".repeat(20))];
        // A message inside a fragmented one.
        let invalid = [frame(true, 0x02, b"a"), frame(true, 0x82, b"b")].concat();
        world.send(&pipe, &[compressed(&messages), invalid].concat());
        world.open_gate();
        let expected = messages.each_ref().map(|message| message.as_bytes().to_vec());
        // The connection has failed, so the handler's answers are lost, but it gets the messages.
        assert_eq!(world.gate.record().received[..], expected);
        assert_eq!(world.gate.record().ends[0].code.as_u16(), 1002);
    });
}

#[test]
fn e12_nothing_is_delivered_after_a_waiting_message_that_cannot_be_inflated() {
    on_both(&Limits::new(), |mut world| {
        let pipe = world.open();
        let garbage = frame(true, 0xc2, [0xff, 0xff, 0xff]);
        let plain = frame(true, 0x81, b"after it");
        let later = [frame(true, 0xc1, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]), plain].concat();
        world.send(&pipe, &[compressed(&[Message::from("wait")]), garbage, later].concat());
        world.open_gate();
        let record = world.gate.record();
        assert_eq!((&record.received[..], record.ends[0].code.as_u16()), (&[b"wait".to_vec()][..], 1007));
    });
}

#[test]
fn t43_a_compressed_message_that_waits_counts_while_it_is_inflated() {
    let limit = 600_000;
    on_both(&Limits::new().max_received(limit), |mut world| {
        let bombs: Vec<Pipe> = (0..4).map(|_| world.open()).collect();
        let healthy = world.open();
        let bomb = Message::from(vec![0; 2_000_000]);
        let waiting = compressed(&[Message::from("wait"), bomb.clone(), bomb]);
        bombs.iter().for_each(|pipe| world.send(pipe, &waiting));
        let small = [Message::from("wait"), Message::from("healthy")];
        world.send(&healthy, &compressed(&small));
        assert!(world.server.received() <= 4 * 8192, "{}", world.server.received());
        world.open_gate();
        // None of the four was handed to the handler, or held whole.
        let (received, ends) = {
            let record = world.gate.record();
            assert!(record.most_held <= limit + SLICE, "{}", record.most_held);
            (record.received.clone(), record.ends.clone())
        };
        assert!(received.iter().all(|message| message.len() < 1000));
        let codes: Vec<u16> = ends.iter().map(|end| end.code.as_u16()).collect();
        assert!(codes.len() == 4 && codes.iter().all(|code| [1009, 1013].contains(code)), "{codes:?}");
        assert_eq!(sent(&healthy), [b"wait".to_vec(), b"healthy".to_vec()]);
        drop((bombs, healthy));
        world.executor.run_until_idle();
        assert_eq!(world.server.received(), 0);
    });
}

#[test]
fn t44_a_compressed_message_that_waits_is_inflated_in_turns() {
    let mut world = World::new(false, Limits::new());
    let pipe = world.open();
    let bomb = Message::from(vec![0; 2_000_000]);
    world.send(&pipe, &compressed(&[Message::from("wait"), bomb.clone(), Message::from("next")]));
    let before = world.executor.time.yields();
    world.open_gate();
    let yields = world.executor.time.yields() - before;
    assert!(yields >= 2_000_000 / SLICE, "{yields} yields");
    // The echo fills the transport, and the next message waits until it is read.
    pipe.take_all();
    world.executor.run_until_idle();
    let received = world.gate.record().received.clone();
    assert_eq!(received.iter().map(Vec::len).collect::<Vec<_>>(), [4, bomb.len(), 4]);
    assert!(received[1] == bomb.as_bytes() && received[2] == b"next");
}
